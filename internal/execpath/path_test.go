package execpath

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slim/internal/rootfs"
	"slim/internal/rpm"
)

// memoryRoot is a root of files by path: those of programs and libraries are executable, "-> x" is a symbolic link.
func memoryRoot(t *testing.T, files map[string]any) Root {
	t.Helper()
	tree, err := rootfs.Build(nil, rootfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	contents := map[string][]byte{}
	for p, content := range files {
		n := &rootfs.Node{Path: p, Mode: rpm.ModeRegular | 0o755}
		switch c := content.(type) {
		case testObject:
			contents[p] = c.bytes()
		case string:
			if target, ok := strings.CutPrefix(c, "-> "); ok {
				n.Mode, n.Link = rpm.ModeSymlink|0o777, target
				break
			}
			if contents[p] = []byte(c); !strings.HasPrefix(c, "#!") {
				n.Mode = rpm.ModeRegular | 0o644
			}
		}
		n.Size = int64(len(contents[p]))
		n.Open = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(contents[p])), nil }
		if err := tree.Put(n); err != nil {
			t.Fatal(err)
		}
	}
	return Root{Tree: tree, Open: func(n *rootfs.Node) (Content, error) {
		return struct {
			io.ReaderAt
			io.Closer
		}{bytes.NewReader(contents[n.Path]), io.NopCloser(nil)}, nil
	}}
}

const so = "/lib64/ld-linux-x86-64.so.2"

func program(needed ...string) testObject { return testObject{interpreter: so, needed: needed} }

// tiersOf are the direct and loadable files of a result and how they are reached, a line each.
func tiersOf(r *Result) []string {
	var out []string
	for _, f := range r.Files {
		if f.Tier == Direct || f.Tier == Loadable {
			out = append(out, fmt.Sprintf("%s %s %s", f.Path, f.Tier, f.Via.How))
		}
	}
	return out
}

