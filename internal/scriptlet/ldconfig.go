package scriptlet

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"slim/internal/elf"
	"slim/internal/rootfs"
)

// Limits of ldconfig: what it reads of configuration and directories.
const (
	maxLoaderDirs   = 4096
	maxConfigDepth  = 16
	maxConfigSize   = 1 << 20
	maxLoaderSize   = 64 << 20 // of the ldconfig program itself
	maxMatchedFiles = 1 << 16
)

// ldconfigCommands are the commands that keep the caches of glibc.
func ldconfigCommands() map[string]Command {
	return map[string]Command{
		"ldconfig":    tool("p,print-cache v,verbose N X r= C= f= n l c,format= i,ignore-aux-cache V,version", runLdconfig),
		"iconvconfig": iconvconfigCommand(),
	}
}

// loader is what is particular about the ldconfig of a distribution: glibc's version, how it was built, for what.
type loader struct {
	format  elf.CacheFormat
	minor   int // of glibc 2.minor
	arch    string
	machine uint16   // of ELF, of the architecture's own libraries
	dirs    []string // what is searched after the configured directories
}

// loaderArch are the facts of one architecture, by rpm's name.
type loaderArch struct {
	name    string
	machine uint16
	triplet string
	big     bool
}

func loaderArchs() []loaderArch {
	return []loaderArch{
		{"x86_64", 62, "x86_64-linux-gnu", false},
		{"i686", 3, "i386-linux-gnu", false},
		{"aarch64", 183, "aarch64-linux-gnu", false},
		{"ppc64le", 21, "powerpc64le-linux-gnu", false},
		{"s390x", 22, "s390x-linux-gnu", true},
		{"riscv64", 243, "riscv64-linux-gnu", false},
	}
}

// ldconfig is one run: what glibc's elf/ldconfig.c does. It leaves out the auxiliary cache, which only makes the next
// run on the same machine faster.
type ldconfig struct {
	*toolRun
	loader
	verbose, link, build bool

	dirs    []loaderDir
	entries []elf.CacheEntry
	hwcaps  []string // names of all subdirectories of glibc-hwcaps
}

// loaderDir is one directory to search.
type loaderDir struct {
	path string // as it was written
	at   string // where that is, which tells directories apart
	from string
	line int
	name string // of a subdirectory of glibc-hwcaps
}

func runLdconfig(r *toolRun) error {
	if root, ok := r.value("r"); ok && path.Clean("/"+root) != "/" {
		return r.unsupported("another root than / is not known here")
	}
	if form, ok := r.value("c"); ok && form != "new" {
		return r.unsupported("the format %s is not known here", form)
	}
	l := &ldconfig{toolRun: r, verbose: r.has("v"), link: !r.has("X"), build: !r.has("N", "n")}
	r.name = r.Call.Args[0]
	found, err := l.findLoader()
	if err != nil {
		return err
	}
	if !found {
		fmt.Fprintf(r.Stderr, "%s: command not found\n", r.name)
		r.status = 127
		return nil
	}
	if r.has("V") {
		r.printf("%s\n", strings.Replace(l.format.Generator, " stable release version", "", 1))
		return nil
	}
	cache := "/etc/ld.so.cache"
	if c, ok := r.value("C"); ok {
		cache = c
	}
	switch {
	case r.has("l") && !r.has("p"):
		return l.manual(r.args)
	case r.has("p"):
		if err := l.addArguments(); err != nil {
			return err
		}
		return l.print(cache)
	}
	return l.update(cache)
}

// update searches the directories and writes the cache.
func (l *ldconfig) update(cache string) error {
	if err := l.addArguments(); err != nil {
		return err
	}
	if !l.has("n") {
		conf := "/etc/ld.so.conf"
		if f, ok := l.value("f"); ok {
			conf = f
		}
		if err := l.readConf(conf, 0); err != nil {
			return err
		}
		for _, d := range l.loader.dirs {
			if err := l.addDir(d, "<builtin>", 0); err != nil {
				return err
			}
		}
	}
	for i := 0; i < len(l.dirs); i++ { // searching may add more
		if err := l.ctx.Err(); err != nil {
			return err
		}
		if err := l.search(l.dirs[i]); err != nil {
			return err
		}
	}
	if !l.build {
		return nil
	}
	return l.save(cache)
}

