package scriptlet

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slim/internal/tooltest"
)

// desktopFiles are .desktop files of all sorts.
func desktopFiles() map[string]string {
	const head = "[Desktop Entry]\n"
	files := map[string]string{
		"b.desktop": head + "Name=B\nMimeType=text/plain;text/html;;bad;x/y;text/plain;\n", "a.desktop": head + "MimeType=text/plain\n",
		"sub/c.desktop":      head + "MimeType= text/plain ; image/png ;x-scheme-handler/http;inode/directory;\n",
		"sub/h.desktop":      head + "Hidden=true \nMimeType=text/plain;\n",
		"sub/deep/d.desktop": head + "NoDisplay=true\nMimeType=text/plain;text/d;\n",
		"none.desktop":       head + "Name=x\n", "nonsense.desktop": "nonsense\n", "empty.desktop": "", "other.txt": head + "MimeType=text/plain;\n",
		"group.desktop": "[Other]\nMimeType=text/plain;\n", "open.desktop": "[Desktop Entry\nMimeType=text/plain;\n", "space.desktop": "[Desktop Entry] \n  MimeType=text/space\n",
		"last.desktop": head + "MimeType=text/first;\nMimeType=text/last", "twice.desktop": head + "A=b\n" + head + "MimeType=text/twice;\n",
		"comment.desktop": "# c\n\n" + head + "# c\nHidden=yes\nMimeType[de]=text/de\nMimeType = text/comment;\n\n[Desktop Action x]\nMimeType=text/action;\n",
		"one.desktop":     head + "Hidden=1\nMimeType=text/hidden;\n", "crlf.desktop": "[Desktop Entry]\r\nMimeType=text/crlf;\r\n",
		"bytes.desktop": head + "Name=\xff\nMimeType=text/bytes;\n", "bytes2.desktop": head + "MimeType=text/\xff;\n",
		"key.desktop": head + "=x\nMimeType=text/key;\n", "escape.desktop": head + `MimeType=text/a\sb;text/c\;d;text/\\e;text/f` + "\n", "bad.desktop": head + `MimeType=text/a\qb;text/c` + "\n",
	}
	for i, t := range []string{
		"application/y", "audio/y", "chemical/y", "font/y", "message/y", "model/y", "multipart/y", "video/y", "x-content/y", "x-epoc/y", "x-/y", "X-up/y",
		"all/y", "example/y", "haptics/y", "Text/y", "text/a b", "text/a(b", "text/", "/x", "text/x/y", "text/x.y+z-_%%", "text/vnd.ü", "text/*",
		"text/x!#$&^", `text/"a"`, "application/x=y", "text/a@b", "text/a?", "text/a[b]", "text/a,b", "text/a:b", "text/a'b", "text/a~b{|}`",
	} {
		files["t"+string(rune('A'+i))+".desktop"] = head + "MimeType=" + t + ";\n"
	}
	return files
}

// TestDesktopDatabase compares with the real program on files of all sorts.
func TestDesktopDatabase(t *testing.T) {
	tooltest.Need(t, "update-desktop-database")
	f := testMachine(t).fs
	dir := t.TempDir()
	for name, content := range desktopFiles() {
		p := filepath.Join(dir, "apps", name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := f.MkdirAll("/", filepath.Join("/tmp/apps", filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		withFile(t, filepath.Join("/tmp/apps", name), content, 0o644)(f)
	}
	for _, link := range []string{"apps/link.desktop", "apps/sub/dangling.desktop"} {
		if err := os.Symlink("a.desktop", filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
		if err := f.Symlink("/", "a.desktop", "/tmp/"+link); err != nil {
			t.Fatal(err)
		}
	}
	call := func(args ...string) int {
		return callTool(t, f, "update-desktop-database", args...)
	}
	tooltest.Run(t, nil, "update-desktop-database", "-q", filepath.Join(dir, "apps"))
	if status := call("-q", "/tmp/apps", "/none"); status != 0 {
		t.Errorf("status %d", status)
	}
	want, err := os.ReadFile(filepath.Join(dir, "apps/mimeinfo.cache"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := f.ReadFile("/", "/tmp/apps/mimeinfo.cache")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("real (-) and native (+) differ:\n%s", d)
	}
	if status := call("/none"); status != 1 {
		t.Errorf("status %d for no directory", status)
	}
}

func FuzzDesktopFile(f *testing.F) {
	for _, content := range desktopFiles() {
		f.Add(content)
	}
	f.Fuzz(func(t *testing.T, content string) {
		for _, name := range mimeTypesOf(content) {
			if !isMimeType(name) {
				t.Errorf("%q", name)
			}
		}
	})
}
