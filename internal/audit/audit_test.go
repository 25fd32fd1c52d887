package audit

import (
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slim/internal/rootfs"
	"slim/internal/rpm"
)

// testTree makes a tree of nodes, "/" and missing directories apart.
func testTree(t *testing.T, nodes ...*rootfs.Node) *rootfs.Tree {
	t.Helper()
	tree, err := rootfs.Build(nil, rootfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		if err := tree.Put(n); err != nil {
			t.Fatal(err)
		}
	}
	return tree
}

func regular(path string, perm uint32, content string) *rootfs.Node {
	return &rootfs.Node{
		Path: path, Mode: rpm.ModeRegular | perm, Size: int64(len(content)),
		Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil },
	}
}

func directory(path string, perm uint32) *rootfs.Node {
	return &rootfs.Node{Path: path, Mode: rpm.ModeDir | perm}
}

func link(path, target string) *rootfs.Node {
	return &rootfs.Node{Path: path, Mode: rpm.ModeSymlink | 0o777, Link: target}
}

const (
	sumOfX    = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881" // SHA-256 of "x"
	sumOfLine = "1ecc0af3a430fd825945ce17dd5565ecebbae69d030524f82e99f03df042ed77"
	md5OfX    = "9dd4e461268c8034f5c8564e155c67a6"
)

// file is a file of a package, root's, with "x" in it.
func file(path string, perm uint32) rpm.File {
	return rpm.File{Path: path, Mode: rpm.ModeRegular | perm, Size: 1, Digest: sumOfX, User: "root", Group: "root", Inode: 1}
}

func testPackage(name string, files ...rpm.File) Package {
	a, _ := algorithmOf(8)
	for i := range files {
		files[i].Inode = uint32(i + 1)
	}
	return Package{NEVRA: rpm.NEVRA{Name: name, EVR: rpm.ParseEVR("1-1"), Arch: "noarch"}, Files: files, algorithm: a}
}

func with(f rpm.File, change func(*rpm.File)) rpm.File { change(&f); return f }