// save writes the cache: beside, then renamed, so that it is always a new file.
func (l *ldconfig) save(cache string) error {
	dir, err := l.FS.Stat(l.Dir, path.Dir(cache))
	if err != nil || !dir.IsDir() {
		return l.die(1, "Can't create temporary cache file %s~: %s", cache, errorText(fs.ErrNotExist))
	}
	at := path.Join(dir.Path, path.Base(cache))
	if err := l.FS.Remove("/", at); err != nil && !isNotExist(err) {
		return l.die(1, "Renaming of %s~ to %s failed: %s", cache, cache, errorText(err))
	}
	return l.FS.WriteFile("/", at, l.format.Encode(l.entries, l.hwcaps), 0o644)
}

// findLoader reads the ldconfig of the tree for what it would do. It reports false when there is none.
func (l *ldconfig) findLoader() (bool, error) {
	for _, p := range []string{"/sbin/ldconfig", "/usr/sbin/ldconfig", "/usr/bin/ldconfig"} {
		n, err := l.FS.Stat("/", p)
		if err != nil || !n.IsRegular() {
			continue
		}
		key := fileKey{n.Package, n.File}
		if n.Package >= 0 && l.FS.loaders[key] != nil {
			l.loader = *l.FS.loaders[key]
			return true, nil
		}
		r, err := l.FS.OpenNode(n)
		if err != nil {
			return false, err
		}
		b, err := rootfs.ReadSized(r, n.Size, maxLoaderSize)
		if closeErr := r.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			return false, fmt.Errorf("reading %s: %w", n.Path, err)
		}
		found, why := readLoader(b, l.Host.Arch)
		if why != "" {
			return false, l.unsupported("%s %s", n.Path, why)
		}
		if n.Package >= 0 {
			if l.FS.loaders == nil {
				l.FS.loaders = map[fileKey]*loader{}
			}
			l.FS.loaders[key] = found
		}
		l.loader = *found
		return true, nil
	}
	return false, nil
}

// readLoader finds out what an ldconfig program does from the strings in it. why is what is not known about it.
func readLoader(program []byte, arch string) (l *loader, why string) {
	archs := loaderArchs()
	i := slices.IndexFunc(archs, func(a loaderArch) bool { return a.name == arch })
	switch {
	case i < 0:
		return nil, "is for " + arch + ", of which the flags are not known here"
	case !bytes.HasPrefix(program, []byte("\x7fELF")):
		return nil, "is no program of glibc"
	}
	a := archs[i]
	l = &loader{arch: arch, machine: a.machine}
	l.format.Order = binary.LittleEndian
	if a.big {
		l.format.Order = binary.BigEndian
	}
	if m := regexp.MustCompile(`\x00(ldconfig \([^\x00]{0,200} version 2\.([0-9]{1,3})[^\x00]{0,80})\x00`).FindSubmatch(program); m != nil {
		l.format.Generator, l.format.Extension = string(m[1]), true
		l.minor, _ = strconv.Atoi(string(m[2]))
	} else if m := regexp.MustCompile(`\x002\.([12][0-9]|3[0-2])\x00`).FindSubmatch(program); m != nil {
		l.minor, _ = strconv.Atoi(string(m[1]))
		l.format.Compat = l.minor < 32
	} else {
		return nil, "tells no version of glibc"
	}
	l.dirs = loaderDirs(a)
	if bytes.Contains(program, []byte("\x00/lib/"+a.triplet+"/\x00")) {
		l.dirs = []string{"/lib/" + a.triplet, "/usr/lib/" + a.triplet, "/lib", "/usr/lib"}
	}
	return l, ""
}

// loaderDirs are the directories that glibc searches by itself when it is not built for Debian's layout.
func loaderDirs(a loaderArch) []string {
	var more []string
	switch a.name {
	case "x86_64":
		more = []string{"lib", "lib64", "libx32"}
	case "aarch64", "ppc64le", "s390x":
		more = []string{"lib", "lib64"}
	case "riscv64":
		more = []string{"lib", "lib64/lp64d", "lib64/lp64", "lib32/ilp32d", "lib32/ilp32"}
	default:
		more = []string{"lib"}
	}
	var dirs []string
	for _, root := range []string{"/", "/usr/"} {
		for _, d := range more {
			dirs = append(dirs, root+d)
		}
	}
	return dirs
}

