package execpath

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"slim/internal/elf"
	"slim/internal/rootfs"
)

// library is a program or library in a process.
type library struct {
	path   string // as the loader names it: $ORIGIN is its directory
	node   *rootfs.Node
	object *elf.Object
	loader *library // that needed it first, nil for the program
	hwcaps string
}

// process is a program and the libraries that the dynamic loader gives it (glibc, elf/rtld.c and dl-load.c).
type process struct {
	*search
	main   *library
	loaded scope
	dirs   []string // the loader's own
	lib    string   // what $LIB stands for
	secure bool     // the kernel changes ids: the environment does not count

	seen    map[string]bool // objects, by path
	modules []*module       // that are still to be looked at
	configs int             // files read
}

// scope are the libraries of a process by the names they go by.
type scope struct {
	names  map[string]*library
	order  []*library
	parent *scope // looked at first; nil for none
}

func newScope(parent *scope) *scope { return &scope{names: map[string]*library{}, parent: parent} }

func (c *scope) find(name string) *library {
	for ; c != nil; c = c.parent {
		if l := c.names[name]; l != nil {
			return l
		}
	}
	return nil
}

func (c *scope) add(l *library, name string) {
	c.order = append(c.order, l)
	c.call(l, name)
	c.call(l, l.object.Soname)
}

func (c *scope) call(l *library, name string) {
	if name != "" && c.find(name) == nil {
		c.names[name] = l
	}
}

// readLoaderFiles reads ld.so.cache and ld.so.preload.
func (s *search) readLoaderFiles() error {
	n := s.lookup("/etc/ld.so.cache")
	if n != nil {
		b, err := s.content(n, maxContent)
		if err != nil {
			return err
		}
		entries, _, err := elf.ReadCache(b, binary.LittleEndian)
		if err != nil {
			s.note("/etc/ld.so.cache cannot be read: only the loader's own directories count")
		} else {
			s.hasCache, s.cache = true, map[string][]elf.CacheEntry{}
			for _, e := range entries {
				s.cache[e.Lib] = append(s.cache[e.Lib], e)
			}
		}
	}
	text, _, err := s.text("/etc/ld.so.preload")
	if err != nil {
		return err
	}
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		s.preload = append(s.preload, strings.FieldsFunc(line, isPreloadSeparator)...)
	}
	return nil
}

func isPreloadSeparator(r rune) bool { return strings.ContainsRune(" \t\n:", r) }

// runELF finds all that a program needs.
func (s *search) runELF(n *rootfs.Node, o *elf.Object) error {
	p := &process{
		search: s, main: &library{path: n.Path, node: n, object: o}, loaded: *newScope(nil), seen: map[string]bool{},
		secure: s.changesIDs(n),
	}
	p.loaded.add(p.main, "")
	s.running = append(s.running, p)
	if o.Interpreter == "" {
		return nil
	}
	if err := p.findInterpreter(); err != nil {
		return err
	}
	if !o.Dynamic {
		return nil
	}
	preload := s.preload
	if !p.secure {
		preload = slices.Concat(strings.FieldsFunc(s.env["LD_PRELOAD"], isPreloadSeparator), preload)
	}
	for _, name := range preload {
		if err := p.need(&p.loaded, p.main, name, Edge{From: n.Path, How: Preload, Name: name}, Direct); err != nil {
			return err
		}
	}
	return p.close(&p.loaded, 0, Direct)
}

// changesIDs reports whether the kernel gives a program more rights than its caller has (AT_SECURE).
func (s *search) changesIDs(n *rootfs.Node) bool {
	uid, gids := s.ids()
	return n.Mode&modeSetUID != 0 && n.UID != uid || n.Mode&modeSetGID != 0 && !slices.Contains(gids, n.GID) || n.Caps != nil && uid != 0
}

// findInterpreter loads the dynamic loader and reads what is built into it.
func (p *process) findInterpreter() error {
	name := p.main.object.Interpreter
	edge := Edge{From: p.main.node.Path, How: Interpreter, Name: name}
	p.dirs, p.lib = []string{"/lib", "/usr/lib"}, "lib"
	if p.main.object.Class == elf.Class64 {
		p.dirs, p.lib = []string{"/lib64", "/usr/lib64"}, "lib64"
	}
	n := p.lookup(name)
	if n == nil {
		p.missing(edge, false)
		return nil
	}
	o, err := p.object(n)
	if err != nil {
		return err
	}
	if o == nil {
		p.note("%s is no dynamic loader", n.Path)
		return nil
	}
	p.take(&library{path: name, node: n, object: o, loader: p.main}, &p.loaded, name, edge, Direct)
	b, err := p.content(n, maxContent)
	if err != nil {
		return err
	}
	if found := builtinDirs(b); found != nil {
		p.dirs, p.lib = found, strings.TrimPrefix(found[0], "/")
	}
	return nil
}

