package rpmtest

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// LargeOptions say how large a large repository is; the zero value has 70 000 packages.
type LargeOptions struct {
	Packages int // default 70 000
	Seed     uint64
}

// Large makes the metadata of a repository of many packages in dir, without the packages: those of a real one, whose
// primary.xml and filelists.xml as createrepo_c writes them are given, and then the same, without kernels, again and
// again under other names, so that counts and lengths are the real ones. What is provided, obsoleted, conflicted with and owned is renamed
// with the package. Of what is required most stays, so that many packages require the same few, some is of the package's
// own generation and some of an older one. Every tenth generation has newer builds of the one before.
func Large(dir string, primary, filelists []byte, o LargeOptions) error {
	if o.Packages == 0 {
		o.Packages = 70_000
	}
	l := large{random: rand.New(rand.NewPCG(o.Seed, 1))}
	packages, lists := splitPackages(primary), splitPackages(filelists)
	if len(packages) == 0 || len(packages) != len(lists) {
		return fmt.Errorf("making a large repository: %d packages in primary, %d in filelists", len(packages), len(lists))
	}
	for i := range packages {
		if len(packages[i].lines) <= maxRepeated {
			l.repeated = append(l.repeated, i)
		}
	}
	var repomd bytes.Buffer
	fmt.Fprintf(&repomd, "%s<repomd xmlns=\"%s\" xmlns:rpm=\"%s\">\n  <revision>1</revision>\n", xmlDeclaration, repoSpace, rpmSpace)
	for _, f := range []struct {
		kind string
		real []largePackage
		root string
	}{
		{"primary", packages, fmt.Sprintf(`metadata xmlns="%s" xmlns:rpm="%s"`, commonSpace, rpmSpace)},
		{"filelists", lists, fmt.Sprintf(`filelists xmlns="%s"`, filelistsSpace)},
	} {
		if err := l.file(&repomd, dir, f.kind, f.root, f.real, o.Packages); err != nil {
			return fmt.Errorf("making a large repository: %w", err)
		}
	}
	repomd.WriteString("</repomd>\n")
	return writeFile(filepath.Join(dir, "repodata", "repomd.xml"), repomd.Bytes())
}

type large struct {
	random   *rand.Rand
	repeated []int // numbers of packages
}

// maxRepeated is the number of lines in primary.xml of a package that is made again: kernels, which provide a name for each
// symbol, are longer, and a distribution of many packages has no more of them than one of few.
const maxRepeated = 1000

// file writes one metadata file and its record in repomd.xml.
func (l *large) file(repomd *bytes.Buffer, dir, kind, root string, real []largePackage, packages int) (err error) {
	location := "repodata/" + kind + ".xml.gz"
	if err := os.MkdirAll(filepath.Join(dir, "repodata"), 0o777); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(dir, location))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	stored := &counted{w: f, hash: sha256.New()}
	z, err := gzip.NewWriterLevel(stored, gzip.BestSpeed)
	if err != nil {
		return err
	}
	open := &counted{w: z, hash: sha256.New()}
	w := bufio.NewWriterSize(open, 1<<20)
	fmt.Fprintf(w, "%s<%s packages=\"%d\">\n", xmlDeclaration, root, packages)
	for i := range packages {
		number, generation := i, 0
		if i >= len(real) {
			number, generation = l.repeated[(i-len(real))%len(l.repeated)], 1+(i-len(real))/len(l.repeated)
		}
		l.write(w, &real[number], number, generation)
	}
	fmt.Fprintf(w, "</%s>\n", strings.Fields(root)[0])
	if err := errors.Join(w.Flush(), z.Close()); err != nil {
		return err
	}
	fmt.Fprintf(repomd, "  <data type=\"%s\">\n    <checksum type=\"sha256\">%x</checksum>\n    <open-checksum type=\"sha256\">%x</open-checksum>\n"+
		"    <location href=\"%s\"/>\n    <timestamp>1</timestamp>\n    <size>%d</size>\n    <open-size>%d</open-size>\n  </data>\n",
		kind, stored.hash.Sum(nil), open.hash.Sum(nil), location, stored.n, open.n)
	return nil
}

type counted struct {
	w    io.Writer
	hash hash.Hash
	n    int64
}

func (c *counted) Write(p []byte) (int, error) {
	c.hash.Write(p)
	c.n += int64(len(p))
	return c.w.Write(p)
}

// largePackage is a package of the real repository, by lines.
type largePackage struct {
	version, release string
	lines            []largeLine
}

// largeLine has a place for what is added to a name, or is as it is.
type largeLine struct {
	kind   lineKind
	before string // with the line's end, when nothing is added
	after  string
}

type lineKind uint8

const (
	lineFixed lineKind = iota
	lineNamed          // a name or path of the package itself
	lineNeeds          // one that it requires
	lineID             // its checksum stands between before and after
)

