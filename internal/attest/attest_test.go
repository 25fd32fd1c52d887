package attest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"strings"
	"testing"
)

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("../../testdata/keys/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func plainKey(t testing.TB, private any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// TestSign signs with a key that cosign wrote and with plain ones, and verifies with the public key what DSSE says is signed.
func TestSign(t *testing.T) {
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(curve)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(read(t, "cosign.pub"))
	cosigns, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		key    []byte
		public crypto.PublicKey
	}{
		"cosign":  {read(t, "cosign.key"), cosigns},
		"Ed25519": {plainKey(t, edwards), edwards.Public()},
		"PKCS 8":  {plainKey(t, curve), curve.Public()},
		"SEC 1":   {pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1}), curve.Public()},
	} {
		k, err := ParseKey(c.key, []byte("pw"))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		statement := NewStatement("n", "sha256:ab", SignedImage, struct{}{})
		content, err := k.Sign(statement)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if again, err := k.Sign(statement); err != nil || !bytes.Equal(content, again) {
			t.Errorf("%s: signed again it is another bundle, %v", name, err)
		}
		var b bundle
		if err := json.Unmarshal(content, &b); err != nil {
			t.Fatal(err)
		}
		if want := `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"n","digest":{"sha256":"ab"}}],"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{}}`; string(b.Envelope.Payload) != want {
			t.Errorf("%s: payload %s", name, b.Envelope.Payload)
		}
		message := "DSSEv1 28 application/vnd.in-toto+json 162 " + string(b.Envelope.Payload)
		if !verified(c.public, []byte(message), b.Envelope.Signatures[0].Signature) {
			t.Errorf("%s: the signature of %q does not verify", name, message)
		}
		if verified(c.public, []byte(message+" "), b.Envelope.Signatures[0].Signature) {
			t.Errorf("%s: the signature verifies another message", name)
		}
		if der, err := x509.MarshalPKIXPublicKey(c.public); err != nil || b.Material.PublicKey.Hint != k.hint() || k.id != sha256.Sum256(der) {
			t.Errorf("%s: key %s, hint %s, %v", name, k.ID(), b.Material.PublicKey.Hint, err)
		}
	}
}

func verified(public crypto.PublicKey, message, signature []byte) bool {
	if k, ok := public.(ed25519.PublicKey); ok {
		return ed25519.Verify(k, message, signature)
	}
	sum := sha256.Sum256(message)
	return ecdsa.VerifyASN1(public.(*ecdsa.PublicKey), sum[:], signature)
}

func TestParseKeyRefuses(t *testing.T) {
	cosigns := read(t, "cosign.key")
	if _, err := ParseKey(cosigns, []byte("other")); !errors.Is(err, ErrPassword) {
		t.Errorf("wrong password: %v", err)
	}
	large, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(cosigns)
	cut := pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes[:len(block.Bytes)/2]})
	costly := bytes.Replace(block.Bytes, []byte(`"r":8`), []byte(`"r":8000000`), 1)
	if bytes.Equal(costly, block.Bytes) {
		t.Fatalf("%s", block.Bytes)
	}
	for want, content := range map[string][]byte{
		"it is not in PEM":                   []byte("key"),
		"it is a PUBLIC KEY":                 read(t, "cosign.pub"),
		"it is an RSA key":                   plainKey(t, large),
		"over P-384":                         plainKey(t, curve),
		"decrypting: unexpected end of JSON": cut,
		"decrypting: unsupported scrypt":     pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: costly}),
		"a key has at most 65536 bytes":      append(cosigns, make([]byte, MaxKey)...),
	} {
		if _, err := ParseKey(content, []byte("pw")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add(read(f, "cosign.key"))
	f.Add(read(f, "cosign.pub"))
	f.Fuzz(func(t *testing.T, content []byte) {
		k, err := ParseKey(content, []byte("pw"))
		if (k == nil) == (err == nil) {
			t.Errorf("key %v, error %v", k, err)
		}
	})
}
