package builder

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"

	"slim/internal/fetch"
	"slim/internal/image"
	"slim/internal/rpm"
	"slim/internal/sbom"
)

// kindImage is the kind of the cache's entries that say what came of a build before.
const kindImage = "images"

// maxKnown bounds such an entry.
const maxKnown = 64 << 20

// known is what the cache keeps of the image of one platform, under a key of all that it depends on: the program, the
// recipe, the packages by checksum, the keys that signed them, the time. So nothing of the same image is computed again.
type known struct {
	Layers      []knownLayer
	User        string // of the image's config, in numbers
	Signers     []Signer
	Stripped    []Stripped
	Unevaluated []Scriptlet
	Remarks     []string // said again
	Reads       []string // keys of what was read of packages, for a build of which something has changed
	Sums        []string // keys of checksums of their files, for its bill of materials

	doc *sbom.Document // of Options.Bill; it is not kept here
}

type knownLayer struct {
	Layer    json.RawMessage
	Packages []string
}

// imageKey is the key of an image; "" for one that depends on what cannot be named cheaply: files of this machine, a
// program of unknown origin.
func (i *Image) imageKey(r *Recipe, lock *Lock, p Platform, keys *rpm.Keyring, o Options) (string, error) {
	program, err := programID()
	sourced := func(r *Recipe) bool {
		return slices.ContainsFunc(r.Files, func(f ExtraFile) bool { return f.Source != "" })
	}
	if err != nil || program == "" || sourced(r) || slices.ContainsFunc(r.Parents, sourced) {
		return "", err
	}
	type pkg struct {
		NEVRA, Checksum, HeaderSHA256, Key, Sharers string
		InstalledSize                               int64
	}
	type solution struct {
		Packages []pkg
		Created  int64
	}
	in := struct {
		Program  string
		Recipe   *Recipe
		Platform Platform
		Keys     string
		Family   []solution // of the recipe, and of those that it extends
	}{Program: program, Recipe: r.anywhere(), Platform: p, Keys: keys.Digest()}
	for ; lock != nil; lock = lock.Parent {
		l := lock.platform(p)
		s := solution{Created: o.epoch(l)}
		for _, p := range l.Packages {
			if p.Checksum.IsZero() {
				return "", nil
			}
			s.Packages = append(s.Packages, pkg{p.NEVRA.String(), p.Checksum.String(), p.HeaderSHA256, p.Key, p.Sharers, p.InstalledSize})
		}
		in.Family = append(in.Family, s)
	}
	b, err := json.Marshal(in)
	return hexSHA256(b), err
}

// anywhere is the recipe without what says where it stands, where its packages and keys come from, which are named by what
// they are, and where the image goes: on another machine, from another mirror, it is the same image.
func (r *Recipe) anywhere() *Recipe {
	out := *r
	out.File, out.Dir, out.SHA256, out.Own, out.Push = "", "", "", nil, nil
	out.Repository = Repository{
		Name: r.Repository.Name, ReleaseVer: r.Repository.ReleaseVer, ContentSets: r.Repository.ContentSets, GPGCheck: r.Repository.GPGCheck,
		Components: r.Repository.Components,
	}
	out.Packages, out.Files, out.Parents = slices.Clone(r.Packages), slices.Clone(r.Files), nil
	for i := range out.Packages {
		out.Packages[i].Pos = Position{}
	}
	for i := range out.Files {
		out.Files[i].Pos = Position{}
	}
	for _, parent := range r.Parents {
		out.Parents = append(out.Parents, parent.anywhere())
	}
	return &out
}

// recall is what is known of an image; nil when there is nothing, or when a layer of it is gone.
func (i *Image) recall(key string, packer *image.Packer) (*known, []Layer, error) {
	if key == "" {
		return nil, nil, nil
	}
	b, err := readKept(i.cache, kindImage, key, maxKnown)
	if b == nil || err != nil {
		return nil, nil, err
	}
	out := &known{}
	if json.Unmarshal(b, out) != nil {
		return nil, nil, err
	}
	var layers []Layer
	for _, l := range out.Layers {
		layer, err := packer.Restore(l.Layer)
		if layer == nil || err != nil {
			return nil, nil, nil // as if nothing were known
		}
		layers = append(layers, Layer{Layer: layer, Packages: l.Packages})
	}
	return out, layers, nil
}

// use counts as used what a build would need of which something has changed: headers of packages and what was read of their
// files. So it stays in the cache, and goes into a shared one, though an image that is known needs nothing of it.
func (k *known) use(cache *fetch.Cache, l *LockedPlatform) {
	for _, p := range l.Packages {
		cache.HasKept(kindHead, headKey(p.Checksum))
	}
	for _, key := range k.Reads {
		cache.HasKept(kindReads, key)
	}
	for _, key := range k.Sums {
		cache.HasKept(kindSums, key)
	}
}

// billed reports whether the bill of materials of a known image was made too: it may have been built without. Then what is
// made of the bill is in the cache.
func (i *Image) billed(key string) bool { return i.cache.HasKept(kindBill, billedKey(key)) }

func (i *Image) noteBill(key string) error {
	if key == "" {
		return nil
	}
	return keep(i.cache, kindBill, billedKey(key), []byte("made\n"))
}

func billedKey(image string) string { return hexSHA256([]byte("bill of " + image)) }

// remember keeps what came of a build.
func (i *Image) remember(key string, k *known, layers []Layer) error {
	if key == "" {
		return nil
	}
	for _, l := range layers {
		record, err := l.Layer.(*image.Layer).Record()
		if err != nil {
			return err
		}
		k.Layers = append(k.Layers, knownLayer{Layer: record, Packages: l.Packages})
	}
	b, err := json.Marshal(k)
	if err != nil {
		return err
	}
	return keep(i.cache, kindImage, key, b)
}

// programHead is how much of a program's file holds its build ID (readSize in cmd/internal/buildid, and more).
const programHead = 64 << 10

// programID names this program by its beginning, where Go's linker puts a digest of its content; "" when it has none.
var programID = sync.OnceValues(func() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", nil // nothing is remembered then
	}
	f, err := os.Open(path)
	if err != nil {
		return "", nil
	}
	defer f.Close()
	head := make([]byte, programHead)
	n, err := io.ReadFull(f, head)
	if head = head[:n]; err != nil && err != io.ErrUnexpectedEOF {
		return "", fmt.Errorf("reading %s: %w", path, err)
	}
	note := []byte("\x04\x00\x00\x00Go\x00\x00") // an ELF note of type 4, big-endian ones aside
	if !bytes.Contains(head, note) && !bytes.Contains(head, []byte("Go build ID: ")) {
		return "", nil
	}
	return hexSHA256(head), nil
})
