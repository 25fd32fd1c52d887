package builder

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/adler32"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"slim/internal/audit"
	"slim/internal/rpm"
	"slim/internal/solve"
	"slim/internal/tooltest"
	"slim/recipes"
)

func sharedKey(t *testing.T) []string {
	t.Helper()
	return []string{filepath.Join(tooltest.Shared(t), "distro/RPM-GPG-KEY-slimtest")}
}

// TestVerifyEveryday proves an image of real packages.
func TestVerifyEveryday(t *testing.T) {
	img := buildRecipe(t, sharedRecipe(t, everyday, ""), Options{})
	dest := "oci:" + t.TempDir()
	deliver(t, img, dest)
	i := verifyIt(t, dest, VerifyOptions{Keys: sharedKey(t)})
	r := i.Report
	if r.Failed(true) || r.Foreign != 0 || r.Matching != r.Files || r.Files < 5000 || r.NotInstalled < 1000 || r.Signed != len(img.Platforms[0].Packages) {
		t.Errorf("%d of %d signed, %d of %d files, %d not installed, %d foreign:\n%v", r.Signed, r.Packages, r.Matching, r.Files, r.NotInstalled, r.Foreign, r.Findings)
	}
}

// TestConformanceVerify proves a root that dnf and rpm made, scriptlets and all. What is foreign in it are the places
// that the test keeps dnf's logs in, and what a scriptlet wrote to a /dev/null that was not there. Then
// files are changed, and rpm -Va has to find the same.
func TestConformanceVerify(t *testing.T) {
	tooltest.Need(t, "dnf", "rpm")
	tooltest.NeedRoot(t)
	root := filepath.Join(t.TempDir(), "root")
	dnfRoot(t, "1", root, append([]string{"install"}, everyday...)...)
	i := verifyIt(t, "dir:"+root, VerifyOptions{Keys: sharedKey(t)})
	r := i.Report
	if r.Matching != r.Files || r.Files < 5000 || r.Signed != r.Packages || r.Packages < 100 {
		t.Errorf("%d of %d signed, %d of %d files:\n%v", r.Signed, r.Packages, r.Matching, r.Files, r.Findings)
	}
	for _, f := range r.Findings {
		if f.Kind != audit.Foreign || f.Path != "/dev/null" && !isTrace(f.Path) && !strings.HasPrefix(f.Path, "/tmp/") {
			t.Errorf("%s", f)
		}
	}
	var rules []string
	for _, g := range r.Generated {
		rules = append(rules, g.Rule)
	}
	slices.Sort(rules)
	want := []string{"accounts", "alternatives state", "ghost", "package manager", "parent", "rpmdb", "units"}
	if d := cmp.Diff(want, slices.Compact(rules)); d != "" {
		t.Errorf("rules (-want +got)\n%s", d)
	}
	tamperDirectory(t, root)
}

// tamperDirectory changes files of a plain root and expects the same of rpm -V and of Verify.
func tamperDirectory(t *testing.T, root string) {
	t.Helper()
	for _, do := range []error{
		os.WriteFile(filepath.Join(root, "etc/redis/redis.conf"), []byte("changed\n"), 0o640),
		os.Chmod(filepath.Join(root, "usr/bin/env"), os.ModeSetuid|0o755),
		os.Chown(filepath.Join(root, "usr/bin/cat"), 33, 33),
		os.Remove(filepath.Join(root, "usr/bin/tac")),
		os.WriteFile(filepath.Join(root, "usr/bin/openssl"), []byte("x"), 0o755),
	} {
		if do != nil {
			t.Fatal(do)
		}
	}
	i := verifyIt(t, "dir:"+root, VerifyOptions{Keys: sharedKey(t)})
	var got, paths []string
	for _, f := range i.Report.Findings {
		if f.Kind != audit.Foreign {
			got = append(got, string(f.Kind)+" "+f.Path)
			paths = append(paths, f.Path)
		}
	}
	want := []string{
		"config /etc/redis/redis.conf", "group /usr/bin/cat", "owner /usr/bin/cat", "mode /usr/bin/env", "content /usr/bin/openssl", "missing /usr/bin/tac",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	// rpm also says where times differ, and what is generated.
	cmd := exec.Command("rpm", "--root", root, "--dbpath", "/usr/lib/sysimage/rpm", "-Va", "--nodeps", "--noscripts", "--nomtime")
	out, _ := cmd.Output() // it exits with 1 when it finds something
	var theirs []string
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		theirs = append(theirs, words[len(words)-1])
	}
	generated := map[string]bool{}
	for _, g := range i.Report.Generated {
		generated[g.Path] = true
	}
	theirs = slices.DeleteFunc(theirs, func(p string) bool { return generated[p] })
	slices.Sort(theirs)
	if d := cmp.Diff(slices.Compact(paths), theirs); d != "" {
		t.Errorf("rpm -Va (-slim +rpm)\n%s", d)
	}
}

