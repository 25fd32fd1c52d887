package builder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"slim/internal/fetch"
	"slim/internal/rpm"
)

// KeyError says that what was to give a key is of no use.
type KeyError struct {
	Key string // as it was given, "" when there is no key at all
	Err error
}

func (e *KeyError) Error() string {
	if e.Key == "" {
		return e.Err.Error()
	}
	return fmt.Sprintf("key %s: %v", e.Key, e.Err)
}

func (e *KeyError) Unwrap() error { return e.Err }

// ShippedKeys are the names of the distributions whose keys the built-in recipes bring, sorted.
func ShippedKeys(builtin fs.FS) []string {
	if builtin == nil {
		return nil
	}
	files, err := fs.Glob(builtin, "*/micro.yaml")
	if err != nil {
		return nil
	}
	var names []string
	for _, f := range files {
		names = append(names, strings.TrimSuffix(f, "/micro.yaml"))
	}
	return names
}

// keySource is where keys are from: a file of keys, or what a recipe's repository names.
type keySource struct {
	given   string // in the user's words
	content []byte // of a file of keys; nil for a repository's
	from    Repository
	own     Platform    // that variables are replaced for where an image says none
	locked  []LockedKey // whose content a lock pins
}

// keySources reads what o.Keys and o.Recipe name, as far as that is on this machine.
func (o *VerifyOptions) keySources() ([]keySource, error) {
	if len(o.Keys) == 0 && o.Recipe == nil {
		return nil, &KeyError{Err: errors.New("there is no key to verify with")}
	}
	var out []keySource
	if r := o.Recipe; r != nil && r.Repository.GPGCheck {
		out = append(out, recipeKeys(r.File, r))
	}
	for _, given := range o.Keys {
		s, err := o.keySource(given)
		if err != nil {
			return nil, &KeyError{Key: given, Err: err}
		}
		out = append(out, s)
	}
	if len(out) == 0 {
		return nil, &KeyError{Err: errors.New("the recipe checks no signatures: there is no key to verify with")}
	}
	return out, nil
}

func recipeKeys(given string, r *Recipe) keySource {
	return keySource{given: given, from: r.Repository, own: r.Platforms[0]}
}

// keySource tells a lock, a recipe, a file of keys and the name of a distribution apart.
func (o *VerifyOptions) keySource(given string) (keySource, error) {
	switch ext := filepath.Ext(given); {
	case ext == ".lock":
		return o.lockKeys(given)
	case ext == ".yaml" || ext == ".yml" || strings.HasPrefix(given, builtinPrefix):
		return o.recipeFileKeys(given, given)
	case !isFile(given) && slices.Contains(ShippedKeys(o.Builtin), given):
		return o.recipeFileKeys(given, builtinPrefix+given+"/micro")
	}
	content, err := readKeyFile(given)
	if errors.Is(err, fs.ErrNotExist) && !strings.ContainsAny(given, `/\`) {
		err = &unknownKeyError{known: ShippedKeys(o.Builtin)}
	}
	return keySource{given: given, content: content}, err
}

// unknownKeyError is the answer to what is neither a file nor a distribution.
type unknownKeyError struct{ known []string }

func (e *unknownKeyError) Error() string {
	text := "no such file"
	if len(e.known) > 0 {
		text += ", and no distribution whose keys are shipped: these are " + strings.Join(e.known, ", ")
	}
	return text
}

func (e *unknownKeyError) Is(target error) bool { return target == fs.ErrNotExist }

func (o *VerifyOptions) recipeFileKeys(given, file string) (keySource, error) {
	r, err := ReadRecipe(file, RecipeOptions{Builtin: o.Builtin})
	if err != nil {
		return keySource{}, err
	}
	if !r.Repository.GPGCheck {
		return keySource{}, errors.New("the recipe checks no signatures")
	}
	return recipeKeys(given, r), nil
}

// lockKeys are those of the first recipe of a lock that can be read: all have one repository.
func (o *VerifyOptions) lockKeys(file string) (keySource, error) {
	f, err := ReadLockFile(file)
	if err != nil {
		return keySource{}, err
	}
	var first error
	for _, r := range f.Recipes {
		at := r.File
		if !strings.HasPrefix(at, builtinPrefix) {
			at = filepath.Join(filepath.Dir(file), filepath.FromSlash(r.File))
		}
		s, err := o.recipeFileKeys(file, at)
		if err == nil {
			s.locked = f.Keys
			return s, nil
		}
		first = errors.Join(first, err)
	}
	if first == nil {
		first = errors.New("the lock has no recipe, which would say where its keys are")
	}
	return keySource{}, first
}

func readKeyFile(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, pathless(err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, rpm.MaxKeyFile+1))
	if err != nil {
		return nil, pathless(err)
	}
	_, _, err = (&rpm.Keyring{}).Add(content)
	return content, err
}

// pathless is an error of a file without the file's name.
func pathless(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// keyring is all keys, those of repositories for a platform; the zero value is that of no image.
func (o *VerifyOptions) keyring(ctx context.Context, sources []keySource, p Platform) (*rpm.Keyring, error) {
	client, done, err := o.client()
	if err != nil {
		return nil, err
	}
	defer done()
	keys := &rpm.Keyring{}
	for i := range sources {
		if err := o.addKeys(ctx, client, keys, &sources[i], p); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

func (o *VerifyOptions) addKeys(ctx context.Context, client *fetch.Client, keys *rpm.Keyring, s *keySource, p Platform) error {
	if s.content == nil {
		if p == (Platform{}) {
			p = s.own
		}
		opts := o.Options
		opts.Keys = append(slices.Clone(opts.Keys), s.locked...)
		return addRepositoryKeys(ctx, client, keys, s.from, p, opts)
	}
	_, skipped, err := keys.Add(s.content)
	for _, reason := range skipped {
		o.Report.Report(Event{Phase: PhaseMetadata, Message: fmt.Sprintf("key file %s: one key is passed over: %v", s.given, reason)})
	}
	if err != nil {
		return &KeyError{Key: s.given, Err: err}
	}
	return nil
}
