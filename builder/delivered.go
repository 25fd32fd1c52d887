package builder

import (
	"encoding/json"
	"path/filepath"

	"slim/internal/store"
)

// kindDelivered is the kind of the cache's entries that say what was brought to a destination.
const kindDelivered = "delivered"

// maxDelivered bounds such an entry.
const maxDelivered = 1 << 20

// delivered is what was brought to a destination.
type delivered struct {
	Mark     string // of store.Result
	Attached []Attached
	notes    []string
}

// deliveredKey is the key of a delivery, of all that the image and the documents beside it depend on; "" where nothing
// tells later that it is there still.
func (i *Image) deliveredKey(ref store.Ref, what *AttachOptions, o Options) (string, error) {
	program, err := programID()
	if err != nil || program == "" || what.Check || what.Key != nil {
		return "", err
	}
	place := ""
	switch ref.Kind {
	case store.KindDocker:
		place = "docker://" + ref.Reference.Name()
	case store.KindOCI:
		if !what.none() {
			return "", nil
		}
		if place, err = filepath.Abs(ref.Path); err != nil {
			return "", err
		}
		place = "oci:" + place + ":" + ref.Tag
	default:
		return "", nil
	}
	digest, err := i.artifact().Digest()
	if err != nil {
		return "", err
	}
	in := []any{program, o.Version, place, digest.String(), what}
	if !what.none() { // what documents say beyond the image
		in = append(in, i.recipe.anywhere(), i.lock.SHA256, o.Epoch)
		for _, r := range append([]*Recipe{i.recipe}, i.recipe.Parents...) {
			in = append(in, recipeName(r), r.SHA256)
		}
		for k := range i.Platforms {
			p := &i.Platforms[k]
			for _, s := range i.lock.platform(p.Platform).Sources {
				in = append(in, s.Component, s.Digest)
			}
			in = append(in, i.packageFiles(p), i.bases(p.Platform))
		}
	}
	b, err := json.Marshal(in)
	return hexSHA256(b), err
}

// recallDelivered is what the cache knows of a delivery; nil when it knows nothing.
func (i *Image) recallDelivered(key string) (*delivered, error) {
	if key == "" {
		return nil, nil
	}
	b, err := readKept(i.cache, kindDelivered, key, maxDelivered)
	if b == nil || err != nil {
		return nil, err
	}
	d := &delivered{}
	if json.Unmarshal(b, d) != nil {
		return nil, nil
	}
	return d, nil
}

// rememberDelivered keeps what was brought to a destination that has a key and a mark.
func (i *Image) rememberDelivered(key string, d *delivered) error {
	if key == "" || d.Mark == "" {
		return nil
	}
	b, err := json.Marshal(d)
	if err != nil || len(b) >= maxDelivered {
		return err
	}
	return keep(i.cache, kindDelivered, key, b)
}
