package builder

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"slim/internal/repomd"
	"slim/internal/rpm"
)

// LockFileName is the name of the lock file, which stands beside the recipes that it covers.
const LockFileName = "slim.lock"

// LockFile is a lock on disk: for all recipes of a directory and all their platforms which build of each package they
// take. On a platform a package has one version, whatever recipe takes it.
//
// The text is made for review and for merge. A line is a word, a blank and a value that goes to the end of the line. Lines
// that do not begin with a blank open a block, those indented by two or four blanks belong to the line above them
// that is less indented. Blocks are parted by empty lines; lines that begin with # are comments. What is written is
// sorted, what is read need not be.
//
//	slim.lock 1
//
//	repository NAME              one block: which repository, in the recipe's words
//	  baseurl ADDRESS            or mirrorlist, or metalink; relative paths start beside the lock
//	  component NAME             for each, in their order
//	  releasever VERSION
//
//	key URL                      for each key that is fetched
//	  sha256 HEX
//
//	source PLATFORM [COMPONENT]
//	  revision TEXT              of its repomd.xml, when that says one
//	  repomd sha256:HEX
//
//	recipe FILE                  or builtin:NAME, of one that another one extends
//	  extends FILE
//	  asks SPEC                  what it asks for, in its order
//	    on PLATFORM              only there
//	  excludes SPEC
//	  prefers SPEC
//	  dependencies full|runtime|named
//	  for PLATFORM
//	    takes NAME               or NAME.ARCH where NAME has two builds
//
//	package NEVRA
//	  platform PLATFORM
//	  component NAME             where the repository has components
//	  location PATH              below the component's base URL
//	  base URL                   when the repository gives the package one of its own
//	  size BYTES                 of the file
//	  installed BYTES
//	  built SECONDS              since 1970
//	  source FILE                its source package
//	  checksum ALGORITHM:HEX     of the file, as the repository gives it
//	  header HEX                 SHA-256 of its header
//	  signed HEX                 id of the key that signed it; missing when none did
type LockFile struct {
	Repository LockedRepository
	Keys       []LockedKey       // by address
	Sources    []LockFileSource  // by platform, components in their order
	Recipes    []LockedRecipe    // by file
	Packages   []LockFilePackage // by NEVRA, then platform
}

// LockedRepository says which repository a lock is for.
type LockedRepository struct {
	Name       string
	Kind       Source // what Address leads to
	Address    string // with its variables; a relative path starts beside the lock
	Components []string
	ReleaseVer string
	Modules    []string // enabled streams
}

// LockedKey is a key that is fetched over the network.
type LockedKey struct {
	Address string
	SHA256  string // hex
}

// LockFileSource is what a component of the repository was when it was locked. Its URLs are not part of the file.
type LockFileSource struct {
	Platform Platform
	LockedSource
}

// LockedRecipe is what a recipe asked for when it was locked, and what it takes.
type LockedRecipe struct {
	File         string // relative to the lock, with slashes, or builtin:NAME
	Extends      string // in the same words, "" for nothing; it is in the lock too
	Packages     []PackageRequest
	Exclude      []string
	Prefer       []string
	Dependencies Dependencies
	Takes        []LockedTake // by platform
}

// LockedTake are the packages of a recipe on a platform.
type LockedTake struct {
	Platform Platform
	Names    []string // sorted; NAME.ARCH where a name has two builds
}

// LockFilePackage is a build of a package on a platform. Its Source is not set.
type LockFilePackage struct {
	Platform  Platform
	Component string
	LockedPackage
}

// Limits of a lock file, far above a fleet of a thousand recipes.
const (
	maxLockSize  = 64 << 20
	maxLockLine  = 4096
	maxLockLines = 2_000_000

	maxLockBuilds = 16 // of a name on a platform, for different architectures
)

// ReadLockFile reads the lock at path. What is wrong in it is a *RecipeError, a missing file an fs.ErrNotExist.
func ReadLockFile(path string) (*LockFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, readError(path, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxLockSize+1))
	if err != nil {
		return nil, readError(path, err)
	}
	return ParseLockFile(data, path)
}

