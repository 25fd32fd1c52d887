package audit

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"slim/internal/rootfs"
	"slim/internal/rpm"
)

// Root is what Check looks at. Nothing in it is changed; nodes are opened by several goroutines at once.
type Root struct {
	Tree     *rootfs.Tree
	Packages []Package
	Accounts *rootfs.Accounts // of the root's passwd and group; nil knows root alone
	Extra    []Extra          // what a recipe adds
}

// Extra is a path that a recipe adds, as it has to be.
type Extra struct {
	Path   string
	Mode   uint32 // type and permissions; permissions of links do not count
	Link   string // target of a symbolic link
	SHA256 string // of a regular file, in hex
}

// Report is what Check found. Its slices are never nil.
type Report struct {
	Packages int
	Signed   int
	FileCount
	Each      []FileCount // by Root.Packages
	Generated []Generated
	Foreign   int
	Findings  []Finding // see SortFindings
}

// FileCount counts files of packages.
type FileCount struct {
	Files        int // that are to be there as the package has them
	Matching     int // of Files
	NotInstalled int // that were left out
}

// Generated is a path whose content no package has, and the name of the rule that explains it.
type Generated struct {
	Path string
	Rule string
}

// Failed reports whether any finding fails, or with strict any at all.
func (r *Report) Failed(strict bool) bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return strict || f.Kind.Fails() })
}

// Check compares a root with the signed headers of its packages. Each content is read once for each kind of digest; the
// errors are those of reading.
func Check(root Root) (*Report, error) {
	c := &check{
		Root: root, claims: map[string]claim{}, sums: map[string]*summed{}, rules: Rules(), extra: map[string]*Extra{},
		report: &Report{Generated: []Generated{}, Findings: []Finding{}},
	}
	for i := range root.Extra {
		at, _, err := root.Tree.Walk("/", root.Extra[i].Path, false)
		if err != nil {
			at = path.Clean(root.Extra[i].Path)
		}
		c.extra[at] = &root.Extra[i]
	}
	c.sumAhead()
	for i := range root.Packages {
		before := c.report.FileCount
		if err := c.pkg(&root.Packages[i]); err != nil {
			return nil, err
		}
		now := c.report.FileCount
		c.report.Each = append(c.report.Each, FileCount{now.Files - before.Files, now.Matching - before.Matching, now.NotInstalled - before.NotInstalled})
	}
	if err := c.unowned(); err != nil {
		return nil, err
	}
	c.roots()
	SortFindings(c.report.Findings)
	return c.report, nil
}

// CheckHeaders reports on the headers of packages alone, without a root to compare with.
func CheckHeaders(packages []Package) *Report {
	c := &check{report: &Report{Generated: []Generated{}, Findings: []Finding{}}}
	for i := range packages {
		c.header(&packages[i])
	}
	SortFindings(c.report.Findings)
	return c.report
}

type check struct {
	Root
	report *Report
	rules  []Rule
	extra  map[string]*Extra
	claims map[string]claim // by path, symbolic links of directories followed

	mu      sync.Mutex
	sums    map[string]*summed
	buffers sync.Pool // *[hashBuffer]byte
}

// summed is a digest that is computed once.
type summed struct {
	once sync.Once
	hex  string
	err  error
}

// claim is what packages say of a path.
type claim struct {
	brought bool   // a package has it in state normal
	proven  bool   // and says what is in it
	open    string // otherwise, the rule that explains what is in it
	left    string // a package that has it in a state in which it brings nothing
	state   rpm.FileState
}

func (c *check) find(kind Kind, p *Package, at, want, got string) {
	f := Finding{Kind: kind, Path: at, Want: want, Got: got}
	if p != nil {
		f.Package = p.NEVRA.String()
	}
	c.report.Findings = append(c.report.Findings, f)
}

// header counts a package and says why its header proves nothing.
func (c *check) header(p *Package) {
	c.report.Packages++
	if p.Err != nil {
		c.find(Signature, p, "", "", reason(p))
	} else {
		c.report.Signed++
	}
	if p.algorithm.weak && slices.ContainsFunc(p.Files, func(f rpm.File) bool { return f.Digest != "" }) {
		c.find(Weak, p, "", "", "the digests of its files are "+p.algorithm.name)
	}
}

