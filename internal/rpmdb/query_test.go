package rpmdb

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slim/internal/tooltest"
)

// queries are questions whose answers must be the same for rpm's database and for ours.
var queries = [][]string{
	{"-qa"},
	{"-qai"},
	{"-qal"},
	{"-qa", "--state"},
	{"-qa", "--provides"},
	{"-qa", "--requires"},
	{"-qa", "--scripts", "--triggers", "--filetriggers"},
	{"-qa", "--qf", "%{nevra} %{installtime} %{installtid} %{installcolor} %{sigmd5} %{sha256header} %{dbinstance}\n"},
	{"-qf", "/usr/bin/bash"},
	{"-qf", "/etc"},
	{"-q", "--whatprovides", "/bin/sh"},
	{"-q", "--whatprovides", "libc.so.6()(64bit)"},
	{"-q", "--whatrequires", "bash"},
	{"-q", "--whatrequires", "libc.so.6()(64bit)"},
	{"-q", "--whatrequires", "/bin/sh"},
	{"-q", "--whatrecommends", "bash"},
	{"-q", "--whatconflicts", "coreutils"},
	{"-q", "--whatobsoletes", "mime-support"},
	{"-q", "--triggeredby", "systemd"},
	{"-q", "--whatsupplements", "glibc"},
	{"-q", "--whatsuggests", "gcc-12-base"},
	{"-q", "bash", "nosuchpackage"},
	{"-qg", "Unspecified"},
}

func answers(t *testing.T, command ...string) map[string]string {
	t.Helper()
	out := make(map[string]string)
	for _, q := range queries {
		c := append(append([]string{}, command...), q...)
		text, err := run(t, c[0], c[1:]...)
		if err != nil {
			text += err.Error()
		}
		lines := strings.Split(text, "\n")
		if q[0] == "-qa" && len(q) == 1 {
			sort.Strings(lines)
		}
		out[strings.Join(q, " ")] = strings.Join(lines, "\n")
	}
	return out
}

// TestQueries asks rpm, of its own database of the whole distribution and of ours.
func TestQueries(t *testing.T) {
	tooltest.Need(t, "rpm")
	files := distributionFiles(t)
	root, err := rpmInstall(t, append(files, "--replacefiles")...)
	if err != nil {
		t.Fatal(err)
	}
	dir := root + "/var/lib/rpm"
	db, err := os.ReadFile(dir + "/rpmdb.sqlite")
	if err != nil {
		t.Fatal(err)
	}
	want := answers(t, "rpm", "--dbpath", dir)
	if n := strings.Count(want["-qa"], "\n"); n != len(files) {
		t.Fatalf("rpm lists %d packages of %d", n, len(files))
	}
	for _, q := range queries {
		text := strings.Join(q, " ")
		if got := want[text]; len(got) < 10 || strings.Contains(got, "error:") || strings.Contains(got, "exit status") != (len(q) == 3 && q[2] == "nosuchpackage") {
			t.Errorf("rpm %s answers %.300q", text, got)
		}
	}
	ours := sqliteBytes(t, inOrderOf(t, readBytes(t, db), openPackages(t, files)))

	t.Run("root", func(t *testing.T) {
		dir := publicDir(t)
		writeFile(t, dir+"/rpmdb.sqlite", ours)
		if diff := cmp.Diff(want, answers(t, "rpm", "--dbpath", dir)); diff != "" {
			t.Error(diff)
		}
		unchanged(t, dir, ours)
		mustRun(t, "rpmdb", "--dbpath", dir, "--verifydb")
	})
	t.Run("unprivileged", func(t *testing.T) {
		tooltest.Need(t, "setpriv")
		if os.Getuid() != 0 {
			t.Skip("skipped: needs root to give it up")
		}
		dir := publicDir(t)
		writeFile(t, dir+"/rpmdb.sqlite", ours)
		if err := os.Chmod(dir+"/rpmdb.sqlite", 0o444); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, 0o555); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, answers(t, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "rpm", "--dbpath", dir)); diff != "" {
			t.Error(diff)
		}
		unchanged(t, dir, ours)
	})
	t.Run("read-only", func(t *testing.T) {
		dir := publicDir(t)
		writeFile(t, dir+"/rpmdb.sqlite", ours)
		script := `mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"`
		if err := exec.Command("unshare", "-m", "sh", "-c", script, dir, "true").Run(); err != nil {
			t.Skip("skipped: needs a mount namespace")
		}
		if diff := cmp.Diff(want, answers(t, "unshare", "-m", "sh", "-c", script, dir, "rpm", "--dbpath", dir)); diff != "" {
			t.Error(diff)
		}
		unchanged(t, dir, ours)
	})
	t.Run("rebuild", func(t *testing.T) {
		dir := publicDir(t)
		writeFile(t, dir+"/rpmdb.sqlite", ours)
		mustRun(t, "rpmdb", "--dbpath", dir, "--rebuilddb")
		if diff := cmp.Diff(want["-qa"], answers(t, "rpm", "--dbpath", dir)["-qa"]); diff != "" {
			t.Error(diff)
		}
	})
}

