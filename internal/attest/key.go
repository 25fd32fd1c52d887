package attest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
)

// MaxKey bounds the file of a key.
const MaxKey = 64 << 10

// ErrPassword says that a key is encrypted, and not with the password given.
var ErrPassword = errors.New("the password is not the key's")

// Key is a private key. It signs for any number of goroutines.
type Key struct {
	signer crypto.Signer
	hash   crypto.Hash // of what is signed; 0 for Ed25519, which takes the whole message
	id     [sha256.Size]byte
}

// ParseKey reads a private key in PEM: one of cosign's, which password decrypts, or a plain one in PKCS #8 or SEC 1.
// The password is not asked for where it is not needed.
func ParseKey(content, password []byte) (*Key, error) {
	if len(content) > MaxKey {
		return nil, fmt.Errorf("a key has at most %d bytes", MaxKey)
	}
	block, _ := pem.Decode(content)
	if block == nil {
		return nil, errors.New("it is not in PEM")
	}
	var private any
	var err error
	switch block.Type {
	case "ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY":
		der, derr := encrypted.Decrypt(block.Bytes, password)
		if derr != nil {
			return nil, decryptError(derr)
		}
		private, err = x509.ParsePKCS8PrivateKey(der)
	case "PRIVATE KEY":
		private, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		private, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		return nil, fmt.Errorf("it is a %s, no private key of cosign's and no plain one", block.Type)
	}
	if err != nil {
		return nil, err
	}
	return newKey(private)
}

// decryptError tells a wrong password from a file that is damaged: the library has no type for it.
func decryptError(err error) error {
	if err.Error() == "encrypted: decryption failed" {
		return ErrPassword
	}
	return fmt.Errorf("decrypting: %w", err)
}

func newKey(private any) (*Key, error) {
	k := &Key{}
	switch p := private.(type) {
	case *ecdsa.PrivateKey:
		if p.Curve != elliptic.P256() {
			return nil, fmt.Errorf("it is an ECDSA key over %s: of those P-256 is supported", p.Curve.Params().Name)
		}
		k.signer, k.hash = p, crypto.SHA256
	case ed25519.PrivateKey:
		k.signer = p
	case *rsa.PrivateKey:
		return nil, errors.New("it is an RSA key: ECDSA over P-256 and Ed25519 are supported")
	default:
		return nil, fmt.Errorf("it is a %T: ECDSA over P-256 and Ed25519 are supported", private)
	}
	public, err := x509.MarshalPKIXPublicKey(k.signer.Public())
	if err != nil {
		return nil, err
	}
	k.id = sha256.Sum256(public)
	return k, nil
}

// ID is the SHA-256 of the public key (SubjectPublicKeyInfo), in hex.
func (k *Key) ID() string { return fmt.Sprintf("%x", k.id) }

// hint is the ID as bundles have it.
func (k *Key) hint() string { return base64.StdEncoding.EncodeToString(k.id[:]) }

// sign signs a message, always with the same result.
func (k *Key) sign(message []byte) ([]byte, error) {
	if k.hash == crypto.SHA256 {
		sum := sha256.Sum256(message)
		message = sum[:]
	}
	return k.signer.Sign(nil, message, k.hash) // without a source of randomness ECDSA is that of RFC 6979
}
