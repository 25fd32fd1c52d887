package rpm

import (
	"bytes"
	_ "crypto/sha1" // the hashes signatures name by number
	_ "crypto/sha256"
	_ "crypto/sha3"
	_ "crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// MaxSignatureSize is the size of the largest OpenPGP signature read; the largest kind known, SLH-DSA, has 50 kB.
const MaxSignatureSize = 128 << 10

var (
	// errUnsupported is what the error of a signature or key of an unknown kind wraps.
	errUnsupported = errors.New("not supported")
	errNoKey       = errors.New("no such key in the keyring")
	errKeyInvalid  = errors.New("the key was not valid")
)

// guard turns a panic of the OpenPGP library on foreign bytes into an error.
func guard(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("openpgp library: %v", r)
		}
	}()
	return f()
}

// parseSignature reads exactly one signature packet.
func parseSignature(data []byte) (sig *packet.Signature, err error) {
	if len(data) > MaxSignatureSize {
		return nil, fmt.Errorf("a signature of %d bytes: more than %d", len(data), MaxSignatureSize)
	}
	err = guard(func() error {
		packets := packet.NewOpaqueReader(bytes.NewReader(data))
		op, err := packets.Next()
		if err != nil {
			return fmt.Errorf("reading signature packet: %w", noEOF(err))
		}
		if _, err := packets.Next(); err != io.EOF {
			return errors.New("more than one packet where one signature belongs")
		}
		sig, err = signatureOf(op)
		return err
	})
	return sig, err
}

// tagSignature is the number of a signature packet (RFC 9580, section 5).
const tagSignature = 2

func signatureOf(op *packet.OpaquePacket) (*packet.Signature, error) {
	if op.Tag != tagSignature {
		return nil, fmt.Errorf("packet %d is not a signature", op.Tag)
	}
	v3 := len(op.Contents) > 0 && op.Contents[0] == 3
	var trailer []byte
	if v3 {
		var err error
		if op, trailer, err = upgradeV3(op.Contents); err != nil {
			return nil, err
		}
	}
	p, err := op.Parse()
	if err != nil {
		return nil, unsupported(err)
	}
	sig, ok := p.(*packet.Signature)
	if !ok {
		return nil, fmt.Errorf("packet %d is not a signature", op.Tag)
	}
	if v3 {
		sig.Version, sig.HashSuffix = 3, trailer
	}
	return sig, nil
}

func unsupported(err error) error {
	var u pgperrors.UnsupportedError
	if errors.As(err, &u) {
		return fmt.Errorf("%w: %w", errUnsupported, err)
	}
	return err
}

// upgradeV3 writes a signature of version 3 (RFC 4880, section 5.2.2) as one of version 4 with the same numbers, which the
// library can read, and returns what is hashed after the signed data: type and time alone.
//
// Version 3: 3, 5, type, time (4), key (8), public key algorithm, hash algorithm, first bits of the hash (2), numbers.
func upgradeV3(b []byte) (*packet.OpaquePacket, []byte, error) {
	if len(b) < 19 || b[1] != 5 {
		return nil, nil, errors.New("malformed signature of version 3")
	}
	sigType, created, issuer, rest := b[2], b[3:7], b[7:15], b[17:]
	v4 := []byte{4, sigType, b[15], b[16], 0, 6, 5, 2}
	v4 = append(v4, created...)
	v4 = append(v4, 0, 10, 9, 16)
	v4 = append(v4, issuer...)
	v4 = append(v4, rest...)
	return &packet.OpaquePacket{Tag: tagSignature, Contents: v4}, append([]byte{sigType}, created...), nil
}

// issuerOf names the key a signature says it is by.
func issuerOf(sig *packet.Signature) string {
	switch {
	case len(sig.IssuerFingerprint) > 0:
		return fmt.Sprintf("%x", sig.IssuerFingerprint)
	case sig.IssuerKeyId != nil:
		return fmt.Sprintf("%016x", *sig.IssuerKeyId)
	}
	return "unnamed"
}

// check is one signature against one key it may be by, while the signed bytes are written to it.
type check struct {
	sig  *packet.Signature
	cert *certificate
	key  *packet.PublicKey
	at   *validity
	hash hash.Hash
	io.Writer
}

