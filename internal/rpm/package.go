package rpm

import "io"

// PackageFile is an opened, parsed, unverified package file.
type PackageFile struct{}

func OpenPackage(r io.ReaderAt, size int64) (*PackageFile, error) { panic("todo") }
func (f *PackageFile) Header() *Header                            { panic("todo") }
func (f *PackageFile) SignatureHeader() *Header                   { panic("todo") }

// Package is a verified package; only PackageFile.Verify makes one.
type Package struct{}

func (p *Package) Header() *Header            { panic("todo") }
func (p *Package) SignatureHeader() *Header   { panic("todo") }
func (p *Package) NEVRA() NEVRA               { panic("todo") }
func (p *Package) Files() []File              { panic("todo") }
func (p *Package) Key() Key                   { panic("todo") }
func (p *Package) HeaderSHA256() string       { panic("todo") }
func (p *Package) FileSHA256() string         { panic("todo") }
func (p *Package) Size() int64                { panic("todo") }
func (p *Package) Payload() (*Payload, error) { panic("todo") }