func TestFind(t *testing.T) {
	base := map[string]any{so: testObject{soname: "ld-linux-x86-64.so.2"}, "/lib64/libc.so.6": testObject{soname: "libc.so.6"}}
	for _, test := range []struct {
		name  string
		files map[string]any
		start Start
		want  []string
	}{
		{
			"script that runs a server by PATH",
			map[string]any{
				"/entry": "#!/bin/sh\nset -e\nif test -n \"$X\"; then prepare --all; fi\nexec server \"$@\"\n", "/usr/bin/sh": program(), "/bin": "-> usr/bin",
				"/usr/bin/prepare": program("libp.so.1"), "/lib64/libp.so.1": testObject{}, "/opt/server": program(), "/usr/bin/test": program(), "/usr/bin/idle": program(),
			},
			Start{Args: []string{"/entry", "idlest"}, Env: []string{"PATH=/usr/bin:/opt"}},
			[]string{"/entry direct entrypoint", "/lib64/libp.so.1 direct needed", "/opt/server direct command", "/usr/bin/prepare direct command", "/usr/bin/sh direct shebang"},
		},
		{
			"wrapper and env",
			map[string]any{"/usr/bin/tini": program(), "/usr/bin/env": program(), "/app/run": "#!/usr/bin/env -S X=1 tool\n", "/usr/bin/tool": program()},
			Start{Args: []string{"tini", "--", "run"}, Env: []string{"PATH=/usr/bin:/app"}},
			[]string{"/app/run direct argument", "/usr/bin/env direct shebang", "/usr/bin/tini direct entrypoint", "/usr/bin/tool direct shebang"},
		},
		{
			"shell command",
			map[string]any{"/usr/bin/bash": program(), "/usr/bin/a": program(), "/usr/bin/b": program(), "/usr/bin/c": program()},
			Start{Args: []string{"bash", "-ec", "a x | exec b; echo c"}},
			[]string{"/usr/bin/a direct command", "/usr/bin/b direct command", "/usr/bin/bash direct entrypoint"},
		},
		{
			"static program",
			map[string]any{"/s": testObject{isStaticProgram: true}},
			Start{Args: []string{"/s"}},
			[]string{"/s direct entrypoint"},
		},
		{
			"dlopen notes and names in code",
			map[string]any{
				"/p":                 testObject{interpreter: so, dlopen: `[{"soname":["libnew.so.2","libnew.so.1"],"priority":"suggested"}]`, imports: []string{"dlopen"}, text: "libcode.so.3\x00libfmt%s.so\x00/opt/x/plug.so"},
				"/lib64/libnew.so.1": testObject{needed: []string{"libdeep.so"}}, "/lib64/libdeep.so": testObject{}, "/lib64/libcode.so.3": testObject{}, "/opt/x/plug.so": testObject{},
				"/q": testObject{interpreter: so, text: "libother.so.1"}, "/lib64/libother.so.1": testObject{},
			},
			Start{Args: []string{"/p"}, Programs: []string{"/q"}},
			[]string{
				"/lib64/libcode.so.3 loadable named", "/lib64/libdeep.so loadable needed", "/lib64/libnew.so.1 loadable dlopen",
				"/opt/x/plug.so loadable named", "/p direct entrypoint", "/q direct program",
			},
		},
		{
			"name service and PAM",
			map[string]any{
				"/p":                 testObject{interpreter: so, needed: []string{"libpam.so.0"}, imports: []string{"getpwnam"}},
				"/lib64/libpam.so.0": testObject{soname: "libpam.so.0"}, "/lib64/security/pam_a.so": testObject{}, "/lib64/security/pam_b.so": testObject{},
				"/etc/pam.d/login": "auth [success=1 default=ignore] pam_a.so nullok # pam_b.so\n@include other\n", "/etc/nsswitch.conf": "passwd: sss [NOTFOUND=return] files # x\n",
				"/lib64/libnss_sss.so.2": testObject{}, "/lib64/libnss_return.so.2": testObject{},
			},
			Start{Args: []string{"/p"}},
			[]string{"/lib64/libnss_sss.so.2 loadable nss", "/lib64/libpam.so.0 direct needed", "/lib64/security/pam_a.so loadable pam", "/p direct entrypoint"},
		},
		{
			"OpenSSL",
			map[string]any{
				"/p": program("libcrypto.so.3"), "/lib64/libcrypto.so.3": testObject{soname: "libcrypto.so.3", text: "OPENSSLDIR: \"/etc/ssl\"\x00MODULESDIR: \"/m\"\x00ENGINESDIR: \"/e\""},
				"/m/fips.so": testObject{}, "/e/afalg.so": testObject{}, "/etc/ssl/openssl.cnf": "[p11]\nmodule = /opt/p11.so\n", "/opt/p11.so": testObject{}, "/opt/other.so": testObject{},
			},
			Start{Args: []string{"/p"}},
			[]string{
				"/e/afalg.so loadable openssl", "/lib64/libcrypto.so.3 direct needed", "/m/fips.so loadable openssl", "/opt/p11.so loadable openssl", "/p direct entrypoint",
			},
		},
		{
			"Python in a virtual environment",
			map[string]any{
				"/usr/bin/python3.9": program(), "/venv/bin/python": "-> /usr/bin/python3.9", "/venv/pyvenv.cfg": "home = /usr/bin\n", "/app/main.py": "import x\n", "/app/x.py": "",
				"/usr/lib64/python3.9/lib-dynload/_a.cpython-39-x86_64-linux-gnu.so": testObject{}, "/usr/lib64/python3.9/lib-dynload/_a.cpython-38-x86_64-linux-gnu.so": testObject{},
				"/venv/lib/python3.9/site-packages/e.abi3.so": testObject{needed: []string{"libe.so.1"}}, "/lib64/libe.so.1": testObject{}, "/usr/lib/python3.8/y.py": "", "/usr/lib/python3.9/os.py": "",
			},
			Start{Args: []string{"/venv/bin/python", "main.py"}, Dir: "/app"},
			[]string{
				"/app/main.py direct argument", "/app/x.py loadable python", "/lib64/libe.so.1 loadable needed", "/usr/bin/python3.9 direct entrypoint",
				"/usr/lib/python3.9/os.py loadable python", "/usr/lib64/python3.9/lib-dynload/_a.cpython-39-x86_64-linux-gnu.so loadable python",
				"/venv/lib/python3.9/site-packages/e.abi3.so loadable python",
			},
		},
		{
			"httpd",
			map[string]any{
				"/usr/sbin/httpd":            testObject{interpreter: so, text: " -D HTTPD_ROOT=\"/etc/httpd\"\x00 -D SERVER_CONFIG_FILE=\"conf/httpd.conf\""},
				"/etc/httpd/conf/httpd.conf": "ServerRoot \"/etc/httpd\"\nDefine mods modules\nInclude conf.d/*.conf\n#LoadModule c modules/c.so\nLoadModule gone modules/gone.so\n",
				"/etc/httpd/conf.d/a.conf":   "  LoadModule a_module ${mods}/a.so\n", "/etc/httpd/modules": "-> ../../usr/lib64/httpd", "/usr/lib64/httpd/a.so": testObject{}, "/usr/lib64/httpd/c.so": testObject{},
			},
			Start{Args: []string{"httpd", "-DFOREGROUND"}},
			[]string{"/usr/lib64/httpd/a.so loadable httpd", "/usr/sbin/httpd direct entrypoint"},
		},
		{
			"nginx",
			map[string]any{
				"/usr/sbin/nginx":       testObject{interpreter: so, text: "configure arguments: --prefix=/usr/share/nginx --conf-path=/etc/nginx/nginx.conf --modules-path=/usr/lib64/nginx/modules"},
				"/etc/nginx/nginx.conf": "include mods/*.conf; events { }", "/etc/nginx/mods/x.conf": "load_module \"modules/x.so\";\n",
				"/usr/lib64/nginx/modules/x.so": testObject{}, "/usr/lib64/nginx/modules/y.so": testObject{},
			},
			Start{Args: []string{"nginx"}},
			[]string{"/usr/lib64/nginx/modules/x.so loadable nginx", "/usr/sbin/nginx direct entrypoint"},
		},
		{
			"JVM",
			map[string]any{
				"/usr/bin/java": "-> ../lib/jvm/j/bin/java", "/usr/lib/jvm/j/bin/java": testObject{interpreter: so, needed: []string{"libjli.so"}, runpath: "$ORIGIN/../lib"}, "/usr/lib/jvm/j/lib/libjli.so": testObject{soname: "libjli.so"},
				"/usr/lib/jvm/j/lib/server/libjvm.so": testObject{soname: "libjvm.so"}, "/usr/lib/jvm/j/lib/modules": "x", "/app.jar": "PK", "/usr/lib/jvm/k/lib/libzip.so": testObject{},
			},
			Start{Args: []string{"java", "-jar", "/app.jar"}},
			[]string{
				"/app.jar direct argument", "/usr/lib/jvm/j/bin/java direct entrypoint", "/usr/lib/jvm/j/lib/libjli.so direct needed", "/usr/lib/jvm/j/lib/modules loadable jvm",
				"/usr/lib/jvm/j/lib/server/libjvm.so loadable jvm",
			},
		},
		{
			"module directories, and a variant",
			map[string]any{
				"/p": program("libsasl2.so.3"), "/lib64/libsasl2.so.3": testObject{soname: "libsasl2.so.3"}, "/lib64/glibc-hwcaps/x86-64-v3/libsasl2.so.3": testObject{soname: "libsasl2.so.3"},
				"/lib64/sasl2/libplain.so": testObject{}, "/lib64/sasl2/readme.txt": "", "/lib64/gconv/X.so": testObject{},
			},
			Start{Args: []string{"/p"}},
			[]string{"/lib64/glibc-hwcaps/x86-64-v3/libsasl2.so.3 direct needed", "/lib64/libsasl2.so.3 direct needed", "/lib64/sasl2/libplain.so loadable plugin", "/p direct entrypoint"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			files := map[string]any{}
			for _, set := range []map[string]any{base, test.files} {
				maps.Copy(files, set)
			}
			r, err := Find(memoryRoot(t, files), test.start)
			if err != nil {
				t.Fatal(err)
			}
			got := slices.DeleteFunc(tiersOf(r), func(line string) bool {
				return strings.HasPrefix(line, so) || strings.HasPrefix(line, "/lib64/libc.so.6")
			})
			if d := cmp.Diff(test.want, got); d != "" {
				t.Errorf("%s%v %v", d, r.Missing, r.Notes)
			}
		})
	}
}

