package builder

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"slim/internal/fetch"
	"slim/internal/repomd"
	"slim/internal/rpm"
)

// Limits of small files that have no digest to be checked against.
const (
	maxRepomdSize    = 16 << 20
	maxSignatureSize = 1 << 20
	maxKeySize       = 4 << 20
	maxMirrorsSize   = 4 << 20
)

// repository is a distribution repository for one platform: the packages of all its components.
type repository struct {
	client  *fetch.Client
	sources []*component
	catalog *repomd.Repository
	keep    filter   // which packages module streams leave visible; nil is all
	asked   []string // paths and globs whose owners have been looked up beside those that dependencies name

	from     Repository // in the recipe's words
	platform Platform
	options  Options
	headers  map[*rpm.Metadata]*header // of packages whose header decides on what only scriptlets need
}

// component is one part of the repository, with its index read.
type component struct {
	LockedSource
	index *repomd.Index
}

// openRepository fetches and reads repomd.xml of every component and opens the catalogs of their packages; of those that
// several components hold in the same build the first component's is taken.
func openRepository(ctx context.Context, client *fetch.Client, r Repository, p Platform, o Options) (*repository, error) {
	components, err := r.BaseURLs(p)
	if err != nil {
		return nil, err
	}
	var keys *rpm.Keyring
	if r.RepoGPGCheck {
		if keys, err = loadKeys(ctx, client, r, p, o); err != nil {
			return nil, err
		}
	}
	repo := &repository{client: client, from: r, platform: p, options: o, headers: map[*rpm.Metadata]*header{}}
	var named []string
	for _, c := range components {
		src, err := openSource(ctx, client, c, keys)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name(r), err)
		}
		repo.sources, named = append(repo.sources, src), append(named, c.name(r))
	}
	if err := repo.openCatalogs(ctx, named); err != nil {
		return nil, err
	}
	if err := repo.openModules(ctx); err != nil {
		return nil, err
	}
	return repo, nil
}

// name is what an error calls the component.
func (c ComponentURL) name(r Repository) string {
	if c.Component != "" {
		return c.Component + " at " + c.URL
	}
	return r.Name + " at " + c.URL
}

// openSource finds the component's mirrors and reads its repomd.xml; with keys, its signature must verify.
func openSource(ctx context.Context, client *fetch.Client, c ComponentURL, keys *rpm.Keyring) (*component, error) {
	src := &component{LockedSource: LockedSource{Component: c.Component}}
	link, err := src.findMirrors(ctx, client, c)
	if err != nil {
		return nil, err
	}
	content, err := src.fetchIndex(ctx, client, link)
	if err != nil {
		return nil, err
	}
	if keys != nil {
		signature, err := client.Bytes(ctx, fetch.Request{URLs: src.under("repodata/repomd.xml.asc"), Size: -1, MaxSize: maxSignatureSize})
		if err != nil {
			return nil, fmt.Errorf("fetching the signature of repomd.xml: %w", err)
		}
		if _, err := keys.VerifyDetached(content, signature); err != nil {
			return nil, &VerifyError{What: "repomd.xml", Err: err}
		}
	}
	if src.index, err = repomd.ParseIndex(strings.NewReader(string(content))); err != nil {
		return nil, err
	}
	src.Digest, src.Revision = "sha256:"+hexSHA256(content), src.index.Revision
	return src, nil
}

// fetchIndex brings repomd.xml from the first mirror whose file is the one that the metalink, if there is one, describes.
func (s *component) fetchIndex(ctx context.Context, client *fetch.Client, link *repomd.Metalink) ([]byte, error) {
	urls := s.under("repodata/repomd.xml")
	if link == nil {
		content, err := client.Bytes(ctx, fetch.Request{URLs: urls, Size: -1, MaxSize: maxRepomdSize})
		if err != nil {
			return nil, fmt.Errorf("fetching repomd.xml: %w", err)
		}
		return content, nil
	}
	var faults []error
	for _, u := range urls {
		content, err := client.Bytes(ctx, fetch.Request{URLs: []string{u}, Size: -1, MaxSize: maxRepomdSize})
		if err == nil {
			err = link.Check(content)
		}
		if err == nil {
			return content, nil
		}
		faults = append(faults, fmt.Errorf("%s: %w", u, err))
		if ctx.Err() != nil {
			break
		}
	}
	return nil, fmt.Errorf("fetching repomd.xml: %w", errors.Join(faults...))
}