func (c *check) pkg(p *Package) error {
	c.header(p)
	links := map[[2]uint32][]*rootfs.Node{}
	for f := range p.Files {
		n, err := c.file(p, f)
		if err != nil {
			return err
		}
		if file := &p.Files[f]; n != nil && n.IsRegular() && file.IsRegular() && file.Flags&rpm.FileGhost == 0 {
			key := [2]uint32{file.Dev, file.Inode}
			links[key] = append(links[key], n)
		}
	}
	c.linkSets(p, links)
	return nil
}

// reason is why a package is not proven, without its name.
func reason(p *Package) string {
	return strings.TrimPrefix(p.Err.Error(), "verifying "+p.NEVRA.String()+": ")
}

// linkSets looks whether the names of one file are still that.
func (c *check) linkSets(p *Package, links map[[2]uint32][]*rootfs.Node) {
	for _, set := range links {
		for _, n := range set[1:] {
			if carrier(n) != carrier(set[0]) {
				c.find(HardLink, p, n.Path, "", "is not a link to "+set[0].Path)
			}
		}
	}
}

func carrier(n *rootfs.Node) string {
	if n.HardTo != "" {
		return n.HardTo
	}
	return n.Path
}

// file compares one file of a package, and returns the node that it is responsible for.
func (c *check) file(p *Package, f int) (*rootfs.Node, error) {
	file, state := &p.Files[f], p.state(f)
	at, n, err := c.Tree.Walk("/", file.Path, false)
	if err != nil {
		at, n = path.Clean(file.Path), nil // a directory on the way is missing or none
	}
	ghost := file.Flags&rpm.FileGhost != 0
	switch state {
	case rpm.StateNormal:
	case rpm.StateNotInstalled:
		if ghost && n != nil {
			break
		}
		if !ghost {
			c.report.NotInstalled++
		}
		c.leave(at, p, state)
		return nil, nil
	case rpm.StateNetShared:
		if n == nil {
			c.report.NotInstalled++
			return nil, nil
		}
	case rpm.StateReplaced, rpm.StateWrongColor:
		if n == nil {
			c.find(Missing, p, at, "", "")
		}
		c.leave(at, p, state)
		return nil, nil
	default:
		c.find(Database, p, at, "", fmt.Sprintf("the rpmdb has an unknown state %d for it", state))
	}
	if n == nil {
		if !ghost && file.Flags&rpm.FileMissingOK == 0 {
			c.report.Files++
			c.find(Missing, p, at, "", "")
		}
		return nil, nil
	}
	if file.IsDir() && n.IsSymlink() {
		// rpm follows the link; the link itself still has to be explained.
		if at, n, err = c.Tree.Walk("/", file.Path, true); err != nil || n == nil {
			c.report.Files++
			c.find(Type, p, path.Clean(file.Path), "directory", "a link that leads nowhere")
			return nil, nil
		}
	}
	return n, c.compare(p, file, at, n)
}

// leave notes that a package names a path without bringing it.
func (c *check) leave(at string, p *Package, state rpm.FileState) {
	have := c.claims[at]
	if have.left == "" {
		have.left, have.state = p.NEVRA.String(), state
		c.claims[at] = have
	}
}

// compare says what of a node is not as a package has it.
func (c *check) compare(p *Package, file *rpm.File, at string, n *rootfs.Node) error {
	before := len(c.report.Findings)
	c.attributes(p, file, n)
	open, err := c.content(p, file, n)
	if err != nil {
		return err
	}
	have := c.claims[at]
	have.brought = true
	if open != "" {
		have.open = open
	} else {
		have.proven = true
		c.report.Files++
		if p.Err == nil && len(c.report.Findings) == before {
			c.report.Matching++
		}
	}
	c.claims[at] = have
	return nil
}

// attributes compares all but content.
func (c *check) attributes(p *Package, file *rpm.File, n *rootfs.Node) {
	ghost := file.Flags&rpm.FileGhost != 0
	sameType := file.Mode&rpm.ModeType == n.Mode&rpm.ModeType
	if !sameType && !ghost {
		c.find(Type, p, n.Path, typeName(file.Mode), typeName(n.Mode))
	}
	if !n.IsSymlink() && (sameType || ghost) && !file.IsSymlink() && n.Perm() != file.Mode&0o7777 {
		c.find(Mode, p, n.Path, octal(file.Mode), octal(n.Mode))
	}
	if !c.ownedBy(n, file.User) {
		c.find(Owner, p, n.Path, file.User, c.userName(n.UID))
	}
	if !c.groupedBy(n, file.Group) {
		c.find(Group, p, n.Path, file.Group, c.groupName(n.GID))
	}
	if n.IsRegular() {
		c.caps(p, file, n)
	}
	if !sameType {
		return
	}
	if n.IsSymlink() && !ghost && n.Link != file.Link {
		c.find(Link, p, n.Path, file.Link, n.Link)
	}
	if kind := n.Mode & rpm.ModeType; !ghost && (kind == rpm.ModeChar || kind == rpm.ModeBlock) {
		if want, got := device(file.RDev>>8&0xff, file.RDev&0xff), device(n.Major, n.Minor); want != got {
			c.find(Device, p, n.Path, want, got)
		}
	}
}

