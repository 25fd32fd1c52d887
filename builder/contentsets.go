package builder

import (
	"bytes"
	"encoding/json"
)

// contentManifest is Red Hat's image content manifest. Scanners of RHEL and UBI read content_sets of the first file in
// contentManifestPath's directory, and map them to the products whose advisories count. They name repositories by
// architecture. from_dnf_hint is left out on purpose: it would send Clair to dnf's history, which the image has not.
type contentManifest struct {
	Metadata struct {
		Version int    `json:"icm_version"`
		Spec    string `json:"icm_spec"`
		Layer   int    `json:"image_layer_index"`
	} `json:"metadata"`
	ContentSets []string `json:"content_sets"`
	Contents    []string `json:"image_contents"`
}

const (
	contentManifestPath = "/root/buildinfo/content_manifests/content-sets.json"
	contentManifestSpec = "https://raw.githubusercontent.com/containerbuildsystem/atomic-reactor/master/atomic_reactor/schemas/content_manifest.json"
)

// writeContentSets says in the image which repositories of the vendor its packages are from, where the recipe does.
func (t *root) writeContentSets(r Repository, p Platform) error {
	if len(r.ContentSets) == 0 {
		return nil
	}
	manifest := contentManifest{ContentSets: []string{}, Contents: []string{}}
	manifest.Metadata.Version, manifest.Metadata.Spec = 1, contentManifestSpec
	for _, set := range r.ContentSets {
		name, err := r.expand(set, p, "")
		if err != nil {
			return err
		}
		manifest.ContentSets = append(manifest.ContentSets, name)
	}
	var content bytes.Buffer
	out := json.NewEncoder(&content)
	out.SetIndent("", "  ")
	if err := out.Encode(manifest); err != nil {
		return err
	}
	return t.tree.PutFile(contentManifestPath, 0o644, t.epoch, content.Bytes())
}