// findMirrors sets the base URLs of a component, in the order they are asked. The metalink is nil where there is none.
func (s *component) findMirrors(ctx context.Context, client *fetch.Client, c ComponentURL) (*repomd.Metalink, error) {
	if c.Source == SourceBaseURL {
		s.URLs = append([]string{c.URL}, c.Others...)
		return nil, nil
	}
	content, err := client.Bytes(ctx, fetch.Request{URLs: []string{c.URL}, Size: -1, MaxSize: maxMirrorsSize})
	if err != nil {
		return nil, fmt.Errorf("fetching the list of mirrors: %w", err)
	}
	var link *repomd.Metalink
	if c.Source == SourceMirrorList {
		s.URLs, err = repomd.ParseMirrorList(strings.NewReader(string(content)))
	} else if link, err = repomd.ParseMetalink(strings.NewReader(string(content))); err == nil {
		for _, m := range link.Mirrors {
			s.URLs = append(s.URLs, m.Repository())
		}
	}
	if !strings.HasPrefix(c.URL, "file:") {
		s.URLs = slices.DeleteFunc(s.URLs, func(u string) bool { return strings.HasPrefix(u, "file:") })
	}
	if err == nil && len(s.URLs) == 0 {
		err = errors.New("it names no mirror")
	}
	if err != nil {
		return nil, fmt.Errorf("list of mirrors %s: %w", c.URL, err)
	}
	return link, nil
}

// under are the addresses of a file of the repository on its mirrors.
func (s *LockedSource) under(location string) []string {
	urls := make([]string, len(s.URLs))
	for i, base := range s.URLs {
		urls[i] = repomd.Join(base, "", location)
	}
	return urls
}

// checkBase refuses a package whose own base URL leads from the network into this machine's files, or nowhere.
func (s *LockedSource) checkBase(m *rpm.Metadata) error {
	if m.Base == "" {
		return nil
	}
	local := func(u string) bool { return !strings.HasPrefix(u, "http://") && !strings.HasPrefix(u, "https://") }
	if !isURL(m.Base) || local(m.Base) && !local(s.URLs[0]) {
		return fmt.Errorf("package %s: base %q is not the address of a repository", m.NEVRA, m.Base)
	}
	return nil
}

func (repo *repository) readPrimary(ctx context.Context, src *component, add func(*rpm.Metadata) error) error {
	return repo.read(ctx, src, "primary", func(r io.Reader) error { return repomd.ParsePrimary(r, add) })
}

// record is the metadata file of a type.
func (s *component) record(kind string) (repomd.Record, error) {
	record, ok := s.index.Record(kind)
	if !ok {
		return record, fmt.Errorf("repomd.xml names no %s metadata", kind)
	}
	if record.Checksum.IsZero() {
		return record, &VerifyError{What: record.Location, Err: errors.New("repomd.xml gives no checksum for it")}
	}
	return record, nil
}

// read fetches the metadata file of a type and hands its decompressed, verified content to parse.
func (repo *repository) read(ctx context.Context, src *component, kind string, parse func(io.Reader) error) error {
	record, err := src.record(kind)
	if err != nil {
		return err
	}
	file, err := repo.client.Get(ctx, fetch.Request{URLs: src.under(record.Location), Digest: record.Checksum.String(), Size: record.Size})
	if err != nil {
		return fmt.Errorf("fetching %s: %w", record.Location, err)
	}
	defer file.Close()
	content, err := repomd.Open(io.NewSectionReader(file, 0, file.Size()), record)
	if err != nil {
		return fmt.Errorf("reading %s: %w", record.Location, err)
	}
	defer content.Close()
	if err := parse(content); err != nil {
		return fmt.Errorf("reading %s: %w", record.Location, err)
	}
	return nil
}

func hexSHA256(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}
