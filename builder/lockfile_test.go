package builder

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const goodLock = `slim.lock 1
# a comment

repository test
  baseurl https://mirror.example/$basearch/$component
  component BaseOS
  component AppStream
  releasever 9

key https://mirror.example/KEY
  sha256 0000000000000000000000000000000000000000000000000000000000000000

source linux/amd64 BaseOS
  revision 17
  repomd sha256:1111111111111111111111111111111111111111111111111111111111111111

recipe b c.yaml
  asks (lib or other)
  asks app
    on linux/amd64
    on linux/arm64
  excludes x*
  prefers app
  dependencies runtime
  for linux/amd64
    takes app
    takes lib.i686
    takes lib.x86_64

package app-2:1.0~rc1-1.noarch
  platform linux/amd64
  component BaseOS
  location Packages/app.rpm
  base https://other.example/
  size 10
  installed 20
  built 30
  source app-1.0~rc1-1.src.rpm
  checksum sha256:2222222222222222222222222222222222222222222222222222222222222222
  header 3333333333333333333333333333333333333333333333333333333333333333
  signed 0123456789abcdef

package lib-1-1.i686
  platform linux/amd64
  component BaseOS
  location a b
  size 0
  installed 0
  built 0
  checksum sha1:2222222222222222222222222222222222222222
  header 3333333333333333333333333333333333333333333333333333333333333333

package lib-1-1.x86_64
  platform linux/amd64
  component BaseOS
  location c
  size 0
  installed 0
  built 0
  checksum sha512:22222222222222222222222222222222222222222222222222222222222222222222222222222222222222222222222222222222222222222222222222222222
  header 3333333333333333333333333333333333333333333333333333333333333333
`

// TestLockFile reads a lock with all there can be, whatever its line ends and the order of its blocks, and writes it back.
func TestLockFile(t *testing.T) {
	f, err := ParseLockFile([]byte(goodLock), "slim.lock")
	if err != nil {
		t.Fatal(err)
	}
	body := func(s string) string { _, s, _ = strings.Cut(s, "\n\n"); return s }
	if d := cmp.Diff(body(goodLock), body(string(f.Bytes()))); d != "" {
		t.Error(d)
	}
	blocks := strings.Split(strings.TrimSpace(body(goodLock)), "\n\n")
	mixed := "slim.lock 1\n"
	for i := range blocks {
		mixed += blocks[len(blocks)-1-i] + "\n\n\n"
	}
	again, err := ParseLockFile([]byte(strings.ReplaceAll(mixed, "\n", "\r\n")), "slim.lock")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(f.Bytes()), string(again.Bytes())); d != "" {
		t.Error(d)
	}
}

