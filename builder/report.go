package builder

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"slim/internal/audit"
	"slim/internal/execpath"
	"slim/internal/repomd"
	"slim/internal/report"
	"slim/internal/rpm"
	"slim/internal/solve"
	"slim/internal/trim"
)

// Report is what a page about images shows, and its JSON; ReportImage is one of them.
type (
	Report      = report.Document
	ReportImage = report.Image
)

// ReportSubject is what a report is about: an image, in the words of Inspect, or a plain root as dir:DIR.
type ReportSubject struct {
	Reference string
	Programs  []string // where execution begins too, as for FindPath
	Recipe    *Recipe  // its keys and files count, as for Verify, and its repository tells of advisories; may be nil
}

// ReportOptions say what a report is made of.
type ReportOptions struct {
	Keys      []string   // files of OpenPGP keys; nothing is verified without any and without a recipe that has some
	Platforms []Platform // of the images; all without any
	Options
}

// NewReport reads each subject once, one platform after the other. What does not verify is in the report, and so is that
// an image does not say what it runs; neither is an error. Errors of keys are *KeyError.
func NewReport(ctx context.Context, subjects []ReportSubject, o ReportOptions) (*Report, error) {
	r := reporter{o: o, keys: map[recipePlatform]*rpm.Keyring{}, advisories: map[recipePlatform][]repomd.Advisory{}}
	if len(o.Keys) > 0 {
		if _, err := (&VerifyOptions{Keys: o.Keys, Options: o.Options}).keySources(); err != nil {
			return nil, err
		}
	}
	for _, s := range subjects {
		_, err := eachView(ctx, s.Reference, viewOptions{o.Platforms, o.Options}, func(v *view) error {
			image, err := r.image(ctx, v, &s)
			if err != nil {
				return fmt.Errorf("reading %s: %w", s.Reference, err)
			}
			r.images = append(r.images, *image)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	doc := &Report{Version: 1, Images: append([]report.Image{}, r.images...)}
	fleet := NewFleet(r.members, FleetOptions{})
	addLayers(doc, fleet.Members)
	doc.Fleet = reportFleet(fleet)
	return doc, nil
}

// WriteReport writes a report as one page of HTML that needs nothing else, the same bytes for the same report.
func WriteReport(w io.Writer, r *Report) error { return report.Write(w, r) }

// recipePlatform is what keys and advisories are read for.
type recipePlatform struct {
	recipe   *Recipe
	platform Platform
}

// reporter reads the images of one report.
type reporter struct {
	o          ReportOptions
	keys       map[recipePlatform]*rpm.Keyring
	advisories map[recipePlatform][]repomd.Advisory
	images     []report.Image
	members    []FleetMember // by image
}

func (r *reporter) verifies(s *ReportSubject) bool {
	return len(r.o.Keys) > 0 || s.Recipe != nil && s.Recipe.Repository.GPGCheck
}

// image is what there is to say of an image, and adds it to the members of the fleet.
func (r *reporter) image(ctx context.Context, v *view, s *ReportSubject) (*report.Image, error) {
	d, err := v.database()
	if err != nil {
		if !r.verifies(s) {
			return nil, err
		}
		d = &database{} // which is a finding
	}
	member := v.member(s.Reference, d)
	start, err := v.start(&PathOptions{Programs: s.Programs})
	var none *NoStartError
	if err != nil && !errors.As(err, &none) {
		return nil, err
	}
	found, err := v.pathFrom(ctx, start, d)
	if err != nil {
		return nil, err
	}
	if none == nil {
		member.Tiers = found.tiers()
	}
	r.members = append(r.members, member)
	out := reportImage(s.Reference, found)
	index := map[string]int{}
	for k := range out.Packages {
		index[out.Packages[k].NEVRA] = k
	}
	if err := addHeaders(out, d, index); err != nil {
		return nil, err
	}
	if err := addRequirements(out, d, index); err != nil {
		return nil, err
	}
	if err := r.advise(ctx, out, v, s, found); err != nil {
		return nil, err
	}
	return out, r.prove(ctx, out, v, s, index)
}

func reportImage(reference string, i *ImagePath) *report.Image {
	out := &report.Image{
		Name: reference, Digest: i.Digest, Command: append(append([]string{}, i.Start.Args...), i.Start.Programs...), Tiers: map[string]report.Sum{},
		Packages: []report.Installed{}, Requires: []report.Requirement{}, LeftOut: []report.LeftOut{}, Layers: []report.Layer{},
		Notes: append([]string{}, i.Notes...),
	}
	if i.Digest != "" {
		out.Platform = i.Platform.String()
	}
	tiers := execpath.Tiers()
	name := func(t Tier) string { return string(t) }
	if len(out.Command) == 0 {
		tiers, name = []Tier{report.Unknown}, func(Tier) string { return report.Unknown }
	}
	for _, t := range tiers {
		out.Tiers[string(t)] = report.Sum{}
	}
	sum := func(t Tier, packages, files int, bytes int64) {
		s := out.Tiers[name(t)]
		out.Tiers[name(t)] = report.Sum{Packages: s.Packages + packages, Files: s.Files + files, Bytes: s.Bytes + bytes}
	}
	owner := map[string]int{}
	for _, f := range i.Files {
		owner[f.Path] = f.Package
		sum(f.Tier, 0, 1, f.Size)
	}
	for _, p := range i.Packages {
		sum(p.Tier, 1, 0, 0)
		q := reportPackage(&p, name)
		for _, t := range tiers {
			q.Bytes[string(t)] += 0 // each tier is there
		}
		for _, s := range p.Chain {
			q.Chain = append(q.Chain, report.Step{Path: s.Path, Package: owner[s.Path], How: string(s.How), Name: s.Name})
		}
		out.Packages = append(out.Packages, q)
	}
	out.Areas = areas(i.Files, name)
	return out
}

func reportPackage(p *PathPackage, name func(Tier) string) report.Installed {
	q := report.Installed{
		NEVRA: p.NEVRA.String(), Name: p.Name, EVR: p.EVR.String(), SourceRPM: p.SourceRPM, Tier: name(p.Tier), Bytes: map[string]int64{},
		LeftOut: []report.LeftOut{}, Chain: []report.Step{}, Chains: [][]int{}, Advisories: []report.Advisory{},
	}
	for t, bytes := range p.Bytes {
		q.Bytes[name(t)] += bytes
	}
	return q
}

// areas add files up by package, directory and tier.
func areas(files []PathFile, name func(Tier) string) []report.Area {
	at := map[report.Area]int{}
	out := []report.Area{}
	for _, f := range files {
		key := report.Area{Package: f.Package, Directory: path.Dir(f.Path), Tier: name(f.Tier)}
		k, ok := at[key]
		if !ok {
			k, out = len(out), append(out, key)
			at[key] = k
		}
		out[k].Files, out[k].Bytes = out[k].Files+1, out[k].Bytes+f.Size
	}
	slices.SortFunc(out, func(a, b report.Area) int {
		return cmp.Or(a.Package-b.Package, strings.Compare(a.Directory, b.Directory), strings.Compare(a.Tier, b.Tier))
	})
	return out
}

// addHeaders adds what the headers of the packages say, without verifying them.
func addHeaders(out *report.Image, d *database, index map[string]int) error {
	total := newStripped()
	for _, installed := range d.packages {
		h := installed.Header
		if audit.IsKey(h) {
			continue
		}
		files, err := h.Files()
		if err != nil {
			return fmt.Errorf("package %s: %w", h.NEVRA(), err)
		}
		counts := newStripped()
		countStripped(files, installed.States(), counts)
		p := &out.Packages[index[h.NEVRA().String()]]
		p.LeftOut = leftOut(counts)
		for rule, s := range counts {
			total[rule].Files, total[rule].Bytes = total[rule].Files+s.Files, total[rule].Bytes+s.Bytes
		}
		p.Header = h.SHA256()
		q := qualityOf(h, nil)
		p.Built = q.Built.Format(time.RFC3339)
		if len(q.Signers) > 0 {
			p.Signer = q.Signers[0]
		}
	}
	out.LeftOut = leftOut(total)
	return nil
}

// leftOut are the rules that took something, by name.
func leftOut(counts map[trim.Rule]*Stripped) []report.LeftOut {
	out := []report.LeftOut{}
	for _, s := range counts {
		if s.Files > 0 {
			out = append(out, report.LeftOut{Rule: s.Rule, Files: s.Files, Bytes: s.Bytes})
		}
	}
	slices.SortFunc(out, func(a, b report.LeftOut) int { return strings.Compare(a.Rule, b.Rule) })
	return out
}

// addRequirements adds who requires whom and why each package is there, as WhyImage has it.
func addRequirements(out *report.Image, d *database, index map[string]int) error {
	packages, err := d.metadata()
	if err != nil {
		return err
	}
	g := solve.NewGraph(packages, solve.Full)
	roots := g.Tops()
	at := map[[2]rpm.NEVRA]int{}
	for k, e := range g.Edges() {
		at[[2]rpm.NEVRA{e.From, e.To}] = k
		out.Requires = append(out.Requires, report.Requirement{
			From: index[e.From.String()], To: index[e.To.String()], Capability: e.Capability, Kind: string(e.Kind), Scriptlet: e.Scriptlet, More: e.More,
		})
	}
	for _, m := range packages {
		p := &out.Packages[index[m.NEVRA.String()]]
		p.Root = slices.Contains(roots, m.NEVRA)
		for _, chain := range g.Chains(m.NEVRA, roots) {
			var edges []int
			for _, e := range chain {
				edges = append(edges, at[[2]rpm.NEVRA{e.From, e.To}])
			}
			p.Chains = append(p.Chains, edges)
		}
	}
	return nil
}

// advise adds the pending advisories of all packages.
func (r *reporter) advise(ctx context.Context, out *report.Image, v *view, s *ReportSubject, found *ImagePath) error {
	if s.Recipe == nil {
		return nil
	}
	key := recipePlatform{s.Recipe, v.platform}
	all, ok := r.advisories[key]
	if !ok {
		var err error
		if all, err = advisoriesFor(ctx, s.Recipe, v.platform, r.o.Options); err != nil {
			return err
		}
		r.advisories[key] = all
	}
	out.Advised = true
	for k, p := range found.Packages {
		for _, a := range pending(p.NEVRA, all) {
			out.Packages[k].Advisories = append(out.Packages[k].Advisories, report.Advisory{
				ID: a.ID, Type: a.Type, Severity: a.Severity, Title: a.Title, CVEs: append([]string{}, a.CVEs...),
			})
		}
	}
	return nil
}

// prove verifies an image when there is something to verify it with.
func (r *reporter) prove(ctx context.Context, out *report.Image, v *view, s *ReportSubject, index map[string]int) error {
	if !r.verifies(s) {
		return nil
	}
	var extra []audit.Extra
	var err error
	if s.Recipe != nil {
		if extra, err = s.Recipe.extras(); err != nil {
			return err
		}
	}
	key := recipePlatform{s.Recipe, v.platform}
	if r.keys[key] == nil {
		by := VerifyOptions{Keys: r.o.Keys, Recipe: s.Recipe, Options: r.o.Options}
		sources, err := by.keySources()
		if err != nil {
			return err
		}
		if r.keys[key], err = by.keyring(ctx, sources, v.platform); err != nil {
			return err
		}
	}
	verified, _, err := v.verify(r.keys[key], extra)
	if err != nil {
		return err
	}
	addProof(out, verified, index)
	return nil
}

func addProof(out *report.Image, v *VerifiedImage, index map[string]int) {
	r := &v.Report
	out.Proof = &report.Proof{
		Passed: !r.Failed(false), Packages: r.Packages, Signed: r.Signed, Files: r.Files, Matching: r.Matching, NotInstalled: r.NotInstalled,
		Generated: len(r.Generated), Foreign: r.Foreign, Keys: []report.Key{}, Findings: []report.Finding{},
	}
	for _, k := range v.Keys {
		out.Proof.Keys = append(out.Proof.Keys, report.Key{Fingerprint: k.Fingerprint, User: k.UserID, Packages: k.Packages})
	}
	for _, f := range r.Findings {
		out.Proof.Findings = append(out.Proof.Findings, report.Finding{Text: f.String(), Fails: f.Kind.Fails()})
	}
	for _, p := range v.Packages {
		if k, ok := index[p.NEVRA.String()]; ok && p.Key != "" {
			out.Packages[k].Signer, out.Packages[k].Verified = p.Key, true
		}
	}
}

// addLayers lists the layers of the images, whose order is that of members, and who has each.
func addLayers(doc *Report, members []FleetMember) {
	images := map[string][]int{}
	for k, m := range members {
		for _, l := range m.Layers {
			if !slices.Contains(images[l.Digest], k) {
				images[l.Digest] = append(images[l.Digest], k)
			}
		}
	}
	for k, m := range members {
		for _, l := range m.Layers {
			doc.Images[k].Layers = append(doc.Images[k].Layers, report.Layer{Digest: l.Digest, Size: l.Size, Images: images[l.Digest]})
		}
	}
}

func reportFleet(f *Fleet) report.Fleet {
	s := &f.Sharing
	out := report.Fleet{
		Core: f.Core, Standards: []report.Standard{}, Packages: []report.Package{},
		Sharing: report.Sharing{
			Packages: s.Packages, DifferentPackages: s.DifferentPackages, Layers: s.Layers, DifferentLayers: s.DifferentLayers,
			LayerBytes: s.LayerBytes, DifferentLayerBytes: s.DifferentLayerBytes,
		},
	}
	for _, s := range f.Standards {
		one := report.Standard{Builds: []string{}, Images: s.Members}
		for _, b := range s.Builds {
			one.Builds = append(one.Builds, b.NEVRA.String())
		}
		out.Standards = append(out.Standards, one)
	}
	for _, p := range f.Packages {
		one := report.Package{Name: p.Name, Count: p.Count}
		first, ofArch := 0, map[string]int{} // of the version at hand: its first number, and builds of each architecture
		for k, b := range p.Builds {
			if k > 0 && p.Builds[k-1].EVR.Compare(b.EVR) != 0 {
				first, ofArch = first+slices.Max(slices.Collect(maps.Values(ofArch))), map[string]int{}
			}
			one.Builds = append(one.Builds, report.Build{
				NEVRA: b.NEVRA.String(), EVR: b.EVR.String(), Header: b.Header, Number: first + ofArch[b.Arch], Images: b.Members,
			})
			ofArch[b.Arch]++
		}
		out.Packages = append(out.Packages, one)
	}
	return out
}