// builtinDirs are the directories that a dynamic loader searches by itself: a row of strings in it, each ending with a
// slash (system_dirs in elf/dl-load.c).
func builtinDirs(loader []byte) []string {
	row := regexp.MustCompile(`(?:/[A-Za-z0-9_.+-]+(?:/[A-Za-z0-9_.+-]+)*/\x00){2,16}`)
	for _, m := range row.FindAll(loader, 16) {
		if !bytes.Contains(m, []byte("/lib")) {
			continue
		}
		var dirs []string
		for d := range strings.SplitSeq(strings.TrimSuffix(string(m), "\x00"), "\x00") {
			dirs = append(dirs, strings.TrimSuffix(d, "/"))
		}
		return dirs
	}
	return nil
}

// take adds a library to a process and marks its file.
func (p *process) take(l *library, c *scope, name string, via Edge, tier Tier) {
	m := p.mark(l.node, tier, via, l.hwcaps)
	m.object = l.object
	c.add(l, name)
	p.seen[l.node.Path] = true
}

// close needs all that the libraries of a scope need, breadth first, from the one at index from on.
func (p *process) close(c *scope, from int, tier Tier) error {
	for i := from; i < len(c.order); i++ {
		if i >= maxObjects {
			p.note("%s needs more than %d libraries", p.main.path, maxObjects)
			return nil
		}
		l := c.order[i]
		for _, name := range l.object.Needed {
			if err := p.need(c, l, name, Edge{From: l.node.Path, How: Needed, Name: name}, tier); err != nil {
				return err
			}
		}
	}
	return nil
}

// need loads a library by name for another one, if no library of the process goes by that name.
func (p *process) need(c *scope, by *library, name string, via Edge, tier Tier) error {
	if have := c.find(name); have != nil {
		return nil
	}
	found, err := p.find(by, name)
	if err != nil {
		return err
	}
	if len(found) == 0 || found[0].hwcaps != "" { // what is there for better processors alone is missing on others
		p.missing(via, tier != Direct)
	}
	for _, l := range found {
		if have := p.loadedFile(c, l.node); have != nil {
			c.call(have, name)
			continue
		}
		p.take(l, c, name, via, tier)
	}
	return nil
}

// loadedFile is the library of a process that a file is, nil for none.
func (p *process) loadedFile(c *scope, n *rootfs.Node) *library {
	for ; c != nil; c = c.parent {
		if i := slices.IndexFunc(c.order, func(l *library) bool { return l.node == n }); i >= 0 {
			return c.order[i]
		}
	}
	return nil
}

// find searches for a library in the order of _dl_map_object: first the one for all processors, then its variants for
// better ones.
func (p *process) find(by *library, name string) ([]*library, error) {
	if strings.Contains(name, "/") {
		l, err := p.open(by, p.expand(by, name))
		if l == nil || err != nil {
			return nil, err
		}
		return []*library{l}, nil
	}
	f := &finding{process: p, by: by, name: name}
	if by.object.RunPath == "" {
		for l := by; l != nil; l = l.loader {
			if l.object.RunPath == "" {
				f.path(l, l.object.RPath)
			}
		}
	}
	if !p.secure {
		f.path(p.main, p.env["LD_LIBRARY_PATH"])
	}
	f.path(by, by.object.RunPath)
	f.cached()
	if !by.object.NoDefault {
		for _, d := range p.dirs {
			f.dir(d)
		}
	}
	if f.err != nil || f.plain == nil && f.better == nil {
		return nil, f.err
	}
	if f.plain != nil {
		return append([]*library{f.plain}, f.better...), nil
	}
	return f.better, nil
}

// finding is the search for one library.
type finding struct {
	*process
	by     *library
	name   string
	plain  *library   // ends the search
	better []*library // variants seen before that
	err    error
}

// path looks through a search path of a library.
func (f *finding) path(of *library, dirs string) {
	if dirs == "" {
		return
	}
	for _, d := range strings.FieldsFunc(dirs, func(r rune) bool { return r == ':' || r == ';' }) {
		if d = f.expand(of, d); d != "" {
			f.dir(d)
		}
	}
}