// TestLockFileFaults spoils a lock in one way each, and expects the line of the fault and what is wrong.
func TestLockFileFaults(t *testing.T) {
	for _, test := range []struct{ name, old, new, want string }{
		{"no lock", "slim.lock 1\n", "packages: [bash]\n", "slim.lock:1: this is no lock"},
		{"of the future", "slim.lock 1", "slim.lock 2", `slim.lock:1: the lock has format "2"`},
		{"merge conflict", "releasever 9", "releasever 9\n<<<<<<< HEAD", "slim.lock:9: a merge conflict"},
		{"unknown word", "revision 17", "revison 17", `slim.lock:14: unknown word "revison"`},
		{"unknown block", "key https", "keys https", `slim.lock:10: unknown word "keys"`},
		{"twice", "size 10", "size 10\n  size 11", "slim.lock:36: size is given twice, first in line 35"},
		{"missing", "  size 10\n", "", "slim.lock:30: package app-2:1.0~rc1-1.noarch has no size"},
		{"no number", "size 10", "size 0x10", `slim.lock:35: size: "0x10" is not a number`},
		{"negative", "size 10", "size -1", `slim.lock:35: size: "-1" is not a number`},
		{"climbs out", "Packages/app.rpm", "../app.rpm", "slim.lock:33: location: location"},
		{"base", "https://other.example/", "ftp://other.example/", "slim.lock:34: base:"},
		{"short digest", "signed 0123456789abcdef", "signed 0123", "slim.lock:41: signed:"},
		{"upper case", "signed 0123456789abcdef", "signed 0123456789ABCDEF", "slim.lock:41: signed:"},
		{"checksum", "checksum sha256:2222", "checksum md5:2222", "slim.lock:39: checksum:"},
		{"platform", "  platform linux/amd64\n  component BaseOS\n  location a b", "  platform x86_64\n  component BaseOS\n  location a b", "slim.lock:44: platform: write linux/amd64"},
		{"NEVRA", "package lib-1-1.i686", "package lib-1", "slim.lock:43: package:"},
		{"epoch 0", "package lib-1-1.i686", "package lib-0:1-1.i686", "slim.lock:43: package: write lib-1-1.i686"},
		{"recipe elsewhere", "recipe b c.yaml", "recipe /b.yaml", `slim.lock:17: recipe "/b.yaml"`},
		{"parent missing", "recipe b c.yaml", "recipe b c.yaml\n  extends a.yaml", "slim.lock:17: recipe b c.yaml extends a.yaml, which is not in the lock"},
		{"depth", "    on linux/arm64", "      on linux/arm64", "slim.lock:21: nothing can belong to on"},
		{"too deep", "    on linux/arm64", "        on linux/arm64", "slim.lock:21: indented by 8 blanks"},
		{"odd", "    on linux/arm64", "     on linux/arm64", "slim.lock:21: indented by 5 blanks"},
		{"trailing blank", "revision 17", "revision 17 ", "slim.lock:14: blanks"},
		{"control", "revision 17", "revision 1\x1b7", "slim.lock:14: control characters"},
		{"long", "revision 17", "revision " + strings.Repeat("7", maxLockLine), "slim.lock:14: longer than"},
		{"no value", "revision 17", "revision", "slim.lock:14: revision has no value"},
		{"two addresses", "releasever 9", "metalink https://x", "slim.lock:8: metalink: the repository has another address"},
		{"no repository", goodLock[strings.Index(goodLock, "repository"):strings.Index(goodLock, "key")], "", "slim.lock: it names no repository"},
		{"two builds", "package lib-1-1.x86_64", "package lib-2-1.i686", "slim.lock:53: a second build of lib on linux/amd64, first in line 43"},
		{"two blocks", "package lib-1-1.x86_64", "package lib-1-1.i686", "slim.lock:53: a second block for package lib-1-1.i686"},
		{"build missing", "takes app\n", "takes ap\n", "slim.lock:17: recipe b c.yaml takes ap on linux/amd64, of which the lock has no build"},
		{"ambiguous", "takes lib.i686\n", "takes lib\n", "slim.lock:17: recipe b c.yaml takes lib on linux/amd64"},
		{"not taken", "    takes app\n", "", "slim.lock:29: no recipe takes package app-2:1.0~rc1-1.noarch"},
		{"no source", "component BaseOS\n  location c", "component Other\n  location c", "slim.lock:53: package lib-1-1.x86_64 is of the source linux/amd64 Other"},
	} {
		t.Run(test.name, func(t *testing.T) {
			text := strings.Replace(goodLock, test.old, test.new, 1)
			if text == goodLock {
				t.Fatal("nothing changed")
			}
			_, err := ParseLockFile([]byte(text), "slim.lock")
			var faults *RecipeError
			if !errors.As(err, &faults) {
				t.Fatalf("got %v", err)
			}
			for _, f := range faults.Faults {
				if strings.HasPrefix(f.String(), test.want) {
					return
				}
			}
			t.Errorf("no %q in\n%v", test.want, err)
		})
	}
}

// TestLockFileWrite leaves the old file, and nothing beside it, when the new one cannot be read again.
func TestLockFileWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), LockFileName)
	f, err := ParseLockFile([]byte(goodLock), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Write(path); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f.Packages[0].Location = "a\nb"
	if err := f.Write(path); err == nil {
		t.Error("it was written")
	}
	after, err := os.ReadFile(path)
	if err != nil || string(before) != string(after) {
		t.Errorf("the file has changed (%v)", err)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("%d files, %v", len(entries), err)
	}
}

func FuzzParseLockFile(f *testing.F) {
	f.Add([]byte(goodLock))
	f.Add([]byte("slim.lock 1\nrepository x\n  metalink https://y\n"))
	f.Add([]byte("slim.lock 1\n\n\npackage\n  \n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		lock, err := ParseLockFile(data, "slim.lock")
		if err != nil {
			return
		}
		text := lock.Bytes()
		again, err := ParseLockFile(text, "slim.lock")
		if err != nil {
			t.Fatalf("what was read cannot be written: %v\n%s", err, text)
		}
		if d := cmp.Diff(string(text), string(again.Bytes())); d != "" {
			t.Fatal(d)
		}
	})
}