// ParseLockFile reads the text of a lock that is called name. The error is a *RecipeError with every fault.
func ParseLockFile(data []byte, name string) (*LockFile, error) {
	p := lockParser{src: &source{file: name}, lock: &LockFile{}}
	p.read(data)
	if len(p.faults.list) == 0 {
		p.lock.sort()
		p.check()
	}
	if err := p.faults.err(); err != nil {
		return nil, err
	}
	return p.lock, nil
}

// lockLine is a line of a lock with the lines that belong to it.
type lockLine struct {
	n           int
	word, value string
	below       []*lockLine
}

type lockParser struct {
	src    *source
	lock   *LockFile
	faults faults
	at     map[string]int // lines of what is there once, by what it is
}

func (p *lockParser) fault(n int, hint, format string, args ...any) {
	p.faults.add(place{source: p.src, line: n}, hint, format, args...)
}

func (p *lockParser) read(data []byte) {
	p.at = map[string]int{}
	if len(data) > maxLockSize {
		p.fault(0, "", "larger than %d bytes", maxLockSize)
		return
	}
	top := p.lines(data)
	if len(p.faults.list) > 0 {
		return
	}
	if len(top) == 0 || top[0].word != "slim.lock" {
		p.fault(1, "slim lock RECIPE... writes one", "this is no lock: it does not begin with slim.lock 1")
		return
	}
	if top[0].value != "1" {
		p.fault(top[0].n, "take the slim that wrote it", "the lock has format %q, this slim reads 1", top[0].value)
		return
	}
	p.fields(top[0], nil)
	for _, l := range top[1:] {
		switch l.word {
		case "repository":
			p.repository(l)
		case "key":
			p.key(l)
		case "source":
			p.source(l)
		case "recipe":
			p.recipe(l)
		case "package":
			p.pkg(l)
		default:
			p.unknown(l, "repository", "key", "source", "recipe", "package")
		}
	}
	if p.at["repository"] == 0 {
		p.fault(0, "", "it names no repository")
	}
}

// lines makes the tree of lines.
func (p *lockParser) lines(data []byte) []*lockLine {
	root := &lockLine{}
	open := []*lockLine{root} // the last line of each depth
	n := 0
	for line := range bytes.Lines(data) {
		if n++; n > maxLockLines {
			p.fault(n, "", "more than %d lines", maxLockLines)
			break
		}
		text := strings.TrimRight(string(line), "\r\n")
		if text == "" || text[0] == '#' {
			continue
		}
		body := strings.TrimLeft(text, " ")
		depth := (len(text) - len(body)) / 2
		word, value, _ := strings.Cut(body, " ")
		switch {
		case strings.HasPrefix(text, "<<<<<<<"), strings.HasPrefix(text, "======="), strings.HasPrefix(text, ">>>>>>>"), strings.HasPrefix(text, "|||||||"):
			p.fault(n, "take one side, then run slim lock", "a merge conflict")
			continue
		case len(text) > maxLockLine:
			p.fault(n, "", "longer than %d bytes", maxLockLine)
			continue
		case hasControl(text):
			p.fault(n, "", "control characters")
			continue
		case (len(text)-len(body))%2 != 0, depth >= len(open):
			p.fault(n, "", "indented by %d blanks, where nothing can belong to", len(text)-len(body))
			continue
		case value != strings.TrimSpace(value) || word == "":
			p.fault(n, "", "blanks where none belong")
			continue
		}
		l := &lockLine{n: n, word: word, value: value}
		open[depth].below = append(open[depth].below, l)
		open = append(open[:depth+1], l)
	}
	return root.below
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || 0x7f <= r && r < 0xa0 || r == '\uFFFD' })
}

func (p *lockParser) unknown(l *lockLine, known ...string) {
	hint := "known here are " + strings.Join(known, ", ")
	if near := nearest(l.word, known); near != "" {
		hint = "did you mean " + near + "?"
	}
	p.fault(l.n, hint, "unknown word %q", l.word)
}

