package rpm

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha3"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/google/go-cmp/cmp"
)

func oneFile() []member { return []member{{path: "/a", mode: 0o100644, content: "hello"}} }

func kind(t testing.TB, err error) VerifyKind {
	t.Helper()
	var v *VerifyError
	if err == nil {
		return ""
	}
	if !errors.As(err, &v) {
		t.Fatalf("not a VerifyError: %v", err)
	}
	return v.Kind
}

func TestVerify(t *testing.T) {
	signer, other := newKey(t, 0), newKey(t, 0)
	by := func(e *openpgp.Entity, tag Tag) func(h, p []byte) []entry {
		return func(h, p []byte) []entry { return []entry{{tag, sign(t, e, h)}} }
	}
	whole := func(e *openpgp.Entity, tag Tag) func(h, p []byte) []entry {
		return func(h, p []byte) []entry { return []entry{{tag, sign(t, e, h, p)}} }
	}
	text := func(es ...*openpgp.Entity) func(h, p []byte) []entry {
		return func(h, p []byte) []entry {
			var all []string
			for _, e := range es {
				all = append(all, base64.StdEncoding.EncodeToString(sign(t, e, h)))
			}
			return []entry{{TagOpenPGP, all}}
		}
	}
	broken := func(h, p []byte) []byte {
		s := sign(t, signer, h)
		s[len(s)-1] ^= 1
		return s
	}
	for _, test := range []struct {
		name    string
		pkg     testPackage
		opts    VerifyOptions
		want    VerifyKind
		unnamed bool // accepted without a key
		change  func(b []byte) []byte
	}{
		{name: "RSAHEADER", pkg: testPackage{signatures: by(signer, TagRSAHeader)}},
		{name: "DSAHEADER", pkg: testPackage{signatures: by(signer, TagDSAHeader)}},
		{name: "OPENPGP", pkg: testPackage{signatures: text(signer)}},
		{name: "one known of two", pkg: testPackage{signatures: text(other, signer)}},
		{name: "old signature of all", pkg: testPackage{noPayload: true, signatures: whole(signer, TagSigPGP)}},
		{name: "old signature of all, DSA's tag", pkg: testPackage{noPayload: true, signatures: whole(signer, TagSigGPG)}},
		{name: "old signature alone, payload digest there", pkg: testPackage{signatures: whole(signer, TagSigPGP)}},
		{name: "unsigned", pkg: testPackage{}, want: KindUnsigned},
		{name: "unsigned, allowed", pkg: testPackage{}, opts: VerifyOptions{AllowUnsigned: true}, unnamed: true},
		{name: "no payload digest, unsigned, allowed", pkg: testPackage{noPayload: true}, opts: VerifyOptions{AllowUnsigned: true}, want: KindUnsigned},
		{name: "payload not covered", pkg: testPackage{noPayload: true, signatures: by(signer, TagRSAHeader)}, want: KindUnsigned},
		{name: "other key", pkg: testPackage{signatures: by(other, TagRSAHeader)}, want: KindWrongKey},
		{name: "other key, allowed", pkg: testPackage{signatures: by(other, TagRSAHeader)}, opts: VerifyOptions{AllowUnsigned: true}, unnamed: true},
		{name: "other key, old signature", pkg: testPackage{noPayload: true, signatures: whole(other, TagSigPGP)}, want: KindWrongKey},
		{name: "wrong signature", pkg: testPackage{signatures: func(h, p []byte) []entry { return []entry{{TagRSAHeader, broken(h, p)}} }}, want: KindBadSignature},
		{
			name: "wrong signature, unsigned allowed", pkg: testPackage{signatures: func(h, p []byte) []entry { return []entry{{TagRSAHeader, broken(h, p)}} }},
			opts: VerifyOptions{AllowUnsigned: true}, want: KindBadSignature,
		},
		{name: "one good, one wrong", pkg: testPackage{signatures: func(h, p []byte) []entry {
			return []entry{{TagDSAHeader, sign(t, signer, h)}, {TagRSAHeader, broken(h, p)}}
		}}, want: KindBadSignature},
		{name: "signature of something else", pkg: testPackage{signatures: func(h, p []byte) []entry { return []entry{{TagRSAHeader, sign(t, signer, p)}} }}, want: KindBadSignature},
		{name: "wrong old signature", pkg: testPackage{noPayload: true, signatures: by(signer, TagSigPGP)}, want: KindBadSignature},
		{name: "garbage for a signature", pkg: testPackage{signatures: func(h, p []byte) []entry { return []entry{{TagRSAHeader, []byte("garbage")}} }}, want: KindBadSignature},
		{name: "two signatures in one tag", pkg: testPackage{signatures: func(h, p []byte) []entry {
			return []entry{{TagRSAHeader, append(sign(t, signer, h), sign(t, signer, h)...)}}
		}}, want: KindBadSignature},
		{name: "not base64", pkg: testPackage{signatures: func(h, p []byte) []entry { return []entry{{TagOpenPGP, []string{"%%%"}}} }}, want: KindBadSignature},
		{name: "text signature", pkg: testPackage{signatures: func(h, p []byte) []entry {
			return []entry{{TagRSAHeader, signWith(t, signer.PrivateKey, 1, signTime, h)}}
		}}, want: KindBadSignature},
		{name: "signed before the key was made", pkg: testPackage{signatures: func(h, p []byte) []entry {
			return []entry{{TagRSAHeader, signWith(t, signer.PrivateKey, 0, keyTime.Add(-1e9), h)}}
		}}, want: KindWrongKey},
		{name: "wrong SHA-1", pkg: testPackage{signatures: func(h, p []byte) []entry {
			return []entry{{TagRSAHeader, sign(t, signer, h)}, {TagSHA1Header, hex.EncodeToString(make([]byte, sha1.Size))}}
		}}, want: KindBadDigest},
		{name: "wrong SHA3-256", pkg: testPackage{signatures: func(h, p []byte) []entry {
			return []entry{{TagRSAHeader, sign(t, signer, h)}, {TagSHA3Header, hex.EncodeToString(make([]byte, 32))}}
		}}, want: KindBadDigest},
		{name: "digests good", pkg: testPackage{signatures: func(h, p []byte) []entry {
			one, three := sha1.Sum(h), sha3.Sum256(h)
			return []entry{{TagRSAHeader, sign(t, signer, h)}, {TagSHA1Header, hex.EncodeToString(one[:])}, {TagSHA3Header, hex.EncodeToString(three[:])}}
		}}},
		{name: "payload changed", pkg: testPackage{signatures: by(signer, TagRSAHeader)}, change: func(b []byte) []byte { b[len(b)-1] ^= 1; return b }, want: KindBadDigest},
		{name: "payload longer", pkg: testPackage{signatures: by(signer, TagRSAHeader)}, change: func(b []byte) []byte { return append(b, 0) }, want: KindBadDigest},
		{name: "payload shorter", pkg: testPackage{signatures: by(signer, TagRSAHeader)}, change: func(b []byte) []byte { return b[:len(b)-1] }, want: KindBadDigest},
		{name: "header changed", pkg: testPackage{signatures: by(signer, TagRSAHeader)}, change: func(b []byte) []byte {
			i := bytes.Index(b, []byte("foo-1.0-1.src.rpm"))
			b[i] = 'g'
			return b
		}, want: KindBadDigest},
		{name: "size says more", pkg: testPackage{signatures: func(h, p []byte) []entry {
			return []entry{{TagSigSize, []uint32{uint32(len(h) + len(p) + 1)}}}
		}}, want: KindTruncated},
		{name: "size says less", pkg: testPackage{signatures: func(h, p []byte) []entry {
			return []entry{{TagSigSize, []uint32{uint32(len(h) + len(p) - 1)}}}
		}}, want: KindMalformed},
		{
			name: "checksum differs", pkg: testPackage{signatures: by(signer, TagRSAHeader)},
			opts: VerifyOptions{Checksum: Checksum{"sha256", strings.Repeat("0", 64)}}, want: KindBadDigest,
		},
		{name: "payload digest of the wrong length", pkg: testPackage{signatures: by(signer, TagRSAHeader), headerAdd: []entry{{TagPayloadSHA512, "00"}}}, want: KindMalformed},
		{name: "wrong second payload digest", pkg: testPackage{signatures: by(signer, TagRSAHeader), headerAdd: []entry{{TagPayloadSHA3, strings.Repeat("0", 64)}}}, want: KindBadDigest},
		{name: "MD5 payload digest counts for nothing", pkg: testPackage{
			noPayload: true, signatures: by(signer, TagRSAHeader),
			headerAdd: []entry{{TagPayloadSHA256, []string{strings.Repeat("0", 32)}}, {TagPayloadDigestAlgo, []uint32{1}}},
		}, want: KindUnsigned},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.pkg.members = oneFile()
			b := test.pkg.build()
			if test.change != nil {
				b = test.change(b)
			}
			if test.opts.Checksum.IsZero() {
				wantHead(t, b, keyring(t, signer), test.opts, test.want)
			}
			pkg, err := openBytes(t, b).Verify(keyring(t, signer), test.opts)
			if got := kind(t, err); got != test.want {
				t.Fatalf("got %q, not %q: %v", got, test.want, err)
			}
			if err != nil {
				if pkg != nil {
					t.Error("an error and a package")
				}
				if !strings.Contains(err.Error(), "foo-1.0-1.noarch") && !strings.Contains(err.Error(), "goo") {
					t.Errorf("the error does not name the package: %v", err)
				}
				return
			}
			if (pkg.Key() == Key{}) != test.unnamed {
				t.Errorf("key is %v", pkg.Key())
			}
			if !test.unnamed && pkg.Key() != keyring(t, signer).Keys()[0] {
				t.Errorf("key is %v", pkg.Key())
			}
			sum := sha256.Sum256(b)
			if got := hex.EncodeToString(sum[:]); got != pkg.FileSHA256() || pkg.Size() != int64(len(b)) {
				t.Errorf("file is %s of %d bytes", pkg.FileSHA256(), pkg.Size())
			}
			if pkg.HeaderSHA256() != pkg.SignatureHeader().Text(TagSHA256Header) {
				t.Errorf("header is %s", pkg.HeaderSHA256())
			}
			if err := drain(pkg, &Decompressors{}); err != nil {
				t.Error(err)
			}
		})
	}
}

