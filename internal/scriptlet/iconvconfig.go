package scriptlet

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"slim/internal/elf"
)

// Limits of iconvconfig. The cache holds 16-bit offsets, so what is larger cannot be written anyway.
const (
	maxGconvSize    = 1 << 20
	maxGconvStrings = 1 << 13
	maxGconvTable   = 1<<16 - 1
	gconvMagic      = 0x20010324
)

// gconvModule is a conversion from one character set to another by a file in a directory; "" where glibc knows it itself.
type gconvModule struct {
	from, to, file, dir         string
	inFrom, inTo, inFile, inDir *gconvString
}

// gconvConfig is what gconv-modules files say. What comes first stays.
type gconvConfig struct {
	modules map[[2]string]gconvModule
	aliases map[string]gconvAlias
	strings gconvStrings
}

// gconvAlias is another name of a character set.
type gconvAlias struct {
	to     string
	inFrom *gconvString
}

// iconvconfigCommand writes the cache of gconv-modules (glibc, iconv/iconvconfig.c).
func iconvconfigCommand() Command { return tool("prefix= o,output= nostdlib", runIconvconfig) }

func runIconvconfig(r *toolRun) error {
	prefix, _ := r.value("prefix")
	output, named := r.value("o")
	dirs := slices.Clone(r.args)
	if r.has("nostdlib") && len(dirs) == 0 {
		return r.die(2, "Directory arguments required when using --nostdlib")
	}
	if !r.has("nostdlib") || !named {
		dir, cache, err := gconvDefaults(r)
		if err != nil {
			return err
		}
		if !r.has("nostdlib") {
			dirs = append(dirs, dir)
		}
		if !named {
			output = prefix + cache
		}
	}
	c := &gconvConfig{modules: map[[2]string]gconvModule{}, aliases: map[string]gconvAlias{}}
	for _, dir := range dirs {
		if !strings.HasSuffix(dir, "/") {
			dir += "/"
		}
		where := dir
		if strings.HasPrefix(dir, "/") {
			where = prefix + dir
		}
		found, err := readGconvDir(r, c, where, dir)
		if err != nil {
			return err
		}
		if !found {
			r.complain("failed to open gconv configuration files in `%s': %s", dir, errorText(fs.ErrNotExist))
			r.complain("ensure that the directory contains either a valid gconv-modules file or a gconv-modules.d directory with configuration files with names ending in .conf.")
		}
	}
	if r.status != 0 {
		return r.die(1, "no output file produced because warnings were issued")
	}
	order := elf.ByteOrder(binary.LittleEndian)
	if r.Host.Arch == "s390x" {
		order = binary.BigEndian
	}
	c.addBuiltins(order == elf.ByteOrder(binary.BigEndian))
	content, err := c.encode(order)
	if err != nil {
		return r.unsupported("%v", err)
	}
	at, err := r.FS.Stat(r.Dir, path.Dir(output))
	if err != nil || !at.IsDir() {
		r.status = 1
		return nil
	}
	file := path.Join(at.Path, path.Base(output))
	if err := r.FS.Remove("/", file); err != nil && !isNotExist(err) {
		return r.die(1, "cannot generate output file: %s", errorText(err))
	}
	return r.FS.WriteFile("/", file, content, 0o644)
}

// gconvDefaults are the directory and the cache that the tree's program was built with.
func gconvDefaults(r *toolRun) (dir, cache string, err error) {
	f, err := r.FS.Open("/", "/usr/sbin/iconvconfig")
	if err != nil {
		return "", "", r.unsupported("the standard directory is not known without the program itself")
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxLoaderSize))
	if err != nil {
		return "", "", fmt.Errorf("reading iconvconfig: %w", err)
	}
	d := regexp.MustCompile(`\x00(/[^\x00:]{1,200}/gconv)\x00`).FindSubmatch(b)
	c := regexp.MustCompile(`\x00(/[^\x00:]{1,200}/gconv/gconv-modules\.cache)\x00`).FindSubmatch(b)
	if d == nil || c == nil {
		return "", "", r.unsupported("the standard directory of the program is not known")
	}
	return string(d[1]), string(c[1]), nil
}

