package rpmtest

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// Key is an OpenPGP key with which packages and metadata are signed. It is safe for concurrent use.
type Key struct{ entity *openpgp.Entity }

// NewKey makes an RSA key of 2048 bits for the user id `name <name@example.com>`. It is made anew each time and was
// made at DefaultTime.
func NewKey(name string) (*Key, error) {
	e, err := openpgp.NewEntity(name, "", name+"@example.com", config())
	if err != nil {
		return nil, fmt.Errorf("making key %s: %w", name, err)
	}
	return &Key{e}, nil
}

var sharedKey = sync.OnceValues(func() (*Key, error) { return NewKey("rpmtest") })

// TestKey is one key for the whole test process.
func TestKey(t testing.TB) *Key {
	t.Helper()
	k, err := sharedKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func config() *packet.Config {
	return &packet.Config{
		RSABits:     2048,
		Algorithm:   packet.PubKeyAlgoRSA,
		DefaultHash: crypto.SHA256,
		Time:        func() time.Time { return time.Unix(DefaultTime, 0) },
	}
}

// Fingerprint is the key's fingerprint in lower case hex.
func (k *Key) Fingerprint() string { return hex.EncodeToString(k.entity.PrimaryKey.Fingerprint) }

// Public is the public key, armored, as a gpgkey file holds it.
func (k *Key) Public() []byte {
	var b bytes.Buffer
	w, err := armor.Encode(&b, openpgp.PublicKeyType, nil)
	if err == nil {
		err = k.entity.Serialize(w)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic(err) // a key that NewKey made can be written to memory
	}
	return b.Bytes()
}

// Sign is the detached binary signature of data.
func (k *Key) Sign(data []byte) ([]byte, error) {
	var b bytes.Buffer
	err := openpgp.DetachSign(&b, k.entity, bytes.NewReader(data), config())
	return b.Bytes(), err
}

// SignArmored is the detached signature of data with ASCII armor, as in repomd.xml.asc.
func (k *Key) SignArmored(data []byte) ([]byte, error) {
	var b bytes.Buffer
	err := openpgp.ArmoredDetachSign(&b, k.entity, bytes.NewReader(data), config())
	return append(b.Bytes(), '\n'), err
}
