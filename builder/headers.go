package builder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"slim/internal/fetch"
	"slim/internal/rpm"
	"slim/internal/solve"
)

// header is the verified header of a package whose payload need not be here.
type header struct {
	*rpm.Header
	key string // id of the key that signed it, "" for none
}

// maxHeaderEnd is how much of a package file is asked for as its header, in bytes; what claims more is fetched whole.
const maxHeaderEnd = 64 << 20

// readHeaders brings the headers of a platform's packages here, in the order of l.Packages, and verifies each: digests
// and signature of the header, and that it is that of the package. It asks for no more of a file than its header, whose
// end the metadata gives. Where that is not enough, as the old signatures cover the payload too, the package is fetched.
func readHeaders(ctx context.Context, client *fetch.Client, l *LockedPlatform, keys *rpm.Keyring, allowUnsigned bool, o Options) ([]*header, error) {
	if err := l.findMirrors(ctx, client, o); err != nil {
		return nil, err
	}
	headers := make([]*header, len(l.Packages))
	var mu sync.Mutex
	var done int
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(4, o.jobs()))
	o.Report.Report(Event{Phase: PhaseHeaders, TotalItems: len(l.Packages)})
	for i := range l.Packages {
		group.Go(func() error {
			var err error
			if headers[i], err = readHeader(ctx, client, l, i, keys, allowUnsigned); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			done++
			o.Report.Report(Event{Phase: PhaseHeaders, Items: done, TotalItems: len(l.Packages)})
			return nil
		})
	}
	return headers, group.Wait()
}

func readHeader(ctx context.Context, client *fetch.Client, l *LockedPlatform, i int, keys *rpm.Keyring, allowUnsigned bool) (*header, error) {
	want := &l.Packages[i]
	if end := want.HeaderEnd; end > 0 && end <= maxHeaderEnd {
		start, err := client.Beginning(ctx, l.request(i), end)
		if err != nil {
			return nil, fmt.Errorf("fetching the header of %s: %w", want.NEVRA, err)
		}
		if h := verifyHeader(bytes.NewReader(start), int64(len(start)), keys, allowUnsigned); h != nil {
			return h, want.checkHeader(h.NEVRA(), h.SHA256(), h.key, allowUnsigned)
		}
	}
	file, err := client.Get(ctx, l.request(i))
	if err != nil {
		return nil, fmt.Errorf("fetching %s: %w", want.NEVRA, err)
	}
	defer file.Close()
	pkg, err := verifyPackage(file, *want, keys, allowUnsigned)
	if err != nil {
		return nil, err
	}
	return &header{pkg.Header(), pkg.Key().ID}, nil
}

// verifyHeader is the header at the beginning of a package file, nil when that alone does not verify.
func verifyHeader(r io.ReaderAt, size int64, keys *rpm.Keyring, allowUnsigned bool) *header {
	f, err := rpm.OpenPackage(r, size)
	if err != nil {
		return nil
	}
	key, err := rpm.VerifyHeader(f.Header(), f.SignatureHeader(), keys, allowUnsigned)
	if err != nil {
		return nil
	}
	return &header{f.Header(), key.ID}
}

// ask answers a request. Metadata does not say of all requirements whether only scriptlets need them: where that counts,
// the headers of the packages that the answer rests on are read, until the answer rests on headers alone.
func (repo *repository) ask(ctx context.Context, request solve.Request) (*solve.Solution, error) {
	for {
		solution, err := repo.answer(ctx, request)
		if request.Mode == solve.Full {
			return solution, err
		}
		unread := repo.unread(solution, err)
		if len(unread) == 0 {
			return solution, err
		}
		if err := repo.readRequires(ctx, unread); err != nil {
			return nil, err
		}
	}
}

// unread are the packages without a header that a solution takes, or whose requirements stand in its way.
func (repo *repository) unread(solution *solve.Solution, err error) []*rpm.Metadata {
	var on []*rpm.Metadata
	var unsolvable *solve.Error
	switch {
	case errors.As(err, &unsolvable):
		on = slices.Clone(unsolvable.Requiring)
	case err == nil:
		for _, c := range solution.Packages {
			on = append(on, c.Metadata)
		}
	}
	return slices.DeleteFunc(on, func(m *rpm.Metadata) bool { return repo.headers[m] != nil || len(m.Requires) == 0 })
}

// readRequires reads headers, and by them says of each requirement of their packages whether only scriptlets need it.
func (repo *repository) readRequires(ctx context.Context, packages []*rpm.Metadata) error {
	keys := &rpm.Keyring{}
	var err error
	if repo.from.GPGCheck {
		if keys, err = loadKeys(ctx, repo.client, repo.from, repo.platform, repo.options); err != nil {
			return err
		}
	}
	l := &LockedPlatform{Platform: repo.platform}
	for _, src := range repo.sources {
		l.Sources = append(l.Sources, src.LockedSource)
	}
	for _, m := range packages {
		l.Packages = append(l.Packages, LockedPackage{Metadata: m, Source: repo.source(m.NEVRA)})
	}
	headers, err := readHeaders(ctx, repo.client, l, keys, !repo.from.GPGCheck, repo.options)
	if err != nil {
		return err
	}
	for i, m := range packages {
		if err := setScriptletOnly(m, headers[i].Header); err != nil {
			return fmt.Errorf("package %s: %w", m.NEVRA, err)
		}
		repo.headers[m] = headers[i]
	}
	return nil
}

// setScriptletOnly sets Pre of a package's requirements by its header. What is required more than once has to be only
// for scriptlets each time.
func setScriptletOnly(m *rpm.Metadata, h *rpm.Header) error {
	dependencies, err := h.Requires()
	if err != nil {
		return err
	}
	only, other := map[string]bool{}, map[string]bool{}
	for _, d := range dependencies {
		if d.IsScriptletOnly() {
			only[d.String()] = true
		} else {
			other[d.String()] = true
		}
	}
	for i := range m.Requires {
		r := &m.Requires[i]
		r.Pre = only[r.String()] && !other[r.String()]
	}
	return nil
}
