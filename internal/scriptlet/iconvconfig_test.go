package scriptlet

import (
	"encoding/binary"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slim/internal/tooltest"
)

func iconvconfigLikeTheDistribution(t *testing.T, from string) {
	const dir = "/usr/lib/x86_64-linux-gnu/gconv"
	root := smallRoot(t, from, "/usr/sbin/iconvconfig")
	if err := os.MkdirAll(root+dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(root+"/etc", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"gconv-modules", "gconv-modules.d"} {
		tooltest.Run(t, nil, "cp", "-a", from+dir+"/"+name, root+dir)
	}
	f := fsOf(hostTree(t, root))
	for _, args := range [][]string{
		{"--nostdlib", "-o", "/etc/one.cache", dir},
		{"--nostdlib", "--output=/etc/slash.cache", dir + "/"},
		{"-o", "/etc/standard.cache"},
		{},
		{"--nostdlib", "-o", "/etc/two.cache", "/opt/gconv", dir},
		{"--nostdlib", "-o", "/etc/three.cache", "/opt/gconv"},
		{"--nostdlib", "-o", "/etc/four.cache", "/opt/none"},
		{"--nostdlib", "--prefix=/opt", "-o", "/etc/five.cache", "/gconv"},
		{"--nostdlib"},
	} {
		args = append([]string{"/usr/sbin/iconvconfig"}, args...)
		config := "# own\nalias\tmine// theirs//\nalias theirs// UTF-8//\nmodule MINE//\tINTERNAL\tMINE\t2\nmodule INTERNAL MINE// MINE.so\n" +
			"module A// B// AB 1\nmodule A// C// AC\nmodule B// INTERNAL B 1\nmodule INTERNAL B// B 1\nmodule C// INTERNAL C\nalias short\nmodule X//\nalias MINE2// MINE//\n"
		for _, p := range []string{"/opt/gconv/gconv-modules.d/own.conf", "/opt/gconv/gconv-modules.d/other"} {
			if err := os.MkdirAll(root+"/opt/gconv/gconv-modules.d", 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(root+p, []byte(config), 0o644); err != nil {
				t.Fatal(err)
			}
			if err := f.MkdirAll("/", "/opt/gconv/gconv-modules.d", 0o755); err != nil {
				t.Fatal(err)
			}
			if err := f.WriteFile("/", p, []byte(config), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, got := callReal(t, root, "", args...), callNative(t, f, "", args...)
		want.Stderr, got.Stderr = "", ""
		diffAnswers(t, "iconvconfig", want, got)
		if d := cmp.Diff(listing(t, fsOf(hostTree(t, root)), nil), listing(t, f, nil)); d != "" {
			t.Fatalf("%q: real (-) and native (+) differ: %s", args, d)
		}
	}
}

func FuzzGconvConfig(f *testing.F) {
	f.Add("alias A// B//\nmodule B// INTERNAL B 1\nmodule INTERNAL B// B 1\nmodule X// Y// Z\n")
	f.Fuzz(func(t *testing.T, content string) {
		c := &gconvConfig{modules: map[[2]string]gconvModule{}, aliases: map[string]gconvAlias{}}
		if err := c.read(content, "/dir/"); err != nil {
			return
		}
		c.addBuiltins(false)
		b, err := c.encode(binary.LittleEndian)
		if err == nil && binary.LittleEndian.Uint32(b) != gconvMagic {
			t.Fatal("no cache")
		}
	})
}
