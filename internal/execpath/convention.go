package execpath

import (
	"bytes"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"slim/internal/rootfs"
)

// pluginDirs are libraries that load all that is in a directory beside them: the beginning of their soname, the directory
// below theirs.
func pluginDirs() [][2]string {
	return [][2]string{
		{"libaprutil-1.so.", "apr-util-1"},
		{"libcryptsetup.so.", "cryptsetup"},
		{"libgio-2.0.so.", "gio/modules"},
		{"libgssapi_krb5.so.", "gssapi"},
		{"libibverbs.so.", "libibverbs"},
		{"libkrb5.so.", "krb5/plugins"},
		{"libmagick", "ImageMagick"},
		{"libp11-kit.so.", "pkcs11"},
		{"libproxy.so.", "libproxy"},
		{"librpmio.so.", "rpm-plugins"},
		{"librpm.so.", "rpm-plugins"},
		{"libsasl2.so.", "sasl2"},
		{"libxtables.so.", "xtables"},
	}
}

// libraryPlugins finds what a library loads by its own convention.
func (p *process) libraryPlugins(m *module) error {
	soname, dir := m.object.Soname, path.Dir(m.node.Path)
	for _, c := range pluginDirs() {
		if strings.HasPrefix(soname, c[0]) {
			if err := p.directory(m, path.Join(dir, c[1]), Plugin); err != nil {
				return err
			}
		}
	}
	switch {
	case strings.HasPrefix(soname, "libcrypto.so."):
		return p.openSSL(m)
	case strings.HasPrefix(soname, "libpam.so."):
		return p.pam(m)
	case strings.HasPrefix(soname, "libpython"):
		return p.python(m, pythonVersion(soname))
	case strings.HasPrefix(soname, "libperl.so"):
		return p.perl(m)
	case soname == "libjli.so" || soname == "libjvm.so":
		return p.jvm(m)
	}
	return nil
}

// programPlugins finds what the program itself loads by its own convention.
func (p *process) programPlugins() error {
	m := p.modules[0]
	name := path.Base(m.node.Path)
	b, err := p.content(m.node, maxContent)
	if err != nil {
		return err
	}
	switch {
	case bytes.Contains(b, []byte(` -D SERVER_CONFIG_FILE="`)):
		return p.httpd(m, b)
	case bytes.Contains(b, []byte("--modules-path=")) && bytes.Contains(b, []byte("--conf-path=")):
		return p.nginx(m, b)
	case pythonVersion(name) != "":
		return p.python(m, pythonVersion(name))
	case strings.HasPrefix(name, "perl"):
		return p.perl(m)
	}
	return nil
}

// openSSL finds providers and engines, whose directories libcrypto knows, or its environment.
func (p *process) openSSL(m *module) error {
	b, err := p.content(m.node, maxContent)
	if err != nil {
		return err
	}
	dirs := []string{p.env["OPENSSL_MODULES"], p.env["OPENSSL_ENGINES"], quoted(b, `MODULESDIR: "`), quoted(b, `ENGINESDIR: "`)}
	for _, d := range dirs {
		if err := p.directory(m, d, OpenSSL); err != nil {
			return err
		}
	}
	conf := p.env["OPENSSL_CONF"]
	if conf == "" {
		conf = path.Join(quoted(b, `OPENSSLDIR: "`), "openssl.cnf")
	}
	text, err := p.config(m.library, conf, OpenSSL)
	if err != nil {
		return err
	}
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(line, "=")
		key = strings.TrimSpace(key)
		if value = strings.TrimSpace(value); !ok || key != "module" && key != "dynamic_path" || !path.IsAbs(value) {
			continue
		}
		if _, err := p.load(m, value, OpenSSL, conf); err != nil {
			return err
		}
	}
	return nil
}