// field reads the value of a line; its fault is reported with the line.
type field struct {
	word  string
	must  bool
	many  bool
	value func(string) error
	below []field // what may belong to the line; nil: nothing
	start func()  // called before the lines that belong to it
}

// fields reads the lines below l, which are to be those of known.
func (p *lockParser) fields(l *lockLine, known []field) {
	seen := map[string]int{}
	for _, c := range l.below {
		i := slices.IndexFunc(known, func(f field) bool { return f.word == c.word })
		if i < 0 {
			var words []string
			for _, f := range known {
				words = append(words, f.word)
			}
			if len(words) == 0 {
				p.fault(c.n, "", "nothing can belong to %s", l.word)
				continue
			}
			p.unknown(c, words...)
			continue
		}
		f := known[i]
		if seen[c.word] > 0 && !f.many {
			p.fault(c.n, "", "%s is given twice, first in line %d", c.word, seen[c.word])
			continue
		}
		seen[c.word] = c.n
		if c.value == "" {
			p.fault(c.n, "", "%s has no value", c.word)
			continue
		}
		if err := f.value(c.value); err != nil {
			p.fault(c.n, "", "%s: %v", c.word, err)
			continue
		}
		if f.start != nil {
			f.start()
		}
		p.fields(c, f.below)
	}
	for _, f := range known {
		if f.must && seen[f.word] == 0 {
			p.fault(l.n, "", "%s %s has no %s", l.word, l.value, f.word)
		}
	}
}

// once reports a second block for the same thing.
func (p *lockParser) once(l *lockLine, what string) bool {
	if first := p.at[what]; first > 0 {
		p.fault(l.n, "take one of them, then run slim lock", "a second block for %s, first in line %d", what, first)
		return false
	}
	p.at[what] = l.n
	return true
}

func text(to *string) func(string) error {
	return func(s string) error { *to = s; return nil }
}

func texted(to *[]string) func(string) error {
	return func(s string) error { *to = append(*to, s); return nil }
}

func number(to *int64) func(string) error {
	return func(s string) error {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n < 0 {
			return fmt.Errorf("%q is not a number", s)
		}
		*to = n
		return nil
	}
}

func platform(to *Platform) func(string) error {
	return func(s string) (err error) {
		if *to, err = ParsePlatform(s); err == nil && to.String() != s {
			err = fmt.Errorf("write %s", *to)
		}
		return err
	}
}

func hexOf(to *string, sizes ...int) func(string) error {
	return func(s string) error {
		if b, err := hex.DecodeString(s); err != nil || !slices.Contains(sizes, len(b)) || strings.ToLower(s) != s {
			return fmt.Errorf("%q is not that many lower-case hexadecimal digits", s)
		}
		*to = s
		return nil
	}
}

func (p *lockParser) repository(l *lockLine) {
	if !p.once(l, "repository") {
		return
	}
	r := &p.lock.Repository
	r.Name = l.value
	address := func(kind Source) func(string) error {
		return func(s string) error {
			if r.Address != "" {
				return errors.New("the repository has another address already")
			}
			r.Kind, r.Address = kind, s
			return nil
		}
	}
	p.fields(l, []field{
		{word: "baseurl", value: address(SourceBaseURL)},
		{word: "mirrorlist", value: address(SourceMirrorList)},
		{word: "metalink", value: address(SourceMetalink)},
		{word: "file", value: address(SourceRepoFile)},
		{word: "component", many: true, value: texted(&r.Components)},
		{word: "releasever", value: text(&r.ReleaseVer)},
		{word: "module", many: true, value: texted(&r.Modules)},
	})
	if r.Name == "" || r.Address == "" {
		p.fault(l.n, "", "the repository needs a name and an address")
	}
}

func (p *lockParser) key(l *lockLine) {
	if !p.once(l, "key "+l.value) {
		return
	}
	k := LockedKey{Address: l.value}
	p.fields(l, []field{{word: "sha256", must: true, value: hexOf(&k.SHA256, 32)}})
	p.lock.Keys = append(p.lock.Keys, k)
}

