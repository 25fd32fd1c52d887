package rpm

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// Key names an OpenPGP certificate: what a key file holds. Where a subkey signed, it is still the certificate's.
type Key struct {
	ID          string // of its primary key, 16 lower-case hex digits
	Fingerprint string // of its primary key, lower-case hex
	UserID      string // its first, "" without one
}

// Keyring is a set of certificates that may sign packages and metadata. The zero value is empty, a nil Keyring too. It
// is safe for concurrent use once the last Add has returned.
type Keyring struct {
	certs []*certificate
	files []byte // SHA-256 of each file that was added, and the fingerprints that were taken of it
}

// Limits of a key file.
const (
	MaxKeyFile       = 4 << 20
	maxKeys          = 4096
	maxSubkeys       = 256
	maxKeySignatures = 4096 // self-signatures of one certificate
)

// certificate is a primary key with what it says of itself and of its subkeys. Whether the key file may be trusted is the
// caller's affair, so a primary key needs no user id and no self-signature; a subkey needs a binding by its primary key.
type certificate struct {
	id      Key
	primary *packet.PublicKey
	validity
	subkeys []*subkey
}

type subkey struct {
	key *packet.PublicKey
	validity
}

// Packet numbers (RFC 9580, section 5).
const (
	tagPublicKey     = 6
	tagUserID        = 13
	tagPublicSubkey  = 14
	tagUserAttribute = 17
)

// Add reads one file, armored or binary, that may hold several keys or armored blocks with text around them. Keys it has
// already gain the new file's self-signatures and revocations. A key of an unknown kind is reported in skipped; that
// there is no key at all is an error, and the keyring is unchanged then. With fingerprints, in hex, only the certificates
// whose primary keys have them are taken, and that one of them is not there is an error.
func (k *Keyring) Add(data []byte, fingerprints ...string) (added []Key, skipped []error, err error) {
	if len(data) > MaxKeyFile {
		return nil, nil, fmt.Errorf("reading keys: %d bytes: more than %d", len(data), MaxKeyFile)
	}
	blocks := [][]byte{data}
	if bytes.Contains(data, []byte(armorBegin)) {
		if blocks, err = dearmor(data, "PUBLIC KEY BLOCK"); err != nil {
			return nil, nil, fmt.Errorf("reading keys: %w", err)
		}
	}
	var p certParser
	for _, b := range blocks {
		if err := guard(func() error { return p.parse(b) }); err != nil {
			p.skipped = append(p.skipped, err)
		}
		p.current, p.sub = nil, nil
	}
	if len(p.certs) == 0 {
		return nil, p.skipped, fmt.Errorf("reading keys: %w", errors.Join(append([]error{errors.New("no usable key in it")}, p.skipped...)...))
	}
	if len(fingerprints) > 0 {
		if p.certs, err = pinned(p.certs, fingerprints); err != nil {
			return nil, p.skipped, err
		}
	}
	sum := sha256.Sum256(data)
	k.files = append(k.files, sum[:]...)
	k.files = append(k.files, strings.ToLower(strings.Join(fingerprints, "#"))...)
	for _, c := range p.certs {
		k.merge(c)
		added = append(added, c.id)
	}
	return added, p.skipped, nil
}