func device(major, minor uint32) string { return fmt.Sprintf("%d:%d", major, minor) }

func octal(mode uint32) string { return fmt.Sprintf("%04o", mode&0o7777) }

func typeName(mode uint32) string {
	switch mode & rpm.ModeType {
	case rpm.ModeRegular:
		return "file"
	case rpm.ModeDir:
		return "directory"
	case rpm.ModeSymlink:
		return "symbolic link"
	case rpm.ModeChar, rpm.ModeBlock:
		return "device"
	case rpm.ModeFIFO:
		return "fifo"
	case rpm.ModeSocket:
		return "socket"
	}
	return fmt.Sprintf("type %o", mode&rpm.ModeType)
}

// caps compares the capabilities. The revision with a user id is the same as the one without when that id is 0.
func (c *check) caps(p *Package, file *rpm.File, n *rootfs.Node) {
	want, err := rootfs.ParseCaps(file.Caps)
	if err != nil {
		c.find(Caps, p, n.Path, "", err.Error())
		return
	}
	if got := plainCaps(n.Caps); !bytes.Equal(want, got) {
		text := file.Caps
		if len(want) == 0 {
			text = "none"
		}
		have := "none"
		if len(got) > 0 {
			have = hex.EncodeToString(got)
		}
		c.find(Caps, p, n.Path, text, have)
	}
}

// plainCaps is a security.capability of revision 3 for the user 0 as one of revision 2 (struct vfs_ns_cap_data in
// include/uapi/linux/capability.h).
func plainCaps(b []byte) []byte {
	const revision2, revision3 = 0x02000000, 0x03000000
	if len(b) != 24 || binary.LittleEndian.Uint32(b)&0xff000000 != revision3 || binary.LittleEndian.Uint32(b[20:]) != 0 {
		return b
	}
	out := bytes.Clone(b[:20])
	binary.LittleEndian.PutUint32(out, binary.LittleEndian.Uint32(b)&0xffffff|revision2)
	return out
}

// content compares content. Where a ghost or a generated file is, it returns the rule that says so.
func (c *check) content(p *Package, file *rpm.File, n *rootfs.Node) (open string, err error) {
	if file.Flags&rpm.FileGhost != 0 {
		if n.IsDir() {
			return "", nil
		}
		if n.IsRegular() && n.Perm()&0o7111 != 0 {
			c.report.Foreign++
			c.find(Foreign, p, n.Path, "", "an executable whose content its package leaves open (ghost)")
		}
		return RuleGhost, nil
	}
	if !file.IsRegular() || !n.IsRegular() || p.algorithm.new == nil {
		return "", nil
	}
	same, got := file.Size == n.Size, fmt.Sprintf("%d bytes", n.Size)
	want := fmt.Sprintf("%d bytes", file.Size)
	if wantsDigest(file, n) {
		sum, err := c.sum(n, p.algorithm)
		if err != nil {
			return "", err
		}
		same = strings.EqualFold(sum, file.Digest)
		want, got = p.algorithm.name+":"+strings.ToLower(file.Digest), p.algorithm.name+":"+sum
	}
	if same {
		return "", nil
	}
	for i := range c.rules {
		if r := &c.rules[i]; r.Owned && r.matches(n.Path) {
			return r.Name, nil
		}
	}
	if x := c.extra[n.Path]; x != nil {
		return RuleRecipe, c.matchExtra(x, n)
	}
	kind := Content
	if file.Flags&rpm.FileConfig != 0 {
		kind = Config
	}
	c.find(kind, p, n.Path, want, got)
	return "", nil
}

// wantsDigest reports whether a digest is to say that a node has the content of a file.
func wantsDigest(file *rpm.File, n *rootfs.Node) bool {
	return n.IsRegular() && file.IsRegular() && file.Flags&rpm.FileGhost == 0 && file.Size == n.Size && (file.Size > 0 || file.Digest != "")
}