func (p *lockParser) source(l *lockLine) {
	name, component, _ := strings.Cut(l.value, " ")
	var s LockFileSource
	if err := platform(&s.Platform)(name); err != nil {
		p.fault(l.n, "", "source: %v", err)
		return
	}
	if !p.once(l, "source "+l.value) {
		return
	}
	s.Component = component
	p.fields(l, []field{
		{word: "revision", value: text(&s.Revision)},
		{word: "repomd", must: true, value: func(v string) error {
			digest, ok := strings.CutPrefix(v, "sha256:")
			if !ok {
				return fmt.Errorf("%q is not sha256:HEX", v)
			}
			s.Digest = v
			return hexOf(new(string), 32)(digest)
		}},
	})
	p.lock.Sources = append(p.lock.Sources, s)
}

func (p *lockParser) recipe(l *lockLine) {
	if !p.once(l, "recipe "+l.value) {
		return
	}
	r := LockedRecipe{File: l.value}
	if err := checkRecipeName(r.File); err != nil {
		p.fault(l.n, "", "%v", err)
	}
	p.fields(l, []field{
		{word: "extends", value: func(v string) error { r.Extends = v; return checkRecipeName(v) }},
		{
			word: "asks", many: true,
			value: func(v string) error {
				r.Packages = append(r.Packages, PackageRequest{Spec: v})
				return nil
			},
			below: []field{{word: "on", many: true, value: func(v string) error {
				var on Platform
				err := platform(&on)(v)
				last := &r.Packages[len(r.Packages)-1]
				last.Platforms = append(last.Platforms, on)
				return err
			}}},
		},
		{word: "excludes", many: true, value: texted(&r.Exclude)},
		{word: "prefers", many: true, value: texted(&r.Prefer)},
		{word: "dependencies", must: true, value: func(v string) error {
			r.Dependencies = Dependencies(v)
			if !slices.Contains([]Dependencies{DependenciesFull, DependenciesRuntime, DependenciesNamed}, r.Dependencies) {
				return fmt.Errorf("%q is not full, runtime or named", v)
			}
			return nil
		}},
		{
			word: "for", many: true,
			value: func(v string) error {
				t := LockedTake{}
				err := platform(&t.Platform)(v)
				if err == nil && r.take(t.Platform) != nil {
					err = fmt.Errorf("%s is given twice", v)
				}
				r.Takes = append(r.Takes, t)
				return err
			},
			below: []field{{word: "takes", many: true, value: func(v string) error {
				last := &r.Takes[len(r.Takes)-1]
				last.Names = append(last.Names, v)
				return nil
			}}},
		},
	})
	p.lock.Recipes = append(p.lock.Recipes, r)
}

// checkRecipeName refuses what names no recipe of a lock.
func checkRecipeName(name string) error {
	if !strings.HasPrefix(name, builtinPrefix) && (path.IsAbs(name) || path.Clean(name) != name || filepath.IsAbs(filepath.FromSlash(name))) {
		return fmt.Errorf("recipe %q is not a path from the lock's directory", name)
	}
	return nil
}

// Elsewhere reports whether the recipe is not beside the lock: it is there because another one extends it.
func (r *LockedRecipe) Elsewhere() bool {
	return strings.HasPrefix(r.File, builtinPrefix) || strings.Contains(r.File, "/")
}