// pinned are the certificates with one of the fingerprints.
func pinned(certs []*certificate, fingerprints []string) ([]*certificate, error) {
	var taken []*certificate
	var missing, held []string
	for _, f := range fingerprints {
		is := func(c *certificate) bool { return strings.EqualFold(c.id.Fingerprint, f) }
		if !slices.ContainsFunc(certs, is) {
			missing = append(missing, strings.ToLower(f))
		}
	}
	for _, c := range certs {
		held = append(held, c.id.Fingerprint)
		if slices.ContainsFunc(fingerprints, func(f string) bool { return strings.EqualFold(c.id.Fingerprint, f) }) {
			taken = append(taken, c)
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("reading keys: no key with the fingerprint %s; held are %s", strings.Join(missing, ", "), strings.Join(held, ", "))
	}
	return taken, nil
}

func (k *Keyring) merge(c *certificate) {
	i := slices.IndexFunc(k.certs, func(o *certificate) bool { return o.id.Fingerprint == c.id.Fingerprint })
	if i < 0 {
		k.certs = append(k.certs, c)
		return
	}
	old := k.certs[i]
	old.self = append(old.self, c.self...)
	old.revocations = append(old.revocations, c.revocations...)
	old.subkeys = append(old.subkeys, c.subkeys...)
}

// Digest is a hex SHA-256 that is the same for the same files added in the same order.
func (k *Keyring) Digest() string {
	var files []byte
	if k != nil {
		files = k.files
	}
	sum := sha256.Sum256(files)
	return hex.EncodeToString(sum[:])
}

// Keys are the certificates in the order they were added.
func (k *Keyring) Keys() []Key {
	if k == nil {
		return nil
	}
	out := make([]Key, len(k.certs))
	for i, c := range k.certs {
		out[i] = c.id
	}
	return out
}

// candidates are the keys that sig names as its maker.
func (k *Keyring) candidates(sig *packet.Signature) []*check {
	if k == nil || len(sig.IssuerFingerprint) == 0 && sig.IssuerKeyId == nil {
		return nil
	}
	var out []*check
	for _, c := range k.certs {
		if sig.CheckKeyIdOrFingerprint(c.primary) {
			out = append(out, &check{cert: c, key: c.primary, at: &c.validity})
		}
		for _, s := range c.subkeys {
			// A merged certificate may bind a subkey twice: the checks of a subkey are those of all its bindings.
			if sig.CheckKeyIdOrFingerprint(s.key) && !slices.ContainsFunc(out, func(o *check) bool { return bytes.Equal(o.key.Fingerprint, s.key.Fingerprint) }) {
				out = append(out, &check{cert: c, key: s.key, at: c.subkeyValidity(s.key)})
			}
		}
	}
	return out
}

// subkeyValidity joins what all copies of a subkey say; there is at least one binding.
func (c *certificate) subkeyValidity(key *packet.PublicKey) *validity {
	v := &validity{}
	for _, s := range c.subkeys {
		if bytes.Equal(s.key.Fingerprint, key.Fingerprint) {
			v.self = append(v.self, s.self...)
			v.revocations = append(v.revocations, s.revocations...)
		}
	}
	return v
}

// certParser collects the certificates of a sequence of packets (RFC 9580, section 10.1). Of the packets of a key it
// cannot read it takes no notice.
type certParser struct {
	certs   []*certificate
	skipped []error

	current  *certificate
	sub      *subkey
	identity string
	hasID    bool
	sigs     int
}

func (p *certParser) parse(data []byte) error {
	packets := packet.NewOpaqueReader(bytes.NewReader(data))
	for {
		op, err := packets.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading key packet: %w", err)
		}
		if err := guard(func() error { return p.packet(op) }); err != nil {
			p.skipped = append(p.skipped, err)
		}
	}
}

func (p *certParser) packet(op *packet.OpaquePacket) error {
	switch op.Tag {
	case tagPublicKey:
		return p.primary(op)
	case tagPublicSubkey:
		return p.subkey(op)
	case tagUserID:
		p.userID(string(op.Contents))
	case tagUserAttribute:
		p.sub, p.hasID = nil, false
	case tagSignature:
		p.signature(op)
	}
	return nil
}

func (p *certParser) primary(op *packet.OpaquePacket) error {
	p.current, p.sub, p.hasID, p.sigs = nil, nil, false, 0
	pub, err := publicKey(op)
	if err != nil {
		return fmt.Errorf("reading public key: %w", err)
	}
	if len(p.certs) == maxKeys {
		return fmt.Errorf("more than %d keys in one file", maxKeys)
	}
	p.current = &certificate{primary: pub, id: Key{ID: keyHex(pub.KeyId), Fingerprint: fmt.Sprintf("%x", pub.Fingerprint)}}
	p.certs = append(p.certs, p.current)
	return nil
}

