package execpath

import (
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"slim/internal/elf"
	"slim/internal/rootfs"
	"slim/internal/rpm"
)

// Limits of a search.
const (
	maxObjects   = 1 << 16   // programs and libraries that are looked at for one program
	maxPrograms  = 1 << 10   // that may run
	maxContent   = 128 << 20 // of a program that is searched for text
	maxConfig    = 1 << 20   // of a configuration file or script
	maxConfigs   = 1 << 12   // configuration files of one program
	maxShebangs  = 5         // scripts that run scripts, as Linux has it
	maxModuleDir = 1 << 18   // files of a directory of modules
)

// Root is an image's root. Nothing in it is changed.
type Root struct {
	Tree     *rootfs.Tree
	Open     func(n *rootfs.Node) (Content, error) // a regular file's content; the caller closes it
	Packages []Package
	Accounts *rootfs.Accounts // of the root's passwd and group; nil knows numbers alone
	Aside    []string         // directories that no program of the image reads, such as the rpmdb's
}

// Content is a file that is read at any place.
type Content interface {
	io.ReaderAt
	io.Closer
}

// Package is a package of the image and the paths of its files, as its header has them.
type Package struct {
	NEVRA rpm.NEVRA
	Files []string
}

// Start is what runs when the image starts, in the words of its config.
type Start struct {
	Args     []string // entrypoint and cmd
	Env      []string // NAME=VALUE
	Dir      string   // working directory, "" is /
	User     string   // USER[:GROUP], names or numbers, "" is root
	Programs []string // further programs: paths, or names in PATH
}

// Tier says how near a file is to what runs.
type Tier string

// The tiers, the nearest first.
const (
	Direct   Tier = "direct"
	Loadable Tier = "loadable"
	Data     Tier = "data"
	Idle     Tier = "idle"
)

// Tiers are all tiers in their order.
func Tiers() []Tier { return []Tier{Direct, Loadable, Data, Idle} }

// How says why a file is on the path.
type How string

// The reasons.
const (
	Entrypoint  How = "entrypoint"  // the image's config names it
	Argument    How = "argument"    // an argument of the entrypoint names it
	Asked       How = "program"     // Start.Programs names it
	Shebang     How = "shebang"     // the #! line of a script
	Command     How = "command"     // a shell script names it as a command
	Interpreter How = "interpreter" // the dynamic loader that a program asks for
	Needed      How = "needed"      // DT_NEEDED
	Preload     How = "preload"     // LD_PRELOAD or ld.so.preload
	DlopenNote  How = "dlopen"      // a dlopen note
	InCode      How = "named"       // the name of a library in code that calls dlopen
	NSS         How = "nss"
	PAM         How = "pam"
	Gconv       How = "gconv"
	OpenSSL     How = "openssl"
	Python      How = "python"
	Perl        How = "perl"
	HTTPD       How = "httpd"
	Nginx       How = "nginx"
	JVM         How = "jvm"
	Plugin      How = "plugin" // the directory of modules of a library
	Config      How = "config" // configuration that was read to find the others
)

// Edge says from where a file is reached.
type Edge struct {
	From string // path, "" for the image's config
	How  How
	Name string // what From says: a soname, a path, a word of the command line, a directory
}

// File is a regular file of the image.
type File struct {
	Path    string
	Size    int64 // 0 for all names but one of a hard link set
	Tier    Tier
	Package int         // index in Root.Packages, -1 for none
	Via     *Edge       // the first way it was reached; nil for what was not
	Hwcaps  string      // the processor that this variant is for: a name of glibc-hwcaps, or a number of older ones; "" for all
	Object  *elf.Object // of a direct or loadable ELF file, nil for others
}

// Program is something that runs.
type Program struct {
	Named  string // as it was named
	Path   string // what that leads to
	Via    Edge
	Script bool
	Static bool // needs no dynamic loader
}

// Missing is something that was named and is not there.
type Missing struct {
	Edge
	Optional bool // what may be loaded, not what is needed
}

// Result is what a search found.
type Result struct {
	Programs []Program
	Files    []File // all regular files, by path
	Missing  []Missing
	Levers   []Lever
	Notes    []string // what could not be read, and what was beyond a limit

	index map[string]int // of Files
}

// File is the file at a path, symbolic links not followed; nil without one.
func (r *Result) File(p string) *File {
	if i, ok := r.index[p]; ok {
		return &r.Files[i]
	}
	return nil
}

// Step is one step of a chain: what a file is reached by, and the file.
type Step struct {
	Edge
	Path string
}

// Chain is how a file is reached from the image's config; nil for what is not on the path.
func (r *Result) Chain(p string) []Step {
	var chain []Step
	for f := r.File(p); f != nil && f.Via != nil && len(chain) < maxObjects; f = r.File(f.Via.From) {
		chain = append(chain, Step{Edge: *f.Via, Path: f.Path})
	}
	slices.Reverse(chain)
	return chain
}

// search is one search.
type search struct {
	Root
	Start
	env      map[string]string
	result   *Result
	objects  map[string]*elf.Object // by path of the content; nil for what is none
	marks    map[string]*mark
	started  map[string]bool // programs
	running  []*process
	cache    map[string][]elf.CacheEntry // ld.so.cache by library
	hasCache bool
	preload  []string
	shells   map[string]bool // scripts whose commands were looked for
}

// mark is what is known of a file on the path.
type mark struct {
	tier   Tier
	via    Edge
	hwcaps string
	object *elf.Object
}

