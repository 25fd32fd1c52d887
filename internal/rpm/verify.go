package rpm

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"
)

// VerifyKind says why a package, a header or a document was refused.
type VerifyKind string

const (
	KindUnsigned     VerifyKind = "unsigned"      // there is no signature that covers all of it
	KindWrongKey     VerifyKind = "wrong key"     // signed, but by no key of the keyring that was valid then
	KindBadSignature VerifyKind = "bad signature" // a signature by a known key is wrong, or is of no known kind
	KindBadDigest    VerifyKind = "bad digest"
	KindTruncated    VerifyKind = "truncated"
	KindMalformed    VerifyKind = "malformed"
)

// VerifyError names what was refused and why.
type VerifyError struct {
	Package string // NEVRA; "" when there is none, or it could not be read
	Kind    VerifyKind
	Reason  string
	Err     error // may be nil
}

func (e *VerifyError) Error() string {
	var b strings.Builder
	if e.Package != "" {
		b.WriteString("verifying " + e.Package + ": ")
	}
	b.WriteString(string(e.Kind) + ": " + e.Reason)
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

func (e *VerifyError) Unwrap() error { return e.Err }

// VerifyOptions are what Verify may be told; the zero value demands a signature and knows no checksum.
type VerifyOptions struct {
	Checksum Checksum // expected of the whole file; zero: not checked
	// AllowUnsigned accepts packages without a signature, and with one by an unknown key. A wrong signature by a known
	// key is still an error, and Checksum or digests stronger than SHA-1 must cover the whole package.
	AllowUnsigned bool
}

// Verify checks the whole file against opts, its own digests and the keys, with one sequential read. What is checked:
//
//   - every digest of the header in the signature header (SHA-1, SHA-256, SHA3-256), and the sizes it names;
//   - every signature of the header (OPENPGP, RSAHEADER, DSAHEADER): one must be good, none by a known key bad;
//   - every digest of the payload in the header (SHA-2, SHA3-256), which a good header signature covers;
//   - only where that leaves something unsigned, the old signatures of header and payload together (SIGPGP, SIGGPG).
//
// The errors are VerifyErrors. The file must not change from here on.
func (f *PackageFile) Verify(keys *Keyring, opts VerifyOptions) (*Package, error) {
	p, err := f.verify(keys, opts)
	if err != nil {
		return nil, f.named(err)
	}
	return p, nil
}

// named is err as a VerifyError of this package.
func (f *PackageFile) named(err error) error {
	name := f.header.NEVRA().String()
	var v *VerifyError
	if errors.As(err, &v) {
		named := *v
		named.Package = name
		return &named
	}
	return &VerifyError{Package: name, Kind: KindMalformed, Reason: "reading package", Err: err}
}

// VerifyHead is Verify with the headers alone: digests and signatures of the header must be good, and by its digests of
// the payload the rest is verified whenever it is unpacked (see Payload). So f need not be at hand beyond its headers.
// Where the headers do not cover the payload (old packages, unsigned ones) the result is nil: that takes Verify.
// opts.Checksum is not looked at, and the FileSHA256 of the package is "".
func (f *PackageFile) VerifyHead(keys *Keyring, opts VerifyOptions) (*Package, error) {
	p, err := f.verifyHead(keys, opts)
	if err != nil {
		return nil, f.named(err)
	}
	return p, nil
}

func (f *PackageFile) verifyHead(keys *Keyring, opts VerifyOptions) (*Package, error) {
	p := &Package{file: f, nevra: f.header.NEVRA(), unread: true}
	signed, strong, err := f.checkHead(p, keys)
	if err != nil {
		return nil, err
	}
	digests, err := payloadDigests(f.header)
	if err != nil || len(digests) == 0 || !signed.good {
		return nil, err
	}
	p.key, err = decide(signed, &verdict{}, strong, true, opts)
	return p, err
}

func (f *PackageFile) verify(keys *Keyring, opts VerifyOptions) (*Package, error) {
	p := &Package{file: f, nevra: f.header.NEVRA()}
	signed, strong, err := f.checkHead(p, keys)
	if err != nil {
		return nil, err
	}
	body, err := f.newBody(opts, keys, !signed.good)
	if err != nil {
		return nil, err
	}
	if err := body.read(f); err != nil {
		return nil, err
	}
	if err := body.check(p, opts); err != nil {
		return nil, err
	}
	p.key, err = decide(signed, &body.signed, strong, len(body.payload) > 0, opts)
	return p, err
}

// checkHead checks the header by its own digests and signatures, and fills in what is known of p then. It reports by which
// key it is signed, and whether a digest stronger than SHA-1 was there.
func (f *PackageFile) checkHead(p *Package, keys *Keyring) (signed *verdict, strong bool, err error) {
	if err := f.checkForm(); err != nil {
		return nil, false, err
	}
	if p.files, err = f.header.Files(); err != nil {
		return nil, false, err
	}
	header := digestInput(f.header)
	p.headerSHA256 = hexSum(sha256.New(), header)
	if strong, err = checkHeaderDigests(f.signature, header); err != nil {
		return nil, false, err
	}
	signed, err = headerSignatures(f.signature, header, keys)
	return signed, strong, err
}

// checkForm checks what must hold before digests mean anything, and the sizes.
func (f *PackageFile) checkForm() error {
	switch {
	case !f.header.IsSealed(TagHeaderImmutable):
		return &VerifyError{Kind: KindMalformed, Reason: "its header is not one sealed region, as since rpm 4"}
	case f.header.IsSource():
		return &VerifyError{Kind: KindMalformed, Reason: "it is a source package"}
	case f.nevra().Name == "" || f.nevra().Version == "" || f.nevra().Release == "" || f.nevra().Arch == "":
		return &VerifyError{Kind: KindMalformed, Reason: "its header has no name, version, release or architecture"}
	}
	size, ok := f.signature.Uint64(TagSigLongSize)
	if !ok {
		if f.ignoresLegacy() {
			return nil
		}
		if size, ok = f.signature.Uint64(TagSigSize); !ok {
			return nil
		}
	}
	switch have := uint64(f.size - f.headerStart); {
	case have < size:
		return &VerifyError{Kind: KindTruncated, Reason: fmt.Sprintf("header and payload have %d of %d bytes", have, size)}
	case have > size:
		return &VerifyError{Kind: KindMalformed, Reason: fmt.Sprintf("header and payload have %d bytes, not %d", have, size)}
	}
	return nil
}

func (f *PackageFile) nevra() NEVRA { return f.header.NEVRA() }

// ignoresLegacy reports whether tags of the signature header from 1000 on mean something else, as in format 6.
func (f *PackageFile) ignoresLegacy() bool {
	v, _ := f.header.Uint64(TagRPMFormat)
	return v >= 6
}

// digestInput is what the digests and signatures of a header cover: its magic and its region.
func digestInput(h *Header) [2][]byte { return [2][]byte{headerMagic[:], h.Immutable()} }

func hexSum(h hash.Hash, parts [2][]byte) string {
	for _, b := range parts {
		h.Write(b)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// checkHeaderDigests compares every digest of the header that sig has. It reports whether one stronger than SHA-1 was there.
func checkHeaderDigests(sig *Header, header [2][]byte) (strong bool, err error) {
	for _, d := range []struct {
		tag    Tag
		name   string
		new    func() hash.Hash
		strong bool
	}{
		{TagSHA1Header, "SHA-1", sha1.New, false},
		{TagSHA256Header, "SHA-256", sha256.New, true},
		{TagSHA3Header, "SHA3-256", func() hash.Hash { return sha3.New256() }, true},
	} {
		if !sig.Has(d.tag) {
			continue
		}
		if want, got := sig.Text(d.tag), hexSum(d.new(), header); !strings.EqualFold(want, got) {
			return false, badDigest("header", d.name, want, got)
		}
		strong = strong || d.strong
	}
	return strong, nil
}

func badDigest(of, algorithm, want, got string) error {
	return &VerifyError{Kind: KindBadDigest, Reason: fmt.Sprintf("%s of %s is %s, not %.128q", algorithm, of, got, want)}
}

// headerSignatures checks every signature of the header that sig has.
func headerSignatures(sig *Header, header [2][]byte, keys *Keyring) (*verdict, error) {
	v := &verdict{}
	for _, text := range sig.Strings(TagOpenPGP) {
		raw, err := decodeSignature(text)
		if err != nil {
			v.add(Key{}, err)
			continue
		}
		v.add(keys.verifyPacket(raw, header))
	}
	for _, tag := range []Tag{TagRSAHeader, TagDSAHeader} {
		if sig.Has(tag) {
			v.add(keys.verifyPacket(sig.Bytes(tag), header))
		}
	}
	if v.bad != nil {
		_, err := v.result(true)
		return nil, err
	}
	return v, nil
}

// Signers are the keys that the signatures of an rpmdb's header say they are by, as key ids or fingerprints in lower-case
// hex, each once. Nothing is verified; what cannot be read is left out.
func (h *Header) Signers() []string {
	var raw [][]byte
	for _, text := range h.Strings(TagOpenPGP) {
		if b, err := decodeSignature(text); err == nil {
			raw = append(raw, b)
		}
	}
	for _, tag := range []Tag{TagRSAHeader, TagDSAHeader} {
		if h.Has(tag) {
			raw = append(raw, h.Bytes(tag))
		}
	}
	var out []string
	for _, b := range raw {
		if sig, err := parseSignature(b); err == nil && !slices.Contains(out, issuerOf(sig)) {
			out = append(out, issuerOf(sig))
		}
	}
	return out
}

func (k *Keyring) verifyPacket(raw []byte, header [2][]byte) (Key, error) {
	sig, err := parseSignature(raw)
	if err != nil {
		return Key{}, err
	}
	return k.verifyBytes(sig, false, header[:]...)
}

// VerifyHeader checks digests and signatures of a header alone, of a package file or of an rpmdb. sig may be nil: the
// signature tags are h's own then, as rpm merges them. What is proven is ParseHeader(h.Immutable()): an rpmdb's header
// may hold more, which nobody signed. With allowUnsigned the key is the zero value where no known key signed, and a
// digest stronger than SHA-1 must be there. The errors are VerifyErrors.
func VerifyHeader(h *Header, sig *Header, keys *Keyring, allowUnsigned bool) (Key, error) {
	if sig == nil {
		sig = h
	}
	key, err := verifyHeader(h, sig, keys, allowUnsigned)
	var v *VerifyError
	if errors.As(err, &v) {
		named := *v
		named.Package = h.NEVRA().String()
		return Key{}, &named
	}
	return key, err
}

func verifyHeader(h, sig *Header, keys *Keyring, allowUnsigned bool) (Key, error) {
	if h.region != TagHeaderImmutable {
		return Key{}, &VerifyError{Kind: KindMalformed, Reason: "its header has no sealed region, as since rpm 4"}
	}
	header := digestInput(h)
	strong, err := checkHeaderDigests(sig, header)
	if err != nil {
		return Key{}, err
	}
	signed, err := headerSignatures(sig, header, keys)
	if err != nil {
		return Key{}, err
	}
	key, err := signed.result(allowUnsigned)
	if err == nil && !signed.good && !strong {
		return Key{}, &VerifyError{Kind: KindUnsigned, Reason: "nothing stronger than SHA-1 covers its header"}
	}
	return key, err
}

// body is what one read of a package file computes.
type body struct {
	parts   []bodyPart
	file    hash.Hash // SHA-256 of the whole file
	sum     hash.Hash // of opts.Checksum, nil without one
	header  hash.Hash
	payload []payloadDigest
	legacy  [][]*check // signatures of header and payload
	signed  verdict    // of legacy, once it is read
}

// bodyPart takes the file's bytes from from to to.
type bodyPart struct {
	from, to int64
	io.Writer
}

type payloadDigest struct {
	name, want string
	hash.Hash
}

func (f *PackageFile) newBody(opts VerifyOptions, keys *Keyring, headerUnsigned bool) (*body, error) {
	b := &body{file: sha256.New(), header: sha256.New()}
	b.add(0, f.size, b.file)
	b.add(f.headerStart, f.headerEnd, b.header)
	if !opts.Checksum.IsZero() {
		if b.sum = opts.Checksum.NewHash(); b.sum == nil {
			return nil, fmt.Errorf("checksum algorithm %q is not known", opts.Checksum.Algorithm)
		}
		b.add(0, f.size, b.sum)
	}
	var err error
	if b.payload, err = payloadDigests(f.header); err != nil {
		return nil, err
	}
	for _, d := range b.payload {
		b.add(f.headerEnd, f.size, d)
	}
	if (headerUnsigned || len(b.payload) == 0) && !f.ignoresLegacy() {
		b.addLegacy(f, keys)
	}
	return b, nil
}

func (b *body) add(from, to int64, w io.Writer) {
	b.parts = append(b.parts, bodyPart{from: from, to: to, Writer: w})
}

// payloadDigests are the digests of the compressed payload in a header. MD5 and SHA-1 are none.
func payloadDigests(h *Header) ([]payloadDigest, error) {
	var out []payloadDigest
	for _, d := range []struct {
		tag  Tag
		name string
		new  func() hash.Hash
	}{
		{TagPayloadSHA256, "", nil},
		{TagPayloadSHA512, "SHA-512", sha512.New},
		{TagPayloadSHA3, "SHA3-256", func() hash.Hash { return sha3.New256() }},
	} {
		if !h.Has(d.tag) {
			continue
		}
		if d.tag == TagPayloadSHA256 {
			if d.name, d.new = oldPayloadDigest(h); d.new == nil {
				continue
			}
		}
		want := h.Text(d.tag)
		sum := d.new()
		if n := hex.DecodedLen(len(want)); n != sum.Size() {
			return nil, &VerifyError{Kind: KindMalformed, Reason: fmt.Sprintf("its digest of the payload %.128q is not a %s", want, d.name)}
		}
		out = append(out, payloadDigest{name: d.name, want: want, Hash: sum})
	}
	return out, nil
}

// oldPayloadDigest is the algorithm of PAYLOADDIGEST by its OpenPGP number; rpm 6 leaves the number out.
func oldPayloadDigest(h *Header) (string, func() hash.Hash) {
	algorithm, ok := h.Uint64(TagPayloadDigestAlgo)
	switch {
	case !ok || algorithm == 8:
		return "SHA-256", sha256.New
	case algorithm == 9:
		return "SHA-384", sha512.New384
	case algorithm == 10:
		return "SHA-512", sha512.New
	}
	return "", nil
}

// addLegacy begins to check the signatures of header and payload together.
func (b *body) addLegacy(f *PackageFile, keys *Keyring) {
	for _, tag := range []Tag{TagSigPGP, TagSigGPG} {
		if !f.signature.Has(tag) {
			continue
		}
		sig, err := parseSignature(f.signature.Bytes(tag))
		if err != nil {
			b.signed.add(Key{}, err)
			continue
		}
		cs, err := keys.checks(sig, false)
		if err != nil {
			b.signed.add(Key{}, err)
			continue
		}
		b.legacy = append(b.legacy, cs)
		for _, c := range cs {
			b.add(f.headerStart, f.size, c)
		}
	}
}

const bodyBuffer = 256 << 10

// read passes the file once through all parts.
func (b *body) read(f *PackageFile) error {
	buf := make([]byte, min(bodyBuffer, max(f.size, 1)))
	for pos := int64(0); pos < f.size; {
		n, err := f.r.ReadAt(buf[:min(int64(len(buf)), f.size-pos)], pos)
		switch {
		case n == 0 && err == io.EOF:
			return &VerifyError{Kind: KindTruncated, Reason: fmt.Sprintf("it ends after %d of %d bytes", pos, f.size)}
		case n == 0:
			return err
		}
		for _, p := range b.parts {
			if from, to := max(p.from, pos), min(p.to, pos+int64(n)); from < to {
				_, _ = p.Write(buf[from-pos : to-pos]) // a hash takes everything
			}
		}
		pos += int64(n)
	}
	return nil
}

// check compares what was computed.
func (b *body) check(p *Package, opts VerifyOptions) error {
	p.fileSHA256 = hex.EncodeToString(b.file.Sum(nil))
	if b.sum != nil {
		if got := hex.EncodeToString(b.sum.Sum(nil)); got != opts.Checksum.Hex {
			return badDigest("the file", opts.Checksum.Algorithm, opts.Checksum.Hex, got)
		}
	}
	if got := hex.EncodeToString(b.header.Sum(nil)); got != p.headerSHA256 {
		return badDigest("header, read twice,", "SHA-256", p.headerSHA256, got)
	}
	if err := checkPayload(b.payload); err != nil {
		return err
	}
	for _, cs := range b.legacy {
		b.signed.add(finishAll(cs))
	}
	if b.signed.bad != nil {
		_, err := b.signed.result(true)
		return err
	}
	return nil
}

func checkPayload(digests []payloadDigest) error {
	for _, d := range digests {
		if got := hex.EncodeToString(d.Sum(nil)); !strings.EqualFold(got, d.want) {
			return badDigest("payload", d.name, d.want, got)
		}
	}
	return nil
}

// decide says by which key all of a package is signed, or why it is not accepted.
func decide(header, whole *verdict, strongHeader, strongPayload bool, opts VerifyOptions) (Key, error) {
	switch {
	case whole.good:
		return whole.key, nil
	case header.good && strongPayload:
		return header.key, nil
	case opts.AllowUnsigned && (!opts.Checksum.IsZero() || strongHeader && strongPayload):
		return header.key, nil
	case opts.AllowUnsigned:
		return Key{}, &VerifyError{Kind: KindUnsigned, Reason: "nothing stronger than SHA-1 and MD5 covers all of it"}
	case header.good && len(whole.notes) == 0:
		return Key{}, &VerifyError{Kind: KindUnsigned, Reason: "no signature covers its payload"}
	}
	all := verdict{notes: append(header.notes[:len(header.notes):len(header.notes)], whole.notes...)}
	return all.result(false)
}
