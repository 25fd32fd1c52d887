package builder

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"slim/internal/attest"
)

// PrivateKey is a private key that signs images.
type PrivateKey struct{ key *attest.Key }

// PrivateKeyError says why there is no key to sign with.
type PrivateKeyError struct {
	File     string
	Password bool // it is encrypted with another password
	Err      error
}

func (e *PrivateKeyError) Error() string { return fmt.Sprintf("signing key %s: %v", e.File, e.Err) }

func (e *PrivateKeyError) Unwrap() error { return e.Err }

// ReadPrivateKey reads a private key: cosign's, which is encrypted with a password, or a plain PEM of ECDSA over P-256 or
// Ed25519. Errors are *PrivateKeyError.
func ReadPrivateKey(file, password string) (*PrivateKey, error) {
	content, err := readPrivateFile(file)
	if err != nil {
		var path *fs.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		return nil, &PrivateKeyError{File: file, Err: err}
	}
	key, err := attest.ParseKey(content, []byte(password))
	if err != nil {
		return nil, &PrivateKeyError{File: file, Password: errors.Is(err, attest.ErrPassword), Err: err}
	}
	return &PrivateKey{key}, nil
}

func readPrivateFile(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, attest.MaxKey+1))
}