func (p *lockParser) pkg(l *lockLine) {
	n, err := rpm.ParseNEVRA(l.value)
	if err == nil && n.String() != l.value {
		err = fmt.Errorf("write %s", n)
	}
	if err != nil {
		p.fault(l.n, "", "package: %v", err)
		return
	}
	m := &rpm.Metadata{NEVRA: n}
	pkg := LockFilePackage{LockedPackage: LockedPackage{Metadata: m}}
	p.fields(l, []field{
		{word: "platform", must: true, value: platform(&pkg.Platform)},
		{word: "component", value: text(&pkg.Component)},
		{word: "location", must: true, value: func(v string) error { m.Location = v; return repomd.CheckLocation(v) }},
		{word: "base", value: func(v string) error {
			if m.Base = v; !isURL(v) {
				return fmt.Errorf("%q is not the address of a repository", v)
			}
			return nil
		}},
		{word: "size", must: true, value: number(&m.Size)},
		{word: "installed", must: true, value: number(&m.InstalledSize)},
		{word: "built", must: true, value: number(&m.BuildTime)},
		{word: "source", value: text(&m.SourceRPM)},
		{word: "checksum", must: true, value: func(v string) (err error) {
			algorithm, sum, _ := strings.Cut(v, ":")
			if m.Checksum, err = rpm.NewChecksum(algorithm, sum); err == nil && m.Checksum.String() != v {
				err = fmt.Errorf("write %s", m.Checksum)
			}
			return err
		}},
		{word: "header", must: true, value: hexOf(&pkg.HeaderSHA256, 32)},
		{word: "signed", value: hexOf(&pkg.Key, 8)},
	})
	if !p.once(l, fmt.Sprintf("package %s on %s", n, pkg.Platform)) {
		return
	}
	p.lock.Packages = append(p.lock.Packages, pkg)
}

// check reports what does not hold together, as after a merge.
func (p *lockParser) check() {
	const hint = "take one side of the merge, then run slim lock"
	line := func(pkg *LockFilePackage) int { return p.at[fmt.Sprintf("package %s on %s", pkg.NEVRA, pkg.Platform)] }
	type build struct {
		platform   Platform
		name, arch string
	}
	first, count := map[build]int{}, map[build]int{}
	for i := range p.lock.Packages {
		pkg := &p.lock.Packages[i]
		b := build{pkg.Platform, pkg.Name, pkg.Arch}
		if first[b] > 0 {
			p.fault(max(line(pkg), first[b]), hint, "a second build of %s on %s, first in line %d", pkg.Name, pkg.Platform, min(line(pkg), first[b]))
		}
		first[b] = line(pkg)
		b.arch = ""
		if count[b]++; count[b] > maxLockBuilds {
			p.fault(line(pkg), "", "more than %d builds of %s on %s", maxLockBuilds, pkg.Name, pkg.Platform)
			return
		}
		if p.at[strings.TrimRight("source "+pkg.Platform.String()+" "+pkg.Component, " ")] == 0 {
			p.fault(line(pkg), hint, "package %s is of the source %s %s, which the lock does not have", pkg.NEVRA, pkg.Platform, pkg.Component)
		}
	}
	index := p.lock.index()
	taken := map[*LockFilePackage]bool{}
	for _, r := range p.lock.Recipes {
		at := p.at["recipe "+r.File]
		p.family(at, &r, index)
		for _, t := range r.Takes {
			for _, name := range t.Names {
				pkg := index.find(t.Platform, name)
				if pkg == nil {
					p.fault(at, hint, "recipe %s takes %s on %s, of which the lock has no build", r.File, name, t.Platform)
					continue
				}
				taken[pkg] = true
			}
		}
	}
	for i := range p.lock.Packages {
		if pkg := &p.lock.Packages[i]; !taken[pkg] {
			p.fault(line(pkg), hint, "no recipe takes package %s on %s", pkg.NEVRA, pkg.Platform)
		}
	}
}

// family reports a recipe that does not take all that the recipe it extends takes.
func (p *lockParser) family(at int, r *LockedRecipe, index lockIndex) {
	const hint = "run slim lock"
	if r.Extends == "" {
		return
	}
	parent, chain := p.lock.Recipe(r.Extends), 0
	if parent == nil {
		p.fault(at, hint, "recipe %s extends %s, which is not in the lock", r.File, r.Extends)
		return
	}
	for up := parent; up != nil; up = p.lock.Recipe(up.Extends) {
		if chain++; chain > maxExtends {
			p.fault(at, "", "recipe %s: more than %d recipes above it", r.File, maxExtends)
			return
		}
	}
	for _, t := range r.Takes {
		above := parent.take(t.Platform)
		if above == nil {
			p.fault(at, hint, "recipe %s extends %s, which the lock does not have on %s", r.File, parent.File, t.Platform)
			continue
		}
		own := map[*LockFilePackage]bool{}
		for _, name := range t.Names {
			own[index.find(t.Platform, name)] = true
		}
		for _, name := range above.Names {
			if pkg := index.find(t.Platform, name); pkg != nil && !own[pkg] {
				p.fault(at, hint, "recipe %s does not take %s on %s, which %s takes", r.File, name, t.Platform, parent.File)
			}
		}
	}
}

