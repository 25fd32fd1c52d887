package scriptlet

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slim/internal/rootfs"
	"slim/internal/rpm"
)

// testCertificate is a certificate made of parts. It is not signed by anybody.
type testCertificate struct {
	version    string // content of [0], "" for version 1
	serial     []byte
	subject    []byte
	issuer     []byte // the subject unless given
	key        byte   // tells public keys apart
	extensions [][]byte
}

func (c testCertificate) der() []byte {
	must := func(oid string) []byte {
		b, ok := oidDER(oid)
		if !ok {
			panic(oid)
		}
		return b
	}
	algorithm := encodeDER(tagSequence, must("1.2.840.113549.1.1.5"), []byte{5, 0})
	issuer := c.issuer
	if issuer == nil {
		issuer = c.subject
	}
	validity := encodeDER(tagSequence, encodeDER(23, []byte("200101000000Z")), encodeDER(23, []byte("300101000000Z")))
	key := encodeDER(tagSequence, encodeDER(tagSequence, must("1.2.840.113549.1.1.1"), []byte{5, 0}),
		encodeDER(tagBitString, []byte{0}, encodeDER(tagSequence, encodeDER(tagInteger, []byte{c.key, 1}), encodeDER(tagInteger, []byte{3}))))
	parts := [][]byte{encodeDER(tagInteger, c.serial), algorithm, issuer, validity, c.subject, key}
	if c.version != "" {
		parts = append([][]byte{encodeDER(0xa0, encodeDER(tagInteger, []byte(c.version)))}, parts...)
	}
	if c.extensions != nil {
		parts = append(parts, encodeDER(0xa3, encodeDER(tagSequence, c.extensions...)))
	}
	return encodeDER(tagSequence, encodeDER(tagSequence, parts...), algorithm, encodeDER(tagBitString, []byte{0, 1, 2, 3}))
}

func testExtension(oid string, value []byte) []byte {
	id, _ := oidDER(oid)
	return encodeDER(tagSequence, id, encodeDER(tagOctetString, value))
}

// testName is a name of lists of "oid tag text", the members of one set joined by +.
func testName(parts ...string) []byte {
	var sets [][]byte
	for _, p := range parts {
		var pairs [][]byte
		for one := range strings.SplitSeq(p, "+") {
			f := strings.SplitN(one, " ", 3)
			oid, _ := oidDER(f[0])
			var tag byte
			fmt.Sscan(f[1], &tag)
			pairs = append(pairs, encodeDER(tagSequence, oid, encodeDER(tag, []byte(f[2]))))
		}
		sets = append(sets, encodeDER(tagSet, pairs...))
	}
	return encodeDER(tagSequence, sets...)
}

var (
	authorityExtension = testExtension(oidBasicConstraints, encodeDER(tagSequence, encodeDER(tagBoolean, []byte{0xff})))
	memberExtension    = testExtension(oidBasicConstraints, encodeDER(tagSequence))
)

func usageExtension(oids ...string) []byte {
	return testExtension(oidPurposes, encodePurposes(tagSequence, oids))
}

const (
	serverAuth  = "1.3.6.1.5.5.7.3.1"
	clientAuth  = "1.3.6.1.5.5.7.3.2"
	codeSigning = "1.3.6.1.5.5.7.3.3"
	emailUse    = "1.3.6.1.5.5.7.3.4"
)

