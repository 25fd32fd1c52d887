package execpath

import (
	"bytes"
	"path"
	"slices"
	"strings"

	"slim/internal/rootfs"
)

// module is a library of a process whose own plug-ins are still to be found.
type module struct {
	*library
	scope *scope
}

// loadable finds what a process may load while it runs, and all that this needs. Each plug-in is taken as the first that
// is loaded: what another one brought is not there yet.
func (p *process) loadable() error {
	for _, l := range p.loaded.order {
		p.modules = append(p.modules, &module{l, &p.loaded})
	}
	if err := p.programPlugins(); err != nil {
		return err
	}
	for i := 0; i < len(p.modules); i++ {
		if i >= maxObjects {
			p.note("%s may load more than %d libraries", p.main.path, maxObjects)
			return nil
		}
		if err := p.plugins(p.modules[i]); err != nil {
			return err
		}
	}
	return nil
}

// load takes a plug-in at a path, when it is a library for this process, and all that it needs. It reports whether it is.
func (p *process) load(by *module, at string, how How, name string) (bool, error) {
	l, err := p.open(by.library, at)
	if l == nil || err != nil {
		return false, err
	}
	return true, p.loadLibrary(by, l, Edge{From: by.node.Path, How: how, Name: name})
}

func (p *process) loadLibrary(by *module, l *library, via Edge) error {
	if p.loadedFile(by.scope, l.node) != nil || p.seen[l.node.Path] {
		return nil
	}
	c := newScope(&p.loaded)
	p.take(l, c, path.Base(l.path), via, Loadable)
	if err := p.close(c, 0, Loadable); err != nil {
		return err
	}
	for _, l := range c.order {
		p.modules = append(p.modules, &module{l, c})
	}
	return nil
}

// loadNamed takes a plug-in that is named as dlopen takes names. It reports whether there is one.
func (p *process) loadNamed(by *module, how How, name string) (bool, error) {
	if by.scope.find(name) != nil {
		return true, nil
	}
	found, err := p.find(by.library, name)
	if err != nil {
		return false, err
	}
	for _, l := range found {
		if err := p.loadLibrary(by, l, Edge{From: by.node.Path, How: how, Name: name}); err != nil {
			return false, err
		}
	}
	return len(found) > 0, nil
}

// code marks a file that an interpreter may load.
func (p *process) code(n *rootfs.Node, how How, name string) {
	p.mark(n, Loadable, Edge{From: p.main.node.Path, How: how, Name: name}, "")
}

// config reads a configuration file of the process, "" when there is none.
func (p *process) config(by *library, name string, how How) (string, error) {
	text, n, err := p.text(name)
	if n == nil || err != nil {
		return "", err
	}
	if p.configs++; p.configs > maxConfigs {
		p.note("%s reads more than %d files of configuration", p.main.path, maxConfigs)
		return "", nil
	}
	p.mark(n, Data, Edge{From: by.node.Path, How: how, Name: name}, "")
	return text, nil
}

// plugins finds what one library may load.
func (p *process) plugins(m *module) error {
	for _, d := range m.object.Dlopen {
		found := false
		for _, name := range d.Sonames {
			ok, err := p.loadNamed(m, DlopenNote, name)
			if err != nil {
				return err
			}
			found = found || ok
		}
		if !found && len(d.Sonames) > 0 {
			p.missing(Edge{From: m.node.Path, How: DlopenNote, Name: d.Sonames[0]}, true)
		}
	}
	for _, find := range []func(*module) error{p.inCode, p.nameService, p.charsets, p.libraryPlugins} {
		if err := find(m); err != nil {
			return err
		}
	}
	return nil
}

func isDlopen(name string) bool { return name == "dlopen" || name == "dlmopen" }

// inCode finds the libraries whose names a library that calls dlopen holds; libc calls it without importing it.
func (p *process) inCode(m *module) error {
	if !m.object.Imported(isDlopen) && !isLibc(m.library) {
		return nil
	}
	b, err := p.content(m.node, maxContent)
	if err != nil {
		return err
	}
	for _, name := range libraryNames(b) {
		if _, err := p.loadNamed(m, InCode, name); err != nil {
			return err
		}
	}
	return nil
}

func isLibc(l *library) bool { return l.object.Soname == "libc.so.6" }

// maxInCode bounds the names found in one file.
const maxInCode = 4096