// unchanged fails when rpm left anything beside the database, or wrote to it.
func unchanged(t *testing.T, dir string, db []byte) {
	t.Helper()
	got, err := os.ReadFile(dir + "/rpmdb.sqlite")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, db) {
		t.Error("the queries have changed the database")
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 {
		t.Errorf("the queries have left files: %v", entries)
	}
}

// TestChanges erases, installs and upgrades with rpm on a database of ours.
func TestChanges(t *testing.T) {
	tooltest.Need(t, "rpm")
	files := distributionFiles(t)
	find := func(name string) string {
		for _, f := range files {
			if strings.HasPrefix(filepath.Base(f), name) {
				return f
			}
		}
		t.Fatalf("no package %s", name)
		return ""
	}
	bash, zlib, filesystem := find("bash-5"), find("zlib"), find("filesystem-")
	root := publicDir(t)
	dir := root + "/var/lib/rpm"
	writeFile(t, dir+"/rpmdb.sqlite", sqliteBytes(t, openPackages(t, []string{filesystem, bash})))
	rpmRoot := func(arguments ...string) string {
		t.Helper()
		return mustRun(t, "rpm", append([]string{"--root", root, "--dbpath", "/var/lib/rpm"}, arguments...)...)
	}
	names := func() string {
		t.Helper()
		return rpmRoot("-qa", "--qf", "%{name} %{dbinstance}\n")
	}
	common := []string{"--justdb", "--nodeps", "--noscripts", "--notriggers"}
	rpmRoot(append([]string{"-i", "--nosignature", zlib}, common...)...)
	if diff := cmp.Diff([]string{"bash 2", "filesystem 1", "zlib 3"}, sorted(names())); diff != "" {
		t.Error(diff)
	}
	rpmRoot(append([]string{"-e", "bash"}, common...)...)
	rpmRoot(append([]string{"-i", "--nosignature", bash}, common...)...)
	if diff := cmp.Diff([]string{"bash 4", "filesystem 1", "zlib 3"}, sorted(names())); diff != "" {
		t.Error(diff)
	}
	mustRun(t, "rpmdb", "--dbpath", dir, "--verifydb")
	db, err := os.ReadFile(dir + "/rpmdb.sqlite")
	if err != nil {
		t.Fatal(err)
	}
	check(t, db)
	if db[18] != 2 {
		t.Error("rpm did not switch the database to WAL, so this test does not read such a file")
	}
	if got := len(readBytes(t, db)); got != 3 {
		t.Errorf("%d packages read, not 3", got)
	}
}

func sorted(text string) []string {
	var out []string
	for line := range strings.SplitSeq(text, "\n") {
		if line != "" && !strings.HasPrefix(line, "rpm:") {
			out = append(out, line)
		}
	}
	sort.Strings(out)
	return out
}