func TestCheck(t *testing.T) {
	accounts, err := rootfs.ParseAccounts([]byte("root:x:7:7::/:/bin/sh\na:x:5:5::/:/bin/sh\na:x:6:5::/:/bin/sh\n"), []byte("a:x:5:\n"))
	if err != nil {
		t.Fatal(err)
	}
	md5 := testPackage("old", with(file("/x", 0o644), func(f *rpm.File) { f.Digest = md5OfX }))
	md5.algorithm, _ = algorithmOf(1)
	unknown := testPackage("new", file("/x", 0o644))
	unknown.algorithm = algorithm{}
	unknown.Err = errors.New("unknown digests")
	owner := func(n *rootfs.Node, uid, gid uint32) *rootfs.Node { n.UID, n.GID = uid, gid; return n }
	of := func(user string) rpm.File {
		return with(file("/x", 0o644), func(f *rpm.File) { f.User, f.Group = user, user })
	}
	v3 := func(root byte) []byte {
		b := append([]byte{1, 0, 0, 3, 0, 0x20}, make([]byte, 18)...)
		b[20] = root
		return b
	}
	for _, test := range []struct {
		name      string
		nodes     []*rootfs.Node
		packages  []Package
		want      []string
		generated string
		files     string
	}{
		{name: "an empty root", files: "0/0"},
		{name: "weak digests", nodes: []*rootfs.Node{regular("/x", 0o644, "x")}, packages: []Package{md5}, want: []string{"weak: (old-1-1.noarch): the digests of its files are md5"}, files: "1/1"},
		{name: "unknown digests", nodes: []*rootfs.Node{regular("/x", 0o644, "x")}, packages: []Package{unknown}, want: []string{"signature: (new-1-1.noarch): unknown digests"}, files: "0/1"},
		{name: "an unknown owner is root", nodes: []*rootfs.Node{regular("/x", 0o644, "x")}, packages: []Package{testPackage("p", of("nobodyhere"))}, files: "1/1"},
		{
			name: "an unknown owner is nobody else", nodes: []*rootfs.Node{owner(regular("/x", 0o644, "x"), 9, 0)}, packages: []Package{testPackage("p", of("nobodyhere"))},
			want: []string{"owner: /x (p-1-1.noarch): 9, not nobodyhere"}, files: "0/1",
		},
		{name: "two lines for a user", nodes: []*rootfs.Node{owner(regular("/x", 0o644, "x"), 6, 5)}, packages: []Package{testPackage("p", of("a"))}, files: "1/1"},
		{
			name: "root whatever passwd says", nodes: []*rootfs.Node{owner(regular("/x", 0o644, "x"), 7, 0)}, packages: []Package{testPackage("p", file("/x", 0o644))},
			want: []string{"owner: /x (p-1-1.noarch): root(7), not root"}, files: "0/1",
		},
		{name: "numeric owner", nodes: []*rootfs.Node{owner(regular("/x", 0o644, "x"), 12, 12)}, packages: []Package{testPackage("p", of("12"))}, files: "1/1"},
		{name: "missing and allowed to", packages: []Package{testPackage("p", with(file("/x", 0o644), func(f *rpm.File) { f.Flags = rpm.FileMissingOK }))}, files: "0/0"},
		{
			name: "missing below what is no directory", nodes: []*rootfs.Node{regular("/x", 0o644, "x")}, packages: []Package{testPackage("p", file("/x", 0o644), file("/x/y", 0o644))},
			want: []string{"missing: /x/y (p-1-1.noarch)"}, files: "1/2",
		},
		{
			name: "link for a directory", nodes: []*rootfs.Node{directory("/real", 0o755), link("/dir", "real"), regular("/real/x", 0o644, "x")},
			packages: []Package{testPackage("p", rpm.File{Path: "/dir", Mode: rpm.ModeDir | 0o755, User: "root", Group: "root"}, file("/dir/x", 0o644))},
			want:     []string{"foreign: /dir: symbolic link to real"}, files: "2/2",
		},
		{
			name: "link for a directory to nowhere", nodes: []*rootfs.Node{link("/dir", "real")},
			packages: []Package{testPackage("p", rpm.File{Path: "/dir", Mode: rpm.ModeDir | 0o755, User: "root", Group: "root"})},
			want:     []string{"foreign: /dir: symbolic link to real", "type: /dir (p-1-1.noarch): a link that leads nowhere, not directory"}, files: "0/1",
		},
		{name: "shared by two packages", nodes: []*rootfs.Node{regular("/x", 0o644, "x")}, packages: []Package{testPackage("p", file("/x", 0o644)), testPackage("q", file("/x", 0o644))}, files: "2/2"},
		{
			name: "shared, and wrong for one", nodes: []*rootfs.Node{regular("/x", 0o644, "x")},
			packages: []Package{testPackage("p", file("/x", 0o644)), testPackage("q", with(file("/x", 0o644), func(f *rpm.File) { f.Digest = strings.Repeat("0", 64) }))},
			want:     []string{"content: /x (q-1-1.noarch): sha256:" + sumOfX + ", not sha256:" + strings.Repeat("0", 64)}, files: "1/2",
		},
		{
			name: "replaced by another package", nodes: []*rootfs.Node{regular("/x", 0o644, "x")},
			packages: []Package{{NEVRA: rpm.NEVRA{Name: "p"}, Files: []rpm.File{file("/x", 0o600)}, States: []rpm.FileState{rpm.StateReplaced}}, testPackage("q", file("/x", 0o644))}, files: "1/1",
		},
		{
			name: "an unknown state", nodes: []*rootfs.Node{regular("/x", 0o644, "x")},
			packages: []Package{{NEVRA: rpm.NEVRA{Name: "p"}, Files: []rpm.File{file("/x", 0o644)}, States: []rpm.FileState{9}, algorithm: testPackage("").algorithm}},
			want:     []string{"database: /x (p-): the rpmdb has an unknown state 9 for it"}, files: "1/1",
		},
		{
			name: "ghost of one, file of another", nodes: []*rootfs.Node{regular("/x", 0o644, "x")},
			packages: []Package{testPackage("p", with(file("/x", 0o644), func(f *rpm.File) { f.Flags = rpm.FileGhost })), testPackage("q", file("/x", 0o644))}, files: "1/1",
		},
		{
			name: "capabilities of revision 3", nodes: []*rootfs.Node{{Path: "/x", Mode: rpm.ModeRegular | 0o755, Size: 1, Open: regular("", 0, "x").Open, Caps: v3(0)}},
			packages: []Package{testPackage("p", with(file("/x", 0o755), func(f *rpm.File) { f.Caps = "cap_net_raw=ep" }))}, files: "1/1",
		},
		{
			name: "capabilities of another root", nodes: []*rootfs.Node{{Path: "/x", Mode: rpm.ModeRegular | 0o755, Size: 1, Open: regular("", 0, "x").Open, Caps: v3(1)}},
			packages: []Package{testPackage("p", with(file("/x", 0o755), func(f *rpm.File) { f.Caps = "cap_net_raw=ep" }))},
			want:     []string{"capabilities: /x (p-1-1.noarch): " + fmt.Sprintf("%x", v3(1)) + ", not cap_net_raw=ep"}, files: "0/1",
		},
		{
			name: "rules", nodes: []*rootfs.Node{
				regular("/etc/passwd", 0o644, "abc"), regular("/etc/ld.so.cache", 0o644, "abc"), regular("/etc/pki/ca-trust/extracted/pem/a.pem", 0o444, "abc"),
				directory("/proc", 0o555), regular("/usr/share/buildinfo/content-sets.json", 0o644, "{}"), link("/var/lib/rpm", "../../usr/lib/sysimage/rpm"), directory("/tmp", 0o1777),
			},
			generated: "/etc/ld.so.cache=ld.so.cache /etc/passwd=accounts /etc/pki/ca-trust/extracted/pem=ca bundle /etc/pki/ca-trust/extracted/pem/a.pem=ca bundle " +
				"/proc=mount points /tmp=mount points /usr/share/buildinfo/content-sets.json=content sets /var/lib/rpm=rpmdb", files: "0/0",
		},
		{
			name: "no rules", nodes: []*rootfs.Node{
				regular("/etc/passwd", 0o666, "abc"), regular("/etc/ld.so.cache", 0o4644, "abc"), directory("/dev/x", 0o777), directory("/tmp", 0o777), regular("/etc/mtab", 0o644, "full"),
				link("/usr/lib64/libx.so.1", "libx.so.1.0"),
				{Path: "/dev/mem", Mode: rpm.ModeChar | 0o600, Major: 1, Minor: 1},
				directory("/opt", 0o755),
			},
			want: []string{
				"foreign: /dev/mem: device 0600", "foreign: /dev/x: directory 0777", "foreign: /etc/ld.so.cache: file 4644, 3 bytes", "foreign: /etc/mtab: file 0644, 4 bytes",
				"foreign: /etc/passwd: file 0666, 3 bytes", "foreign: /opt: directory 0755", "foreign: /tmp: directory 0777", "foreign: /usr/lib64/libx.so.1: symbolic link to libx.so.1.0",
			}, files: "0/0",
		},
		{
			name: "a soname link", nodes: []*rootfs.Node{link("/usr/lib64/libx.so.1", "libx.so.1.0"), regular("/usr/lib64/libx.so.1.0", 0o755, "x")},
			packages: []Package{testPackage("p", file("/usr/lib64/libx.so.1.0", 0o755))}, generated: "/usr/lib64/libx.so.1=sonames", files: "1/1",
		},
		{
			name: "an alternative of something left out", nodes: []*rootfs.Node{link("/etc/alternatives/man", "/usr/share/man/x"), link("/usr/bin/man", "/etc/alternatives/man")},
			packages:  []Package{{NEVRA: rpm.NEVRA{Name: "p"}, Files: []rpm.File{file("/usr/share/man/x", 0o644)}, States: []rpm.FileState{rpm.StateNotInstalled}}},
			generated: "/etc/alternatives/man=alternatives /usr/bin/man=alternatives", files: "0/0",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			tree := testTree(t, test.nodes...)
			report, err := Check(Root{Tree: tree, Packages: test.packages, Accounts: accounts})
			if err != nil {
				t.Fatal(err)
			}
			var got, generated []string
			for _, f := range report.Findings {
				// Directories that the test did not think of are there for a foreign file.
				if f.Kind == Foreign && tree.Node(f.Path).IsImplied() {
					continue
				}
				got = append(got, f.String())
			}
			for _, g := range report.Generated {
				if g.Rule != RuleParent && !(tree.Node(g.Path).IsImplied() && path.Dir(g.Path) != "/etc/pki/ca-trust/extracted") {
					generated = append(generated, g.Path+"="+g.Rule)
				}
			}
			if d := cmp.Diff(test.want, got); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
			if have := strings.Join(generated, " "); have != test.generated {
				t.Errorf("generated %q", have)
			}
			if have := fmt.Sprintf("%d/%d", report.Matching, report.Files); have != test.files {
				t.Errorf("files %s", have)
			}
		})
	}
}