// readGconvDir reads a directory's configuration; false without any.
func readGconvDir(r *toolRun, c *gconvConfig, where, dir string) (found bool, err error) {
	files := []string{where + "gconv-modules"}
	if names, err := r.FS.ReadDir(r.Dir, where+"gconv-modules.d"); err == nil {
		for _, name := range names {
			p := where + "gconv-modules.d/" + name
			if n, err := r.FS.Lstat(r.Dir, p); err == nil && n.IsRegular() && len(name) > 5 && strings.HasSuffix(name, ".conf") {
				files = append(files, p)
			}
		}
	}
	for _, p := range files {
		f, err := r.FS.Open(r.Dir, p)
		if fatal(err) {
			return false, err
		}
		if err != nil {
			continue
		}
		b, err := io.ReadAll(io.LimitReader(f, maxGconvSize+1))
		f.Close()
		if err != nil {
			return false, fmt.Errorf("reading %s: %w", p, err)
		}
		if len(b) > maxGconvSize {
			return false, r.unsupported("%s has more than %d bytes", p, maxGconvSize)
		}
		if err := c.read(string(b), dir); err != nil {
			return false, r.unsupported("%s: %v", p, err)
		}
		found = true
	}
	return found, nil
}

// read takes over the lines of one file.
func (c *gconvConfig) read(content, dir string) error {
	const blanks = " \t\v\f\r\n"
	for line := range strings.SplitSeq(content, "\n") {
		line, _, _ = strings.Cut(line, "#")
		line, _, _ = strings.Cut(line, "\x00")
		words := strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(blanks, r) })
		switch {
		case len(words) >= 3 && words[0] == "alias":
			c.addAlias(upper(words[1]), upper(words[2]))
		case len(words) >= 4 && words[0] == "module":
			file := words[3]
			if !strings.HasSuffix(file, ".so") {
				file += ".so"
			}
			c.addModule(gconvModule{from: upper(words[1]), to: upper(words[2]), file: file, dir: dir})
		}
		if c.strings.count > maxGconvStrings {
			return fmt.Errorf("more than %d names", maxGconvStrings)
		}
	}
	return nil
}

// upper turns the letters of ASCII alone.
func upper(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'a' && c <= 'z' {
			b[i] = c - 'a' + 'A'
		}
	}
	return string(b)
}

func (c *gconvConfig) addAlias(from, to string) {
	if _, ok := c.aliases[from]; !ok {
		c.aliases[from] = gconvAlias{to, c.strings.add(from)}
		c.strings.add(to)
	}
}

func (c *gconvConfig) addModule(m gconvModule) {
	key := [2]string{m.from, m.to}
	if _, ok := c.modules[key]; !ok {
		m.inFrom, m.inTo = c.strings.add(m.from), c.strings.add(m.to)
		m.inFile, m.inDir = c.strings.add(m.file), c.strings.add(m.dir)
		c.modules[key] = m
	}
}

// addBuiltins adds what glibc converts itself (iconv/gconv_builtin.h).
func (c *gconvConfig) addBuiltins(big bool) {
	reversed, native := "UNICODEBIG//", "UNICODELITTLE//"
	reversedNames, nativeNames := "UCS-2BE//", "UNICODELITTLE// UCS-2LE//"
	if big {
		reversed, native = native, reversed
		reversedNames, nativeNames = "UCS-2LE//", "UNICODEBIG// UCS-2BE//"
	}
	for _, set := range []struct{ to, names string }{
		{"ISO-10646/UCS4/", "UCS4// UCS-4// UCS-4BE// CSUCS4// ISO-10646// 10646-1:1993// 10646-1:1993/UCS4/ OSF00010104// OSF00010105// OSF00010106//"},
		{"INTERNAL", "WCHAR_T//"},
		{"ISO-10646/UTF8/", "UTF8// UTF-8// ISO-IR-193// OSF05010001// ISO-10646/UTF-8/"},
		{"ISO-10646/UCS2/", "UCS2// UCS-2// OSF00010100// OSF00010101// OSF00010102//"},
		{"ANSI_X3.4-1968//", "ANSI_X3.4// ISO-IR-6// ANSI_X3.4-1986// ISO_646.IRV:1991// ASCII// ISO646-US// US-ASCII// US// IBM367// CP367// CSASCII// OSF00010020//"},
		{"ISO-10646/UCS2/", nativeNames},
		{reversed, reversedNames},
	} {
		for name := range strings.FieldsSeq(set.names) {
			c.addAlias(name, set.to)
		}
	}
	for _, b := range []struct {
		name, set string
		fromFirst bool // the conversion from the set is listed before the one to it
	}{
		{"ucs4", "ISO-10646/UCS4/", false},
		{"ucs4le", "UCS-4LE//", false},
		{"utf8", "ISO-10646/UTF8/", false},
		{"ucs2", "ISO-10646/UCS2/", true},
		{"ascii", "ANSI_X3.4-1968//", true},
		{"ucs2reverse", reversed, true},
	} {
		to := gconvModule{from: "INTERNAL", to: b.set, file: "=INTERNAL->" + b.name}
		from := gconvModule{from: b.set, to: "INTERNAL", file: "=" + b.name + "->INTERNAL"}
		if b.fromFirst {
			to, from = from, to
		}
		c.addModule(to)
		c.addModule(from)
	}
}

