package scriptlet

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// alternativesIn fills a directory with programs to choose from.
func alternativesIn(t testing.TB, dir string) {
	t.Helper()
	for _, p := range []string{"/usr/bin/vim", "/usr/bin/nano", "/usr/bin/ed", "/usr/bin/view.vim", "/usr/bin/view.nano", "/usr/bin/ex.vim", "/usr/bin/real"} {
		if err := os.MkdirAll(dir+filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir+p, []byte(p), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []string{"/etc/alternatives", "/var/lib"} {
		if err := os.MkdirAll(dir+d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// One line is one call; "!" before a word is a change of the tree: rm PATH, ln TARGET PATH.
func debianAlternatives(t *testing.T, from string) {
	programs := smallRoot(t, from, "/usr/bin/update-alternatives")
	t.Run("age", func(t *testing.T) { debianAge(t, programs) })
	for _, c := range []struct{ name, calls string }{
		{"one", "--install /usr/bin/editor editor /usr/bin/vim 15"},
		{"again", "--install /usr/bin/editor editor /usr/bin/vim 15\n--install /usr/bin/editor editor /usr/bin/vim 20"},
		{"better", "--install /usr/bin/editor editor /usr/bin/nano 10\n--install /usr/bin/editor editor /usr/bin/vim 20\n--display editor\n--query editor\n--list editor\n--get-selections"},
		{"worse", "--install /usr/bin/editor editor /usr/bin/vim 20\n--verbose --install /usr/bin/editor editor /usr/bin/nano -5"},
		{"equal", "--install /usr/bin/editor editor /usr/bin/vim 20\n--install /usr/bin/editor editor /usr/bin/ed 20"},
		{"slaves", "--install /usr/bin/editor editor /usr/bin/vim 20 --slave /usr/bin/view view /usr/bin/view.vim --slave /usr/bin/ex ex /usr/bin/ex.vim\n--install /usr/bin/editor editor /usr/bin/nano 30 --slave /usr/bin/view view /usr/bin/view.nano\n--display editor\n--query editor\n--set editor /usr/bin/vim\n--auto editor\n--remove editor /usr/bin/nano\n--remove editor /usr/bin/vim"},
		{"slave without its file", "--install /usr/bin/editor editor /usr/bin/vim 20 --slave /usr/bin/view view /usr/bin/none\n!ln /x /usr/bin/none"},
		{"slave is a file", "!file /usr/bin/view\n--install /usr/bin/editor editor /usr/bin/vim 20 --slave /usr/bin/view view /usr/bin/view.vim\n--remove-all editor"},
		{"link is a file", "--install /usr/bin/real editor /usr/bin/vim 20\n--force --install /usr/bin/real editor /usr/bin/vim 20"},
		{"link is another link", "!ln nano /usr/bin/editor\n--install /usr/bin/editor editor /usr/bin/vim 20"},
		{"manual", "--install /usr/bin/editor editor /usr/bin/vim 20\n--set editor /usr/bin/vim\n--install /usr/bin/editor editor /usr/bin/nano 50\n--remove editor /usr/bin/vim"},
		{"changed by hand", "--install /usr/bin/editor editor /usr/bin/vim 20\n!rm /etc/alternatives/editor\n!ln /usr/bin/real /etc/alternatives/editor\n--install /usr/bin/editor editor /usr/bin/nano 50\n--auto editor"},
		{"dangling", "--install /usr/bin/editor editor /usr/bin/vim 20\n--install /usr/bin/editor editor /usr/bin/ed 10\n!rm /usr/bin/vim\n--install /usr/bin/editor editor /usr/bin/nano 5\n--display editor"},
		{"broken", "--install /usr/bin/editor editor /usr/bin/vim 20\n!rm /usr/bin/editor\n--install /usr/bin/editor editor /usr/bin/nano 5\n!rm /etc/alternatives/editor\n--auto editor"},
		{"renamed link", "--install /usr/bin/editor editor /usr/bin/vim 20\n--install /usr/bin/edit editor /usr/bin/nano 25"},
		{"renamed slave", "--install /usr/bin/editor editor /usr/bin/vim 20 --slave /usr/bin/view view /usr/bin/view.vim\n--install /usr/bin/editor editor /usr/bin/vim 20 --slave /usr/bin/look view /usr/bin/view.vim\n--install /usr/bin/editor editor /usr/bin/vim 20"},
		{"new slave", "--install /usr/bin/editor editor /usr/bin/vim 20\n--install /usr/bin/editor editor /usr/bin/vim 20 --slave /usr/bin/view view /usr/bin/view.vim"},
		{"link of another", "--install /usr/bin/editor editor /usr/bin/vim 20\n--install /usr/bin/editor edit /usr/bin/vim 20\n--install /usr/bin/e e /usr/bin/ed 1 --slave /usr/bin/editor x /usr/bin/vim\n--install /usr/bin/e e /usr/bin/ed 1 --slave /usr/bin/f editor /usr/bin/vim"},
		{"slave of another", "--install /usr/bin/editor editor /usr/bin/vim 20 --slave /usr/bin/view view /usr/bin/view.vim\n--install /usr/bin/view2 view /usr/bin/view.nano 2\n--install /usr/bin/e e /usr/bin/ed 1 --slave /usr/bin/f view /usr/bin/vim\n--install /usr/bin/editor editor /usr/bin/vim 20 --slave /usr/bin/view other /usr/bin/view.vim"},
		{"missing file", "--install /usr/bin/editor editor /usr/bin/none 20"},
		{"misused", "--install /usr/bin/editor editor /usr/bin/vim\n--install /usr/bin/editor editor /usr/bin/vim x\n--install a b /usr/bin/vim 1\n--install /a/b c/d /usr/bin/vim 1\n--remove x\n--set x y\n--slave a b c\n--auto none\n--remove none /none\n--verbose --remove none /none\n--install /a a /a 1\n--install /a a /b 99999999999\nword\n--auto a --auto b\n--display none"},
		{"remove unknown", "--install /usr/bin/editor editor /usr/bin/vim 20\n--remove editor /usr/bin/none\n--verbose --remove editor /usr/bin/none"},
		{"other directories", "--altdir /opt/alt --admindir /opt/admin --install /usr/bin/editor editor /usr/bin/vim 20\n--altdir /opt/alt --admindir /opt/admin --display editor"},
		{"quiet", "--quiet --install /usr/bin/editor editor /usr/bin/vim 20 --slave /usr/bin/view view /usr/bin/none"},
		{"corrupt", "!text /var/lib/dpkg/alternatives/editor auto|/usr/bin/editor||/usr/bin/vim|x||\n--display editor\n--install /usr/bin/editor editor /usr/bin/vim 20\n!text /var/lib/dpkg/alternatives/b auto|/usr/bin/b\n--install /usr/bin/c c /usr/bin/vim 20\n--auto b\n!text /var/lib/dpkg/alternatives/d \n--auto d"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := linkedCopy(t, programs)
			alternativesIn(t, dir)
			f := fsOf(hostTree(t, dir))
			for line := range strings.SplitSeq(c.calls, "\n") {
				if tamper(t, f, dir, line) {
					continue
				}
				args := append([]string{"/usr/bin/update-alternatives"}, strings.Fields(line)...)
				want, got := callReal(t, dir, "", args...), callNative(t, f, "", args...)
				skip := func(p string) bool { return strings.HasPrefix(p, "/var/log") || strings.HasPrefix(p, "/lib") }
				want.Tree, got.Tree = listing(t, fsOf(hostTree(t, dir)), skip), listing(t, f, skip)
				if strings.Contains(want.Stderr, "program usage information") { // its list of needs is longer than ours
					want.Stderr, got.Stderr = "", ""
				}
				diffAnswers(t, line, want, got)
			}
		})
	}
}

// tamper does a line that begins with "!" to f, and to dir when that is not "".
func tamper(t testing.TB, f *FS, dir, line string) bool {
	t.Helper()
	if !strings.HasPrefix(line, "!") {
		return false
	}
	w := strings.Split(line[1:], " ")
	var ours, real []func() error
	do := func(a, b func() error) { ours, real = append(ours, a), append(real, b) }
	write := func(p string, content []byte) {
		do(func() error { return f.WriteFile("/", p, content, 0o644) }, func() error { return os.WriteFile(dir+p, content, 0o644) })
	}
	switch w[0] {
	case "rm":
		do(func() error { return f.Remove("/", w[1]) }, func() error { return os.Remove(dir + w[1]) })
	case "ln":
		do(func() error { return f.Symlink("/", w[1], w[2]) }, func() error { return os.Symlink(w[1], dir+w[2]) })
	case "file":
		write(w[1], nil)
	case "text":
		d := filepath.Dir(w[1])
		do(func() error { return f.MkdirAll("/", d, 0o755) }, func() error { return os.MkdirAll(dir+d, 0o755) })
		write(w[1], []byte(strings.ReplaceAll(w[2], "|", "\n")))
	}
	if dir != "" {
		ours = append(ours, real...)
	}
	for _, step := range ours {
		if err := step(); err != nil {
			t.Fatal(line, err)
		}
	}
	return true
}

// A new link is as old as what it leads to.
func debianAge(t *testing.T, programs string) {
	dir := linkedCopy(t, programs)
	alternativesIn(t, dir)
	f := fsOf(hostTree(t, dir))
	want := f.Tree().Node("/usr/bin/vim").MTime
	callNative(t, f, "", "update-alternatives", "--install", "/usr/bin/editor", "editor", "/usr/bin/vim", "1")
	for _, p := range []string{"/usr/bin/editor", "/etc/alternatives/editor"} {
		if got := f.Tree().Node(p).MTime; got != want {
			t.Errorf("%s: %d, not %d", p, got, want)
		}
	}
}

func FuzzDebianGroup(f *testing.F) {
	f.Add("auto\n/usr/bin/editor\nview\n/usr/bin/view\n\n/usr/bin/vim\n15\n/usr/bin/view.vim\n\n")
	f.Add("manual\n/l\n\n\n")
	f.Fuzz(func(t *testing.T, content string) {
		g, why := parseDebGroup("editor", content)
		if why != "" {
			return
		}
		text, _ := g.encode()
		again, why := parseDebGroup("editor", text)
		if why != "" {
			t.Fatalf("%q from %q: %s", text, content, why)
		}
		if second, _ := again.encode(); second != text {
			t.Fatal(cmp.Diff(text, second))
		}
	})
}

func FuzzChkconfigGroup(f *testing.F) {
	f.Add("auto\n/usr/bin/editor\nview\n/usr/bin/view\n\n/usr/bin/vim\n15\n/usr/bin/view.vim\n/usr/bin/nano\n@fam@10 svc\n\n")
	f.Add("manual\n/l\n\n/a\n1\n")
	f.Fuzz(func(t *testing.T, content string) {
		g, why := parseChkGroup(content, "editor", "file")
		if why != "" {
			return
		}
		text := g.encode()
		again, why := parseChkGroup(text, "editor", "file")
		if why != "" {
			t.Fatalf("%q from %q: %s", text, content, why)
		}
		if second := again.encode(); second != text {
			t.Fatal(cmp.Diff(text, second))
		}
	})
}

type chkCase struct{ name, calls string }

// What chkconfig 1.30 leaves after the same calls is in testdata.
func TestChkconfigAlternatives(t *testing.T) {
	b, err := os.ReadFile("testdata/chkconfig.txt")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for _, section := range strings.Split(string(b), "== ")[1:] {
		name, lines, _ := strings.Cut(section, "\n")
		want[name] = lines
	}
	for _, c := range chkCases() {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			alternativesIn(t, dir)
			f := fsOf(hostTree(t, dir))
			for line := range strings.SplitSeq(c.calls, "\n") {
				if !tamper(t, f, "", line) {
					callNative(t, f, "", append([]string{"/usr/sbin/alternatives"}, strings.Fields(line)...)...)
				}
			}
			if d := cmp.Diff(want[c.name], chkState(t, f)); d != "" {
				t.Errorf("real (-) and native (+) differ:\n%s", d)
			}
		})
	}
}

// chkState are the files of groups and all links.
func chkState(t testing.TB, f *FS) string {
	var out strings.Builder
	for _, l := range listing(t, f, nil) {
		if strings.Contains(l, "/lib/alternatives/") || strings.Contains(l, "/opt/") || strings.Contains(l, " -> ") {
			_, l, _ = strings.Cut(l, " ")
			_, l, _ = strings.Cut(l, " ")
			out.WriteString(l + "\n")
		}
	}
	return out.String()
}

// chkCases are calls of chkconfig's program. Those of services are answered by none.
func chkCases() []chkCase {
	return []chkCase{
		{"one", "--install /usr/bin/editor editor /usr/bin/vim 15"},
		{"again", "--install /usr/bin/editor editor /usr/bin/vim 15\n--install /usr/bin/editor editor /usr/bin/vim 20"},
		{"better", "--install /usr/bin/editor editor /usr/bin/nano 10\n--install /usr/bin/editor editor /usr/bin/vim 20\n--display editor\n--list"},
		{"worse", "--install /usr/bin/editor editor /usr/bin/vim 20\n--verbose --install /usr/bin/editor editor /usr/bin/nano -5"},
		{"octal", "--install /usr/bin/editor editor /usr/bin/vim 020\n--install /usr/bin/editor editor /usr/bin/nano 0x11"},
		{"followers", "--install /usr/bin/editor editor /usr/bin/vim 20 --slave /usr/bin/view view /usr/bin/view.vim --follower /usr/bin/ex ex /usr/bin/ex.vim\n--install /usr/bin/editor editor /usr/bin/nano 30 --slave /usr/bin/view view /usr/bin/view.nano\n--display editor\n--set editor /usr/bin/vim\n--auto editor"},
		{"followers removed", "--install /usr/bin/editor editor /usr/bin/vim 20 --slave /usr/bin/view view /usr/bin/view.vim --slave /usr/bin/ex ex /usr/bin/ex.vim\n--install /usr/bin/editor editor /usr/bin/nano 30 --slave /usr/bin/view view /usr/bin/view.nano\n--remove editor /usr/bin/nano\n--remove editor /usr/bin/vim"},
		{"fewer followers", "--install /usr/bin/editor editor /usr/bin/vim 20 --slave /usr/bin/view view /usr/bin/view.vim --slave /usr/bin/ex ex /usr/bin/ex.vim\n--install /usr/bin/editor editor /usr/bin/vim 20 --slave /usr/bin/view view /usr/bin/view.vim"},
		{"follower's link is a file", "!file /usr/bin/view\n--install /usr/bin/editor editor /usr/bin/vim 20 --slave /usr/bin/view view /usr/bin/view.vim\n--remove-all editor"},
		{"another link for a follower", "--install /usr/bin/editor editor /usr/bin/vim 20 --slave /usr/bin/view view /usr/bin/view.vim\n--install /usr/bin/editor editor /usr/bin/nano 20 --slave /usr/bin/look view /usr/bin/view.nano"},
		{"add and remove follower", "--install /usr/bin/editor editor /usr/bin/vim 20\n--install /usr/bin/editor editor /usr/bin/nano 10\n--add-slave editor /usr/bin/vim /usr/bin/view view /usr/bin/view.vim\n--add-follower editor /usr/bin/nano /usr/bin/ex ex /usr/bin/ex.vim\n--add-slave editor /usr/bin/none /usr/bin/ex ex /usr/bin/ex.vim\n--remove-follower editor /usr/bin/vim none\n--remove-follower editor /usr/bin/vim view"},
		{"family", "--install /usr/bin/editor editor /usr/bin/vim 20 --family big\n--install /usr/bin/editor editor /usr/bin/nano 30 --family small\n--install /usr/bin/editor editor /usr/bin/ed 25 --family small\n--display editor\n--set editor small\n--remove editor /usr/bin/nano\n--set editor big\n--remove editor /usr/bin/vim"},
		{"initscript", "--install /usr/bin/editor editor /usr/bin/vim 20 --initscript vimd"},
		{"manual", "--install /usr/bin/editor editor /usr/bin/vim 20\n--set editor /usr/bin/vim\n--install /usr/bin/editor editor /usr/bin/nano 50\n--remove editor /usr/bin/vim"},
		{"changed by hand", "--install /usr/bin/editor editor /usr/bin/vim 20\n!rm /etc/alternatives/editor\n!ln /usr/bin/real /etc/alternatives/editor\n--verbose --install /usr/bin/editor editor /usr/bin/nano 50\n--auto editor"},
		{"no link", "--install /usr/bin/editor editor /usr/bin/vim 20\n!rm /etc/alternatives/editor\n--display editor\n--install /usr/bin/editor editor /usr/bin/nano 50"},
		{"link is a file", "--install /usr/bin/real editor /usr/bin/vim 20\n--remove editor /usr/bin/vim"},
		{"keep", "!ln nano /usr/bin/editor\n--keep-foreign --install /usr/bin/editor editor /usr/bin/vim 20\n--keep-missing --remove editor /usr/bin/vim"},
		{"another link", "--install /usr/bin/editor editor /usr/bin/vim 20\n--install /usr/bin/edit editor /usr/bin/nano 25"},
		{"missing target", "--install /usr/bin//editor editor /usr/bin/none 20"},
		{"misused", "--install /usr/bin/editor editor /usr/bin/vim\n--install /usr/bin/editor editor /usr/bin/vim x\n--install a b /usr/bin/vim 1\n--remove x\n--slave /a b /c\n--auto none\n--set none /x\n--remove none /none\n--auto a --auto b\n--display none\n--family a@b\n--altdir /nowhere --list\n--admindir /nowhere --list"},
		{"other directories", "!text /opt/alt/x \n!text /opt/admin/y \n!rm /opt/admin/y\n!rm /opt/alt/x\n--altdir /opt/alt --admindir /opt/admin --install /usr/bin/editor editor /usr/bin/vim 20\n--altdir /opt/alt --admindir /opt/admin --display editor"},
		{"corrupt", "!text /var/lib/alternatives/editor auto|/usr/bin/editor||/usr/bin/vim|x||\n--display editor\n--install /usr/bin/editor editor /usr/bin/vim 20\n!text /var/lib/alternatives/b auto|/usr/bin/b\n--auto b\n!text /var/lib/alternatives/d \n--auto d\n!text /var/lib/alternatives/e auto|/e|f||x\n--auto e\n!text /var/lib/alternatives/g auto|/e||/x|@a|\n--auto g"},
	}
}
