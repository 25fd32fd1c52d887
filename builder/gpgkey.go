package builder

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"slim/internal/fetch"
	"slim/internal/rpm"
)

// KeyRef is where a key file is, and which of its keys may sign.
type KeyRef struct {
	Address     string // an http, https or file URL, an absolute path, or builtin:PATH of the built-in recipes
	Fingerprint string // of the one key that is taken, in hex; "" takes all that the file holds
}

func (k KeyRef) fingerprints() []string {
	if k.Fingerprint == "" {
		return nil
	}
	return []string{k.Fingerprint}
}

// KeyRefs returns r.GPGKeys for platform p with variables replaced, relative paths starting at r.Dir.
func (r Repository) KeyRefs(p Platform) ([]KeyRef, error) {
	var keys []KeyRef
	for _, k := range r.GPGKeys {
		if err := r.checkVariables(k, false); err != nil {
			return nil, err
		}
		expanded, err := r.expand(k, p, "")
		if err != nil {
			return nil, err
		}
		address, fingerprint, _ := strings.Cut(expanded, "#")
		if !isURL(address) && !strings.HasPrefix(address, builtinPrefix) && !filepath.IsAbs(address) {
			address = filepath.Join(r.Dir, address)
		}
		keys = append(keys, KeyRef{Address: address, Fingerprint: fingerprint})
	}
	return keys, nil
}

// loadKeys reads the recipe's keys. A key that the OpenPGP library does not know is remarked on and left out.
func loadKeys(ctx context.Context, client *fetch.Client, r Repository, p Platform, o Options) (*rpm.Keyring, error) {
	keys := &rpm.Keyring{}
	return keys, addRepositoryKeys(ctx, client, keys, r, p, o)
}

// addRepositoryKeys adds the recipe's keys to others.
func addRepositoryKeys(ctx context.Context, client *fetch.Client, keys *rpm.Keyring, r Repository, p Platform, o Options) error {
	refs, err := r.KeyRefs(p)
	if err != nil {
		return err
	}
	for _, ref := range refs {
		content, err := keyContent(ctx, client, ref.Address, o)
		if err != nil {
			return fmt.Errorf("reading key %s: %w", ref.Address, err)
		}
		_, skipped, err := keys.Add(content, ref.fingerprints()...)
		if err != nil {
			return &VerifyError{What: "key " + ref.Address, Err: err}
		}
		for _, reason := range skipped {
			o.Report.Report(Event{Phase: PhaseMetadata, Message: fmt.Sprintf("key %s: one key is passed over: %v", ref.Address, reason)})
		}
	}
	return nil
}

func keyContent(ctx context.Context, client *fetch.Client, u string, o Options) ([]byte, error) {
	if name, ok := strings.CutPrefix(u, builtinPrefix); ok {
		if o.Builtin == nil {
			return nil, fmt.Errorf("there are no built-in keys here")
		}
		return fs.ReadFile(o.Builtin, name)
	}
	if !isURL(u) {
		f, err := os.Open(u)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return io.ReadAll(io.LimitReader(f, maxKeySize))
	}
	request := fetch.Request{URLs: []string{u}, Size: -1, MaxSize: maxKeySize}
	for _, k := range o.Keys {
		if k.Address == u {
			request.Digest = "sha256:" + k.SHA256
			if o.KeyDir != "" {
				request.URLs = append(request.URLs, (&url.URL{Scheme: "file", Path: filepath.ToSlash(filepath.Join(o.KeyDir, k.file()))}).String())
			}
		}
	}
	return client.Bytes(ctx, request)
}

// file is a key's name in a directory of keys.
func (k LockedKey) file() string { return k.SHA256[:16] + ".asc" }