// lockIndex are the packages of a lock by platform and name.
type lockIndex map[Platform]map[string][]*LockFilePackage

func (f *LockFile) index() lockIndex {
	index := lockIndex{}
	for i := range f.Packages {
		pkg := &f.Packages[i]
		if index[pkg.Platform] == nil {
			index[pkg.Platform] = map[string][]*LockFilePackage{}
		}
		index[pkg.Platform][pkg.Name] = append(index[pkg.Platform][pkg.Name], pkg)
	}
	return index
}

// find is the package that a recipe takes by a name, nil without one.
func (x lockIndex) find(p Platform, name string) *LockFilePackage {
	if all := x[p][name]; len(all) == 1 {
		return all[0]
	}
	if i := strings.LastIndexByte(name, '.'); i > 0 {
		for _, pkg := range x[p][name[:i]] {
			if pkg.Arch == name[i+1:] {
				return pkg
			}
		}
	}
	return nil
}

// take are the packages of r on p, nil without any.
func (r *LockedRecipe) take(p Platform) *LockedTake {
	for i := range r.Takes {
		if r.Takes[i].Platform == p {
			return &r.Takes[i]
		}
	}
	return nil
}

// Recipe is the entry of a recipe's file, nil without one.
func (f *LockFile) Recipe(file string) *LockedRecipe {
	for i := range f.Recipes {
		if f.Recipes[i].File == file {
			return &f.Recipes[i]
		}
	}
	return nil
}

// Platforms are those that any recipe is locked for, sorted.
func (f *LockFile) Platforms() []Platform {
	var out []Platform
	for _, r := range f.Recipes {
		for _, t := range r.Takes {
			if !slices.Contains(out, t.Platform) {
				out = append(out, t.Platform)
			}
		}
	}
	slices.SortFunc(out, comparePlatforms)
	return out
}

func comparePlatforms(a, b Platform) int { return strings.Compare(a.String(), b.String()) }

func (f *LockFile) sort() {
	slices.SortFunc(f.Keys, func(a, b LockedKey) int { return strings.Compare(a.Address, b.Address) })
	slices.SortStableFunc(f.Sources, func(a, b LockFileSource) int {
		return cmp.Or(comparePlatforms(a.Platform, b.Platform),
			cmp.Compare(slices.Index(f.Repository.Components, a.Component), slices.Index(f.Repository.Components, b.Component)),
			strings.Compare(a.Component, b.Component))
	})
	slices.SortFunc(f.Recipes, func(a, b LockedRecipe) int { return strings.Compare(a.File, b.File) })
	for _, r := range f.Recipes {
		slices.SortFunc(r.Takes, func(a, b LockedTake) int { return comparePlatforms(a.Platform, b.Platform) })
		for i := range r.Takes {
			slices.Sort(r.Takes[i].Names)
			r.Takes[i].Names = slices.Compact(r.Takes[i].Names)
		}
	}
	slices.SortFunc(f.Packages, func(a, b LockFilePackage) int {
		return cmp.Or(a.NEVRA.Compare(b.NEVRA), strings.Compare(a.NEVRA.String(), b.NEVRA.String()), comparePlatforms(a.Platform, b.Platform))
	})
}

const lockHead = `slim.lock 1
# Which builds of packages the recipes beside this file take. Written by slim lock and slim update: commit it, and after a
# merge run slim lock --check.
`

