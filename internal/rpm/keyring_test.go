package rpm

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/google/go-cmp/cmp"

	"slim/internal/tooltest"
)

// revoked is a key revoked for a reason some seconds after it was made.
func revoked(t *testing.T, reason packet.ReasonForRevocation, after int) *openpgp.Entity {
	t.Helper()
	e := newKey(t, 0)
	if err := e.RevokeKey(reason, "", at(keyTime.Add(time.Duration(after)*time.Second), 0)); err != nil {
		t.Fatal(err)
	}
	return e
}

func armored(t testing.TB, kind string, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := armor.Encode(&b, kind, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestKeyringAdd(t *testing.T) {
	one, two := newKey(t, 0), newKey(t, 0)
	block := func(e *openpgp.Entity) []byte { return armored(t, "PGP PUBLIC KEY BLOCK", public(t, e)) }
	unknown := bytes.Clone(public(t, one))
	unknown[bytes.IndexByte(unknown, 4)] = 9 // the version of the first key packet
	for _, test := range []struct {
		name    string
		data    []byte
		added   int
		skipped int
		fails   bool
	}{
		{"binary", public(t, one), 1, 0, false},
		{"two binary", append(public(t, one), public(t, two)...), 2, 0, false},
		{"armored", block(one), 1, 0, false},
		{"armored, text around", []byte("The keys\n\n" + string(block(one)) + "\nand\r\n" + string(block(two)) + "\nend"), 2, 0, false},
		{"armored, CR LF", bytes.ReplaceAll(block(one), []byte("\n"), []byte("\r\n")), 1, 0, false},
		{"one of an unknown kind", append(unknown, public(t, two)...), 1, 1, false},
		{"an unknown kind alone", unknown, 0, 1, true},
		{"empty", nil, 0, 0, true},
		{"text", []byte("no key\n"), 0, 1, true},
		{"a block without an end", block(one)[:200], 0, 0, true},
		{"a signature", armored(t, "PGP SIGNATURE", sign(t, one)), 0, 0, true},
		{"too large", make([]byte, MaxKeyFile+1), 0, 0, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			var k Keyring
			added, skipped, err := k.Add(test.data)
			if len(added) != test.added || len(skipped) != test.skipped || (err != nil) != test.fails {
				t.Fatalf("added %v, skipped %v: %v", added, skipped, err)
			}
			if diff := cmp.Diff(len(added), len(k.Keys())); diff != "" {
				t.Error(diff)
			}
		})
	}
	var k Keyring
	added, _, err := k.Add(block(one))
	if err != nil {
		t.Fatal(err)
	}
	want := []Key{{ID: keyHex(one.PrimaryKey.KeyId), Fingerprint: strings.ToLower(fingerprint(one)), UserID: "Tester <tester@example.org>"}}
	if diff := cmp.Diff(want, added); diff != "" {
		t.Error(diff)
	}
}

// TestKeyringPinned takes one key of a file of two, and refuses a file without it.
func TestKeyringPinned(t *testing.T) {
	one, two, other := newKey(t, 0), newKey(t, 0), newKey(t, 0)
	file := append(public(t, one), public(t, two)...)
	var k Keyring
	if added, _, err := k.Add(file, fingerprint(two)); err != nil || len(added) != 1 || added[0].ID != keyHex(two.PrimaryKey.KeyId) || len(k.Keys()) != 1 {
		t.Errorf("added %v: %v", added, err)
	}
	_, _, err := k.Add(file, fingerprint(two), fingerprint(other))
	if err == nil || !strings.Contains(err.Error(), "no key with the fingerprint "+strings.ToLower(fingerprint(other))+"; held are "+strings.ToLower(fingerprint(one))) {
		t.Errorf("a file without the key: %v", err)
	}
	if len(k.Keys()) != 1 {
		t.Errorf("taken all the same: %v", k.Keys())
	}
}

func fingerprint(e *openpgp.Entity) string {
	const digits = "0123456789abcdef"
	var b strings.Builder
	for _, c := range e.PrimaryKey.Fingerprint {
		b.WriteByte(digits[c>>4])
		b.WriteByte(digits[c&15])
	}
	return b.String()
}

// TestKeyringMerge: what a later copy of a key says counts too.
func TestKeyringMerge(t *testing.T) {
	e := newKey(t, 0)
	before := public(t, e)
	if err := e.RevokeKey(packet.KeyCompromised, "", at(signTime.Add(time.Hour), 0)); err != nil {
		t.Fatal(err)
	}
	var k Keyring
	text := []byte("text")
	for i, data := range [][]byte{before, public(t, e), before} {
		if _, _, err := k.Add(data); err != nil {
			t.Fatal(err)
		}
		_, err := k.VerifyDetached(text, sign(t, e, text))
		if want := map[bool]VerifyKind{true: "", false: KindWrongKey}[i == 0]; kind(t, err) != want {
			t.Errorf("copy %d: %v", i, err)
		}
	}
	if len(k.Keys()) != 1 {
		t.Errorf("%d keys", len(k.Keys()))
	}
}

func TestKeyringSubkeys(t *testing.T) {
	text := []byte("text")
	e := newKey(t, 0)
	if err := e.AddSigningSubkey(at(keyTime, 0)); err != nil {
		t.Fatal(err)
	}
	signing, encryption := -1, -1
	for i, s := range e.Subkeys {
		if s.Sig.FlagSign {
			signing = i
		} else {
			encryption = i
		}
	}
	if signing < 0 || encryption < 0 {
		t.Fatal("not a signing and an encryption subkey")
	}
	sub := signWith(t, e.Subkeys[signing].PrivateKey, packet.SigTypeBinary, signTime, text)
	key, err := keyring(t, e).VerifyDetached(text, sub)
	if err != nil || key.ID != keyHex(e.PrimaryKey.KeyId) {
		t.Errorf("by a subkey: %v, %v", key, err)
	}
	// Without its binding, and with another certificate's, it is no key.
	bare := *e
	bare.Subkeys = nil
	if _, err := keyring(t, &bare).VerifyDetached(text, sub); kind(t, err) != KindWrongKey {
		t.Errorf("without the subkey: %v", err)
	}
	stolen := newKey(t, 0)
	stolen.Subkeys = e.Subkeys
	if _, err := keyring(t, stolen).VerifyDetached(text, sub); kind(t, err) != KindWrongKey {
		t.Errorf("by another certificate's subkey: %v", err)
	}
	if err := e.RevokeSubkey(&e.Subkeys[signing], packet.KeyCompromised, "", at(signTime, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := keyring(t, e).VerifyDetached(text, sub); kind(t, err) != KindWrongKey {
		t.Errorf("by a revoked subkey: %v", err)
	}
}

func TestVerifyDetached(t *testing.T) {
	e, other := newKey(t, 0), newKey(t, 0)
	keys := keyring(t, e)
	text := []byte("one\ntwo\n")
	good := sign(t, e, text)
	v4text := signWith(t, e.PrivateKey, packet.SigTypeText, signTime, []byte("one\r\ntwo\r\n"))
	for _, test := range []struct {
		name string
		sig  []byte
		want VerifyKind
	}{
		{"binary", good, ""},
		{"armored", armored(t, "PGP SIGNATURE", good), ""},
		{"blanks before", append([]byte("\n "), armored(t, "PGP SIGNATURE", good)...), ""},
		{"text", v4text, ""},
		{"two, one known", append(sign(t, other, text), good...), ""},
		{"unknown", sign(t, other, text), KindWrongKey},
		{"of something else", sign(t, e, []byte("else")), KindBadSignature},
		{"one wrong of two", append(bytes.Clone(good), sign(t, e, []byte("else"))...), KindBadSignature},
		{"empty", nil, KindMalformed},
		{"garbage", []byte("garbage"), KindMalformed},
		{"cut", good[:len(good)-5], KindTruncated},
		{"a key", public(t, e), KindMalformed},
		{"too large", make([]byte, MaxSignatureSize+1), KindMalformed},
	} {
		key, err := keys.VerifyDetached(text, test.sig)
		if got := kind(t, err); got != test.want {
			t.Errorf("%s: got %q, not %q: %v", test.name, got, test.want, err)
		}
		if (err == nil) != (key == keys.Keys()[0]) {
			t.Errorf("%s: key %v", test.name, key)
		}
	}
}

// TestSharedDetached checks real signatures of real metadata.
func TestSharedDetached(t *testing.T) {
	root := tooltest.Shared(t)
	read := func(path ...string) []byte {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(append([]string{root}, path...)...))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var keys Keyring
	if _, _, err := keys.Add(read("distro", "RPM-GPG-KEY-slimtest")); err != nil {
		t.Fatal(err)
	}
	signed, sig := read("distro", "1", "repodata", "repomd.xml"), read("distro", "1", "repodata", "repomd.xml.asc")
	if key, err := keys.VerifyDetached(signed, sig); err != nil || key != keys.Keys()[0] {
		t.Errorf("%v, %v", key, err)
	}
	if _, err := keys.VerifyDetached(append(signed, '\n'), sig); kind(t, err) != KindBadSignature {
		t.Errorf("changed: %v", err)
	}
}

func TestGuard(t *testing.T) {
	if err := guard(func() error { panic("index out of range") }); err == nil {
		t.Error("a panic is no error")
	}
	want := errors.New("an error")
	if err := guard(func() error { return want }); err != want {
		t.Errorf("got %v", err)
	}
}

func FuzzKeyring(f *testing.F) {
	e := newKey(f, 0)
	f.Add(public(f, e), sign(f, e, []byte("text")))
	f.Add(armored(f, "PGP PUBLIC KEY BLOCK", public(f, e)), armored(f, "PGP SIGNATURE", sign(f, e, []byte("text"))))
	f.Fuzz(func(t *testing.T, key, sig []byte) {
		k := keyring(t, e)
		if _, _, err := k.Add(key); err == nil && len(k.Keys()) == 0 {
			t.Error("no error and no key")
		}
		if _, err := k.VerifyDetached([]byte("text"), sig); err != nil {
			kind(t, err)
		}
	})
}
