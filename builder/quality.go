package builder

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"slim/internal/audit"
	"slim/internal/elf"
	"slim/internal/repomd"
	"slim/internal/rpm"
)

// QualityOptions say what the quality of what is on the path is judged by.
type QualityOptions struct {
	Keys   []string // that headers are verified by, as for VerifyOptions
	Recipe *Recipe  // its keys count too, and its repository tells of advisories; may be nil
}

// Quality is what is known of the quality of a package that is on the direct or loadable path.
type Quality struct {
	// Signers are the keys that signed the header: of one that verified its certificate, otherwise what the signatures say.
	Signers  []string
	Verified bool   // by a key of QualityOptions
	Fault    string // why it did not verify; "" when it did or there was no key
	Built    time.Time
	Pending  []Advisory     // announced for newer builds of the package, the most severe first
	Programs []HardenedFile // its direct and loadable ELF files, by path
}

// HardenedFile is a program or library and how it was compiled and linked.
type HardenedFile struct {
	Path      string
	Tier      Tier
	Hardening Hardening
}

// Hardening is internal/elf's.
type Hardening = elf.Hardening

// judge adds the quality of every package on the direct and loadable path.
func (v *view) judge(ctx context.Context, i *ImagePath, d *database, o *PathOptions) error {
	q := o.Quality
	var keys *rpm.Keyring
	var err error
	if len(q.Keys) > 0 || q.Recipe != nil && q.Recipe.Repository.GPGCheck {
		by := &VerifyOptions{Keys: q.Keys, Recipe: q.Recipe, Options: o.Options}
		sources, err := by.keySources()
		if err != nil {
			return err
		}
		if keys, err = by.keyring(ctx, sources, v.platform); err != nil {
			return err
		}
	}
	advisories, err := advisoriesFor(ctx, q.Recipe, v.platform, o.Options)
	if err != nil {
		return err
	}
	headers := map[rpm.NEVRA]*rpm.Header{}
	for _, installed := range d.packages {
		headers[installed.Header.NEVRA()] = installed.Header
	}
	for k := range i.Packages {
		if p := &i.Packages[k]; p.Tier == TierDirect || p.Tier == TierLoadable {
			p.Quality = qualityOf(headers[p.NEVRA], keys)
			p.Quality.Pending = pending(p.NEVRA, advisories)
		}
	}
	for _, f := range i.Files {
		if f.Package >= 0 && f.Object != nil {
			q := i.Packages[f.Package].Quality
			q.Programs = append(q.Programs, HardenedFile{f.Path, f.Tier, f.Object.Hardening})
		}
	}
	return nil
}

func qualityOf(h *rpm.Header, keys *rpm.Keyring) *Quality {
	built, _ := h.Uint64(rpm.TagBuildTime)
	q := &Quality{Signers: h.Signers(), Built: time.Unix(int64(built), 0).UTC()}
	if keys == nil {
		return q
	}
	p := audit.ReadPackage(h, nil, keys)
	if p.Err != nil {
		q.Fault = p.Err.Error()
		return q
	}
	q.Signers, q.Verified = []string{p.Key.Fingerprint}, true
	return q
}

// advisoriesFor are those of a recipe's repository for an image's platform; none without a recipe.
func advisoriesFor(ctx context.Context, r *Recipe, p Platform, o Options) ([]repomd.Advisory, error) {
	if r == nil {
		return nil, nil
	}
	client, done, err := o.client()
	if err != nil {
		return nil, err
	}
	defer done()
	if p == (Platform{}) {
		p = r.Platforms[0]
	}
	repo, err := openRepository(ctx, client, r.Repository, p, o)
	if err != nil {
		return nil, fmt.Errorf("reading advisories: %w", err)
	}
	return repo.readAdvisories(ctx)
}

// pending are the advisories that have a newer build of a package.
func pending(n rpm.NEVRA, all []repomd.Advisory) []Advisory {
	var out []Advisory
	for _, a := range all {
		if slices.ContainsFunc(a.Packages, func(m rpm.NEVRA) bool {
			return m.Name == n.Name && m.Arch == n.Arch && m.EVR.Compare(n.EVR) > 0
		}) && !slices.ContainsFunc(out, func(b Advisory) bool { return b.ID == a.ID }) {
			out = append(out, Advisory{ID: a.ID, Type: a.Type, Severity: a.Severity, Title: a.Title, CVEs: a.CVEs()})
		}
	}
	slices.SortStableFunc(out, func(a, b Advisory) int { return cmp.Compare(severityRank(a), severityRank(b)) })
	return out
}

// severityRank puts security before the rest, and the most severe first.
func severityRank(a Advisory) int {
	at := slices.Index([]string{"Critical", "Important", "Moderate", "Low"}, a.Severity)
	if at < 0 {
		at = 4
	}
	if a.Type != "security" {
		at += 5
	}
	return at
}