// libraryNames are the strings in code that are names of libraries, or absolute paths of some, sorted.
func libraryNames(code []byte) []string {
	var names []string
	isText := func(c byte) bool { return c > ' ' && c < 0x7f }
	for at := 0; len(names) < maxInCode; {
		i := bytes.Index(code[at:], []byte(".so"))
		if i < 0 {
			break
		}
		from, to := at+i, at+i+3
		for from > 0 && at+i-from < 256 && isText(code[from-1]) {
			from--
		}
		for to < len(code) && to-from < 512 && isText(code[to]) {
			to++
		}
		at = to
		name := string(code[from:to])
		base := path.Base(name)
		if to == len(code) || code[to] != 0 || from > 0 && code[from-1] != 0 && !isText(code[from-1]) && code[from-1] >= 0x80 {
			continue
		}
		plain := !strings.Contains(name, "/") && strings.HasPrefix(name, "lib")
		if (plain || strings.HasPrefix(name, "/")) && !strings.ContainsAny(name, "%*<>\"'()") && isVersion(base[strings.Index(base, ".so")+3:]) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// isVersion accepts what may follow .so: nothing, or dots and digits.
func isVersion(s string) bool {
	return s == "" || s[0] == '.' && strings.Trim(s, ".0123456789") == ""
}

// nameService finds the modules that nsswitch.conf names for a library that asks for users, hosts or services.
func (p *process) nameService(m *module) error {
	if !m.object.Imported(isNameService) {
		return nil
	}
	text, err := p.config(m.library, "/etc/nsswitch.conf", NSS)
	if err != nil {
		return err
	}
	for _, name := range nssServices(text) {
		if _, err := p.loadNamed(m, NSS, "libnss_"+name+".so.2"); err != nil {
			return err
		}
	}
	return nil
}

// isNameService knows the functions of glibc that ask the name service.
func isNameService(name string) bool {
	name = strings.TrimPrefix(name, "__")
	for _, prefix := range []string{
		"getpw", "getgr", "getsp", "getsg", "gethostby", "gethostent", "getaddrinfo", "getnameinfo", "getserv", "getproto", "getnet", "getrpc",
		"getalias", "initgroups", "innetgr", "ether_", "fgetpw",
	} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// nssServices are the services that nsswitch.conf names, files and dns without it.
func nssServices(text string) []string {
	if text == "" {
		return []string{"files", "dns"}
	}
	var names []string
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		_, services, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		inAction := false
		for w := range strings.FieldsSeq(services) {
			inAction = inAction || strings.HasPrefix(w, "[")
			if !inAction && !strings.Contains(w, "/") && !slices.Contains(names, w) {
				names = append(names, w)
			}
			inAction = inAction && !strings.HasSuffix(w, "]")
		}
	}
	return names
}

// charsets finds the conversions of iconv. A program that only sets a locale needs one where the locale's character set
// is none that glibc has built in.
func (p *process) charsets(m *module) error {
	if !m.object.Imported(func(name string) bool {
		return name == "iconv_open" || name == "setlocale" || name == "newlocale"
	}) {
		return nil
	}
	libc := p.loaded.find("libc.so.6")
	if libc == nil {
		return nil
	}
	dirs := strings.Split(p.env["GCONV_PATH"], ":")
	b, err := p.content(libc.node, maxContent)
	if err != nil {
		return err
	}
	dirs = append(dirs, pathsEnding(b, "/gconv")...)
	for _, d := range dirs {
		if err := p.directory(&module{libc, m.scope}, d, Gconv); err != nil {
			return err
		}
	}
	return nil
}

// pathsEnding are the absolute paths in code that end so, each a string of its own.
func pathsEnding(code []byte, suffix string) []string {
	var out []string
	for at := 0; len(out) < maxInCode; {
		i := bytes.Index(code[at:], []byte(suffix+"\x00"))
		if i < 0 {
			break
		}
		to := at + i + len(suffix)
		from := bytes.LastIndexByte(code[max(0, to-512):to], 0) + max(0, to-512) + 1
		if at = to; code[from] == '/' {
			out = append(out, string(code[from:to]))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// directory takes all libraries below a directory as plug-ins.
func (p *process) directory(m *module, dir string, how How) error {
	if dir == "" || p.seen[string(how)+" "+dir] {
		return nil
	}
	p.seen[string(how)+" "+dir] = true
	return p.under(dir, func(at string, _ *rootfs.Node) error {
		if !strings.Contains(path.Base(at), ".so") {
			return nil
		}
		_, err := p.load(m, at, how, dir)
		return err
	})
}