// sumAhead computes the digests that packages will be compared by, on all cores. What goes wrong is said when they are.
func (c *check) sumAhead() {
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := range c.Packages {
		p := &c.Packages[i]
		if p.algorithm.new == nil {
			continue
		}
		group.Go(func() error {
			for f := range p.Files {
				if p.state(f) != rpm.StateNormal {
					continue
				}
				if _, n, err := c.Tree.Walk("/", p.Files[f].Path, false); err == nil && n != nil && wantsDigest(&p.Files[f], n) {
					_, _ = c.sum(n, p.algorithm)
				}
			}
			return nil
		})
	}
	_ = group.Wait()
}

const hashBuffer = 64 << 10

// sum is the digest of a regular file's content, in hex.
func (c *check) sum(n *rootfs.Node, a algorithm) (string, error) {
	key := a.name + " " + carrier(n)
	c.mu.Lock()
	s := c.sums[key]
	if s == nil {
		s = &summed{}
		c.sums[key] = s
	}
	c.mu.Unlock()
	s.once.Do(func() {
		if s.hex, s.err = c.read(n, a.new()); s.err != nil {
			s.err = fmt.Errorf("reading %s: %w", n.Path, s.err)
		}
	})
	return s.hex, s.err
}

// read is what h makes of a regular file's content, in hex.
func (c *check) read(n *rootfs.Node, h hash.Hash) (string, error) {
	r, err := n.Open()
	if err != nil {
		return "", err
	}
	defer r.Close()
	buffer, _ := c.buffers.Get().(*[hashBuffer]byte)
	if buffer == nil {
		buffer = new([hashBuffer]byte)
	}
	defer c.buffers.Put(buffer)
	_, err = io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{r}, buffer[:])
	return hex.EncodeToString(h.Sum(nil)), err
}

// ownedBy reports whether a node belongs to a user by name: any line of passwd may say so. Root is 0 whatever passwd
// says, and so is who is not in it.
func (c *check) ownedBy(n *rootfs.Node, name string) bool {
	known := false
	if c.Accounts != nil && !isRoot(name) {
		for _, u := range c.Accounts.Users {
			if u.Name == name {
				if known = true; u.UID == n.UID {
					return true
				}
			}
		}
	}
	return !known && numeric(name) == n.UID
}

func (c *check) groupedBy(n *rootfs.Node, name string) bool {
	known := false
	if c.Accounts != nil && !isRoot(name) {
		for _, g := range c.Accounts.Groups {
			if g.Name == name {
				if known = true; g.GID == n.GID {
					return true
				}
			}
		}
	}
	return !known && numeric(name) == n.GID
}

func isRoot(name string) bool { return name == "root" || name == "" }

func numeric(name string) uint32 {
	id, err := strconv.ParseUint(name, 10, 32)
	if err != nil {
		return 0
	}
	return uint32(id)
}

func (c *check) userName(id uint32) string {
	if c.Accounts != nil {
		for _, u := range c.Accounts.Users {
			if u.UID == id {
				return fmt.Sprintf("%s(%d)", u.Name, id)
			}
		}
	}
	return strconv.FormatUint(uint64(id), 10)
}

func (c *check) groupName(id uint32) string {
	if c.Accounts != nil {
		for _, g := range c.Accounts.Groups {
			if g.GID == id {
				return fmt.Sprintf("%s(%d)", g.Name, id)
			}
		}
	}
	return strconv.FormatUint(uint64(id), 10)
}

// unowned explains what no package brings, from the leaves up, because a directory may be there for what is in it.
func (c *check) unowned() error {
	needed := map[string]bool{} // directories with something in them that is explained
	for _, n := range slices.Backward(c.Tree.Nodes()) {
		have := c.claims[n.Path]
		rule, explained := "", have.brought || n.Path == "/"
		switch {
		case !explained:
			var err error
			if rule, err = c.explain(n, needed[n.Path]); err != nil {
				return err
			}
		case !have.proven:
			rule = have.open
		}
		switch {
		case rule != "":
			c.report.Generated = append(c.report.Generated, Generated{Path: n.Path, Rule: rule})
		case !explained && !c.foreign(n):
			continue
		}
		needed[path.Dir(n.Path)] = true
	}
	slices.SortFunc(c.report.Generated, func(a, b Generated) int { return strings.Compare(a.Path, b.Path) })
	return nil
}