// Find looks from the start of an image for all that is on its execution path. The errors are those of reading; what is
// missing or malformed in the image is in the result.
func Find(root Root, start Start) (*Result, error) {
	s := &search{
		Root: root, Start: start, env: map[string]string{}, result: &Result{index: map[string]int{}},
		objects: map[string]*elf.Object{}, marks: map[string]*mark{}, started: map[string]bool{}, shells: map[string]bool{},
	}
	if s.Dir == "" {
		s.Dir = "/"
	}
	for _, e := range start.Env {
		if name, value, ok := strings.Cut(e, "="); ok {
			s.env[name] = value
		}
	}
	if err := s.readLoaderFiles(); err != nil {
		return nil, err
	}
	if err := s.seed(); err != nil {
		return nil, err
	}
	for _, p := range s.running { // direct ones first, so that what is direct of any is not called loadable
		if err := p.loadable(); err != nil {
			return nil, err
		}
	}
	if err := s.classify(); err != nil {
		return nil, err
	}
	s.result.Levers = s.levers()
	return s.result, nil
}

func (s *search) note(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(s.result.Notes, text) {
		s.result.Notes = append(s.result.Notes, text)
	}
}

func (s *search) missing(e Edge, optional bool) {
	m := Missing{Edge: e, Optional: optional}
	if !slices.Contains(s.result.Missing, m) {
		s.result.Missing = append(s.result.Missing, m)
	}
}

// mark puts a file in a tier, and the file that carries its content; a nearer tier stays.
func (s *search) mark(n *rootfs.Node, tier Tier, via Edge, hwcaps string) *mark {
	if n.HardTo != "" {
		if carrier := s.Tree.Node(n.HardTo); carrier != nil {
			s.mark(carrier, tier, via, hwcaps)
		}
	}
	m := s.marks[n.Path]
	if m == nil {
		m = &mark{tier: tier, via: via, hwcaps: hwcaps}
		s.marks[n.Path] = m
	} else if slices.Index(Tiers(), tier) < slices.Index(Tiers(), m.tier) {
		m.tier, m.via, m.hwcaps = tier, via, hwcaps
	}
	return m
}

// lookup is the regular file that a path leads to, nil without one.
func (s *search) lookup(p string) *rootfs.Node {
	_, n, err := s.Tree.Walk(s.Dir, p, true)
	if err != nil || n == nil || !n.IsRegular() {
		return nil
	}
	return n
}

// content reads a file, not more than limit bytes of it; nil when it is larger.
func (s *search) content(n *rootfs.Node, limit int64) ([]byte, error) {
	if n.Size > limit {
		s.note("%s has %d bytes, more than are looked at", n.Path, n.Size)
		return nil, nil
	}
	r, err := s.Open(n)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b := make([]byte, n.Size)
	m, err := r.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading %s: %w", n.Path, err)
	}
	return b[:m], nil
}

// text is the content of a configuration file or script, "" when there is none.
func (s *search) text(p string) (string, *rootfs.Node, error) {
	n := s.lookup(p)
	if n == nil {
		return "", nil, nil
	}
	b, err := s.content(n, maxConfig)
	return string(b), n, err
}

// object reads an ELF file once; nil for what is none.
func (s *search) object(n *rootfs.Node) (*elf.Object, error) {
	at := n.Path
	if n.HardTo != "" {
		at = n.HardTo
	}
	if o, ok := s.objects[at]; ok {
		return o, nil
	}
	r, err := s.Open(n)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	o, err := elf.ReadObject(r, n.Size)
	switch {
	case errors.Is(err, elf.ErrNotELF):
		o = nil
	case errors.Is(err, elf.ErrTruncated):
		s.note("%s is a truncated or malformed ELF file", n.Path)
		o = nil
	case err != nil:
		return nil, fmt.Errorf("reading %s: %w", n.Path, err)
	}
	s.objects[at] = o
	return o, nil
}

// under calls visit for every regular file below a directory, links to files included, in the order of their paths.
func (s *search) under(dir string, visit func(p string, n *rootfs.Node) error) error {
	_, top, err := s.Tree.Walk("/", dir, true)
	if err != nil || top == nil || !top.IsDir() {
		return nil
	}
	left := maxModuleDir
	return s.walk(top.Path, &left, visit)
}

func (s *search) walk(dir string, left *int, visit func(p string, n *rootfs.Node) error) error {
	for _, name := range s.Tree.List(dir) {
		if *left--; *left < 0 {
			s.note("%s: only the first %d files were looked at", dir, maxModuleDir)
			return nil
		}
		p := path.Join(dir, name)
		n := s.Tree.Node(p)
		var err error
		switch {
		case n == nil:
		case n.IsDir():
			err = s.walk(p, left, visit)
		case n.IsSymlink():
			if n = s.lookup(p); n != nil {
				err = visit(p, n)
			}
		case n.IsRegular():
			err = visit(p, n)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// glob are the paths that a pattern fits, sorted. Only path.Match's characters are special; a hidden name is fitted by a
// pattern that begins with a dot alone.
func (s *search) glob(pattern string) []string {
	at := []string{"/"}
	for _, name := range strings.FieldsFunc(pattern, func(r rune) bool { return r == '/' }) {
		var next []string
		for _, dir := range at {
			if !strings.ContainsAny(name, `*?[\`) {
				next = append(next, path.Join(dir, name))
				continue
			}
			real, _, err := s.Tree.Walk("/", dir, true)
			if err != nil {
				continue
			}
			for _, have := range s.Tree.List(real) {
				if ok, err := path.Match(name, have); err == nil && ok && (have[0] != '.' || name[0] == '.') {
					next = append(next, path.Join(dir, have))
				}
			}
		}
		at = next
	}
	return slices.DeleteFunc(at, func(p string) bool {
		_, n, err := s.Tree.Walk("/", p, true)
		return err != nil || n == nil
	})
}