func (l *ldconfig) addArguments() error {
	if l.has("l") {
		return nil
	}
	for _, a := range l.args {
		if l.build && !strings.HasPrefix(a, "/") {
			return l.die(1, "relative path `%s' used to build cache", a)
		}
		if err := l.addDir(a, "<cmdline>", 0); err != nil {
			return err
		}
	}
	return nil
}

// warn prints a message that does not change the exit status.
func (l *ldconfig) warn(format string, args ...any) {
	fmt.Fprintf(l.Stderr, "%s: %s\n", l.name, fmt.Sprintf(format, args...))
}

// addDir adds a directory that is named in the configuration, with its glibc-hwcaps.
func (l *ldconfig) addDir(line, from string, number int) error {
	if dir, kind, ok := strings.Cut(line, "="); ok && l.minor < 37 {
		if !slices.Contains([]string{"libc4", "libc5", "libc6", "glibc2"}, kind) {
			l.warn("%s is not a known library type", kind)
		}
		line = dir
	}
	p := strings.TrimRight(strings.TrimRight(line, " \t\n\v\f\r"), "/")
	if p == "" {
		return nil
	}
	n, err := l.FS.Stat(l.Dir, p)
	if err != nil {
		if l.verbose {
			l.warn("Can't stat %s: %s", p, errorText(err))
		}
		return nil
	}
	if added, err := l.addSingle(loaderDir{path: p, at: n.Path, from: from, line: number}, true); !added || err != nil {
		return err
	}
	names, err := l.FS.ReadDir("/", n.Path+"/glibc-hwcaps")
	if err != nil {
		return nil
	}
	for _, name := range names {
		if name[0] == '.' || strings.Contains(name, ":") {
			continue
		}
		sub, err := l.FS.Stat("/", n.Path+"/glibc-hwcaps/"+name)
		if err != nil || !sub.IsDir() {
			continue
		}
		if !slices.Contains(l.hwcaps, name) {
			l.hwcaps = append(l.hwcaps, name)
		}
		d := loaderDir{path: p + "/glibc-hwcaps/" + name, at: sub.Path, from: from, line: number, name: name}
		if _, err := l.addSingle(d, false); err != nil {
			return err
		}
	}
	return nil
}

func (l *ldconfig) addSingle(d loaderDir, loud bool) (bool, error) {
	for _, old := range l.dirs {
		if old.at != d.at {
			continue
		}
		if l.verbose && loud {
			l.warn("Path `%s' given more than once", d.path)
			fmt.Fprintf(l.Stderr, "(from %s:%d and %s:%d)\n", d.from, d.line, old.from, old.line)
		}
		return false, nil
	}
	if len(l.dirs) >= maxLoaderDirs {
		return false, l.unsupported("more than %d directories", maxLoaderDirs)
	}
	l.dirs = append(l.dirs, d)
	return true, nil
}