// trustFixtures are the files of trust sources, by path.
func trustFixtures() map[string][]byte {
	cert := func(name string, key byte, extensions ...[]byte) []byte {
		return testCertificate{version: "\x02", serial: []byte{key}, subject: testName("2.5.4.3 12 " + name), key: key, extensions: extensions}.der()
	}
	persist := func(lines string, pem ...[]byte) []byte {
		return append([]byte("[p11-kit-object-v1]\n"+lines+"\n"), bytes.Join(pem, nil)...)
	}
	certPEM := func(b []byte) []byte { return encodePEM("CERTIFICATE", b) }
	escape := func(b []byte) string {
		var s strings.Builder
		for _, c := range b {
			fmt.Fprintf(&s, "%%%02x", c)
		}
		return s.String()
	}
	keyOf := func(b []byte) []byte {
		c, _ := parseCertificate(b)
		return c.publicKey
	}
	const source, anchors, blocklist = "/etc/pki/ca-trust/source/", "/etc/pki/ca-trust/source/anchors/", "/etc/pki/ca-trust/source/blocklist/"
	plain := cert("Plain Anchor", 1, authorityExtension)
	attached := cert("Attached", 20, memberExtension)
	distrusted := cert("Distrusted by blocklist", 3, authorityExtension)
	sameKey := cert("Same key as a distrusted one", 3, authorityExtension)
	limited := cert("Limited", 21, authorityExtension)
	trustedAux := encodeDER(tagSequence, encodePurposes(tagSequence, []string{serverAuth, emailUse, codeSigning, clientAuth}),
		encodePurposes(0xa0, []string{clientAuth}), encodeDER(tagUTF8, []byte("An alias, Ünï")), encodeDER(tagOctetString, []byte{1, 2, 3}))
	rejected := encodeDER(tagSequence, encodePurposes(0xa0, []string{serverAuth, clientAuth}))
	v1 := testCertificate{serial: []byte{0xff, 0x01}, subject: testName("2.5.4.10 19  The   Organisation ", "2.5.4.11 20 Unit\tOF  Units"), key: 4}.der()
	v1foreign := testCertificate{serial: []byte{1}, subject: testName("2.5.4.10 19 Not its own issuer"), issuer: testName("2.5.4.10 19 x"), key: 5}.der()
	bmp := testCertificate{version: "\x02", serial: []byte{6}, subject: testName("2.5.4.6 19 DE", "2.5.4.3 30 \x00B\x00M\x00\xdc\x00P"), key: 6, extensions: [][]byte{authorityExtension}}.der()
	teletex := testCertificate{version: "\x02", serial: []byte{7}, subject: testName("2.5.4.10 20 Certificaci\xf3n", "2.5.4.3 20 T\xe9l\xe9tex"), key: 7, extensions: [][]byte{authorityExtension}}.der()
	several := testCertificate{version: "\x02", serial: []byte{8}, subject: testName("2.5.4.11 12 B unit+2.5.4.10 12 A organisation", "1.2.840.113549.1.9.1 22 Mail@Example.COM"), key: 8, extensions: [][]byte{authorityExtension}}.der()
	odd := testCertificate{version: "\x02", serial: []byte{9}, subject: testName("2.5.4.45 3 \x00bits"), key: 9, extensions: [][]byte{authorityExtension}}.der()
	nameless := testCertificate{version: "\x02", serial: []byte{10}, subject: testName(), key: 10, extensions: [][]byte{authorityExtension}}.der()
	return map[string][]byte{
		anchors + "a-plain.pem":                            append([]byte("text before\n"), certPEM(plain)...),
		anchors + "b-two.pem":                              append(certPEM(cert("First of two", 11, authorityExtension)), certPEM(cert("First of two", 12, authorityExtension))...),
		anchors + "c-der.cer":                              cert("In DER", 13, authorityExtension),
		anchors + "d-trailing.cer":                         append(cert("In DER, with a line end", 14, authorityExtension), '\n'),
		anchors + "e-v1.pem":                               certPEM(v1),
		anchors + "f-v1.pem":                               certPEM(v1foreign),
		anchors + "g-bmp.pem":                              certPEM(bmp),
		anchors + "h-teletex.pem":                          certPEM(teletex),
		anchors + "i-several.pem":                          certPEM(several),
		anchors + "j-odd.pem":                              certPEM(odd),
		anchors + "k-nameless.pem":                         certPEM(nameless),
		anchors + "l-member.pem":                           certPEM(cert("No authority", 15, memberExtension)),
		anchors + "m-none.pem":                             certPEM(cert("No constraints", 16)),
		anchors + "n-server.pem":                           certPEM(cert("Server only", 17, authorityExtension, usageExtension(serverAuth))),
		anchors + "o-mail.pem":                             certPEM(cert("Mail and any/../name", 18, authorityExtension, usageExtension(emailUse, oidAnyPurpose))),
		anchors + "p-code.pem":                             certPEM(cert("Code", 19, authorityExtension, usageExtension(codeSigning, "1.2.3.4"))),
		anchors + "q-empty.pem":                            nil,
		anchors + "r-garbage.pem":                          []byte("-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\nrest"),
		anchors + "s-broken.pem":                           certPEM([]byte{0x30, 0x03, 2, 1, 1}),
		anchors + "t-again.pem":                            certPEM(plain),
		anchors + "u-samekey.pem":                          certPEM(sameKey),
		anchors + "v-trusted.pem":                          encodePEM("TRUSTED CERTIFICATE", append(cert("Trusted", 22, authorityExtension), trustedAux...)),
		anchors + "w-rejected.pem":                         encodePEM("TRUSTED CERTIFICATE", append(cert("Rejected", 23, authorityExtension), rejected...)),
		anchors + "x-noaux.pem":                            encodePEM("TRUSTED CERTIFICATE", cert("Without", 24, authorityExtension)),
		anchors + "y-badeku.pem":                           certPEM(cert("Bad usage", 25, authorityExtension, testExtension(oidPurposes, []byte{1}))),
		anchors + "z-badbc.pem":                            certPEM(cert("Bad constraints", 26, testExtension(oidBasicConstraints, []byte{1}))),
		blocklist + "one.pem":                              certPEM(distrusted),
		blocklist + "two.p11-kit":                          persist("trusted: true\nclass: certificate\ncertificate-type: x-509\nissuer: \"" + escape(testName("2.5.4.3 12 Blocked by name")) + "\"\nserial-number: \"%02%01%1b\""),
		anchors + "zz-name.pem":                            certPEM(cert("Blocked by name", 27, authorityExtension)),
		source + "a.p11-kit":                               bytes.Join([][]byte{persist("label: \"A label with %22quotes%22 and %25\"\ntrusted: true\nnss-mozilla-ca-policy: true\nmodifiable: false", certPEM(limited)), persist("class: x-certificate-extension\nlabel: \"limited\"\nobject-id: 2.5.29.37\nvalue: \"" + escape(usageExtension(serverAuth, clientAuth)) + "\"\nmodifiable: false\n" + string(encodePEM("PUBLIC KEY", keyOf(limited)))), persist("trusted: true\nlabel: \"\"\nnss-server-distrust-after: \"191228000000Z\"\nnss-email-distrust-after: \"%00\"", certPEM(attached)), persist("class: x-certificate-extension\nvalue: \"" + escape(authorityExtension) + "\"\nx-public-key-info: \"" + escape(keyOf(attached)) + "\"\n")}, nil),
		source + "b.p11-kit":                               append(persist("label: \"Distrusted here\"\nx-distrusted: true\n", certPEM(cert("x", 28, authorityExtension))), persist("label: \"Neutral\"\n\n# comment\n", certPEM(cert("y", 29, authorityExtension)))...),
		source + "c.p11-kit":                               append(persist("label: \"Before what is wrong\"\ntrusted: true", certPEM(cert("c", 30, authorityExtension))), append(persist("unknown-name: 1"), persist("trusted: true", certPEM(cert("After what is wrong", 31, authorityExtension)))...)...),
		source + "d.p11-kit":                               append(persist("trusted: true\nlabel: \"Read\"", certPEM(cert("d", 32, authorityExtension))), append(persist("trusted: true\napplication: \"x\"", certPEM(cert("Not valid", 33, authorityExtension))), persist("trusted: true", certPEM(cert("Not reached", 34, authorityExtension)))...)...),
		source + "e.p11-kit":                               append(persist("certificate-category: authority\ntrusted: true\nlabel: \"Authority by decree\"", certPEM(cert("e", 35, memberExtension))), persist("certificate-category: 3\ntrusted: true\nlabel: \"None by decree\"", certPEM(cert("f", 36, authorityExtension)))...),
		"/usr/share/pki/ca-trust-source/anchors/later.pem": append(certPEM(plain), certPEM(cert("Of the second source", 37, authorityExtension))...),
		"/usr/share/pki/ca-trust-source/sub/ignored.pem":   certPEM(cert("Ignored", 38, authorityExtension)),
	}
}

