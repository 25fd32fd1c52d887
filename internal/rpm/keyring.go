package rpm

// Key names an OpenPGP certificate: what a key file holds.
type Key struct {
	ID          string // of its primary key, 16 lower-case hex digits
	Fingerprint string // of its primary key, lower-case hex
	UserID      string // its first, "" without one
}

// Keyring is a set of certificates that may sign packages and metadata. The zero value is empty. It is safe for
// concurrent use once the last Add has returned.
type Keyring struct{}

// Add reads one file, armored or binary, that may hold several keys.
func (k *Keyring) Add(data []byte) (added []Key, skipped []error, err error) { panic("todo") }

// Keys are the certificates in the order they were added.
func (k *Keyring) Keys() []Key { panic("todo") }

// VerifyDetached checks an armored or binary detached signature.
func (k *Keyring) VerifyDetached(signed, signature []byte) (Key, error) { panic("todo") }
