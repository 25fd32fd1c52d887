package fetch

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"strings"
)

// digest is a parsed ALGORITHM:HEX; the zero value is "not known".
type digest struct{ algorithm, hex string }

func (d digest) known() bool { return d.algorithm != "" }

func (d digest) String() string {
	if !d.known() {
		return ""
	}
	return d.algorithm + ":" + d.hex
}

func parseDigest(s string) (digest, error) {
	if s == "" {
		return digest{}, nil
	}
	algorithm, sum, _ := strings.Cut(strings.ToLower(s), ":")
	d := digest{algorithm, sum}
	h := d.hash()
	if h == nil {
		return digest{}, fmt.Errorf("digest %q is not of sha1, sha224, sha256, sha384 or sha512", s)
	}
	if raw, err := hex.DecodeString(sum); err != nil || len(raw) != h.Size() {
		return digest{}, fmt.Errorf("digest %q has not %d hexadecimal digits", s, 2*h.Size())
	}
	return d, nil
}

// hash is a new hash of the algorithm, nil when there is none.
func (d digest) hash() hash.Hash {
	switch d.algorithm {
	case "sha1":
		return sha1.New()
	case "sha224":
		return sha256.New224()
	case "sha256":
		return sha256.New()
	case "sha384":
		return sha512.New384()
	case "sha512":
		return sha512.New()
	}
	return nil
}

// check compares what h has summed.
func (d digest) check(h hash.Hash) error {
	if got := hex.EncodeToString(h.Sum(nil)); got != d.hex {
		return fail(Mismatch, "digest is %s:%s, not %v", d.algorithm, got, d)
	}
	return nil
}
