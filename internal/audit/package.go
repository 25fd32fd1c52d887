package audit

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"

	"slim/internal/rpm"
)

// Package is an installed package as the signed part of its header says.
type Package struct {
	NEVRA  rpm.NEVRA
	SHA256 string  // of the signed header, in hex; the same for the same package wherever it is installed
	Key    rpm.Key // that signed the header
	Err    error   // why the header proves nothing; nil when it is proven
	Files  []rpm.File
	States []rpm.FileState // by Files; nil when all are normal

	algorithm algorithm // of the files' digests
}

// ReadPackage checks the header of an rpmdb with keys and reads it; nothing outside its signed region counts but the
// states of its files and the signatures themselves. A header that cannot be read at all has no Files and an Err.
func ReadPackage(h *rpm.Header, states []rpm.FileState, keys *rpm.Keyring) Package {
	p := Package{NEVRA: h.NEVRA(), SHA256: h.SHA256(), States: states}
	p.Key, p.Err = rpm.VerifyHeader(h, nil, keys, false)
	signed, err := rpm.ParseHeader(h.Immutable())
	if err != nil {
		p.Err = errors.Join(p.Err, err)
		return p
	}
	p.NEVRA = signed.NEVRA()
	if p.Files, err = signed.Files(); err != nil {
		p.Err = errors.Join(p.Err, err)
		return p
	}
	if len(states) != 0 && len(states) != len(p.Files) {
		p.Err = errors.Join(p.Err, fmt.Errorf("the rpmdb has %d states for its %d files", len(states), len(p.Files)))
		p.States = nil
	}
	number, ok := signed.Uint64(rpm.TagFileDigestAlg)
	if !ok {
		number = 1
	}
	if p.algorithm, ok = algorithmOf(number); !ok && len(p.Files) > 0 {
		p.Err = errors.Join(p.Err, fmt.Errorf("its files have digests of the unknown algorithm %d", number))
	}
	return p
}

// IsKey reports whether h is no package but a key that rpm keeps beside them: by its name, and without any file.
func IsKey(h *rpm.Header) bool {
	return h.Text(rpm.TagName) == "gpg-pubkey" && !h.Has(rpm.TagBaseNames) && !h.Has(rpm.TagOldFileNames)
}

func (p *Package) state(file int) rpm.FileState {
	if len(p.States) == 0 {
		return rpm.StateNormal
	}
	return p.States[file]
}

// algorithm is one of the digests of files.
type algorithm struct {
	name string
	new  func() hash.Hash
	weak bool
}

// algorithmOf knows OpenPGP's numbers (RFC 9580, section 9.5). Headers without a number have MD5.
func algorithmOf(number uint64) (algorithm, bool) {
	switch number {
	case 1:
		return algorithm{"md5", md5.New, true}, true
	case 2:
		return algorithm{"sha1", sha1.New, true}, true
	case 8:
		return algorithm{"sha256", sha256.New, false}, true
	case 9:
		return algorithm{"sha384", sha512.New384, false}, true
	case 10:
		return algorithm{"sha512", sha512.New, false}, true
	case 11:
		return algorithm{"sha224", sha256.New224, false}, true
	case 12:
		return algorithm{"sha3-256", func() hash.Hash { return sha3.New256() }, false}, true
	case 14:
		return algorithm{"sha3-512", func() hash.Hash { return sha3.New512() }, false}, true
	}
	return algorithm{}, false
}