// foreign reports what has no explanation, and whether a package at least names it.
func (c *check) foreign(n *rootfs.Node) (named bool) {
	have := c.claims[n.Path]
	switch {
	case have.left == "" || n.IsDir():
		c.report.Foreign++
		got := typeName(n.Mode)
		if n.IsSymlink() {
			got += " to " + n.Link
		} else if got += " " + octal(n.Mode); n.IsRegular() {
			got += fmt.Sprintf(", %d bytes", n.Size)
		}
		c.find(Foreign, nil, n.Path, "", got)
	default:
		state := map[rpm.FileState]string{
			rpm.StateNotInstalled: "the rpmdb says it is not installed",
			rpm.StateReplaced:     "the rpmdb says another package replaced it, but none did",
			rpm.StateWrongColor:   "the rpmdb says it has the wrong colour, but no package brings the other",
		}[have.state]
		c.report.Findings = append(c.report.Findings, Finding{Kind: Present, Path: n.Path, Package: have.left, Got: state})
		return true
	}
	return false
}

// explain is the name of the rule for a path that no package brings, "" without one.
func (c *check) explain(n *rootfs.Node, needed bool) (string, error) {
	if x := c.extra[n.Path]; x != nil {
		return RuleRecipe, c.matchExtra(x, n)
	}
	if c.claims[n.Path].left != "" && !n.IsDir() {
		return "", nil // a rule must not bring back what was left out
	}
	if n.IsSymlink() && strings.HasPrefix(n.Link, "/etc/alternatives/") && c.leadsHome(n) {
		return "alternatives", nil
	}
	if isHarmless(n) {
		for i := range c.rules {
			if r := &c.rules[i]; r.matches(n.Path) && c.fits(r, n, needed) {
				return r.Name, nil
			}
		}
	}
	if needed && n.IsDir() && n.Perm() == 0o755 && n.UID == 0 && n.GID == 0 {
		return RuleParent, nil
	}
	return "", nil
}

func (c *check) fits(r *Rule, n *rootfs.Node, needed bool) bool {
	switch {
	case r.Links:
		return n.IsDir() && needed || n.IsSymlink() && c.leadsHome(n)
	case r.Empty:
		return n.Size == 0
	}
	return true
}

// roots looks for further users with the id 0 in a passwd that is not a package's own.
func (c *check) roots() {
	const passwd = "/etc/passwd"
	if c.Accounts == nil || c.claims[passwd].proven {
		return
	}
	for _, u := range c.Accounts.Users {
		if u.UID == 0 && u.Name != "root" {
			c.find(Account, nil, passwd, "", "the user "+u.Name+" has the id 0")
		}
	}
}

// leadsHome reports whether a link leads, by whatever other links, to a path that a package has. That file need not be
// installed.
func (c *check) leadsHome(n *rootfs.Node) bool {
	for range maxLinks {
		target := n.Link
		if !strings.HasPrefix(target, "/") {
			target = path.Dir(n.Path) + "/" + target
		}
		at, next, err := c.Tree.Walk("/", target, false)
		if err != nil {
			at, next = path.Clean(target), nil // its directory may have been left out too
		}
		if have := c.claims[at]; have.brought || have.left != "" {
			return true
		}
		if next == nil || !next.IsSymlink() {
			return false
		}
		n = next
	}
	return false
}

// maxLinks is Linux's limit of symbolic links on the way to a file.
const maxLinks = 40

// matchExtra compares a path with what the recipe adds there.
func (c *check) matchExtra(x *Extra, n *rootfs.Node) error {
	switch {
	case x.Mode&rpm.ModeType != n.Mode&rpm.ModeType:
		c.find(Type, nil, n.Path, typeName(x.Mode), typeName(n.Mode))
		return nil
	case n.IsSymlink():
		if n.Link != x.Link {
			c.find(Link, nil, n.Path, x.Link, n.Link)
		}
		return nil
	}
	if x.Mode&0o7777 != n.Perm() {
		c.find(Mode, nil, n.Path, octal(x.Mode), octal(n.Mode))
	}
	if len(n.Caps) > 0 {
		c.find(Caps, nil, n.Path, "none", hex.EncodeToString(n.Caps))
	}
	if !n.IsRegular() {
		return nil
	}
	a, _ := algorithmOf(8)
	got, err := c.sum(n, a)
	if err == nil && got != x.SHA256 {
		c.find(Content, nil, n.Path, "sha256:"+x.SHA256, "sha256:"+got)
	}
	return err
}