// Tiers of packages' files, and a chain.
func TestTiers(t *testing.T) {
	root := memoryRoot(t, map[string]any{
		so: testObject{soname: "ld-linux-x86-64.so.2"}, "/p": program("liba.so"), "/lib64/liba.so": testObject{}, "/etc/p.conf": "", "/usr/bin/p-admin": program(),
		"/usr/bin/o": program(), "/etc/o.conf": "", "/etc/ca.pem": "", "/usr/bin/ca-update": "#!/bin/sh\n", "/var/lib/rpm/db": "", "/srv/x": "",
	})
	root.Packages = []Package{{Files: []string{"/p", "/etc/p.conf", "/usr/bin/p-admin"}}, {Files: []string{"/usr/bin/o", "/etc/o.conf"}}, {Files: []string{"/etc/ca.pem", "/usr/bin/ca-update"}}}
	root.Aside = []string{"/var/lib/rpm"}
	r, err := Find(root, Start{Args: []string{"/p"}})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]Tier{}
	for _, f := range r.Files {
		got[f.Path] = f.Tier
	}
	want := map[string]Tier{
		so: Direct, "/p": Direct, "/lib64/liba.so": Direct, "/etc/p.conf": Data, "/usr/bin/p-admin": Idle, "/usr/bin/o": Idle, "/etc/o.conf": Idle,
		"/etc/ca.pem": Data, "/usr/bin/ca-update": Idle, "/var/lib/rpm/db": Idle, "/srv/x": Data,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	chain := []Step{{Edge{"", Entrypoint, "/p"}, "/p"}, {Edge{"/p", Needed, "liba.so"}, "/lib64/liba.so"}}
	if d := cmp.Diff(chain, r.Chain("/lib64/liba.so")); d != "" {
		t.Error(d)
	}
}

