package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
)

// PackOptions say how segments are packed.
type PackOptions struct {
	Compression string // "gzip" (level 6), "zstd" or "none"; "" is gzip
	Jobs        int    // goroutines that pack, and segments written at once; below 1 is 1
}

// Packer packs segments and joins them into layers. What is on its shelf is not packed again. It is safe for concurrent
// use.
type Packer struct {
	shelf Shelf
	codec *codec
	jobs  int

	chunks   sync.Pool // of *chunk, free
	encoders sync.Pool // of packer

	mu    sync.Mutex
	fresh map[string]bool // keys of what was packed by this packer
}

// NewPacker is a packer that keeps what it packs on a shelf.
func NewPacker(shelf Shelf, o PackOptions) (*Packer, error) {
	c, err := newCodec(o.Compression)
	if err != nil {
		return nil, err
	}
	return &Packer{shelf: shelf, codec: c, jobs: max(o.Jobs, 1), fresh: map[string]bool{}}, nil
}

// key names a segment of an ID as it is packed here.
func (p *Packer) key(id string) string { return hexSum("segment", p.codec.id, id) }

// Pack packs the segments that have an ID and are not on the shelf.
func (p *Packer) Pack(ctx context.Context, segments []Segment) error {
	var todo []Segment
	seen := map[string]bool{}
	for _, s := range segments {
		if s.ID != "" && !seen[s.ID] && !p.shelf.Has(KindSegment, p.key(s.ID)) {
			seen[s.ID] = true
			todo = append(todo, s)
		}
	}
	_, err := p.pack(ctx, todo)
	return err
}

// pack packs segments, whatever is on the shelf, and returns their keys.
func (p *Packer) pack(ctx context.Context, segments []Segment) ([]string, error) {
	keys, err := runPipeline(ctx, p, segments)
	if err != nil {
		return nil, fmt.Errorf("packing: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, s := range segments {
		p.fresh[keys[i]] = s.ID != ""
	}
	return keys, nil
}

// Layers makes layers of segments, in order. Their bytes depend on those of the segments and on the compression alone:
// neither on the jobs nor on what was on the shelf. Memory is bounded by a few chunks for each job, whatever the segments
// hold. The layers are read from the shelf.
func (p *Packer) Layers(ctx context.Context, cut [][]Segment) ([]*Layer, error) {
	layers, err := p.layers(ctx, cut)
	if !errors.Is(err, ErrLost) {
		return layers, err
	}
	var keys []string
	for _, s := range slices.Concat(cut...) {
		if s.ID != "" {
			keys = append(keys, p.key(s.ID))
		}
	}
	if err := sweep(p.shelf, keys); err != nil {
		return nil, err
	}
	return p.layers(ctx, cut)
}

func (p *Packer) layers(ctx context.Context, cut [][]Segment) ([]*Layer, error) {
	if err := p.Pack(ctx, slices.Concat(cut...)); err != nil {
		return nil, err
	}
	var unnamed []Segment
	var at [][2]int // of unnamed, layer and segment
	keys := make([][]string, len(cut))
	for i, segments := range cut {
		keys[i] = make([]string, len(segments))
		for k, s := range segments {
			if s.ID != "" {
				keys[i][k] = p.key(s.ID)
				continue
			}
			unnamed, at = append(unnamed, s), append(at, [2]int{i, k})
		}
	}
	made, err := p.pack(ctx, unnamed)
	if err != nil {
		return nil, err
	}
	for n, pos := range at {
		keys[pos[0]][pos[1]] = made[n]
	}
	out := make([]*Layer, len(cut))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(p.jobs)
	for i := range cut {
		group.Go(func() (err error) {
			if out[i], err = p.layer(ctx, cut[i], keys[i]); err != nil {
				return fmt.Errorf("layer %d: %w", i+1, err)
			}
			return nil
		})
	}
	return out, group.Wait()
}

// layerName is the key of what is known of a layer.
func (p *Packer) layerName(keys []string) string {
	return hexSum(append([]string{"layer", p.codec.id}, keys...)...)
}

// layer joins packed segments. A layer of the same ones that was joined before is not read.
func (p *Packer) layer(ctx context.Context, segments []Segment, keys []string) (*Layer, error) {
	l := &Layer{shelf: p.shelf, codec: p.codec, keys: keys}
	name := p.layerName(keys)
	known, err := p.knownLayer(name)
	if err != nil {
		return nil, err
	}
	if known != nil {
		l.facts = *known
		return l, nil
	}
	if err := l.join(ctx, segments, p.isFresh); err != nil {
		return nil, err
	}
	return l, p.remember(name, l.facts)
}

// record is a layer as text.
type record struct {
	Segments []string   `json:"segments"`
	Facts    layerFacts `json:"facts"`
}

// Record is what Restore makes the layer of again.
func (l *Layer) Record() ([]byte, error) {
	return json.Marshal(record{Segments: l.keys, Facts: l.facts})
}

// Restore makes a layer of its Record; nil when not all of its segments are there any more. Nothing is read.
func (p *Packer) Restore(b []byte) (*Layer, error) {
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("reading layer: %w", err)
	}
	for _, key := range r.Segments {
		if !p.shelf.Has(KindSegment, key) {
			return nil, nil
		}
	}
	p.shelf.Has(KindLayer, p.layerName(r.Segments)) // which counts as a use, for the day on which its image is another
	return &Layer{shelf: p.shelf, codec: p.codec, keys: r.Segments, facts: r.Facts}, nil
}

// isFresh reports whether a segment was packed by this packer.
func (p *Packer) isFresh(key string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fresh[key]
}

// knownLayer is what is on the shelf about a layer; nil without it.
func (p *Packer) knownLayer(name string) (*layerFacts, error) {
	b, err := ReadEntry(p.shelf, KindLayer, name, maxFacts)
	if b == nil || err != nil {
		return nil, err
	}
	facts := &layerFacts{}
	if json.Unmarshal(b, facts) != nil {
		return nil, nil
	}
	return facts, nil
}

func (p *Packer) remember(name string, f layerFacts) error {
	b, err := json.Marshal(f)
	if err != nil {
		return err
	}
	return putEntry(p.shelf, KindLayer, name, b)
}