// checks begins to check a signature of a binary document, or of a text where text is set. It fails with errNoKey when
// no key of the keyring claims the signature.
func (k *Keyring) checks(sig *packet.Signature, text bool) ([]*check, error) {
	if sig.SigType != packet.SigTypeBinary && !(text && sig.SigType == packet.SigTypeText) {
		return nil, fmt.Errorf("a signature of type 0x%02x, not of a document", uint8(sig.SigType))
	}
	var out []*check
	err := guard(func() error {
		for _, c := range k.candidates(sig) {
			h, err := sig.PrepareVerify()
			if err != nil {
				return unsupported(err)
			}
			c.sig, c.hash, c.Writer = sig, h, h
			if sig.SigType == packet.SigTypeText {
				c.Writer = openpgp.NewCanonicalTextHash(h)
			}
			out = append(out, c)
		}
		return nil
	})
	if err == nil && len(out) == 0 {
		err = fmt.Errorf("key %s: %w", issuerOf(sig), errNoKey)
	}
	return out, err
}

// finish checks the signature over what was written, then whether the key was valid when the signature was made
// (errKeyInvalid). It may be called once.
func (c *check) finish() error {
	err := guard(func() error { return c.key.VerifySignature(c.hash, c.sig) })
	if err != nil {
		return fmt.Errorf("key %016x: %w", c.key.KeyId, err)
	}
	return c.cert.maySign(c.key, c.at, c.sig.CreationTime)
}

// finishAll is the key of the first check that succeeds, else the error of the last.
func finishAll(cs []*check) (Key, error) {
	var err error
	for _, c := range cs {
		if err = c.finish(); err == nil {
			return c.cert.id, nil
		}
	}
	return Key{}, err
}

// signatureBytes undoes the armor of a detached signature when it has one.
func signatureBytes(data []byte) ([]byte, error) {
	if !bytes.HasPrefix(bytes.TrimSpace(data), []byte(armorBegin)) {
		return data, nil
	}
	blocks, err := dearmor(data, "SIGNATURE")
	if err != nil {
		return nil, err
	}
	return bytes.Join(blocks, nil), nil
}

// splitSignatures cuts a sequence of signature packets into single ones.
func splitSignatures(data []byte) (out []*packet.Signature, err error) {
	err = guard(func() error {
		packets := packet.NewOpaqueReader(bytes.NewReader(data))
		var fault error
		for {
			op, err := packets.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				return fmt.Errorf("reading signature packet: %w", err)
			}
			sig, err := signatureOf(op)
			switch {
			case err == nil:
				out = append(out, sig)
			case errors.Is(err, errUnsupported):
				fault = err
			default:
				return err
			}
		}
		if len(out) == 0 && fault == nil {
			fault = errors.New("no signature in it")
		}
		if len(out) == 0 {
			return fault
		}
		return nil
	})
	return out, err
}

// VerifyDetached checks an armored or binary detached signature, such as repomd.xml.asc, over signed. One good signature
// among several is enough, unless one by a known key is bad. The errors are VerifyErrors without a package.
func (k *Keyring) VerifyDetached(signed, signature []byte) (Key, error) {
	if len(signature) > MaxSignatureSize {
		return Key{}, &VerifyError{Kind: KindMalformed, Reason: fmt.Sprintf("a signature of %d bytes: more than %d", len(signature), MaxSignatureSize)}
	}
	raw, err := signatureBytes(signature)
	if err != nil {
		return Key{}, &VerifyError{Kind: KindMalformed, Reason: "reading signature", Err: err}
	}
	sigs, err := splitSignatures(raw)
	if err != nil {
		return Key{}, &VerifyError{Kind: kindOf(err), Reason: "reading signature", Err: err}
	}
	var v verdict
	for _, sig := range sigs {
		key, err := k.verifyBytes(sig, true, signed)
		v.add(key, err)
	}
	return v.result(false)
}

// verifyBytes checks a signature over the concatenation of parts.
func (k *Keyring) verifyBytes(sig *packet.Signature, text bool, parts ...[]byte) (Key, error) {
	cs, err := k.checks(sig, text)
	if err != nil {
		return Key{}, err
	}
	for _, c := range cs {
		for _, b := range parts {
			_, _ = c.Write(b) // a hash takes everything
		}
	}
	return finishAll(cs)
}