// trustCalls are calls of trust extract: arguments before the destination.
func trustCalls() []string {
	var out []string
	for _, format := range []string{"pem-bundle", "openssl-bundle", "java-cacerts", "edk2-cacerts", "x509-file"} {
		for _, filter := range []string{"ca-anchors", "certificates", "blocklist", "trust-policy"} {
			for _, purpose := range []string{"", " --purpose=server-auth", " --purpose email", " --purpose=code-signing", " --purpose=1.2.3.4", " --purpose=client-auth --purpose=email-protection"} {
				out = append(out, "--format="+format+" --filter="+filter+purpose)
			}
		}
		out = append(out, "--format="+format+" --comment --overwrite", "--format "+format+" --comment --filter=certificates")
	}
	for _, format := range []string{"pem-directory", "pem-directory-hash", "openssl-directory", "x509-directory"} {
		out = append(out, "--format="+format+" --filter=ca-anchors --purpose=server-auth", "--format="+format+" --filter=certificates --overwrite")
	}
	return append(out, "--format=nonsense", "--filter=nonsense", "--purpose=nonsense --format=pem-bundle", "", "--format=pem-bundle --format=pem-bundle")
}

func runTrustTest(t *testing.T, f *FS, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status, err := trustCommands()[args[0]](context.Background(), &Call{
		Args: args, Env: func(string) string { return "" }, Dir: "/", Umask: 0o022,
		Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, FS: f, Host: &Host{},
	})
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return status, out.String(), errs.String()
}