// quoted is the text between start, which ends with a quote, and the next quote; "" without it.
func quoted(code []byte, start string) string {
	_, rest, ok := bytes.Cut(code, []byte(start))
	if !ok {
		return ""
	}
	text, _, ok := bytes.Cut(rest[:min(len(rest), 512)], []byte{'"'})
	if !ok || bytes.ContainsRune(text, 0) {
		return ""
	}
	return string(text)
}

// pam finds the modules that the services of the image name. Which service a program asks for cannot be seen.
func (p *process) pam(m *module) error {
	dir := path.Join(path.Dir(m.node.Path), "security")
	for _, conf := range slices.Concat(p.glob("/etc/pam.d/*"), p.glob("/usr/lib/pam.d/*"), []string{"/etc/pam.conf"}) {
		text, err := p.config(m.library, conf, PAM)
		if err != nil {
			return err
		}
		for line := range strings.Lines(text) {
			line, _, _ = strings.Cut(line, "#")
			for w := range strings.FieldsSeq(line) {
				if !strings.HasSuffix(w, ".so") {
					continue
				}
				at := w
				if !path.IsAbs(w) {
					at = path.Join(dir, w)
				}
				if _, err := p.load(m, at, PAM, conf); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// pythonVersion is the version in a name such as python3.11 or libpython3.11.so.1.0, "" without one.
func pythonVersion(name string) string {
	m := regexp.MustCompile(`^(?:lib|platform-)?python(\d+\.\d+)`).FindStringSubmatch(name)
	if m == nil {
		return ""
	}
	return m[1]
}

// python finds extension modules and code in the directories of sys.path: below the prefix of the program and of its
// virtual environment, in PYTHONPATH, and beside the scripts that are run.
func (p *process) python(m *module, version string) error {
	if version == "" {
		return nil
	}
	major, _, _ := strings.Cut(version, ".")
	prefixes := []string{"/usr", "/usr/local", p.env["PYTHONHOME"], path.Dir(path.Dir(p.main.node.Path)), path.Dir(path.Dir(m.node.Path))}
	for _, program := range p.result.Programs {
		venv := path.Dir(path.Dir(program.Named))
		if program.Path == p.main.node.Path && p.lookup(path.Join(venv, "pyvenv.cfg")) != nil {
			prefixes = append(prefixes, venv)
		}
	}
	dirs := strings.Split(p.env["PYTHONPATH"], ":")
	for _, prefix := range prefixes {
		if prefix == "" {
			continue
		}
		for _, lib := range []string{"lib", "lib64", "local/lib", "local/lib64"} {
			dirs = append(dirs, path.Join(prefix, lib, "python"+version))
		}
		dirs = append(dirs, path.Join(prefix, "lib/python"+major, "dist-packages"))
	}
	dirs = append(dirs, p.scriptDirs()...)
	tag := "cpython-" + strings.ReplaceAll(version, ".", "")
	return p.interpreted(m, dirs, Python, func(base string) bool {
		return !strings.Contains(base, ".cpython-") || strings.Contains(base, "."+tag+"-")
	}, ".py", ".pyc", ".pth", ".zip", ".egg")
}

// scriptDirs are the directories of the scripts that are run, where interpreters look for modules first; those of all
// programs do not count.
func (p *process) scriptDirs() []string {
	var dirs []string
	for _, at := range p.scripts() {
		switch d := path.Dir(at); d {
		case "/", "/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/usr/libexec", "/etc":
		default:
			dirs = append(dirs, d)
		}
	}
	return dirs
}

// scripts are the files that the process was started with.
func (p *process) scripts() []string {
	var out []string
	for at, m := range p.marks {
		if m.tier == Direct && m.object == nil && (m.via.How == Argument && m.via.From == p.main.node.Path) {
			out = append(out, at)
		}
	}
	for _, program := range p.result.Programs {
		if program.Path == p.main.node.Path && program.Via.How == Shebang {
			out = append(out, program.Via.From)
		}
	}
	slices.Sort(out)
	return out
}

// interpreted takes the libraries and the code below directories.
func (p *process) interpreted(m *module, dirs []string, how How, accept func(base string) bool, code ...string) error {
	for _, dir := range dirs {
		if !path.IsAbs(dir) || p.seen[string(how)+" "+path.Clean(dir)] {
			continue
		}
		dir = path.Clean(dir)
		p.seen[string(how)+" "+dir] = true
		err := p.under(dir, func(at string, n *rootfs.Node) error {
			base := path.Base(at)
			if slices.Contains(code, path.Ext(base)) {
				p.code(n, how, dir)
			} else if strings.Contains(base, ".so") && accept(base) {
				_, err := p.load(m, at, how, dir)
				return err
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// perl finds extensions and code in the directories of @INC, which are compiled into it, and in PERL5LIB.
func (p *process) perl(m *module) error {
	b, err := p.content(m.node, maxContent)
	if err != nil {
		return err
	}
	dirs := slices.Concat(strings.Split(p.env["PERL5LIB"], ":"), strings.Split(p.env["PERLLIB"], ":"), p.scriptDirs())
	for s := range bytes.SplitSeq(b, []byte{0}) {
		if len(s) < 512 && bytes.HasPrefix(s, []byte("/")) && bytes.Contains(s, []byte("perl")) {
			dirs = append(dirs, strings.Split(string(s), ":")...)
		}
	}
	return p.interpreted(m, dirs, Perl, func(string) bool { return true }, ".pm", ".pl", ".ph", ".al", ".ix", ".pod", ".bs")
}

// jvm finds the libraries and classes below the home of a JVM, which libjli.so and libjvm.so lie in.
func (p *process) jvm(m *module) error {
	home, ok := "", false
	for d := path.Dir(m.node.Path); d != "/"; d = path.Dir(d) {
		if path.Base(d) == "lib" {
			home, ok = path.Dir(d), true
			break
		}
	}
	if !ok || home == "/" || home == "/usr" {
		return nil
	}
	err := p.under(path.Join(home, "lib"), func(at string, n *rootfs.Node) error {
		if path.Base(at) == "modules" {
			p.code(n, JVM, home)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return p.interpreted(m, []string{home}, JVM, func(string) bool { return true }, ".jar", ".jmod", ".jsa", ".zip")
}

// httpd finds the modules that the configuration of an Apache httpd loads. Conditions count as met.
func (p *process) httpd(m *module, program []byte) error {
	c := &httpdConfig{process: p, module: m, vars: map[string]string{}}
	maps.Copy(c.vars, p.env)
	c.root, c.file = quoted(program, ` -D HTTPD_ROOT="`), quoted(program, ` -D SERVER_CONFIG_FILE="`)
	for i, arg := range p.Args[:max(0, len(p.Args)-1)] {
		switch arg {
		case "-d":
			c.root = p.Args[i+1]
		case "-f":
			c.file = p.Args[i+1]
		}
	}
	return c.read(c.absolute(c.file), 0)
}

type httpdConfig struct {
	*process
	module     *module
	root, file string
	vars       map[string]string
}

func (c *httpdConfig) absolute(p string) string {
	if path.IsAbs(p) {
		return p
	}
	return path.Join("/", c.root, p)
}

const maxIncludes = 16

func (c *httpdConfig) read(file string, depth int) error {
	text, err := c.config(c.module.library, file, HTTPD)
	if err != nil || depth > maxIncludes {
		return err
	}
	text = strings.ReplaceAll(text, "\\\n", " ")
	for line := range strings.Lines(text) {
		words := configWords(line)
		if len(words) < 2 {
			continue
		}
		for i := range words {
			words[i] = c.substitute(words[i])
		}
		switch strings.ToLower(words[0]) {
		case "serverroot":
			c.root = words[1]
		case "define":
			c.vars[words[1]] = strings.Join(words[2:min(3, len(words))], "")
		case "include", "includeoptional":
			for _, p := range c.glob(c.absolute(words[1])) {
				if err := c.include(p, depth+1); err != nil {
					return err
				}
			}
		case "loadmodule", "loadfile":
			at := c.absolute(words[len(words)-1])
			if ok, err := c.load(c.module, at, HTTPD, file); err != nil {
				return err
			} else if !ok {
				c.missing(Edge{From: file, How: HTTPD, Name: at}, true)
			}
		}
	}
	return nil
}

// include reads a file, or all files of a directory.
func (c *httpdConfig) include(p string, depth int) error {
	real, n, err := c.Tree.Walk("/", p, true)
	if err != nil || n == nil {
		return nil
	}
	if !n.IsDir() {
		return c.read(p, depth)
	}
	for _, name := range c.Tree.List(real) {
		if depth > maxIncludes {
			return nil
		}
		if err := c.include(path.Join(real, name), depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (c *httpdConfig) substitute(word string) string {
	for range maxIncludes {
		before, rest, ok := strings.Cut(word, "${")
		name, after, closed := strings.Cut(rest, "}")
		if !ok || !closed {
			return word
		}
		word = before + c.vars[name] + after
	}
	return word
}

// configWords splits a line at blanks; quotes hold words together, # begins a comment.
func configWords(line string) []string {
	var words []string
	for {
		line = strings.TrimLeft(line, " \t\r\n")
		if line == "" || line[0] == '#' {
			return words
		}
		end := strings.IndexAny(line, " \t\r\n")
		if q := line[0]; q == '"' || q == '\'' {
			word, rest, _ := strings.Cut(line[1:], string(q))
			words, line = append(words, word), rest
			continue
		}
		if end < 0 {
			end = len(line)
		}
		words, line = append(words, line[:end]), line[end:]
	}
}

// nginx finds the modules that load_module names in an nginx's configuration; where that is, is compiled into it.
func (p *process) nginx(m *module, program []byte) error {
	prefix, modules, conf := option(program, "--prefix="), option(program, "--modules-path="), option(program, "--conf-path=")
	for i, arg := range p.Args[:max(0, len(p.Args)-1)] {
		switch arg {
		case "-c":
			conf = p.Args[i+1]
		case "-p":
			prefix = p.Args[i+1]
		}
	}
	if !path.IsAbs(conf) {
		conf = path.Join("/", prefix, conf)
	}
	return p.nginxFile(m, conf, path.Dir(conf), []string{path.Dir(modules), prefix}, 0)
}

// option is the value of a configure option as nginx -V prints it.
func option(program []byte, name string) string {
	_, rest, _ := bytes.Cut(program, []byte(name))
	end := bytes.IndexAny(rest[:min(len(rest), 512)], " '\x00")
	return string(rest[:max(0, end)])
}

// nginxFile reads a file of configuration; modules are sought below dirs, the first that has one.
func (p *process) nginxFile(m *module, file, confDir string, dirs []string, depth int) error {
	text, err := p.config(m.library, file, Nginx)
	if err != nil || depth > maxIncludes {
		return err
	}
	for line := range strings.Lines(text) {
		words := configWords(strings.NewReplacer(";", " ; ", "{", " ", "}", " ").Replace(line))
		if len(words) < 2 {
			continue
		}
		switch words[0] {
		case "include":
			pattern := words[1]
			if !path.IsAbs(pattern) {
				pattern = path.Join(confDir, pattern)
			}
			for _, f := range p.glob(pattern) {
				if err := p.nginxFile(m, f, confDir, dirs, depth+1); err != nil {
					return err
				}
			}
		case "load_module":
			found := false
			for _, d := range dirs {
				at := words[1]
				if !path.IsAbs(at) {
					at = path.Join("/", d, at)
				}
				if found, err = p.load(m, at, Nginx, file); found || err != nil {
					break
				}
			}
			if err != nil {
				return err
			}
			if !found {
				p.missing(Edge{From: file, How: Nginx, Name: words[1]}, true)
			}
		}
	}
	return nil
}