// wantHead expects of VerifyHead and a read of the payload what Verify says, unless the headers do not suffice.
func wantHead(t *testing.T, b []byte, keys *Keyring, opts VerifyOptions, want VerifyKind) {
	t.Helper()
	pkg, err := openBytes(t, b).VerifyHead(keys, opts)
	if pkg == nil && err == nil {
		if want != "" && want != KindBadDigest && want != KindBadSignature && want != KindWrongKey && want != KindUnsigned {
			t.Errorf("VerifyHead does not say %q", want)
		}
		return
	}
	if err == nil {
		finished := finish(t, pkg)
		err = drain(pkg, &Decompressors{})
		if got := kind(t, finished); got != want && (want == "" || want == KindBadDigest) {
			t.Errorf("Finish: got %q, not %q: %v", got, want, finished)
		}
	}
	if got := kind(t, err); got != want {
		t.Errorf("VerifyHead: got %q, not %q: %v", got, want, err)
	}
	if err == nil && pkg.Key() != keys.Keys()[0] {
		t.Errorf("VerifyHead: key is %v", pkg.Key())
	}
}

// finish begins to read a payload and finishes it.
func finish(t *testing.T, p *Package) error {
	t.Helper()
	payload, err := p.Payload()
	if err != nil {
		return err
	}
	defer payload.Close()
	if _, err := payload.Next(); err != nil {
		return err
	}
	err = payload.Finish()
	if again := payload.Finish(); !errors.Is(again, err) {
		t.Errorf("Finish said %v, and then %v", err, again)
	}
	if _, next := payload.Next(); err == nil && next != io.EOF || err != nil && next != err {
		t.Errorf("Finish said %v, and Next %v", err, next)
	}
	return err
}