// verdict sums up several signatures over the same bytes: any bad one by a known key is fatal, one good one is enough.
type verdict struct {
	key   Key
	good  bool
	bad   error   // the first bad one
	notes []error // signatures that nothing can be said of
}

func (v *verdict) add(key Key, err error) {
	switch {
	case err == nil:
		if !v.good {
			v.key, v.good = key, true
		}
	case errors.Is(err, errNoKey), errors.Is(err, errKeyInvalid), errors.Is(err, errUnsupported):
		v.notes = append(v.notes, err)
	case v.bad == nil:
		v.bad = err
	}
}

// result is the key, or why there is none. With allowUnsigned only a bad signature is an error.
func (v *verdict) result(allowUnsigned bool) (Key, error) {
	switch {
	case v.bad != nil:
		return Key{}, &VerifyError{Kind: KindBadSignature, Reason: "checking signature", Err: v.bad}
	case v.good || allowUnsigned:
		return v.key, nil
	case len(v.notes) == 0:
		return Key{}, &VerifyError{Kind: KindUnsigned, Reason: "it has no signature"}
	}
	err := v.notes[0]
	for _, n := range v.notes[1:] {
		err = fmt.Errorf("%w; %w", err, n)
	}
	return Key{}, &VerifyError{Kind: kindOf(err), Reason: "no signature can be relied on", Err: err}
}

func kindOf(err error) VerifyKind {
	switch {
	case errors.Is(err, errNoKey), errors.Is(err, errKeyInvalid):
		return KindWrongKey
	case errors.Is(err, errUnsupported):
		return KindBadSignature
	case errors.Is(err, io.ErrUnexpectedEOF):
		return KindTruncated
	}
	return KindMalformed
}

// decodeSignature is the packet of one OPENPGP string.
func decodeSignature(text string) ([]byte, error) {
	if len(text) > 2*MaxSignatureSize {
		return nil, fmt.Errorf("a signature of %d characters: more than %d", len(text), 2*MaxSignatureSize)
	}
	raw, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		return nil, fmt.Errorf("decoding signature: %w", err)
	}
	return raw, nil
}

// validity is what a certificate says of one of its keys: when it may sign.
type validity struct {
	self        []*packet.Signature // verified self-signatures or bindings of the key
	revocations []*packet.Signature // verified
}

// newest is the self-signature that counts, nil without any.
func (v *validity) newest() *packet.Signature {
	var newest *packet.Signature
	for _, s := range v.self {
		if newest == nil || newest.CreationTime.Before(s.CreationTime) {
			newest = s
		}
	}
	return newest
}

// alive reports, as errKeyInvalid, that the key was not in force at that time: before it was made, after it expired, or
// once it was revoked; at any time when it was revoked because it is compromised or for no reason told.
func (v *validity) alive(key *packet.PublicKey, at time.Time) error {
	name := fmt.Sprintf("key %016x", key.KeyId)
	for _, r := range v.revocations {
		soft := r.RevocationReason != nil && (*r.RevocationReason == packet.KeySuperseded || *r.RevocationReason == packet.KeyRetired)
		if !soft || !at.Before(r.CreationTime) {
			return fmt.Errorf("%s: %w: it is revoked", name, errKeyInvalid)
		}
	}
	if at.Before(key.CreationTime) {
		return fmt.Errorf("%s: %w: signed before it was made", name, errKeyInvalid)
	}
	if s := v.newest(); s != nil && key.KeyExpired(s, at) {
		return fmt.Errorf("%s: %w: it had expired", name, errKeyInvalid)
	}
	return nil
}

// maySign reports whether key, in force as at says, may sign at the time: it and its certificate are in force, and it is
// for signing. A primary key that does not say what it is for is; a subkey must say so, and sign back in its binding.
func (c *certificate) maySign(key *packet.PublicKey, at *validity, when time.Time) error {
	if err := at.alive(key, when); err != nil {
		return err
	}
	if err := c.alive(c.primary, when); err != nil {
		return err
	}
	s := at.newest()
	if key.IsSubkey && !s.FlagSign || s != nil && s.FlagsValid && !s.FlagSign {
		return fmt.Errorf("key %016x: %w: it is not for signing", key.KeyId, errKeyInvalid)
	}
	return nil
}

func keyHex(id uint64) string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], id)
	return fmt.Sprintf("%x", b)
}