// splitPackages reads a document of createrepo_c, which has a line for each element.
func splitPackages(document []byte) []largePackage {
	var out []largePackage
	section, name := "", ""
	for line := range strings.Lines(string(document)) {
		trimmed := strings.TrimSpace(line)
		if strings.HasPrefix(trimmed, "<package ") {
			out = append(out, largePackage{})
		}
		if len(out) == 0 || strings.HasPrefix(trimmed, "</metadata") || strings.HasPrefix(trimmed, "</filelists") {
			continue
		}
		p := &out[len(out)-1]
		switch {
		case strings.HasPrefix(trimmed, "<name>"):
			name = between(trimmed, ">", "<")
		case strings.HasPrefix(trimmed, "<version "):
			p.version, p.release = between(trimmed, `ver="`, `"`), between(trimmed, `rel="`, `"`)
		case strings.HasPrefix(trimmed, "<rpm:") && strings.HasSuffix(trimmed, "s>"):
			section = strings.Trim(trimmed, "<>")
		}
		p.lines = append(p.lines, splitLine(line, trimmed, section, name))
	}
	return out
}

func between(s, from, to string) string {
	_, s, _ = strings.Cut(s, from)
	s, _, _ = strings.Cut(s, to)
	return s
}

func splitLine(line, trimmed, section, name string) largeLine {
	cut := func(kind lineKind, at int) largeLine { return largeLine{kind, line[:at], line[at:]} }
	switch {
	case strings.HasPrefix(trimmed, "<package pkgid="):
		at := strings.Index(line, `" name="`)
		end := at + 8 + strings.IndexByte(line[at+8:], '"')
		from := strings.IndexByte(line, '"') + 1
		return largeLine{lineID, line[:from], line[at:end] + "\x00" + line[end:]}
	case strings.HasPrefix(trimmed, "<checksum "):
		from := strings.IndexByte(line, '>') + 1
		return largeLine{lineID, line[:from], line[from+strings.IndexByte(line[from:], '<'):]}
	case strings.HasPrefix(trimmed, "<name>"), strings.HasPrefix(trimmed, "<file>"):
		return cut(lineNamed, strings.LastIndex(line, "</"))
	case strings.HasPrefix(trimmed, "<location "):
		return cut(lineNamed, strings.Index(line, "/"+name+"-")+1+len(name))
	case strings.HasPrefix(trimmed, "<rpm:entry name="):
		from := strings.IndexByte(line, '"') + 1
		end := from + strings.IndexByte(line[from:], '"')
		at := end
		if i := strings.IndexByte(line[from:end], '('); i >= 0 {
			at = from + i
		}
		if i := strings.Index(line[from:at], ".so"); i >= 0 {
			at = from + i
		}
		switch {
		case at == from || line[from] == '/' || strings.HasPrefix(line[from:], "rpmlib(") || strings.HasPrefix(line[from:], "rtld("):
			return largeLine{lineFixed, line, ""}
		case section == "rpm:provides" || section == "rpm:obsoletes" || section == "rpm:conflicts":
			return cut(lineNamed, at)
		}
		return cut(lineNeeds, at)
	}
	return largeLine{lineFixed, line, ""}
}

// newerBuilds reports a generation that has the names of the one before.
func newerBuilds(generation int) bool { return generation%10 == 9 }

func addition(generation int) string {
	if newerBuilds(generation) {
		generation--
	}
	if generation == 0 {
		return ""
	}
	words := []string{"devel", "libs", "common", "plugin", "python3", "data", "tools", "core", "extras"}
	return fmt.Sprintf("-%s%d", words[generation%len(words)], generation)
}

// write writes a package of a generation, the first of which is the real one. Number is the package's in that.
func (l *large) write(w io.Writer, p *largePackage, number, generation int) {
	added := addition(generation)
	var b strings.Builder
	id := sha256.Sum256(fmt.Appendf(nil, "%d %d", number, generation))
	for i := range p.lines {
		line := &p.lines[i]
		switch {
		case line.kind == lineID:
			fmt.Fprintf(&b, "%s%x%s", line.before, id, strings.Replace(line.after, "\x00", added, 1))
			continue
		case line.kind == lineFixed:
			b.WriteString(line.before)
			continue
		}
		b.WriteString(line.before)
		switch {
		case line.kind == lineNamed:
			b.WriteString(added)
		case generation > 0:
			switch l.random.IntN(20) {
			case 0:
				b.WriteString(addition(l.random.IntN(generation)))
			case 1, 2:
				b.WriteString(added)
			}
		}
		b.WriteString(line.after)
	}
	text := b.String()
	if newerBuilds(generation) {
		is := fmt.Sprintf("ver=\"%s\" rel=\"%s\"", p.version, p.release)
		text = strings.ReplaceAll(text, is, strings.TrimSuffix(is, `"`)+`.1"`)
		text = strings.ReplaceAll(text, "-"+p.version+"-"+p.release+".", "-"+p.version+"-"+p.release+".1.")
	}
	_, _ = io.WriteString(w, text) // w says at its end what went wrong
}