func TestLevers(t *testing.T) {
	tree, err := rootfs.Build(nil, rootfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	caps, err := rootfs.ParseCaps("cap_net_raw=ep")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []*rootfs.Node{
		{Path: "/usr/bin/su", Mode: rpm.ModeRegular | 0o4755, User: "root"},
		{Path: "/usr/bin/ping", Mode: rpm.ModeRegular | 0o755, Caps: caps},
		{Path: "/usr/bin/write", Mode: rpm.ModeRegular | 0o2755, GID: 5},
		{Path: "/usr/bin/bash", Mode: rpm.ModeRegular | 0o755},
		{Path: "/usr/bin/sh", Mode: rpm.ModeSymlink | 0o777, Link: "bash"},
		{Path: "/usr/bin/python3.11", Mode: rpm.ModeRegular | 0o755},
		{Path: "/usr/bin/rpm", Mode: rpm.ModeRegular | 0o644}, // nobody can run it
		{Path: "/usr/share/python", Mode: rpm.ModeRegular | 0o755},
		{Path: "/usr/bin/curl", Mode: rpm.ModeRegular | 0o755},
		{Path: "/home/app", Mode: rpm.ModeDir | 0o700, UID: 1000},
		{Path: "/home/app/ro", Mode: rpm.ModeRegular | 0o400, UID: 1000},
		{Path: "/srv", Mode: rpm.ModeDir | 0o775, GID: 50},
		{Path: "/tmp", Mode: rpm.ModeDir | 0o1777},
		{Path: "/proc", Mode: rpm.ModeDir | 0o777},
	} {
		if err := tree.Put(n); err != nil {
			t.Fatal(err)
		}
	}
	accounts, err := rootfs.ParseAccounts([]byte("root:x:0:0::/:\napp:x:1000:1000::/:\n"), []byte("web:x:50:app\n"))
	if err != nil {
		t.Fatal(err)
	}
	list := func(user string) []string {
		s := &search{Root: Root{Tree: tree, Accounts: accounts}, Start: Start{User: user}}
		var out []string
		for _, l := range s.levers() {
			out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s", l.Kind, l.Path, l.What)))
		}
		return out
	}
	want := []string{
		"setuid /usr/bin/su root", "setgid /usr/bin/write 5", "capability /usr/bin/ping cap_net_raw", "shell /usr/bin/bash", "shell /usr/bin/sh", "interpreter /usr/bin/python3.11",
		"network client /usr/bin/curl", "writable /home/app directory", "writable /srv directory", "writable /tmp directory",
	}
	if d := cmp.Diff(want, list("app")); d != "" {
		t.Error(d)
	}
	if got := list("4711"); got[len(got)-1] != "writable /tmp directory" || len(got) != len(want)-2 {
		t.Error(got)
	}
	if got := list(""); got[len(got)-1] != "writable / everything: the image runs as root" {
		t.Error(got)
	}
}

// FuzzFind gives foreign bytes to all that parses: programs, the cache, configuration, scripts.
func FuzzFind(f *testing.F) {
	f.Add([]byte("#!/bin/sh\nexec x $(y) \"$@\"\n"), []byte("passwd: files sss [x\n"), []byte("auth a pam_x.so\n"))
	f.Add(program("libpam.so.0").bytes(), []byte("ld.so-1.7.0"), []byte("LoadModule a \"modules/a.so\nInclude /etc/*\n${"))
	f.Add(testObject{interpreter: so, text: " -D HTTPD_ROOT=\"/etc\"\x00 -D SERVER_CONFIG_FILE=\"nsswitch.conf\"", imports: []string{"dlopen"}}.bytes(), []byte("Include *\nLoadFile ${a}${\n"), []byte(""))
	f.Fuzz(func(t *testing.T, one, two, three []byte) {
		root := memoryRoot(t, map[string]any{
			so: testObject{soname: "ld-linux-x86-64.so.2"}, "/bin/sh": program("libpam.so.0"), "/lib64/libpam.so.0": testObject{soname: "libpam.so.0", imports: []string{"getpwnam", "dlopen"}, text: string(three)},
			"/etc/nsswitch.conf": string(two), "/etc/pam.d/x": string(three), "/etc/ld.so.cache": string(two), "/etc/ld.so.preload": string(three),
			"/p": "#!/bin/sh\n" + string(one), "/etc/x.conf": string(two),
		})
		root.Open = func(open func(*rootfs.Node) (Content, error)) func(*rootfs.Node) (Content, error) {
			return func(n *rootfs.Node) (Content, error) {
				if n.Path == "/bin/sh" && len(one) > 64 {
					n.Size = int64(len(one))
					return struct {
						io.ReaderAt
						io.Closer
					}{bytes.NewReader(one), io.NopCloser(nil)}, nil
				}
				return open(n)
			}
		}(root.Open)
		r, err := Find(root, Start{Args: []string{"/p", string(two)}, Env: []string{"LD_LIBRARY_PATH=" + string(three)}})
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range r.Files {
			if chain := r.Chain(file.Path); file.Tier == Direct && (len(chain) == 0 || chain[0].From != "") {
				t.Fatalf("%s is direct and has the chain %v", file.Path, chain)
			}
		}
	})
}
