package builder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"golang.org/x/sync/errgroup"

	"slim/internal/fetch"
	"slim/internal/rpm"
)

// kindHead is the kind of the cache's entries that hold the beginnings of packages: lead and headers.
const kindHead = "heads"

// maxHead bounds them: rpm's own limits of headers are lower.
const maxHead = 512 << 20

// openPackages makes the packages of a platform ready: headers verified, and payloads that are verified when they are
// unpacked. The files of packages whose headers the cache has are not opened before. Every package that fails is in the
// error.
func openPackages(ctx context.Context, cache *fetch.Cache, client *fetch.Client, l *LockedPlatform, keys *rpm.Keyring, allowUnsigned bool, o Options) (*packageSet, error) {
	set := &packageSet{packages: make([]*rpm.Package, len(l.Packages)), lazy: make([]*packageFile, len(l.Packages))}
	opener := &packageOpener{cache: cache, client: client, locked: l, keys: keys, allowUnsigned: allowUnsigned, options: o}
	err := l.each(ctx, o, func(inner context.Context, i int) error {
		set.lazy[i] = &packageFile{open: func() (*fetch.File, error) { return opener.fetch(ctx, i) }}
		var err error
		set.packages[i], err = opener.open(inner, i, set.lazy[i])
		return err
	})
	if err != nil {
		set.Close()
		return nil, err
	}
	return set, nil
}

// each does something with every package of the platform, some at once, and reports how far it is. A package that does not
// verify keeps nobody from the others, so that all of them are in the error; anything else ends it.
func (l *LockedPlatform) each(ctx context.Context, o Options, do func(ctx context.Context, i int) error) error {
	total, _ := l.Size()
	var mu sync.Mutex
	var done int64
	var items int
	failed := make([]error, len(l.Packages))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(4, o.jobs()))
	o.Report.Report(Event{Phase: PhasePackages, Total: total, TotalItems: len(l.Packages)})
	for i := range l.Packages {
		group.Go(func() error {
			var wrong *VerifyError
			if err := do(ctx, i); errors.As(err, &wrong) {
				failed[i] = err
			} else if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			done, items = done+l.Packages[i].Size, items+1
			o.Report.Report(Event{Phase: PhasePackages, Done: done, Total: total, Items: items, TotalItems: len(l.Packages)})
			return nil
		})
	}
	return errors.Join(group.Wait(), errors.Join(failed...))
}

// packageOpener opens the packages of a platform.
type packageOpener struct {
	cache         *fetch.Cache
	client        *fetch.Client
	locked        *LockedPlatform
	keys          *rpm.Keyring
	allowUnsigned bool
	options       Options

	mirrors sync.Once
	err     error
}

// fetch brings the file of package i here.
func (p *packageOpener) fetch(ctx context.Context, i int) (*fetch.File, error) {
	p.mirrors.Do(func() { p.err = p.locked.findMirrors(ctx, p.client, p.options) })
	if p.err != nil {
		return nil, p.err
	}
	f, err := p.client.Get(ctx, p.locked.request(i))
	if err != nil {
		return nil, fmt.Errorf("fetching %s: %w", p.locked.Packages[i].NEVRA, err)
	}
	return f, nil
}

// open verifies package i by its headers where they suffice, by its whole file otherwise.
func (p *packageOpener) open(ctx context.Context, i int, file *packageFile) (*rpm.Package, error) {
	if err := ctx.Err(); err != nil {
		return nil, err // another could not be fetched
	}
	want := p.locked.Packages[i]
	key := headKey(want.Checksum)
	head, err := p.keptHead(key)
	if err != nil {
		return nil, err
	}
	if head != nil {
		file.head = head
		if pkg, err := verifyHead(file, want.Size, want, p.keys, p.allowUnsigned); pkg != nil && err == nil {
			return pkg, nil
		}
		file.head = nil // the file itself decides
	}
	whole, err := file.file()
	if err != nil {
		return nil, err
	}
	pkg, err := verifyHead(file, whole.Size(), want, p.keys, p.allowUnsigned)
	if err != nil {
		return nil, err
	}
	if pkg == nil {
		return verifyPackage(whole, want, p.keys, p.allowUnsigned)
	}
	if whole.Size() != want.Size || want.Checksum.IsZero() {
		return pkg, nil
	}
	return pkg, p.keepHead(key, io.NewSectionReader(whole, 0, pkg.PayloadStart()))
}

// verifyHead is verifyPackage by the headers alone; nil where they do not suffice.
func verifyHead(file io.ReaderAt, size int64, want LockedPackage, keys *rpm.Keyring, allowUnsigned bool) (*rpm.Package, error) {
	parsed, err := rpm.OpenPackage(file, size)
	if err != nil {
		return nil, &VerifyError{What: want.NEVRA.String(), Err: err}
	}
	pkg, err := parsed.VerifyHead(keys, rpm.VerifyOptions{AllowUnsigned: allowUnsigned})
	if err != nil {
		return nil, &VerifyError{What: want.NEVRA.String(), Err: err}
	}
	if pkg == nil {
		return nil, nil
	}
	return pkg, want.checkHeader(pkg.NEVRA(), pkg.HeaderSHA256(), pkg.Key().ID, allowUnsigned)
}

// headKey is the cache's key of the head of a file.
func headKey(file rpm.Checksum) string { return hexSHA256([]byte("head of " + file.String())) }

// keptHead is the head of a file from the cache; nil when it is not there.
func (p *packageOpener) keptHead(key string) ([]byte, error) {
	k, err := p.cache.Kept(kindHead, key)
	if k == nil || err != nil {
		return nil, err
	}
	defer k.Close()
	var b bytes.Buffer
	b.Grow(int(min(k.Size(), maxHead)) + bytes.MinRead)
	if _, err := io.Copy(&b, io.LimitReader(k, maxHead)); err != nil {
		if errors.Is(err, fetch.ErrDamaged) {
			return nil, nil
		}
		return nil, err
	}
	return b.Bytes(), nil
}

func (p *packageOpener) keepHead(key string, head io.Reader) error {
	return keepWritten(p.cache, kindHead, key, func(w io.Writer) error {
		_, err := io.Copy(w, head)
		return err
	})
}

// packageFile is the file of a package. Its head may be at hand; the file is opened when more is asked for.
type packageFile struct {
	head []byte
	open func() (*fetch.File, error)

	once  sync.Once
	whole *fetch.File
	err   error
}

func (f *packageFile) ReadAt(b []byte, off int64) (int, error) {
	if off >= 0 && off+int64(len(b)) <= int64(len(f.head)) {
		return copy(b, f.head[off:]), nil
	}
	whole, err := f.file()
	if err != nil {
		return 0, err
	}
	return whole.ReadAt(b, off)
}

func (f *packageFile) file() (*fetch.File, error) {
	f.once.Do(func() { f.whole, f.err = f.open() })
	return f.whole, f.err
}

// Close closes the file if it was opened.
func (f *packageFile) Close() error {
	f.once.Do(func() {})
	if f.whole == nil {
		return nil
	}
	return f.whole.Close()
}