// trustLikeDNF makes the bundles of the distribution as its update-ca-trust does, and compares them byte by byte.
func trustLikeDNF(t *testing.T, root string) {
	script, err := os.ReadFile(filepath.Join(root, "usr/bin/update-ca-trust"))
	if err != nil {
		t.Fatal(err)
	}
	f := fsOf(hostTree(t, root))
	made := 0
	for line := range strings.SplitSeq(string(script), "\n") {
		if !strings.HasPrefix(line, "trust extract ") {
			continue
		}
		args := strings.Fields(strings.ReplaceAll(line, "$DEST", "/etc/pki/ca-trust/extracted"))
		p := args[len(args)-1]
		want, err := os.ReadFile(root + p)
		if err != nil {
			t.Fatal(err)
		}
		status, _, stderr := runTrustTest(t, f, args...)
		got, err := f.ReadFile("/", p)
		if status != 0 || err != nil || stderr != "" {
			t.Fatalf("%s: %d, %v, %s", line, status, err, stderr)
		}
		n, err := f.Lstat("/", p)
		if err != nil || n.Perm() != 0o444 || n.MTime != f.Now() {
			t.Errorf("%s: %+v, %v", p, n, err)
		}
		if strings.HasSuffix(p, "cacerts") { // its dates are of the day, here of the build
			want, got = withoutDates(t, want), withoutDates(t, got)
		}
		if !bytes.Equal(want, got) || len(want) < 100_000 {
			t.Errorf("%s: %d bytes, not the same as trust's %d", p, len(got), len(want))
		}
		made++
	}
	if made != 5 {
		t.Errorf("%d bundles", made)
	}
}

// withoutDates takes the dates and the sum out of a Java keystore.
func withoutDates(t *testing.T, b []byte) []byte {
	t.Helper()
	out := bytes.Clone(b[:12])
	count := int(b[8])<<24 | int(b[9])<<16 | int(b[10])<<8 | int(b[11])
	at := 12
	for range count {
		alias := int(b[at+4])<<8 | int(b[at+5])
		out = append(out, b[at:at+6+alias]...)
		at += 6 + alias + 8
		size := 7 + 4 + int(b[at+7])<<24 + int(b[at+8])<<16 + int(b[at+9])<<8 + int(b[at+10])
		out = append(out, b[at:at+size]...)
		at += size
	}
	if len(b) != at+20 {
		t.Fatalf("%d bytes after %d", len(b), at)
	}
	return out
}

