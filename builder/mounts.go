package builder

import (
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"slim/internal/store"
)

// kindSent is the kind of the cache's entries that say in which repository of a registry a layer is. They are hints: a
// registry that no longer has it there is sent the layer.
const kindSent = "sent"

// maxRepository bounds such an entry: registries take names of 255 characters, hosts have as many.
const maxRepository = 1 << 10

func sentKey(registry string, layer v1.Hash) string {
	return hexSHA256([]byte(registry + " " + layer.String()))
}

// eachLayer visits the digests of the image's layers.
func (i *Image) eachLayer(visit func(v1.Hash) error) error {
	seen := map[v1.Hash]bool{}
	for _, p := range i.Platforms {
		for _, l := range p.Layers {
			h, err := l.Digest()
			if err == nil && !seen[h] {
				err = visit(h)
			}
			if err != nil {
				return err
			}
			seen[h] = true
		}
	}
	return nil
}

// mounts are the repositories of the same registry that layers were sent to before: what several images share is sent
// once, whatever their repositories are.
func (i *Image) mounts(ref store.Ref) (map[v1.Hash]name.Repository, error) {
	out := map[v1.Hash]name.Repository{}
	if ref.Kind != store.KindDocker {
		return out, nil
	}
	return out, i.eachLayer(func(h v1.Hash) error {
		repository, err := readKept(i.cache, kindSent, sentKey(ref.Reference.Context().RegistryStr(), h), maxRepository)
		if err != nil || repository == nil {
			return err
		}
		if from, err := name.NewRepository(string(repository), name.WeakValidation); err == nil {
			out[h] = from
		}
		return nil
	})
}

// sent keeps where the layers are now, of those that were nowhere before.
func (i *Image) sent(ref store.Ref, before map[v1.Hash]name.Repository) error {
	if ref.Kind != store.KindDocker {
		return nil
	}
	to := ref.Reference.Context()
	return i.eachLayer(func(h v1.Hash) error {
		if _, ok := before[h]; ok {
			return nil
		}
		return keep(i.cache, kindSent, sentKey(to.RegistryStr(), h), []byte(to.Name()))
	})
}