// dir looks into a directory and its glibc-hwcaps.
func (f *finding) dir(d string) {
	if f.plain != nil || f.err != nil {
		return
	}
	real, _, err := f.Tree.Walk(f.Dir, d+"/glibc-hwcaps", true)
	if err == nil {
		for _, sub := range f.Tree.List(real) {
			f.variant(path.Join(d, "glibc-hwcaps", sub, f.name), sub)
		}
	}
	f.plain, f.err = f.open(f.by, path.Join(d, f.name))
}

func (f *finding) variant(p, hwcaps string) {
	l, err := f.open(f.by, p)
	if err != nil {
		f.err = err
	} else if l != nil && !slices.ContainsFunc(f.better, func(o *library) bool { return o.node == l.node }) {
		l.hwcaps = hwcaps
		f.better = append(f.better, l)
	}
}

// cached looks into ld.so.cache. Of several entries the first for this machine counts, even when its file is not there.
func (f *finding) cached() {
	if f.plain != nil || f.err != nil {
		return
	}
	decided := false
	flags := cacheFlags(f.main.object)
	for _, e := range f.cache[f.name] {
		if flags != 0 && e.Flags != flags && e.Flags != elf.FlagELF {
			continue
		}
		l, err := f.open(f.by, e.Path)
		barred := f.by.object.NoDefault && slices.ContainsFunc(f.dirs, func(d string) bool { return strings.HasPrefix(e.Path, d+"/") })
		switch {
		case err != nil:
			f.err = err
		case l == nil:
			decided = decided || flags != 0 && e.Named == "" && e.Hwcap == 0
		case e.Named != "" && !barred:
			f.variant(e.Path, e.Named)
		case e.Hwcap != 0 && !barred:
			f.variant(e.Path, fmt.Sprintf("%#x", e.Hwcap))
		case e.Named == "" && e.Hwcap == 0 && !decided:
			if decided = true; !barred {
				f.plain = l
			}
		}
	}
}

// cacheFlags are the flags of libraries for a program's machine in ld.so.cache, 0 where they are not known.
func cacheFlags(o *elf.Object) uint32 {
	type machine struct {
		number uint16
		class  elf.Class
	}
	return map[machine]uint32{
		{3, elf.Class32}:   elf.FlagLibc6,
		{62, elf.Class64}:  elf.FlagLibc6 | elf.FlagX8664,
		{62, elf.Class32}:  elf.FlagLibc6 | elf.FlagX32,
		{183, elf.Class64}: elf.FlagLibc6 | elf.FlagAArch64,
		{21, elf.Class64}:  elf.FlagLibc6 | elf.FlagPowerPC,
		{22, elf.Class64}:  elf.FlagLibc6 | elf.FlagS390,
	}[machine{o.Machine, o.Class}]
}

// open is the library at a path; nil when there is none, or one for another machine, which the loader passes over.
func (p *process) open(by *library, at string) (*library, error) {
	if at == "" {
		return nil, nil
	}
	n := p.lookup(at)
	if n == nil {
		return nil, nil
	}
	o, err := p.object(n)
	if o == nil || err != nil {
		return nil, err
	}
	if m := p.main.object; o.Type != elf.TypeDyn || o.Class != m.Class || o.Machine != m.Machine || o.Order != m.Order {
		return nil, nil
	}
	return &library{path: at, node: n, object: o, loader: by}, nil
}

// expand replaces $ORIGIN, $LIB and $PLATFORM as the loader does in the paths of a library.
func (p *process) expand(l *library, s string) string {
	if !strings.Contains(s, "$") {
		return s
	}
	platform := map[uint16]string{3: "i686", 62: "x86_64", 183: "aarch64", 21: "power8", 22: "z13", 243: ""}[p.main.object.Machine]
	for _, v := range [][2]string{{"ORIGIN", path.Dir(l.path)}, {"LIB", p.lib}, {"PLATFORM", platform}} {
		s = strings.ReplaceAll(s, "${"+v[0]+"}", v[1])
		s = replaceWord(s, "$"+v[0], v[1])
	}
	if !path.IsAbs(s) {
		return path.Join(p.Dir, s)
	}
	return s
}

// replaceWord replaces what is not followed by a letter, digit or underscore.
func replaceWord(s, word, value string) string {
	var out strings.Builder
	for {
		i := strings.Index(s, word)
		if i < 0 {
			return out.String() + s
		}
		out.WriteString(s[:i])
		s = s[i+len(word):]
		if s != "" && (s[0] == '_' || '0' <= s[0] && s[0] <= '9' || 'a' <= s[0]|0x20 && s[0]|0x20 <= 'z') {
			out.WriteString(word)
		} else {
			out.WriteString(value)
		}
	}
}