// trustLikeReal calls the real trust on sources of all kinds, and compares status, messages and all files.
func trustLikeReal(t *testing.T, root string) {
	if err := os.RemoveAll(filepath.Join(root, "usr/share/pki/ca-trust-source/ca-bundle.trust.p11-kit")); err != nil {
		t.Fatal(err)
	}
	source := hostTree(t, filepath.Join(root, "usr/share/p11-kit"))
	module, err := fsOf(source).ReadFile("/", "/modules/p11-kit-trust.module")
	if err != nil {
		t.Fatal(err)
	}
	fixtures := trustFixtures()
	for p, b := range fixtures {
		if err := os.MkdirAll(filepath.Dir(root+p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(root+p, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// readdir(3) gives names in an order of its own: one directory after the other must hold one file.
	only := func(keep ...string) {
		for p, b := range fixtures {
			kept := false
			for _, k := range keep {
				kept = kept || strings.HasSuffix(p, k)
			}
			if kept {
				err = os.WriteFile(root+p, b, 0o644)
			} else if err = os.Remove(root + p); os.IsNotExist(err) {
				err = nil
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	var sets [][]string
	for p := range fixtures {
		sets = append(sets, []string{p})
	}
	sets = append(sets, []string{"source/a.p11-kit", "a-plain.pem", "blocklist/one.pem", "later.pem"}, []string{"u-samekey.pem", "blocklist/one.pem"},
		[]string{"zz-name.pem", "blocklist/two.p11-kit"}, []string{"b-two.pem", "source/b.p11-kit", "later.pem"})
	slices.SortFunc(sets, slices.Compare[[]string])
	calls := trustCalls()
	for i, set := range sets {
		only(set...)
		list := calls
		if len(set) == 1 { // a few for each, all for some
			list = nil
			for j := i % 7; j < len(calls); j += 7 {
				list = append(list, calls[j])
			}
			list = append(list, "--format=openssl-bundle --filter=certificates --comment", "--format=pem-directory-hash --filter=certificates", "--format=pem-bundle --comment --purpose=server-auth")
		}
		tree := luaTree(t, "/out/", "/out/old kept")
		put := func(p string, b []byte) {
			if err := tree.MkdirAll("/", filepath.Dir(p), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := tree.WriteFile("/", p, b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		put("/usr/share/p11-kit/modules/p11-kit-trust.module", module)
		for p, b := range fixtures {
			if _, err := os.Stat(root + p); err == nil {
				put(p, b)
			}
		}
		for _, call := range sampled(list, 8) {
			compareTrust(t, root, tree, set, call)
		}
	}
}

// compareTrust runs one call on both sides into an empty place.
func compareTrust(t *testing.T, root string, tree *FS, set []string, call string) {
	t.Helper()
	for _, err := range []error{
		os.RemoveAll(root + "/out"), os.Mkdir(root+"/out", 0o755), os.WriteFile(root+"/out/old", []byte("kept"), 0o644),
		tree.RemoveAll("/", "/out"), tree.Mkdir("/", "/out", 0o755), tree.WriteFile("/", "/out/old", []byte("kept"), 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	args := append([]string{"trust", "extract"}, strings.Fields(call)...)
	destination := "/out/file"
	if strings.Contains(call, "directory") && strings.Contains(call, "overwrite") {
		destination = "/out"
	} else if strings.Contains(call, "overwrite") {
		destination = "/out/old"
	}
	args = append(args, destination)
	cmd := exec.Command("chroot", append([]string{root}, args...)...)
	cmd.Env = []string{"PATH=/usr/bin", "SOURCE_DATE_EPOCH=1700000000"}
	var want bytes.Buffer
	cmd.Stderr = &want
	_ = cmd.Run()
	status, _, stderr := runTrustTest(t, tree, args...)
	name := fmt.Sprintf("%v: %s", set, call)
	if got := cmd.ProcessState.ExitCode(); got != status {
		t.Errorf("%s: status %d, trust's is %d (%s) (%s)", name, status, got, stderr, want.Bytes())
	}
	messages := func(s string) []string {
		var out []string
		for line := range strings.SplitSeq(s, "\n") {
			line, _, _ = strings.Cut(line, ": Error in") // libtasn1 says more
			out = append(out, line)
		}
		return out
	}
	if diff := cmp.Diff(messages(want.String()), messages(stderr)); diff != "" {
		t.Errorf("%s: messages (-trust +slim):\n%s", name, diff)
	}
	out := map[string]string{}
	for _, n := range tree.Tree().Nodes() {
		if strings.HasPrefix(n.Path, "/out") {
			out[n.Path] = fmt.Sprintf("%o %s", n.Mode, n.Link)
			if n.IsRegular() {
				b, err := tree.ReadFile("/", n.Path)
				if err != nil {
					t.Fatal(err)
				}
				out[n.Path] += readable(b)
			}
		}
	}
	real := map[string]string{}
	for _, n := range hostTree(t, root+"/out").Nodes() {
		p := "/out" + strings.TrimSuffix(n.Path, "/")
		real[p] = fmt.Sprintf("%o %s", n.Mode, n.Link)
		if n.Path == "/" {
			st, err := os.Stat(root + "/out")
			if err != nil {
				t.Fatal(err)
			}
			real[p] = fmt.Sprintf("%o ", 0o40000|st.Mode().Perm())
		}
		if n.IsRegular() {
			b, err := os.ReadFile(root + p)
			if err != nil {
				t.Fatal(err)
			}
			real[p] += readable(b)
		}
	}
	if diff := cmp.Diff(real, out); diff != "" {
		t.Errorf("%s: files (-trust +slim):\n%s", name, diff)
	}
}

func readable(b []byte) string {
	if bytes.HasPrefix(b, []byte("-----")) || bytes.HasPrefix(b, []byte("# ")) {
		return string(b)
	}
	return base64.StdEncoding.EncodeToString(b)
}

func TestTrustRefuses(t *testing.T) {
	for _, args := range [][]string{
		{"trust"},
		{"trust", "anchor", "x"},
		{"trust", "extract", "--filter=pkcs11:x", "--format=pem-bundle", "/x"},
		{"trust", "extract", "--what"},
		{"trust", "extract", "--filter=all", "--format=pem-bundle", "/x"},
	} {
		var stderr bytes.Buffer
		_, err := trustCommands()[args[0]](context.Background(), &Call{Args: args, Stderr: &stderr, Stdout: &stderr, FS: luaTree(t)})
		if u, ok := err.(*Unsupported); !ok || u.Command != strings.Join(args, " ") {
			t.Errorf("%v: %v", args, err)
		}
	}
}

func FuzzTrustSource(f *testing.F) {
	for _, b := range trustFixtures() {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		tree := luaTree(t, "/etc/pki/ca-trust/source/anchors/")
		if err := tree.WriteFile("/", "/etc/pki/ca-trust/source/anchors/x", b, 0o644); err != nil {
			t.Fatal(err)
		}
		for _, format := range []string{"openssl-directory", "java-cacerts"} {
			runTrustTest(t, tree, "trust", "extract", "--format="+format, "--filter=certificates", "/out"+format)
		}
	})
}

// TestTrustSourceKept: what packages bring is read once and says the same each time; with a file of anybody else all is read
// again.
func TestTrustSourceKept(t *testing.T) {
	const root = "/usr/share/pki/ca-trust-source"
	tree, err := rootfs.Build([]rootfs.Package{{NEVRA: rpm.NEVRA{Name: "trust"}, Files: []rpm.File{{Path: root + "/broken.pem", Mode: rpm.ModeRegular | 0o644}}}}, rootfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	opened := 0
	f := NewFS(tree, func(*rootfs.Node) (io.ReadCloser, error) {
		opened++
		return io.NopCloser(strings.NewReader("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")), nil
	}, 1)
	for i, want := range []struct{ opened, said, objects int }{{1, 1, 0}, {1, 1, 0}, {2, 1, 1}, {3, 1, 1}} {
		if i == 2 {
			if err := tree.PutFile(root+"/anchors/own.der", 0o644, 1, testCertificate{serial: []byte{1}, subject: encodeDER(tagSequence), key: 1}.der()); err != nil {
				t.Fatal(err)
			}
		}
		var said []string
		count := 0
		s, err := readTrustSource(f, root, &count, func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) })
		if err != nil {
			t.Fatal(err)
		}
		if opened != want.opened || len(said) != want.said || len(s.objects) != want.objects || count != want.objects {
			t.Errorf("time %d: opened %d times, said %q, %d objects, counted %d", i+1, opened, said, len(s.objects), count)
		}
	}
}
