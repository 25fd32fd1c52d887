package rpm

// VerifyKind says why a package was refused.
type VerifyKind string

const (
	KindUnsigned     VerifyKind = "unsigned"
	KindWrongKey     VerifyKind = "wrong key"
	KindBadSignature VerifyKind = "bad signature"
	KindBadDigest    VerifyKind = "bad digest"
	KindTruncated    VerifyKind = "truncated"
	KindMalformed    VerifyKind = "malformed"
)

// VerifyError names a package and why it was refused.
type VerifyError struct {
	Package string // NEVRA, "" when the header could not be read
	Kind    VerifyKind
	Reason  string
	Err     error
}

func (e *VerifyError) Error() string { panic("todo") }
func (e *VerifyError) Unwrap() error { return e.Err }

// VerifyOptions are what Verify may be told; the zero value demands a signature and knows no checksum.
type VerifyOptions struct {
	Checksum      Checksum // expected of the whole file; zero: not checked
	AllowUnsigned bool     // gpgcheck: false
}

func (f *PackageFile) Verify(keys *Keyring, opts VerifyOptions) (*Package, error) { panic("todo") }

func VerifyHeader(h *Header, sig *Header, keys *Keyring, allowUnsigned bool) (Key, error) {
	panic("todo")
}
