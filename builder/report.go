package builder

import (
	"context"
	"io"
	"slices"
	"strings"

	"slim/internal/execpath"
	"slim/internal/report"
)

// Report is what a page about images shows, and its JSON.
type Report = report.Document

// ReportOptions say what a report is made of.
type ReportOptions struct {
	Keys      []string   // files of OpenPGP keys to verify with; nothing is verified without any
	Programs  []string   // where execution begins too, as for FindPath
	Platforms []Platform // of the images; all without any
	Options
}

// NewReport reads the images at references, in the words of Inspect, or plain roots as dir:DIR.
func NewReport(ctx context.Context, references []string, o ReportOptions) (*Report, error) {
	doc := &Report{Version: 1, Images: []report.Image{}, Fleet: []report.Package{}}
	var members []FleetMember
	for _, reference := range references {
		r := fleetReader{recipes: RecipeOptions{Platforms: o.Platforms}, o: o.Options}
		if err := r.image(ctx, reference); err != nil {
			return nil, err
		}
		members = append(members, r.members...)
		images, err := o.images(ctx, reference)
		if err != nil {
			return nil, err
		}
		doc.Images = append(doc.Images, images...)
	}
	addLayers(doc, members)
	for _, p := range NewFleet(members, FleetOptions{}).Packages {
		out := report.Package{Name: p.Name, Count: p.Count}
		for _, b := range p.Builds {
			out.Builds = append(out.Builds, report.Build{EVR: b.EVR.String(), Header: b.Header, Images: b.Members})
		}
		doc.Fleet = append(doc.Fleet, out)
	}
	return doc, nil
}

// WriteReport writes a report as one page of HTML that needs nothing else, the same bytes for the same report.
func WriteReport(w io.Writer, r *Report) error { return report.Write(w, r) }

// images are those at one reference, by platform as the index has them.
func (o *ReportOptions) images(ctx context.Context, reference string) ([]report.Image, error) {
	found, err := FindPath(ctx, reference, PathOptions{Programs: o.Programs, Platforms: o.Platforms, Options: o.Options})
	if err != nil {
		return nil, err
	}
	var out []report.Image
	for _, i := range found.Images {
		out = append(out, reportImage(reference, i))
	}
	if !strings.HasPrefix(reference, "dir:") {
		inspected, err := Inspect(ctx, reference, o.Options)
		if err != nil {
			return nil, err
		}
		for k := range out {
			for _, i := range inspected.Images {
				if i.Digest != out[k].Digest {
					continue
				}
				for _, s := range i.Stripped {
					out[k].LeftOut = append(out[k].LeftOut, report.LeftOut{Rule: s.Rule, Files: s.Files, Bytes: s.Bytes})
				}
			}
		}
	}
	if len(o.Keys) == 0 {
		return out, nil
	}
	verified, err := Verify(ctx, reference, VerifyOptions{Keys: o.Keys, Platforms: o.Platforms, Options: o.Options})
	if err != nil {
		return nil, err
	}
	for k, v := range verified.Images {
		addProof(&out[k], v)
	}
	return out, nil
}

func reportImage(reference string, i *ImagePath) report.Image {
	out := report.Image{
		Name: reference, Digest: i.Digest, Command: slices.Concat([]string{}, i.Start.Args, i.Start.Programs), Tiers: map[string]report.Sum{},
		Packages: []report.Installed{}, Files: []report.File{}, LeftOut: []report.LeftOut{}, Layers: []report.Layer{},
	}
	if i.Digest != "" {
		out.Platform = i.Platform.String()
	}
	for _, t := range execpath.Tiers() {
		files, bytes := i.Sum(t)
		out.Tiers[string(t)] = report.Sum{Files: files, Bytes: bytes}
	}
	for _, p := range i.Packages {
		q := report.Installed{
			NEVRA: p.NEVRA.String(), Name: p.Name, EVR: p.EVR.String(), SourceRPM: p.SourceRPM, Tier: string(p.Tier), Bytes: map[string]int64{},
		}
		for _, t := range execpath.Tiers() {
			q.Bytes[string(t)] = p.Bytes[t]
		}
		out.Packages = append(out.Packages, q)
	}
	for _, f := range i.Files {
		out.Files = append(out.Files, report.File{Path: f.Path, Size: f.Size, Tier: string(f.Tier), Package: f.Package})
	}
	return out
}

func addProof(out *report.Image, v *VerifiedImage) {
	r := &v.Report
	out.Proof = &report.Proof{
		Passed: !r.Failed(false), Packages: r.Packages, Signed: r.Signed, Files: r.Files, Matching: r.Matching,
		Generated: len(r.Generated), Foreign: r.Foreign, Findings: []string{},
	}
	for _, f := range r.Findings {
		out.Proof.Findings = append(out.Proof.Findings, f.String())
	}
	signers := map[string]string{}
	for _, p := range v.Packages {
		signers[p.NEVRA.String()] = p.Key
	}
	for k := range out.Packages {
		out.Packages[k].Signer = signers[out.Packages[k].NEVRA]
	}
}

// addLayers lists the layers of the images, whose order is that of members, and counts who has each.
func addLayers(doc *Report, members []FleetMember) {
	images := map[string]int{}
	for _, m := range members {
		seen := map[string]bool{}
		for _, l := range m.Layers {
			if !seen[l.Digest] {
				seen[l.Digest] = true
				images[l.Digest]++
			}
		}
	}
	for k, m := range members {
		for _, l := range m.Layers {
			doc.Images[k].Layers = append(doc.Images[k].Layers, report.Layer{Digest: l.Digest, Size: l.Size, Images: images[l.Digest]})
		}
	}
}