// TestCheckReadsOnce counts how often content is read: once for each kind of digest, however many names and owners.
func TestCheckReadsOnce(t *testing.T) {
	opened := 0
	n := regular("/x", 0o644, "x")
	open := n.Open
	n.Open = func() (io.ReadCloser, error) { opened++; return open() }
	other := *n
	other.Path, other.HardTo = "/y", "/x"
	_, err := Check(Root{Tree: testTree(t, n, &other), Packages: []Package{testPackage("p", file("/x", 0o644), file("/y", 0o644)), testPackage("q", file("/x", 0o644))}})
	if err != nil || opened != 1 {
		t.Errorf("%v, read %d times", err, opened)
	}
	broken := errors.New("broken")
	n.Open = func() (io.ReadCloser, error) { return nil, broken }
	if _, err := Check(Root{Tree: testTree(t, n), Packages: []Package{testPackage("p", file("/x", 0o644))}}); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

func TestCheckSecondRoot(t *testing.T) {
	const line = "toor:x:0:0::/:/bin/sh\n"
	accounts, err := rootfs.ParseAccounts([]byte(line), nil)
	if err != nil {
		t.Fatal(err)
	}
	tree := testTree(t, regular("/etc/passwd", 0o644, line))
	report, err := Check(Root{Tree: tree, Accounts: accounts})
	if err != nil || len(report.Findings) != 1 || report.Findings[0].String() != "account: /etc/passwd: the user toor has the id 0" || !report.Failed(false) {
		t.Errorf("%v %+v", err, report)
	}
	// sha256sum of the line: what a package brings is its own business.
	packaged := with(file("/etc/passwd", 0o644), func(f *rpm.File) { f.Size, f.Digest = int64(len(line)), sumOfLine })
	if report, err = Check(Root{Tree: tree, Accounts: accounts, Packages: []Package{testPackage("setup", packaged)}}); err != nil || len(report.Findings) != 0 {
		t.Errorf("%v %+v", err, report.Findings)
	}
}

func TestRules(t *testing.T) {
	seen := map[string]bool{RuleGhost: true, RuleParent: true, RuleRecipe: true}
	for _, r := range Rules() {
		if r.Name == "" || r.Reason == "" || len(r.Paths) == 0 || seen[r.Name] {
			t.Errorf("%+v", r)
		}
		seen[r.Name] = true
		for _, p := range r.Paths {
			if _, err := path.Match(p, "x"); err != nil || !strings.HasPrefix(p, "/") {
				t.Errorf("%s: %s", r.Name, p)
			}
			for _, dir := range []string{"/usr/bin", "/usr/sbin", "/bin", "/usr/local"} {
				if r.matches(dir+"/x") && !r.Links {
					t.Errorf("%s explains what runs: %s", r.Name, p)
				}
			}
		}
	}
}

func TestAgainst(t *testing.T) {
	build := func(name, evr, sum string, err error) Package {
		return Package{NEVRA: rpm.NEVRA{Name: name, EVR: rpm.ParseEVR(evr), Arch: "noarch"}, SHA256: sum, Err: err}
	}
	bad := errors.New("wrong key")
	c := Against(
		[]Package{
			build("same", "1-1", "a", nil), build("rebuilt", "1-1", "b", nil), build("newer", "2-1", "c", nil), build("more", "1-1", "d", nil),
			build("theirs", "1-1", "e", bad), build("sameunsigned", "1-1", "f", bad), build("two", "2-1", "h", nil),
		},
		Reference{Packages: []Package{
			build("same", "1-1", "a", nil), build("rebuilt", "1-1", "x", nil), build("newer", "1-1", "y", nil), build("sameunsigned", "1-1", "f", bad),
			build("two", "1-1", "g", nil), build("two", "2-1", "h", nil), build("absent", "1-1", "z", nil),
		}},
	)
	got := map[string]Verdict{}
	for _, p := range c.Packages {
		got[p.NEVRA.Name] = p.Verdict
	}
	want := map[string]Verdict{"same": Identical, "rebuilt": Drifted, "newer": Drifted, "more": SameRepository, "theirs": Unknown, "sameunsigned": Identical, "two": Identical}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if len(c.Absent) != 1 || c.Absent[0].Name != "absent" || c.Count[Identical] != 3 {
		t.Errorf("%+v", c)
	}
	// What is signed by a key that signed nothing of the reference is foreign to it; what a whole repository lacks has drifted.
	other := build("more", "1-1", "d", nil)
	other.Key = rpm.Key{ID: "2222222222222222", Fingerprint: "22222222222222222222222222222222"}
	for _, test := range []struct {
		reference Reference
		want      Verdict
	}{
		{Reference{}, SameRepository},
		{Reference{Keys: []string{"1111111111111111"}}, Unknown},
		{Reference{Keys: []string{"1111111111111111", "2222222222222222"}}, SameRepository},
		{Reference{Keys: []string{"22222222222222222222222222222222"}}, SameRepository},
		{Reference{Whole: true}, Drifted},
		{Reference{Packages: []Package{other}, Keys: []string{"1111111111111111"}}, Identical},
	} {
		if c := Against([]Package{other}, test.reference); c.Packages[0].Verdict != test.want {
			t.Errorf("%+v: %s, want %s", test.reference, c.Packages[0].Verdict, test.want)
		}
	}
	if c := Against(nil, Reference{Packages: []Package{other}, Whole: true}); len(c.Absent) != 0 {
		t.Errorf("%+v", c)
	}
}

func TestDiffContent(t *testing.T) {
	long := strings.Repeat("y", hashBuffer+5)
	for _, test := range []struct {
		a, b string
		same bool
	}{{"", "", true}, {"x", "x", true}, {"x", "y", false}, {"x", "xx", false}, {long, long, true}, {long + "a", long + "b", false}, {"a" + long, "b" + long, false}} {
		changes, err := Diff([]*rootfs.Node{regular("/x", 0o644, test.a)}, []*rootfs.Node{regular("/x", 0o644, test.b)})
		if err != nil || (len(changes) == 0) != test.same {
			t.Errorf("%d and %d bytes: %v %v", len(test.a), len(test.b), changes, err)
		}
	}
	broken := regular("/x", 0o644, "x")
	broken.Open = func() (io.ReadCloser, error) { return nil, errors.New("broken") }
	if _, err := Diff([]*rootfs.Node{broken}, []*rootfs.Node{regular("/x", 0o644, "y")}); err == nil {
		t.Error("no error")
	}
	short := regular("/x", 0o644, "xyz")
	short.Size = 5
	if changes, err := Diff([]*rootfs.Node{short}, []*rootfs.Node{regular("/x", 0o644, "xyz12")}); err != nil || len(changes) != 1 {
		t.Errorf("content that ends early: %v %v", changes, err)
	}
}