// gconvSet is one character set of the cache, with what converts it.
type gconvSet struct {
	name               *gconvString
	fromInternal, into *gconvModule
	others             []*gconvModule // not by way of the internal form, the last first
}

// gconvName is a name of a character set.
type gconvName struct {
	set int
	in  *gconvString
}

// gconvNames are all names, and the character sets that they name by number.
type gconvNames struct {
	index   map[string]gconvName
	sets    []gconvSet
	claimed int // how often a name was entered, which sizes the hash table
}

// enter enters a name; what is entered first stays.
func (n *gconvNames) enter(name string, in *gconvString, set int) {
	n.claimed++
	if _, ok := n.index[name]; !ok {
		n.index[name] = gconvName{set, in}
	}
}

// set is the character set of a name, a new one when it has none yet.
func (n *gconvNames) set(name string, in *gconvString) *gconvSet {
	e := n.index[name]
	if e.set < 0 {
		e.set = len(n.sets)
		n.index[name] = e
		n.sets = append(n.sets, gconvSet{})
	}
	n.sets[e.set].name = in
	return &n.sets[e.set]
}

// number gives all character sets their numbers: the internal one first, the others as the modules name them, sorted by
// source, and by target downwards.
func (c *gconvConfig) number() *gconvNames {
	all := make([]gconvModule, 0, len(c.modules))
	for _, m := range c.modules {
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b gconvModule) int {
		return cmp.Or(strings.Compare(a.from, b.from), strings.Compare(b.to, a.to))
	})
	n := &gconvNames{index: map[string]gconvName{}}
	n.enter("INTERNAL", c.strings.add("INTERNAL"), -1)
	for i, m := range all {
		if m.from != "INTERNAL" && (i == 0 || all[i-1].from != m.from) {
			n.enter(m.from, m.inFrom, -1)
		}
		if m.to != "INTERNAL" {
			n.enter(m.to, m.inTo, -1)
		}
	}
	n.set("INTERNAL", c.strings.add("INTERNAL"))
	for i := range all {
		switch m := &all[i]; {
		case m.from == "INTERNAL":
			n.set(m.to, m.inTo).fromInternal = m
		case m.to == "INTERNAL":
			n.set(m.from, m.inFrom).into = m
		default:
			n.set(m.from, m.inFrom)
			if e := n.index[m.to]; e.set < 0 {
				n.set(m.to, m.inTo)
			}
			from := n.set(m.from, m.inFrom)
			from.others = append([]*gconvModule{m}, from.others...)
		}
	}
	aliases := make([]string, 0, len(c.aliases))
	for from := range c.aliases {
		aliases = append(aliases, from)
	}
	slices.Sort(aliases)
	for _, from := range aliases {
		if to, ok := n.index[c.aliases[from].to]; ok {
			n.enter(from, c.aliases[from].inFrom, to.set)
		}
	}
	return n
}