// Bytes is the lock's text. It sorts f.
func (f *LockFile) Bytes() []byte {
	f.sort()
	w := &lockWriter{}
	w.b.WriteString(lockHead)
	r := f.Repository
	w.block("repository", r.Name)
	w.line(1, [...]string{"baseurl", "mirrorlist", "metalink", "file"}[r.Kind], r.Address)
	w.lines(1, "component", r.Components)
	w.some("releasever", r.ReleaseVer)
	w.lines(1, "module", r.Modules)
	for _, k := range f.Keys {
		w.block("key", k.Address)
		w.line(1, "sha256", k.SHA256)
	}
	for _, s := range f.Sources {
		w.block("source", strings.TrimRight(s.Platform.String()+" "+s.Component, " "))
		w.some("revision", s.Revision)
		w.line(1, "repomd", s.Digest)
	}
	for _, r := range f.Recipes {
		w.recipe(r)
	}
	for _, p := range f.Packages {
		w.pkg(p)
	}
	return w.b.Bytes()
}

type lockWriter struct{ b bytes.Buffer }

func (w *lockWriter) line(depth int, word, value string) {
	w.b.WriteString(strings.Repeat("  ", depth) + word + " " + value + "\n")
}

func (w *lockWriter) lines(depth int, word string, values []string) {
	for _, v := range values {
		w.line(depth, word, v)
	}
}

func (w *lockWriter) block(word, value string) {
	w.b.WriteByte('\n')
	w.line(0, word, value)
}

func (w *lockWriter) some(word, value string) {
	if value != "" {
		w.line(1, word, value)
	}
}

func (w *lockWriter) recipe(r LockedRecipe) {
	w.block("recipe", r.File)
	w.some("extends", r.Extends)
	for _, want := range r.Packages {
		w.line(1, "asks", want.Spec)
		for _, p := range want.Platforms {
			w.line(2, "on", p.String())
		}
	}
	w.lines(1, "excludes", r.Exclude)
	w.lines(1, "prefers", r.Prefer)
	w.line(1, "dependencies", string(r.Dependencies))
	for _, t := range r.Takes {
		w.line(1, "for", t.Platform.String())
		w.lines(2, "takes", t.Names)
	}
}

func (w *lockWriter) pkg(p LockFilePackage) {
	w.block("package", p.NEVRA.String())
	w.line(1, "platform", p.Platform.String())
	w.some("component", p.Component)
	w.line(1, "location", p.Location)
	w.some("base", p.Base)
	w.line(1, "size", strconv.FormatInt(p.Size, 10))
	w.line(1, "installed", strconv.FormatInt(p.InstalledSize, 10))
	w.line(1, "built", strconv.FormatInt(p.BuildTime, 10))
	w.some("source", p.SourceRPM)
	w.line(1, "checksum", p.Checksum.String())
	w.line(1, "header", p.HeaderSHA256)
	w.some("signed", p.Key)
}

// Write replaces the file at path, whole or not at all.
func (f *LockFile) Write(path string) error {
	data := f.Bytes()
	if _, err := ParseLockFile(data, path); err != nil {
		return fmt.Errorf("writing %s: it could not be read again: %w", path, err)
	}
	return WriteFile(path, data)
}

// WriteFile writes beside path and renames, so that nobody sees half a file.
func WriteFile(path string, data []byte) error {
	tmp, err := os.OpenFile(fmt.Sprintf("%s.%d.new", path, os.Getpid()), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return err
	}
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		os.Remove(tmp.Name())
	}
	return err
}

// LockPath is where the lock of a recipe is, "" for a built-in one.
func LockPath(r *Recipe) string {
	if strings.HasPrefix(r.File, builtinPrefix) {
		return ""
	}
	dir := filepath.Dir(r.File)
	return filepath.Join(dir, LockFileName)
}

// FindLock reads the lock beside a recipe; it is nil when there is none.
func FindLock(r *Recipe) (*LockFile, error) {
	path := LockPath(r)
	if path == "" {
		return nil, nil
	}
	f, err := ReadLockFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return f, err
}
