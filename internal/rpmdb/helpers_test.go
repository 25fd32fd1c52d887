package rpmdb

import (
	"bytes"
	"database/sql"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	_ "modernc.org/sqlite"

	"slim/internal/rpm"
	"slim/internal/tooltest"
)

const testTID = 1700000000

// openPackage reads the headers of a package file. All files are recorded as installed.
func openPackage(path string) (Package, error) {
	f, err := os.Open(path)
	if err != nil {
		return Package{}, err
	}
	defer f.Close()
	if _, err := io.CopyN(io.Discard, f, 96); err != nil {
		return Package{}, err
	}
	signature, n, err := rpm.ReadHeader(f)
	if err != nil {
		return Package{}, fmt.Errorf("signature header: %w", err)
	}
	if _, err := io.CopyN(io.Discard, f, (8-n%8)%8); err != nil {
		return Package{}, err
	}
	header, _, err := rpm.ReadHeader(f)
	if err != nil {
		return Package{}, err
	}
	p := Package{Header: header, Signature: signature, Color: 3}
	if e, ok := header.Entry(rpm.TagBaseNames); ok {
		p.States = make([]rpm.FileState, e.Count)
	}
	return p, nil
}

func openPackages(t testing.TB, paths []string) []Package {
	t.Helper()
	var out []Package
	for _, path := range paths {
		p, err := openPackage(path)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		out = append(out, p)
	}
	return out
}

func packageFiles(t testing.TB, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".rpm") {
			out = append(out, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// distribution's packages: BaseOS and AppStream of the first snapshot.
func distributionFiles(t testing.TB) []string {
	t.Helper()
	return append(packageFiles(t, tooltest.Shared(t, "distro/1/BaseOS")), packageFiles(t, tooltest.Shared(t, "distro/1/AppStream"))...)
}

func sqliteBytes(t testing.TB, packages []Package) []byte {
	t.Helper()
	return files(t, SQLite, packages)["rpmdb.sqlite"]
}

// files are the files of a database by name.
func files(t testing.TB, f Format, packages []Package) map[string][]byte {
	t.Helper()
	out, err := Files(f, packages, testTID)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func readBytes(t testing.TB, b []byte) []Installed {
	t.Helper()
	installed, err := Read(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return installed
}

func nevras(installed []Installed) []string {
	var out []string
	for _, p := range installed {
		n := p.Header.NEVRA()
		out = append(out, fmt.Sprintf("%s-%s-%s.%s", n.Name, n.Version, n.Release, n.Arch))
	}
	return out
}

func unzstd(t testing.TB, path string) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d, err := zstd.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	b, err := io.ReadAll(d)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func writeFile(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// publicDir is a new directory that every user may read.
func publicDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "rpmdb")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// run runs a command without user configuration and returns its standard output and error.
func run(t testing.TB, name string, arguments ...string) (string, error) {
	t.Helper()
	c := exec.Command(name, arguments...)
	c.Env = append(os.Environ(), "LC_ALL=C", "HOME=/nonexistent", fmt.Sprintf("SOURCE_DATE_EPOCH=%d", testTID))
	out, err := c.CombinedOutput()
	return string(out), err
}

func mustRun(t testing.TB, name string, arguments ...string) string {
	t.Helper()
	out, err := run(t, name, arguments...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(arguments, " "), err, out)
	}
	return out
}

// rpmInstall records packages with rpm in a new root and returns the root.
func rpmInstall(t testing.TB, paths ...string) (string, error) {
	t.Helper()
	root := publicDir(t)
	if err := os.MkdirAll(root+"/var/lib/rpm", 0o755); err != nil {
		t.Fatal(err)
	}
	arguments := []string{
		"--root", root, "--dbpath", "/var/lib/rpm", "-i", "--justdb", "--nodeps", "--nosignature",
		"--noscripts", "--notriggers", "--ignorearch", "--ignoreos", "--ignoresize",
	}
	out, err := run(t, "rpm", append(arguments, paths...)...)
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return root, nil
}

// dump is everything in a SQLite database but the planner's statistics, a line each.
func dump(t testing.TB, path string) []string {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	out := query(t, db, "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE name != 'sqlite_stat1' ORDER BY rowid")
	out = append(out, query(t, db, "SELECT hnum, typeof(blob), blob FROM Packages ORDER BY hnum")...)
	out = append(out, query(t, db, "SELECT name, seq FROM sqlite_sequence")...)
	for _, x := range indexes {
		out = append(out, x.name)
		out = append(out, query(t, db, "SELECT rowid, typeof(key), key, hnum, idx FROM '"+x.name+"' ORDER BY rowid")...)
	}
	return out
}

func query(t testing.TB, db *sql.DB, text string) []string {
	t.Helper()
	rows, err := db.Query(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for rows.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(any)
		}
		if err := rows.Scan(values...); err != nil {
			t.Fatal(err)
		}
		var line []string
		for _, v := range values {
			switch v := (*v.(*any)).(type) {
			case []byte:
				line = append(line, "x"+hex.EncodeToString(v))
			default:
				line = append(line, fmt.Sprintf("%q", fmt.Sprint(v)))
			}
		}
		out = append(out, strings.Join(line, " "))
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return out
}

// check is SQLite's own judgement of a database.
func check(t testing.TB, b []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rpmdb.sqlite")
	writeFile(t, path, b)
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, pragma := range []string{"integrity_check", "foreign_key_check"} {
		got := strings.Join(query(t, db, "PRAGMA "+pragma), "\n")
		if got != "" && got != `"ok"` {
			t.Fatalf("%s: %.2000s", pragma, got)
		}
	}
}

// sameDump compares two dumps and says where they differ first.
func sameDump(t testing.TB, got, want []string) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("line %d differs\n got %s\nwant %s", i, clip(got[i], want[i]), clip(want[i], got[i]))
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d lines, want %d", len(got), len(want))
	}
}

// clip is what surrounds the first difference of a to b.
func clip(a, b string) string {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	start, end := max(0, n-60), min(len(a), n+200)
	return fmt.Sprintf("...%s... (at %d of %d)", a[start:end], n, len(a))
}

func readPath(t testing.TB, path string) []Installed {
	t.Helper()
	return readBytes(t, mustRead(t, path))
}

func mustRead(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func installTime(p Installed) uint32 {
	v, _ := p.Header.Uint64(tagInstallTime)
	return uint32(v)
}
