package main

import "slim/builder"

// The JSON documents of build and plan. Fields are only ever added.

type buildsJSON struct {
	Version int          `json:"version"`
	Builds  []buildJSON  `json:"builds"`
	Failed  []failedJSON `json:"failed"`
}

// failedJSON is a recipe of several that could not be built.
type failedJSON struct {
	Recipe string `json:"recipe"`
	Error  string `json:"error"`
}

type buildJSON struct {
	Version      int               `json:"version,omitempty"`
	Name         string            `json:"name"`
	Images       []imageJSON       `json:"images"`
	IndexDigest  string            `json:"index_digest,omitempty"`
	Destinations []destinationJSON `json:"destinations"`
	Attached     []attachedJSON    `json:"attached,omitempty"`
	Timings      timings           `json:"timings"`
}

type attachedJSON struct {
	Kind    string `json:"kind"`
	Subject string `json:"subject"` // digest of what it is about
	Type    string `json:"type"`    // media type
	Size    int    `json:"size"`
}

type imageJSON struct {
	Platform     string          `json:"platform"`
	Digest       string          `json:"digest"`
	ConfigDigest string          `json:"config_digest"`
	Size         int64           `json:"size"`
	Layers       []layerJSON     `json:"layers"`
	Packages     []packageJSON   `json:"packages"`
	Stripped     strippedJSON    `json:"stripped"`
	Signers      []signerJSON    `json:"signers"`
	Unevaluated  []scriptletJSON `json:"unevaluated_scriptlets"`
}

type layerJSON struct {
	Digest   string   `json:"digest"`
	DiffID   string   `json:"diff_id"`
	Size     int64    `json:"size"`
	Packages []string `json:"packages"`
}

type packageJSON struct {
	NEVRA         string     `json:"nevra"`
	Name          string     `json:"name"`
	Epoch         uint32     `json:"epoch"`
	Version       string     `json:"version"`
	Release       string     `json:"release"`
	Arch          string     `json:"arch"`
	SHA256        string     `json:"sha256,omitempty"`
	Checksum      string     `json:"checksum,omitempty"` // when the repository gives another than SHA-256
	Size          int64      `json:"size"`
	InstalledSize int64      `json:"installed_size"`
	Reason        reasonJSON `json:"reason"`
}

type reasonJSON struct {
	Requested  string `json:"requested,omitempty"`
	RequiredBy string `json:"required_by,omitempty"`
	Capability string `json:"capability,omitempty"`
}

type strippedJSON struct {
	Files int        `json:"files"`
	Bytes int64      `json:"bytes"`
	Rules []ruleJSON `json:"rules"`
}

type ruleJSON struct {
	Rule  string `json:"rule"`
	Files int    `json:"files"`
	Bytes int64  `json:"bytes"`
}

type signerJSON struct {
	Key      string `json:"key"` // "" for those that nobody signed
	Packages int    `json:"packages"`
}

type scriptletJSON struct {
	Package     string `json:"package"`
	Slot        string `json:"slot"`
	Interpreter string `json:"interpreter"`
}

type destinationJSON struct {
	Destination string   `json:"destination"`
	Digest      string   `json:"digest"`
	NotSet      []string `json:"not_set,omitempty"`
}

// buildAnswer is the document for one recipe.
func buildAnswer(one *built) buildJSON {
	d := one.json()
	d.Version = 1
	return d
}

// buildsAnswer is the document for several recipes.
func buildsAnswer(all []built, failed []failure) buildsJSON {
	d := buildsJSON{Version: 1, Builds: []buildJSON{}, Failed: []failedJSON{}}
	for i := range all {
		d.Builds = append(d.Builds, all[i].json())
	}
	for _, f := range failed {
		d.Failed = append(d.Failed, failedJSON{f.recipe, f.err.Error()})
	}
	return d
}

func (one *built) json() buildJSON {
	d := buildJSON{Name: one.image.Name, Timings: one.timings, Images: []imageJSON{}, Destinations: []destinationJSON{}}
	if one.image.Index != nil {
		if h, err := one.image.Index.Digest(); err == nil {
			d.IndexDigest = h.String()
		}
	}
	for _, p := range one.image.Platforms {
		d.Images = append(d.Images, platformJSON(p))
	}
	for _, x := range one.deliveries {
		d.Destinations = append(d.Destinations, destinationJSON{Destination: x.Destination, Digest: x.Digest, NotSet: x.Notes})
	}
	for _, a := range one.attached {
		d.Attached = append(d.Attached, attachedJSON(a))
	}
	return d
}

func platformJSON(p builder.PlatformImage) imageJSON {
	j := imageJSON{Platform: p.Platform.String(), Packages: packagesJSON(p.Packages), Stripped: newStrippedJSON(p.Stripped), Signers: []signerJSON{}, Unevaluated: []scriptletJSON{}}
	for _, s := range p.Signers {
		j.Signers = append(j.Signers, signerJSON(s))
	}
	// The digests of a built image are there already: they cannot fail.
	digest, _ := p.Image.Digest()
	config, _ := p.Image.ConfigName()
	j.Digest, j.ConfigDigest = digest.String(), config.String()
	j.Size, _ = p.Size()
	for _, l := range p.Layers {
		digest, _ := l.Digest()
		diffID, _ := l.DiffID()
		size, _ := l.Size()
		packages := l.Packages
		if packages == nil {
			packages = []string{}
		}
		j.Layers = append(j.Layers, layerJSON{Digest: digest.String(), DiffID: diffID.String(), Size: size, Packages: packages})
	}
	for _, s := range p.Unevaluated {
		j.Unevaluated = append(j.Unevaluated, scriptletJSON(s))
	}
	return j
}

func newStrippedJSON(all []builder.Stripped) strippedJSON {
	j := strippedJSON{Rules: []ruleJSON{}}
	for _, s := range all {
		j.Files, j.Bytes = j.Files+s.Files, j.Bytes+s.Bytes
		j.Rules = append(j.Rules, ruleJSON(s))
	}
	return j
}

func packagesJSON(all []builder.LockedPackage) []packageJSON {
	out := []packageJSON{}
	for _, p := range all {
		j := packageJSON{
			NEVRA: p.NEVRA.String(), Name: p.Name, Epoch: p.Epoch, Version: p.NEVRA.Version, Release: p.Release, Arch: p.Arch,
			Size: p.Size, InstalledSize: p.InstalledSize, Reason: reasonJSON{Requested: p.Reason.Spec},
		}
		if p.Reason.Spec == "" && p.Reason.By.Name != "" {
			j.Reason.RequiredBy, j.Reason.Capability = p.Reason.By.String(), p.Reason.Capability
		}
		if p.Checksum.Algorithm == "sha256" {
			j.SHA256 = p.Checksum.Hex
		} else {
			j.Checksum = p.Checksum.String()
		}
		out = append(out, j)
	}
	return out
}