// TestVerifyHeadSuffices reads no byte behind the headers until the payload is asked for.
func TestVerifyHeadSuffices(t *testing.T) {
	signer := newKey(t, 0)
	p := testPackage{members: oneFile(), signatures: func(h, _ []byte) []entry { return []entry{{TagRSAHeader, sign(t, signer, h)}} }}
	b := p.build()
	start := openBytes(t, b).PayloadStart()
	f, err := OpenPackage(bytes.NewReader(b[:start]), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	pkg, err := f.VerifyHead(keyring(t, signer), VerifyOptions{})
	if err != nil || pkg == nil {
		t.Fatal(pkg, err)
	}
	if err := drain(pkg, &Decompressors{}); kind(t, err) != KindBadDigest {
		t.Errorf("a payload that is not there: %v", err)
	}
}

func TestVerifyChecksums(t *testing.T) {
	b := testPackage{members: oneFile(), noPayload: true}.build()
	for _, algorithm := range []string{"sha1", "sha224", "sha256", "sha384", "sha512"} {
		h := Checksum{Algorithm: algorithm}.NewHash()
		h.Write(b)
		c, err := NewChecksum(algorithm, hex.EncodeToString(h.Sum(nil)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := openBytes(t, b).Verify(nil, VerifyOptions{AllowUnsigned: true, Checksum: c}); err != nil {
			t.Errorf("%s: %v", algorithm, err)
		}
		c.Hex = strings.Repeat("ab", h.Size())
		if _, err := openBytes(t, b).Verify(nil, VerifyOptions{AllowUnsigned: true, Checksum: c}); kind(t, err) != KindBadDigest {
			t.Errorf("%s: %v", algorithm, err)
		}
	}
}

func TestVerifyKeysInForce(t *testing.T) {
	for _, test := range []struct {
		name string
		key  func(t *testing.T) *openpgp.Entity
		want VerifyKind
	}{
		{"expired after it signed", func(t *testing.T) *openpgp.Entity { return newKey(t, 2000) }, ""},
		{"expired before it signed", func(t *testing.T) *openpgp.Entity { return newKey(t, 500) }, KindWrongKey},
		{"compromised afterwards", func(t *testing.T) *openpgp.Entity { return revoked(t, 2, 5000) }, KindWrongKey},
		{"revoked without a reason", func(t *testing.T) *openpgp.Entity { return revoked(t, 0, 5000) }, KindWrongKey},
		{"superseded afterwards", func(t *testing.T) *openpgp.Entity { return revoked(t, 1, 5000) }, ""},
		{"superseded before", func(t *testing.T) *openpgp.Entity { return revoked(t, 1, 500) }, KindWrongKey},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := test.key(t)
			p := testPackage{members: oneFile(), signatures: func(h, _ []byte) []entry { return []entry{{TagRSAHeader, sign(t, e, h)}} }}
			_, err := openBytes(t, p.build()).Verify(keyring(t, e), VerifyOptions{})
			if got := kind(t, err); got != test.want {
				t.Errorf("got %q, not %q: %v", got, test.want, err)
			}
		})
	}
}

func TestOpenPackageFaults(t *testing.T) {
	whole := testPackage{members: oneFile()}.build()
	f := openBytes(t, whole)
	for n := range f.headerEnd {
		if _, err := OpenPackage(bytes.NewReader(whole[:n]), n); kind(t, err) != KindTruncated {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
	for _, test := range []struct {
		name string
		at   int
		to   byte
	}{
		{"magic", 0, 0},
		{"major", 4, 2},
		{"signature type", 79, 1},
		{"signature header's magic", 96, 0},
		{"its entries", 96 + 8, 1},
		{"its data", 96 + 12, 0xff},
		{"its region", 96 + 16 + 3, 63},
		{"header's magic", int(f.headerStart), 0},
		{"its region's type", int(f.headerStart) + 16 + 7, 6},
	} {
		b := bytes.Clone(whole)
		b[test.at] = test.to
		if _, err := OpenPackage(bytes.NewReader(b), int64(len(b))); kind(t, err) != KindMalformed {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	fault := errors.New("disk on fire")
	if _, err := OpenPackage(faulty{fault}, 1<<20); !errors.Is(err, fault) {
		t.Errorf("an error of the reader: %v", err)
	}
}

type faulty struct{ err error }

func (f faulty) ReadAt([]byte, int64) (int, error) { return 0, f.err }

func TestVerifyRefusesForms(t *testing.T) {
	good := testPackage{members: oneFile()}
	payload := good.cpio()
	entries := good.entries(payload)
	without := func(tag Tag) []entry {
		var out []entry
		for _, e := range entries {
			if e.tag != tag {
				out = append(out, e)
			}
		}
		return out
	}
	for _, test := range []struct {
		name string
		blob []byte
	}{
		{"no region", blob(0, entries)},
		{"entries after the region", blob(TagHeaderImmutable, entries, entry{TagVendor, "x"})},
		{"source package", blob(TagHeaderImmutable, without(TagSourceRPM))},
		{"no version", blob(TagHeaderImmutable, without(TagVersion))},
		{"no modes", blob(TagHeaderImmutable, without(TagFileModes))},
	} {
		header := append(headerMagic[:len(headerMagic):len(headerMagic)], test.blob...)
		_, err := openBytes(t, join(nil, header, payload)).Verify(nil, VerifyOptions{AllowUnsigned: true})
		if kind(t, err) != KindMalformed {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// TestVerifyHeader checks a header in a package and as it stands in an rpmdb.
func TestVerifyHeader(t *testing.T) {
	signer := newKey(t, 0)
	keys := keyring(t, signer)
	p := testPackage{members: oneFile(), signatures: func(h, _ []byte) []entry { return []entry{{TagRSAHeader, sign(t, signer, h)}} }}
	f := openBytes(t, p.build())
	if key, err := VerifyHeader(f.Header(), f.SignatureHeader(), keys, false); err != nil || key != keys.Keys()[0] {
		t.Errorf("package: %v, %v", key, err)
	}
	entries := p.entries(p.cpio())
	sig := entry{TagRSAHeader, f.SignatureHeader().Bytes(TagRSAHeader)}
	sum := entry{TagSHA256Header, f.SignatureHeader().Text(TagSHA256Header)}
	installed := func(entries []entry, after ...entry) *Header {
		return mustParse(t, blob(TagHeaderImmutable, entries, after...))
	}
	db := installed(entries, entry{1008, []uint32{1}}, sig, sum)
	if diff := cmp.Diff(f.Header().Blob(), db.Immutable()); diff != "" {
		t.Errorf("region: %s", diff)
	}
	changed := append([]entry{{TagName, "bar"}}, entries[1:]...)
	for _, test := range []struct {
		name  string
		h     *Header
		allow bool
		want  VerifyKind
	}{
		{"rpmdb", db, false, ""},
		{"rpmdb without signature", installed(entries, sum), false, KindUnsigned},
		{"the same, allowed", installed(entries, sum), true, ""},
		{"nor digest, allowed", installed(entries), true, KindUnsigned},
		{"changed", installed(changed, sum, sig), false, KindBadDigest},
		{"changed, no digest", installed(changed, sig), false, KindBadSignature},
		{"changed, no digest, allowed", installed(changed, sig), true, KindBadSignature},
		{"no region", mustParse(t, blob(0, append(entries, sum, sig))), false, KindMalformed},
	} {
		key, err := VerifyHeader(test.h, nil, keys, test.allow)
		if got := kind(t, err); got != test.want {
			t.Errorf("%s: got %q, not %q: %v", test.name, got, test.want, err)
		}
		if wantKey := test.want == "" && !test.allow; wantKey != (key == keys.Keys()[0]) {
			t.Errorf("%s: key %v", test.name, key)
		}
	}
	if _, err := VerifyHeader(db, nil, nil, false); kind(t, err) != KindWrongKey {
		t.Errorf("no keys: %v", err)
	}
}

func FuzzPackage(f *testing.F) {
	f.Add(testPackage{members: oneFile()}.build())
	f.Add(testPackage{members: append(oneFile(), member{path: "/l", mode: 0o120777, content: "a"}), stripped: true}.build())
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := OpenPackage(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			kind(t, err)
			return
		}
		for _, get := range []func() ([]Dependency, error){file.Header().Provides, file.Header().Requires} {
			if _, err := get(); err != nil && !errors.Is(err, ErrHeader) {
				t.Error(err)
			}
		}
		if _, err := file.Header().Scriptlets(); err != nil && !errors.Is(err, ErrHeader) {
			t.Error(err)
		}
		sum := sha256.Sum256(b)
		pkg, err := file.Verify(nil, VerifyOptions{AllowUnsigned: true, Checksum: Checksum{"sha256", hex.EncodeToString(sum[:])}})
		if err != nil {
			kind(t, err)
			return
		}
		p, err := pkg.Payload()
		if err != nil {
			return
		}
		defer p.Close()
		for err == nil {
			_, err = p.Next()
		}
	})
}

func TestVerifyReadsShort(t *testing.T) {
	b := testPackage{members: oneFile()}.build()
	f := openBytes(t, b)
	f.r = oneByte{bytes.NewReader(b)}
	if _, err := f.Verify(nil, VerifyOptions{AllowUnsigned: true}); err != nil {
		t.Error(err)
	}
	f.size++
	if _, err := f.Verify(nil, VerifyOptions{AllowUnsigned: true}); kind(t, err) != KindTruncated {
		t.Errorf("shorter than it was: %v", err)
	}
}

// oneByte reads a byte at a time, as an io.ReaderAt may with an error alone.
type oneByte struct{ *bytes.Reader }

func (o oneByte) ReadAt(b []byte, off int64) (int, error) {
	return io.ReadFull(iotest.OneByteReader(io.NewSectionReader(o.Reader, off, 1)), b[:1])
}