// encode is the content of the cache.
func (c *gconvConfig) encode(order elf.ByteOrder) ([]byte, error) {
	n := c.number()
	table := c.strings.lay()
	if len(table)%2 == 1 {
		table = append(table, 0)
	}
	if len(table) > maxGconvTable {
		return nil, fmt.Errorf("more than %d bytes of names", maxGconvTable)
	}
	size := nextOddPrime(n.claimed + n.claimed/2)
	hash := n.hash(size)
	var modules, extra []uint16
	for _, s := range n.sets {
		entry := make([]uint16, 6)
		entry[0] = s.name.offset()
		if m := s.fromInternal; m != nil {
			entry[1], entry[2] = m.inDir.offset(), m.inFile.offset()
		}
		if m := s.into; m != nil {
			entry[3], entry[4] = m.inDir.offset(), m.inFile.offset()
		}
		if len(s.others) > 0 {
			entry[5] = uint16(1 + 2*len(extra))
			for _, m := range s.others {
				extra = append(extra, 1, uint16(n.index[m.to].set), m.inDir.offset(), m.inFile.offset())
			}
			extra = append(extra, 0)
		}
		modules = append(modules, entry...)
	}
	const head = 16
	at := [3]int{head + len(table)}
	at[1] = at[0] + 2*len(hash)
	at[2] = at[1] + 2*len(modules)
	if at[2] > maxGconvTable || 2*len(extra) > maxGconvTable {
		return nil, fmt.Errorf("a cache of more than %d bytes", maxGconvTable)
	}
	b := order.AppendUint32(nil, gconvMagic)
	for _, v := range []int{head, at[0], size, at[1], at[2], 0} {
		b = order.AppendUint16(b, uint16(v))
	}
	b = append(b, table...)
	for _, v := range slices.Concat(hash, modules, extra) {
		b = order.AppendUint16(b, v)
	}
	return b, nil
}

// hash is the table in which glibc looks names up: pairs of the name's offset and the number of its set.
func (n *gconvNames) hash(size int) []uint16 {
	names := make([]string, 0, len(n.index))
	for name := range n.index {
		names = append(names, name)
	}
	slices.Sort(names)
	table := make([]uint16, 2*size)
	for _, name := range names {
		value := hashPJW(name)
		i, step := int(value%uint32(size)), 1+int(value%uint32(size-2))
		for table[2*i] != 0 {
			i = (i + step) % size
		}
		table[2*i], table[2*i+1] = n.index[name].in.offset(), uint16(n.index[name].set)
	}
	return table
}

// hashPJW is P. J. Weinberger's hash function.
func hashPJW(s string) uint32 {
	var h uint32
	for i := range len(s) {
		h = h<<4 + uint32(s[i])
		if g := h & 0xf0000000; g != 0 {
			h ^= g>>24 ^ g
		}
	}
	return h
}

func nextOddPrime(n int) int {
	for n |= 1; ; n += 2 {
		d := 3
		for d*d < n && n%d != 0 {
			d += 2
		}
		if n%d != 0 {
			return n
		}
	}
}

// gconvStrings are the strings of the cache. A string that ends another one shares its bytes where it was found to: the
// tree that finds it is not balanced and does not find all, and the file is what it makes.
type gconvStrings struct {
	root  *gconvString
	count int
}

type gconvString struct {
	text, reverse string
	at            int
	next          *gconvString // shorter ones that end this one
	left, right   *gconvString
}

// offset is where a string is; that of no string is 0.
func (s *gconvString) offset() uint16 {
	if s == nil {
		return 0
	}
	return uint16(s.at)
}

// add takes a string in, and returns it or one like it that is there already; nil for the empty one.
func (t *gconvStrings) add(s string) *gconvString {
	if s == "" {
		return nil
	}
	reverse := []byte(s)
	slices.Reverse(reverse)
	added := &gconvString{text: s, reverse: string(reverse)}
	at := &t.root
	for *at != nil {
		shared := min(len((*at).reverse), len(added.reverse))
		d := strings.Compare((*at).reverse[:shared], added.reverse[:shared])
		if d == 0 {
			break
		}
		if d > 0 {
			at = &(*at).left
		} else {
			at = &(*at).right
		}
	}
	old := *at
	switch {
	case old == nil:
		*at = added
	case len(old.text) > len(s):
		for sub := old.next; sub != nil; sub = sub.next {
			if len(sub.text) == len(s) {
				return sub
			}
		}
		added.next, old.next = old.next, added
	case len(old.text) < len(s):
		added.next, added.left, added.right = old, old.left, old.right
		*at = added
	default:
		return old
	}
	t.count++
	return added
}

// lay lays the strings out in the order of the tree.
func (t *gconvStrings) lay() (table []byte) {
	table = []byte{0}
	var stack []*gconvString
	for at := t.root; at != nil || len(stack) > 0; {
		for ; at != nil; at = at.left {
			stack = append(stack, at)
		}
		at = stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		start := len(table)
		table = append(append(table, at.text...), 0)
		for s := at; s != nil; s = s.next {
			s.at = start + len(at.text) - len(s.text)
		}
		at = at.right
	}
	return table
}