// readConf reads ld.so.conf or what it includes.
func (l *ldconfig) readConf(name string, depth int) error {
	if depth > maxConfigDepth {
		return l.unsupported("configuration that includes itself more than %d times", maxConfigDepth)
	}
	f, err := l.FS.Open(l.Dir, name)
	if err != nil {
		if !isNotExist(err) {
			l.warn("Warning: ignoring configuration file that cannot be opened: %s: %s", name, errorText(err))
		}
		return nil
	}
	b, err := io.ReadAll(io.LimitReader(f, maxConfigSize+1))
	f.Close()
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	if len(b) > maxConfigSize {
		return l.unsupported("%s has more than %d bytes", name, maxConfigSize)
	}
	for i, line := range strings.Split(string(b), "\n") {
		line, _, _ = strings.Cut(line, "\x00")
		line, _, _ = strings.Cut(line, "#")
		line = strings.TrimLeft(line, " \t\n\v\f\r")
		switch {
		case line == "":
		case len(line) > 7 && line[:7] == "include" && strings.ContainsRune(" \t", rune(line[7])):
			for _, pattern := range strings.FieldsFunc(line[8:], func(r rune) bool { return r == ' ' || r == '\t' }) {
				if err := l.include(name, pattern, depth); err != nil {
					return err
				}
			}
		case len(line) > 5 && strings.EqualFold(line[:5], "hwcap") && strings.ContainsRune(" \t", rune(line[5])):
			l.warn("%s:%d: hwcap directive ignored", name, i+1)
		default:
			if err := l.addDir(line, name, i+1); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *ldconfig) include(conf, pattern string, depth int) error {
	if !strings.HasPrefix(pattern, "/") && strings.Contains(conf, "/") {
		pattern = path.Dir(conf) + "/" + pattern
	}
	names, err := globFiles(l.FS, l.Dir, pattern)
	if err != nil {
		return l.unsupported("including %s: %v", pattern, err)
	}
	for _, n := range names {
		if err := l.readConf(n, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// foundLibrary is one library of a directory.
type foundLibrary struct {
	name, soname string
	flags        uint32
	isLink       bool
	file         *elfFile
}

// search looks through a directory, links its libraries by their sonames and adds them to the cache.
func (l *ldconfig) search(d loaderDir) error {
	hwcap := uint64(0)
	if d.name == "" {
		hwcap = l.pathHwcap(d.path)
	}
	if l.verbose {
		switch {
		case d.name != "":
			l.printf("%s: (hwcap: \"%s\")", d.path, d.name)
		case hwcap != 0:
			l.printf("%s: (hwcap: %#.16x)", d.path, hwcap)
		default:
			l.printf("%s:", d.path)
		}
		l.printf(" (from %s:%d)\n", d.from, d.line)
	}
	names, err := l.FS.ReadDir(l.Dir, d.path)
	if err != nil {
		if l.verbose {
			l.warn("Can't open directory %s: %s", d.path, errorText(err))
		}
		return nil
	}
	var found []*foundLibrary
	at := map[string]*foundLibrary{} // by soname
	for _, name := range names {
		lib, err := l.library(d, name)
		if err != nil {
			return err
		}
		if lib == nil {
			continue
		}
		if old := at[lib.soname]; old != nil {
			l.prefer(d, old, lib)
			continue
		}
		if len(l.entries)+len(found) >= elf.MaxCacheEntries {
			return l.unsupported("more than %d libraries", elf.MaxCacheEntries)
		}
		at[lib.soname] = lib
		found = append(found, lib)
	}
	for _, lib := range slices.Backward(found) {
		if err := l.enter(d, lib, hwcap); err != nil {
			return err
		}
	}
	return nil
}

// enter makes the link of a library and its entry in the cache.
func (l *ldconfig) enter(d loaderDir, lib *foundLibrary, hwcap uint64) error {
	file := lib.soname
	switch {
	case d.name != "":
		file = lib.name
		if l.verbose {
			l.printf("\t%s -> %s\n", lib.soname, lib.name)
		}
	case !lib.isLink:
		if err := l.linkSoname(d.path, lib.name, lib.soname); err != nil {
			return err
		}
	}
	if !l.build {
		return nil
	}
	e := elf.CacheEntry{Lib: lib.soname, Path: d.path + "/" + file, Flags: lib.flags, Named: d.name, Hwcap: hwcap}
	if l.minor < 36 {
		e.OSVersion = lib.file.abiTag
	}
	if l.machine == 62 || l.machine == 3 {
		e.ISALevel = lib.file.isaLevel
	}
	l.entries = append(l.entries, e)
	return nil
}

// prefer keeps one of two libraries with the same soname: a file before a link, the newer by its name.
func (l *ldconfig) prefer(d loaderDir, old, lib *foundLibrary) {
	if lib.isLink && !old.isLink || lib.isLink == old.isLink && elf.CompareLibraryNames(old.name, lib.name) >= 0 {
		return
	}
	flags := old.flags
	if flags != lib.flags {
		if flags == elf.FlagELF && lib.flags == elf.FlagLibc6 {
			flags = lib.flags
		} else if flags != elf.FlagLibc6 || lib.flags != elf.FlagELF {
			l.warn("libraries %s and %s in directory %s have same soname but different type.", old.name, lib.name, d.path)
		} else {
			flags = lib.flags
		}
	}
	*old = *lib
	old.flags = flags
}

// library looks at one name of a directory; nil when that is no library.
func (l *ldconfig) library(d loaderDir, name string) (*foundLibrary, error) {
	p := d.path + "/" + name
	n, err := l.FS.Lstat(l.Dir, p)
	if err != nil || !n.IsRegular() && !n.IsSymlink() && !n.IsDir() {
		return nil, nil
	}
	if !isLibraryName(name) && (n.IsRegular() || d.name != "" || !l.isHwcapDir(name)) || l.isTemporary(name) {
		return nil, nil
	}
	isLink := n.IsSymlink()
	if isLink {
		target, err := l.FS.Stat(l.Dir, p)
		if err != nil {
			return nil, l.staleLink(p, name, err)
		}
		n = target
	}
	if n.IsDir() && d.name == "" && l.isHwcapDir(name) {
		_, err := l.addSingle(loaderDir{path: p, at: n.Path, from: d.from, line: d.line}, false)
		return nil, err
	}
	if !n.IsRegular() {
		if isLink && l.minor < 37 {
			l.warn("Cannot mmap file %s.\n", p)
		}
		return nil, nil
	}
	file, err := l.FS.elfOf(n, l.format.Order)
	if err != nil {
		return nil, err
	}
	lib := &foundLibrary{name: name, soname: name, isLink: isLink, file: file}
	ok := false
	if lib.flags, ok = l.classify(p, file); !ok {
		return nil, nil
	}
	if file.hasSoname {
		lib.soname = file.soname
	}
	if isLink && name != lib.soname && !(strings.HasSuffix(name, ".so") && strings.HasPrefix(lib.soname, name)) {
		lib.isLink = false // neither the soname nor the compiler's link: as good as a file
	}
	if lib.isLink {
		lib.soname = name
	}
	return lib, nil
}

func (l *ldconfig) staleLink(p, name string, why error) error {
	if l.verbose {
		l.warn("Cannot stat %s: %s", p, errorText(why))
	}
	if l.link && strings.Contains(name, ".so.") {
		return l.FS.Remove(l.Dir, p)
	}
	return nil
}

// isLibraryName tells names of libraries and of the dynamic loader.
func isLibraryName(name string) bool {
	return (strings.HasPrefix(name, "lib") || strings.HasPrefix(name, "ld-")) && strings.Contains(name, ".so") ||
		strings.HasPrefix(name, "ld.so.") || strings.HasPrefix(name, "ld64.so.")
}

// isTemporary tells names of files that prelink, rpm or dpkg are about to rename.
func (l *ldconfig) isTemporary(name string) bool {
	if i := strings.LastIndex(name, ".#prelink#"); i >= 0 {
		if rest := name[i+len(".#prelink#"):]; rest == "" || len(rest) == 7 && rest[0] == '.' {
			return true
		}
	}
	return l.minor >= 39 && (strings.Contains(name, ";") || strings.HasSuffix(name, ".dpkg-new") || strings.HasSuffix(name, ".dpkg-tmp"))
}

// classify says for what a library is. It reports false, and complains, when the file is none.
func (l *ldconfig) classify(p string, e *elfFile) (flags uint32, ok bool) {
	switch {
	case e.size == 0:
		l.warn("File %s is empty, not checked.", p)
		return 0, false
	case e.size < 64:
		if bytes.HasPrefix([]byte("\x7fELF"), e.head[:min(4, len(e.head))]) {
			l.warn("File %s is too small, not checked.", p)
		}
		return 0, false
	case !e.isELF:
		if !bytes.Contains(e.head, []byte("GROUP")) && !bytes.Contains(e.head, []byte("GNU ld script")) && !isDebuggerScript(p) {
			l.warn("%s is not an ELF file - it has the wrong magic bytes at the start.\n", p)
		}
		return 0, false
	}
	flags, ok = l.flags(p, e)
	switch {
	case !ok:
		return 0, false
	case e.class != elf.Class32 && e.class != elf.Class64:
		return 0, false
	case e.kind != elf.TypeDyn:
		l.warn("%s is not a shared object file (Type: %d).\n", p, e.kind)
		return 0, false
	case e.fault != "":
		l.warn(e.fault, p)
		return 0, false
	}
	return flags, !e.noDynamic
}

func isDebuggerScript(p string) bool {
	return strings.HasSuffix(p, "-gdb.py") || strings.HasSuffix(p, "-gdb.gdb") || strings.HasSuffix(p, "-gdb.scm")
}

// flags are those of a library of this architecture (glibc, sysdeps/*/readelflib.c).
func (l *ldconfig) flags(p string, e *elfFile) (uint32, bool) {
	plain := uint32(elf.FlagLibc6)
	if l.minor < 37 && !e.libc6 {
		plain = elf.FlagELF
	}
	wide := e.class == elf.Class64
	switch l.arch {
	case "x86_64", "i686":
		switch {
		case e.machine == 62 && wide:
			return elf.FlagLibc6 | elf.FlagX8664, true
		case e.machine == 62:
			return elf.FlagLibc6 | elf.FlagX32, true
		case e.machine == 3 && !wide:
			return plain, true
		}
		l.warn("%s is for unknown machine %d.\n", p, e.machine)
		return 0, false
	case "aarch64":
		const eabi5, hard, soft = 0x05000000, 0x400, 0x200
		switch {
		case wide:
			return elf.FlagLibc6 | elf.FlagAArch64, true
		case e.flags&0xff000000 != eabi5:
			return plain, true
		case e.flags&hard != 0:
			return elf.FlagLibc6 | elf.FlagARMHard, true
		case e.flags&soft != 0:
			return elf.FlagLibc6 | elf.FlagARMSoft, true
		}
		return elf.FlagLibc6, true
	case "riscv64":
		const compressed, abi, double = 1, 6, 4
		if e.flags&^(compressed|abi) != 0 {
			return 0, false
		}
		switch e.flags & abi {
		case 0:
			return elf.FlagLibc6 | elf.FlagRISCVSoft, true
		case double:
			return elf.FlagLibc6 | elf.FlagRISCVDouble, true
		}
		return 0, false
	case "s390x":
		if wide {
			return elf.FlagLibc6 | elf.FlagS390, true
		}
	case "ppc64le":
		if wide {
			return elf.FlagLibc6 | elf.FlagPowerPC, true
		}
	}
	return plain, true
}

// hwcapBit is the number that glibc before 2.37 gave a subdirectory of that name, -1 for none. It knew more names on
// ppc64le and s390x.
func (l *ldconfig) hwcapBit(name string) int {
	if l.minor >= 37 {
		return -1
	}
	if name == "tls" {
		return 63
	}
	if l.arch == "x86_64" || l.arch == "i686" {
		switch name {
		case "sse2":
			return 0
		case "x86_64":
			return 1
		case "avx512_1":
			return 2
		case "i586":
			return 48
		case "i686":
			return 49
		case "haswell":
			return 50
		case "xeon_phi":
			return 51
		}
	}
	return -1
}

func (l *ldconfig) isHwcapDir(name string) bool { return l.hwcapBit(name) >= 0 }

// pathHwcap are the capabilities that the last names of a directory stand for.
func (l *ldconfig) pathHwcap(p string) uint64 {
	hwcap := uint64(0)
	for {
		i := strings.LastIndexByte(p, '/')
		if i < 0 {
			return hwcap
		}
		bit := l.hwcapBit(p[i+1:])
		if bit < 0 {
			return hwcap
		}
		hwcap += 1 << bit
		p = p[:i]
	}
}

// linkSoname makes the link by which programs find a library.
func (l *ldconfig) linkSoname(dir, name, soname string) error {
	library, link := dir+"/"+name, dir+"/"+soname
	doLink, doRemove := true, true
	if so, err := l.FS.Stat(l.Dir, link); err == nil {
		lib, err := l.FS.Stat(l.Dir, library)
		if err != nil {
			l.warn("Can't stat %s\n", library)
			return nil
		}
		if n, err := l.FS.Lstat(l.Dir, link); sameFile(lib, so) {
			doLink = false
		} else if err == nil && !n.IsSymlink() {
			l.warn("%s is not a symbolic link\n", link)
			doLink, doRemove = false, false
		}
	} else if n, err := l.FS.Lstat(l.Dir, link); err != nil || !n.IsSymlink() {
		doRemove = false
	}
	if l.verbose {
		l.printf("\t%s -> %s", soname, name)
	}
	if !doLink || !l.link {
		if l.verbose {
			l.printf("\n")
		}
		return nil
	}
	if doRemove {
		if err := l.FS.Remove(l.Dir, link); err != nil {
			l.warn("Can't unlink %s", link)
			doLink = false
		}
	}
	if doLink {
		if err := l.FS.Symlink(l.Dir, name, link); err != nil {
			l.warn("Can't link %s to %s", link, name)
			doLink = false
		}
	}
	if l.verbose {
		l.printf("%s\n", map[bool]string{true: " (changed)", false: " (SKIPPED)"}[doLink])
	}
	return nil
}

// sameFile reports whether two nodes are one file.
func sameFile(a, b *rootfs.Node) bool {
	inode := func(n *rootfs.Node) string {
		if n.HardTo != "" {
			return n.HardTo
		}
		return n.Path
	}
	return inode(a) == inode(b)
}

// manual links single libraries.
func (l *ldconfig) manual(libraries []string) error {
	for _, p := range libraries {
		dir, name := path.Split(p)
		if dir = strings.TrimRight(dir, "/"); dir == "" && strings.HasPrefix(p, "/") {
			dir = "/"
		} else if dir == "" {
			dir = "."
		}
		n, err := l.FS.Lstat(l.Dir, p)
		if err != nil {
			l.warn("Cannot lstat %s: %s", p, errorText(err))
			continue
		}
		if !n.IsRegular() {
			l.warn("Ignored file %s since it is not a regular file.", p)
			continue
		}
		file, err := l.FS.elfOf(n, l.format.Order)
		if err != nil {
			return err
		}
		if _, ok := l.classify(p, file); !ok {
			l.warn("No link created since soname could not be found for %s", p)
			continue
		}
		soname := name
		if file.hasSoname {
			soname = file.soname
		}
		if err := l.linkSoname(dir, name, soname); err != nil {
			return err
		}
	}
	return nil
}

// print prints the cache.
func (l *ldconfig) print(cache string) error {
	f, err := l.FS.Open(l.Dir, cache)
	if err != nil {
		return l.die(1, "Can't open cache file %s\n: %s", cache, errorText(err))
	}
	defer f.Close()
	b, err := readBounded(cache, f)
	if err != nil || len(b) == 0 {
		return err
	}
	entries, generator, err := elf.ReadCache(b, l.format.Order)
	if err != nil {
		return l.die(1, "%s", err)
	}
	l.printf("%d libs found in cache `%s'\n", len(entries), cache)
	for i := range entries {
		l.printf("%s", entries[i].Describe())
	}
	if generator != "" {
		l.printf("Cache generated by: %s\n", generator)
	}
	return nil
}

// globFiles are the paths that a pattern of glob(7) fits, sorted; a hidden name is fitted only by a pattern that begins
// with a dot.
func globFiles(f *FS, dir, pattern string) ([]string, error) {
	at := []string{""}
	rest := pattern
	if strings.HasPrefix(pattern, "/") {
		at, rest = []string{"/"}, strings.TrimLeft(pattern, "/")
	}
	for rest != "" {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		rest = strings.TrimLeft(rest, "/")
		next, err := globName(f, dir, at, name)
		if err != nil {
			return nil, err
		}
		if rest != "" || strings.HasSuffix(pattern, "/") {
			next = slices.DeleteFunc(next, func(p string) bool { n, err := f.Stat(dir, p); return err != nil || !n.IsDir() })
		}
		at = next
	}
	slices.Sort(at)
	return at, nil
}

// globName goes one name further down from all of at.
func globName(f *FS, dir string, at []string, name string) ([]string, error) {
	var next []string
	fixed := !strings.ContainsAny(name, `*?[\`)
	pattern := strings.ReplaceAll(name, "[!", "[^")
	for _, a := range at {
		if a != "" && !strings.HasSuffix(a, "/") {
			a += "/"
		}
		if fixed {
			if _, err := f.Lstat(dir, a+name); err == nil {
				next = append(next, a+name)
			}
			continue
		}
		names, err := f.ReadDir(dir, a+".")
		if err != nil {
			continue
		}
		for _, n := range names {
			if n[0] == '.' && name[0] != '.' {
				continue
			}
			ok, err := path.Match(pattern, n)
			if err != nil { // glob(3) takes such a pattern for a name
				ok = n == name
			}
			if ok {
				next = append(next, a+n)
			}
		}
		if len(next) > maxMatchedFiles {
			return nil, fmt.Errorf("more than %d names fit", maxMatchedFiles)
		}
	}
	return next, nil
}