// TestVerifyRealHeaders proves the headers of real systems with their distributions' keys, and nothing with others: each
// database of the shared data, and the same headers in the format that no real database there has.
func TestVerifyRealHeaders(t *testing.T) {
	shared := filepath.Join(tooltest.Shared(t), "rpms")
	key := func(name string) string {
		return filepath.Join(shared, "xsuchy+distribution-gpg-keys", "keys", name)
	}
	all, err := filepath.Glob(filepath.Join(shared, "gomod+knqyf263+go-rpmdb*", "pkg", "testdata", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	tested := 0
	for _, test := range []struct {
		system, file, format string
		key                  string // a file, or a name of what is shipped
		id                   string
		packages, keysLeft   int
		weak                 int // packages whose files have MD5 or SHA-1 alone
	}{
		{"fedora35", "rpmdb.sqlite", "sqlite", key("fedora/RPM-GPG-KEY-fedora-35-primary"), "db4639719867c58f", 137, 1, 0},
		{"cbl-mariner-2.0", "rpmdb.sqlite", "sqlite", "azurelinux", "0cd9fed33135ce90", 129, 0, 0},
		{"centos7-plain", "Packages", "bdb", key("centos/RPM-GPG-KEY-CentOS-7"), "24c6a8a7f4a80eb5", 144, 0, 0},
		{"libuuid", "Packages", "bdb", "ubi8", "199e2f91fd431d51", 1, 0, 0},
	} {
		t.Run(test.system, func(t *testing.T) {
			file := unpackDatabase(t, all, test.system, test.file)
			tested++
			for _, file := range []string{file, rewrittenAsNDB(t, file)} {
				one := verifyDatabase(t, file, test.key)
				format := test.format
				if filepath.Base(file) == "Packages.db" {
					format = "ndb"
				}
				weak := 0
				for _, f := range one.Report.Findings {
					if f.Kind != audit.Weak {
						t.Errorf("%s", f)
					} else {
						weak++
					}
				}
				got := []any{one.Format, one.Report.Signed, one.Report.Packages, one.KeysLeft, weak, len(one.Keys), one.Keys[0].ID}
				if d := cmp.Diff([]any{format, test.packages, test.packages, test.keysLeft, test.weak, 1, test.id}, got); d != "" {
					t.Errorf("format, signed, packages, keys beside them, weak ones, signers, signer (-want +got)\n%s", d)
				}
			}
			if none := verifyDatabase(t, file, "rocky"); none.Report.Signed != 0 || len(none.Report.Findings) != test.packages+test.weak {
				t.Errorf("with another's key %d are proven", none.Report.Signed)
			}
		})
	}
	if tested != len(all) {
		t.Errorf("%d of the %d databases are in the table: %v", tested, len(all), all)
	}
}

func verifyDatabase(t *testing.T, file, key string) *VerifiedImage {
	t.Helper()
	v, err := VerifyDatabase(t.Context(), file, VerifyOptions{Keys: []string{key}, Options: Options{Builtin: recipes.Files, Offline: true, WorkDir: t.TempDir()}})
	if err != nil {
		t.Fatal(err)
	}
	return v.Images[0]
}

// unpackDatabase is the database of a system, unpacked where it is packed.
func unpackDatabase(t *testing.T, all []string, system, name string) string {
	t.Helper()
	i := slices.IndexFunc(all, func(p string) bool { return strings.Contains(p, "/"+system+"/"+name) })
	if i < 0 {
		t.Fatalf("no %s of %s", name, system)
	}
	if !strings.HasSuffix(all[i], ".zst") {
		return all[i]
	}
	packed, err := os.ReadFile(all[i])
	if err != nil {
		t.Fatal(err)
	}
	z, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	raw, err := z.DecodeAll(packed, nil)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, raw, 0o666); err != nil {
		t.Fatal(err)
	}
	return file
}

// rewrittenAsNDB is a database of the same headers in ndb's format, written by the description of lib/backend/ndb/rpmpkg.c:
// a header, slots that say where the blobs are in blocks of 16 bytes, and the blobs.
func rewrittenAsNDB(t *testing.T, file string) string {
	t.Helper()
	const page, block = 4096, 16
	le := binary.LittleEndian
	packages := databaseOf(t, file).packages
	pages := (2+len(packages))*block/page + 1
	out := make([]byte, pages*page)
	copy(out, "RpmP")
	le.PutUint32(out[8:], 1) // generation
	le.PutUint32(out[12:], uint32(pages))
	le.PutUint32(out[16:], uint32(len(packages)+1))
	for at := 2 * block; at < len(out); at += block {
		copy(out[at:], "Slot")
	}
	for i, p := range packages {
		number, blob := uint32(i+1), p.Header.Blob()
		b := le.AppendUint32(le.AppendUint32(le.AppendUint32([]byte("BlbS"), number), 1), uint32(len(blob)))
		b = append(b, blob...)
		b = append(b, make([]byte, (block-(len(b)+12)%block)%block)...)
		b = le.AppendUint32(le.AppendUint32(b, adler32.Checksum(b)), uint32(len(blob)))
		b = append(b, "BlbE"...)
		slot := out[(2+i)*block:]
		le.PutUint32(slot[4:], number)
		le.PutUint32(slot[8:], uint32(len(out)/block))
		le.PutUint32(slot[12:], uint32(len(b)/block))
		out = append(out, b...)
	}
	name := filepath.Join(t.TempDir(), "Packages.db")
	if err := os.WriteFile(name, out, 0o666); err != nil {
		t.Fatal(err)
	}
	return name
}

func databaseOf(t *testing.T, file string) *database {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	d := &database{}
	if err := d.open(bytes.NewReader(content), int64(len(content))); err != nil {
		t.Fatal(err)
	}
	return d
}

// TestWhyRealHeaders asks real databases why they have glibc.
func TestWhyRealHeaders(t *testing.T) {
	all, err := filepath.Glob(filepath.Join(tooltest.Shared(t), "rpms", "gomod+knqyf263+go-rpmdb*", "pkg", "testdata", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, system := range [][2]string{{"fedora35", "rpmdb.sqlite"}, {"cbl-mariner-2.0", "rpmdb.sqlite"}, {"centos7-plain", "Packages"}} {
		d := databaseOf(t, unpackDatabase(t, all, system[0], system[1]))
		metadata, err := d.metadata()
		if err != nil {
			t.Fatal(err)
		}
		notByHand(t, d, solve.NewGraph(metadata, solve.Full).Edges())
		answers, err := why(metadata, 0, nil, "glibc", "it", Platform{})
		if err != nil || len(answers[0].Loss.Broken) < 20 || len(answers[0].Chains) < 20 {
			t.Errorf("%s: %v", system[0], err)
		}
	}
}

// notByHand looks whether rpm's generators made what is said to be written by hand: they mark what they make.
func notByHand(t *testing.T, d *database, edges []Edge) {
	t.Helper()
	generated := map[string]bool{}
	for _, i := range d.packages {
		requires, err := i.Header.Requires()
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range requires {
			if r.Flags&rpm.SenseFindRequires != 0 {
				generated[i.Header.NEVRA().String()+" "+r.String()] = true
			}
		}
	}
	byHand := 0
	for _, e := range edges {
		if e.ByHand {
			byHand++
			if generated[e.From.String()+" "+e.Capability] {
				t.Errorf("%s needs %s, which a generator made", e.From, e.Capability)
			}
		}
	}
	if byHand < 50 || byHand == len(edges) || len(generated) < 100 {
		t.Errorf("%d of %d edges are by hand, %d requirements generated", byHand, len(edges), len(generated))
	}
}

// TestDiffEveryday compares an image of real packages with the root that slim writes of it.
func TestDiffEveryday(t *testing.T) {
	tooltest.NeedRoot(t)
	img := buildRecipe(t, sharedRecipe(t, []string{"bash", "iputils", "shadow-utils"}, ""), Options{})
	oci, dir := "oci:"+t.TempDir(), "dir:"+filepath.Join(t.TempDir(), "root")
	deliver(t, img, oci)
	deliver(t, img, dir)
	d, err := Diff(context.Background(), oci, dir, DiffOptions{Options: Options{WorkDir: t.TempDir()}})
	if err != nil || !d.Equal() {
		t.Errorf("%v %v", err, fileChanges(d.Images[0]))
	}
}
