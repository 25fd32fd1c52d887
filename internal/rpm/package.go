package rpm

import (
	"errors"
	"fmt"
	"io"
)

// leadSize is the size of the lead, which is of use for recognising the format alone (lib/rpmlead.c).
const leadSize = 96

// PackageFile is an opened, parsed, unverified package file: lead, signature header, padding to 8 bytes, header, payload.
// It reads from the io.ReaderAt it was opened with until it, and what came from it, are no longer used.
type PackageFile struct {
	r           io.ReaderAt
	size        int64
	signature   *Header
	header      *Header
	headerStart int64
	headerEnd   int64
}

// OpenPackage reads lead and headers of a package file of size bytes. Source packages can be opened too. Its errors are
// VerifyErrors of the kinds malformed and truncated, without a package.
func OpenPackage(r io.ReaderAt, size int64) (*PackageFile, error) {
	f := &PackageFile{r: r, size: size}
	in := io.NewSectionReader(r, 0, size)
	if err := f.open(in); err != nil {
		kind := KindMalformed
		if errors.Is(err, io.ErrUnexpectedEOF) {
			kind = KindTruncated
		}
		return nil, &VerifyError{Kind: kind, Reason: "reading package file", Err: err}
	}
	return f, nil
}

func (f *PackageFile) open(in *io.SectionReader) error {
	var lead [leadSize]byte
	if _, err := io.ReadFull(in, lead[:]); err != nil {
		return fmt.Errorf("lead: %w", noEOF(err))
	}
	if err := checkLead(lead); err != nil {
		return err
	}
	sig, n, err := readHeader(in, maxSignatureEntries, maxSignatureData)
	if err != nil {
		return fmt.Errorf("signature header: %w", err)
	}
	if sig.region != 0 && sig.region != TagHeaderSignatures {
		return fmt.Errorf("signature header: %w: region %d", ErrHeader, sig.region)
	}
	f.signature = sig
	f.headerStart = leadSize + (n+7)&^7
	if _, err := in.Seek(f.headerStart, io.SeekStart); err != nil {
		return err
	}
	h, n, err := ReadHeader(in)
	if err != nil {
		return fmt.Errorf("header: %w", err)
	}
	f.header, f.headerEnd = h, f.headerStart+n
	return nil
}

func checkLead(lead [leadSize]byte) error {
	if [4]byte(lead[:4]) != [4]byte{0xed, 0xab, 0xee, 0xdb} {
		return fmt.Errorf("not an RPM package: it begins with %x", lead[:4])
	}
	if major := lead[4]; major != 3 && major != 4 {
		return fmt.Errorf("lead: package format %d", major)
	}
	if lead[78] != 0 || lead[79] != 5 {
		return fmt.Errorf("lead: signature type %x, not 5", lead[78:80])
	}
	return nil
}

// Header is the package's header.
func (f *PackageFile) Header() *Header { return f.header }

// SignatureHeader is the header with the digests and signatures of the other.
func (f *PackageFile) SignatureHeader() *Header { return f.signature }

// PayloadStart is the offset of the payload in the file.
func (f *PackageFile) PayloadStart() int64 { return f.headerEnd }

// Package is a verified binary package; only PackageFile.Verify and VerifyHead make one. It is safe for concurrent use.
type Package struct {
	file         *PackageFile
	nevra        NEVRA
	files        []File
	key          Key
	headerSHA256 string
	fileSHA256   string
	unread       bool // its payload was not verified yet
}

// Header is the package's header.
func (p *Package) Header() *Header { return p.file.header }

// SignatureHeader is the header with the digests and signatures of the other.
func (p *Package) SignatureHeader() *Header { return p.file.signature }

// NEVRA is the package's name.
func (p *Package) NEVRA() NEVRA { return p.nevra }

// Files are the files of the header, in its order. They are not to be changed.
func (p *Package) Files() []File { return p.files }

// Key is the certificate that signed the package; the zero value when no known one did and that was allowed.
func (p *Package) Key() Key { return p.key }

// HeaderSHA256 is the SHA-256 of the header with its magic, in hex: what SHA256HEADER says in the signature header.
func (p *Package) HeaderSHA256() string { return p.headerSHA256 }

// FileSHA256 is the SHA-256 of the whole file, in hex; "" after VerifyHead.
func (p *Package) FileSHA256() string { return p.fileSHA256 }

// Size is the size of the whole file.
func (p *Package) Size() int64 { return p.file.size }

// PayloadStart is the offset of the payload in the file.
func (p *Package) PayloadStart() int64 { return p.file.headerEnd }

// Payload begins to read the payload. Each call gives a stream of its own, to be closed by the caller. After VerifyHead the
// stream verifies it: only when Next has returned io.EOF, or Finish nil, may what was read be used. The errors are
// *VerifyErrors then where the payload is not what the header says.
func (p *Package) Payload() (*Payload, error) { return p.PayloadWith(&Decompressors{}) }

// PayloadWith is Payload with decompressors that others use too.
func (p *Package) PayloadWith(d *Decompressors) (*Payload, error) {
	var in io.Reader = io.NewSectionReader(p.file.r, p.file.headerEnd, p.file.size-p.file.headerEnd)
	if !p.unread {
		return openPayload(p.file.header, p.files, in, d)
	}
	digests, err := payloadDigests(p.file.header)
	if err != nil {
		return nil, p.file.named(err)
	}
	proof := &payloadProof{file: p.file, in: in, digests: digests}
	payload, err := openPayload(p.file.header, p.files, proof, d)
	if err != nil {
		return nil, proof.blame(err)
	}
	payload.proof = proof
	return payload, nil
}

// payloadProof computes the digests of a payload while it is read.
type payloadProof struct {
	file    *PackageFile
	in      io.Reader
	digests []payloadDigest
}

func (p *payloadProof) Read(b []byte) (int, error) {
	n, err := p.in.Read(b)
	for _, d := range p.digests {
		d.Write(b[:n])
	}
	return n, err
}

// check reads what is left and compares the digests.
func (p *payloadProof) check() error {
	if _, err := io.Copy(io.Discard, p); err != nil {
		return err
	}
	if err := checkPayload(p.digests); err != nil {
		return p.file.named(err)
	}
	return nil
}

// blame is err, or that the payload is not what the header says where that is behind it.
func (p *payloadProof) blame(err error) error {
	if wrong := p.check(); wrong != nil {
		return wrong
	}
	return err
}