func (p *certParser) subkey(op *packet.OpaquePacket) error {
	p.sub, p.hasID = nil, false
	if p.current == nil {
		return nil
	}
	pub, err := publicKey(op)
	if err != nil {
		return fmt.Errorf("reading subkey of %s: %w", p.current.id.ID, err)
	}
	if len(p.current.subkeys) == maxSubkeys {
		return fmt.Errorf("more than %d subkeys of %s", maxSubkeys, p.current.id.ID)
	}
	p.sub = &subkey{key: pub}
	return nil
}

func publicKey(op *packet.OpaquePacket) (*packet.PublicKey, error) {
	parsed, err := op.Parse()
	if err != nil {
		return nil, unsupported(err)
	}
	pub, ok := parsed.(*packet.PublicKey)
	if !ok {
		return nil, fmt.Errorf("packet %d is not a public key", op.Tag)
	}
	return pub, nil
}

func (p *certParser) userID(id string) {
	p.sub, p.identity, p.hasID = nil, id, true
	if p.current != nil && p.current.id.UserID == "" {
		p.current.id.UserID = id
	}
}

// signature keeps what the certificate says of itself; signatures by others and those that do not verify are nothing.
func (p *certParser) signature(op *packet.OpaquePacket) {
	if p.current == nil || p.sigs == maxKeySignatures {
		return
	}
	sig, err := signatureOf(op)
	primary := p.current.primary
	if err != nil || !sig.CheckKeyIdOrFingerprint(primary) {
		return
	}
	p.sigs++
	switch sig.SigType {
	case packet.SigTypeGenericCert, packet.SigTypePersonaCert, packet.SigTypeCasualCert, packet.SigTypePositiveCert:
		if p.hasID && primary.VerifyUserIdSignature(p.identity, primary, sig) == nil {
			p.current.self = append(p.current.self, sig)
		}
	case packet.SigTypeDirectSignature:
		if primary.VerifyDirectKeySignature(sig) == nil {
			p.current.self = append(p.current.self, sig)
		}
	case packet.SigTypeKeyRevocation:
		if primary.VerifyRevocationSignature(sig) == nil {
			p.current.revocations = append(p.current.revocations, sig)
		}
	case packet.SigTypeSubkeyBinding:
		// It is a key of the certificate from its first valid binding on; a signing one has signed back in it.
		if p.sub != nil && primary.VerifyKeySignature(p.sub.key, sig) == nil {
			if p.sub.self == nil {
				p.current.subkeys = append(p.current.subkeys, p.sub)
			}
			p.sub.self = append(p.sub.self, sig)
		}
	case packet.SigTypeSubkeyRevocation:
		if p.sub != nil && primary.VerifySubkeyRevocationSignature(sig, p.sub.key) == nil {
			p.sub.revocations = append(p.sub.revocations, sig)
		}
	}
}

const (
	armorBegin = "-----BEGIN PGP "
	armorEnd   = "-----END PGP "
)

// dearmor decodes the armored blocks of a kind, one after the other; text between them is nothing.
func dearmor(data []byte, kind string) (out [][]byte, err error) {
	begin, end := []byte(armorBegin+kind+"-----"), []byte(armorEnd+kind+"-----")
	for {
		i := bytes.Index(data, begin)
		if i < 0 {
			break
		}
		n := bytes.Index(data[i:], end)
		if n < 0 {
			return nil, fmt.Errorf("armored %s without an end: %w", kind, io.ErrUnexpectedEOF)
		}
		block, err := decodeArmor(data[i : i+n+len(end)])
		if err != nil {
			return nil, fmt.Errorf("armored %s: %w", kind, err)
		}
		out = append(out, block)
		data = data[i+n+len(end):]
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no armored %s", kind)
	}
	return out, nil
}

func decodeArmor(data []byte) (raw []byte, err error) {
	err = guard(func() error {
		b, err := armor.Decode(bytes.NewReader(append(data[:len(data):len(data)], '\n')))
		if err != nil {
			return err
		}
		raw, err = io.ReadAll(b.Body)
		return err
	})
	return raw, err
}
