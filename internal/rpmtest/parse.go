package rpmtest

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// Parse reads packages from text, one statement a line; blank lines and lines beginning with # are skipped.
//
//	package NAME                      or NAME-[EPOCH:]VERSION-RELEASE.ARCH; begins a package (default 1-1, noarch)
//	requires CAP, CAP ...             also provides, conflicts, obsoletes, recommends, suggests, supplements, enhances
//	requires(pre,post) CAP ...        a requirement of scriptlets
//	payload xz                        also summary, license, vendor, source, buildtime, each with one value
//	file PATH ATTRIBUTE... "CONTENT"  a regular file; the content is a Go string and may be missing
//	dir PATH ATTRIBUTE...
//	link PATH TARGET ATTRIBUTE...     a symbolic link
//	hard PATH OTHER                   a hard link to another file of the package
//	dev PATH c|b MAJOR MINOR ATTRIBUTE...
//	pre                               also post, preun, postun, pretrans, posttrans, each with an optional
//	post -p /sbin/ldconfig            interpreter (and its arguments); the body follows in lines beginning with |
//	filetriggerin PREFIX...           also transfiletriggerin and the others; [-p PROGRAM] [-P PRIORITY] come first
//	| echo body
//
// Attributes are an octal mode (0755), user=NAME, group=NAME, caps=TEXT, lang=TEXT, color=N, mtime=SECONDS and the
// flags config, noreplace, missingok, doc, license, readme, ghost and artifact. Paths and targets with blanks are
// written as Go strings.
func Parse(text string) ([]*Package, error) {
	var p parser
	for i, line := range strings.Split(text, "\n") {
		if err := p.line(strings.TrimSpace(line)); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	return p.list, nil
}

// MustParse is Parse for texts that a test wrote.
func MustParse(t testing.TB, text string) []*Package {
	t.Helper()
	list, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

type parser struct {
	list []*Package
	body *string // of the scriptlet or trigger that was begun last
}

func (p *parser) line(line string) error {
	if line == "" || line[0] == '#' {
		return nil
	}
	if body, ok := strings.CutPrefix(line, "|"); ok {
		if p.body == nil {
			return fmt.Errorf("%q belongs to no scriptlet", line)
		}
		if *p.body != "" {
			*p.body += "\n"
		}
		*p.body += strings.TrimPrefix(body, " ")
		return nil
	}
	p.body = nil
	word, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimSpace(rest)
	if word == "package" {
		p.list = append(p.list, parseName(rest))
		return nil
	}
	if len(p.list) == 0 {
		return fmt.Errorf("%q before the first package", word)
	}
	return p.statement(p.list[len(p.list)-1], word, rest)
}

func parseName(s string) *Package {
	rest, arch, dot := cutLast(s, ".")
	rest, release, dash := cutLast(rest, "-")
	name, version, dash2 := cutLast(rest, "-")
	if !dot || !dash || !dash2 || version == "" || !strings.ContainsAny(version[:1], "0123456789") {
		return &Package{Name: s}
	}
	return &Package{Name: name, EVR: version + "-" + release, Arch: arch}
}

func cutLast(s, sep string) (head, tail string, ok bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

func (p *parser) statement(pkg *Package, word, rest string) error {
	if list := dependencyList(pkg, word); list != nil {
		for c := range strings.SplitSeq(rest, ",") {
			*list = append(*list, strings.TrimSpace(c))
		}
		return nil
	}
	if moments, ok := strings.CutPrefix(word, "requires("); ok {
		for c := range strings.SplitSeq(rest, ",") {
			pkg.Requires = append(pkg.Requires, strings.TrimSuffix(moments, ")")+": "+strings.TrimSpace(c))
		}
		return nil
	}
	switch word {
	case "summary":
		pkg.Summary = rest
	case "license":
		pkg.License = rest
	case "vendor":
		pkg.Vendor = rest
	case "source":
		pkg.SourceRPM = rest
	case "payload":
		pkg.Payload = rest
	case "buildtime":
		n, err := strconv.ParseInt(rest, 10, 64)
		pkg.BuildTime = n
		return err
	case "file", "dir", "link", "hard", "dev":
		return parseFile(pkg, word, rest)
	default:
		return p.script(pkg, word, rest)
	}
	return nil
}

func dependencyList(pkg *Package, word string) *[]string {
	switch word {
	case "provides":
		return &pkg.Provides
	case "requires":
		return &pkg.Requires
	case "conflicts":
		return &pkg.Conflicts
	case "obsoletes":
		return &pkg.Obsoletes
	case "recommends":
		return &pkg.Recommends
	case "suggests":
		return &pkg.Suggests
	case "supplements":
		return &pkg.Supplements
	case "enhances":
		return &pkg.Enhances
	}
	return nil
}

func (p *parser) script(pkg *Package, slot, rest string) error {
	words := strings.Fields(rest)
	if _, _, ok := slotTags(slot); ok {
		s := Scriptlet{Slot: slot}
		switch {
		case len(words) > 1 && words[0] == "-p":
			s.Program = words[1:]
		case len(words) > 0:
			return fmt.Errorf("%s: %q is no interpreter", slot, rest)
		}
		pkg.Scriptlets = append(pkg.Scriptlets, s)
		p.body = &pkg.Scriptlets[len(pkg.Scriptlets)-1].Body
		return nil
	}
	if _, ok := triggerFlag(strings.TrimPrefix(slot, "trans")); !ok {
		return fmt.Errorf("there is no statement %q", slot)
	}
	t := FileTrigger{Slot: slot}
	for len(words) > 1 && (words[0] == "-p" || words[0] == "-P") {
		if words[0] == "-p" {
			t.Program = []string{words[1]}
		} else {
			n, err := strconv.ParseUint(words[1], 10, 32)
			if err != nil {
				return fmt.Errorf("%s: %w", slot, err)
			}
			t.Priority = uint32(n)
		}
		words = words[2:]
	}
	t.Prefixes = words
	pkg.Triggers = append(pkg.Triggers, t)
	p.body = &pkg.Triggers[len(pkg.Triggers)-1].Body
	return nil
}

func parseFile(pkg *Package, kind, rest string) error {
	words, err := split(rest)
	if err != nil {
		return err
	}
	need := 1
	switch kind {
	case "link", "hard":
		need = 2
	case "dev":
		need = 4
	}
	if len(words) < need {
		return fmt.Errorf("%s: %d words, not %d or more", kind, len(words), need)
	}
	f, attributes := File{Path: words[0].text}, words[need:]
	switch kind {
	case "file":
		f.Mode = typeRegular | 0o644
		if n := len(attributes) - 1; n >= 0 && attributes[n].quoted {
			f.Content, attributes = attributes[n].text, attributes[:n]
		}
	case "dir":
		f.Mode = typeDir | 0o755
	case "link":
		f.Mode, f.Link = typeSymlink|0o777, words[1].text
	case "hard":
		f.HardLinkTo = words[1].text
	case "dev":
		if f.Mode, f.RDev, err = device(words[1].text, words[2].text, words[3].text); err != nil {
			return fmt.Errorf("dev %s: %w", f.Path, err)
		}
	}
	for _, w := range attributes {
		if err := f.attribute(w); err != nil {
			return fmt.Errorf("%s %s: %w", kind, f.Path, err)
		}
	}
	pkg.Files = append(pkg.Files, f)
	return nil
}

func device(kind, major, minor string) (mode, rdev uint32, err error) {
	mode = typeChar | 0o600
	if kind == "b" {
		mode = typeBlock | 0o600
	}
	x, err1 := strconv.ParseUint(major, 0, 8)
	y, err2 := strconv.ParseUint(minor, 0, 8)
	if err1 != nil || err2 != nil || kind != "b" && kind != "c" {
		return 0, 0, fmt.Errorf("%q %q %q is not c or b and two numbers", kind, major, minor)
	}
	return mode, uint32(x)<<8 | uint32(y), nil
}

func (f *File) attribute(w word) error {
	if bit, ok := flagOf(w.text); ok && !w.quoted {
		f.Flags |= bit
		return nil
	}
	if strings.HasPrefix(w.text, "0") && !w.quoted {
		n, err := strconv.ParseUint(w.text, 8, 12)
		f.Mode = f.Mode&typeMask | uint32(n)
		return err
	}
	key, value, _ := strings.Cut(w.text, "=")
	var err error
	switch key {
	case "user":
		f.User = value
	case "group":
		f.Group = value
	case "caps":
		f.Caps = value
	case "lang":
		f.Lang = value
	case "mtime":
		f.MTime, err = strconv.ParseInt(value, 10, 64)
	case "color":
		var n uint64
		n, err = strconv.ParseUint(value, 10, 32)
		f.Color = uint32(n)
	default:
		return fmt.Errorf("unknown attribute %q", w.text)
	}
	return err
}

func flagOf(word string) (uint32, bool) {
	switch word {
	case "config":
		return FlagConfig, true
	case "noreplace":
		return FlagNoReplace, true
	case "missingok":
		return FlagMissingOK, true
	case "doc":
		return FlagDoc, true
	case "license":
		return FlagLicense, true
	case "readme":
		return FlagReadme, true
	case "ghost":
		return FlagGhost, true
	case "artifact":
		return FlagArtifact, true
	}
	return 0, false
}

// word is one word of a line; a quoted one was written as a Go string.
type word struct {
	text   string
	quoted bool
}

func split(s string) ([]word, error) {
	var words []word
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		if s[0] != '"' {
			end := strings.IndexByte(s+" ", ' ')
			words = append(words, word{text: s[:end]})
			s = s[end:]
			continue
		}
		quoted, err := strconv.QuotedPrefix(s)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s, err)
		}
		text, err := strconv.Unquote(quoted)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", quoted, err)
		}
		words = append(words, word{text, true})
		s = s[len(quoted):]
	}
	return words, nil
}
