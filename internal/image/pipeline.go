package image

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"hash/crc32"

	"golang.org/x/sync/errgroup"
)

// firstBuffer is what a chunk's buffer starts with: most segments are smaller than a chunk.
const firstBuffer = 64 << 10

// chunk is a cut of a segment's tar on its way through the pipeline, and the buffers it uses.
type chunk struct {
	raw    []byte
	packed []byte
	crc    uint32
	err    error
	ready  chan struct{} // receives once, when packed and crc are set or err is
}

// pipeline is the way of segments: writers cut them into chunks, packers pack those in any order, and behind each segment
// a keeper puts its chunks in order onto the shelf. The chunks are all there at the start, which bounds the memory. Every
// chunk is with a writer that fills it, or on its way to a keeper that frees it, so all get on.
type pipeline struct {
	codec *codec
	free  chan *chunk
	work  chan *chunk // to be packed
}

// runPipeline packs segments, jobs at once, and puts them onto the packer's shelf. It returns their keys.
func runPipeline(ctx context.Context, packer *Packer, segments []Segment) ([]string, error) {
	n := packer.codec.chunks(packer.jobs)
	p := &pipeline{codec: packer.codec, free: make(chan *chunk, n), work: make(chan *chunk, n)}
	for range n {
		p.free <- packer.chunk()
	}
	keys := make([]string, len(segments))
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(p.work)
		writers, inner := errgroup.WithContext(ctx)
		writers.SetLimit(packer.jobs)
		for i, s := range segments {
			if inner.Err() != nil {
				break
			}
			writers.Go(func() (err error) {
				keys[i], err = p.segment(inner, packer, s)
				return err
			})
		}
		if err := writers.Wait(); err != nil {
			return err
		}
		return ctx.Err()
	})
	for range packer.jobs {
		g.Go(func() error { return p.pack(ctx, packer) })
	}
	if err := g.Wait(); err != nil {
		return keys, err
	}
	for range n {
		packer.chunks.Put(<-p.free)
	}
	return keys, nil
}

// chunk is one that was used before, if there is one.
func (p *Packer) chunk() *chunk {
	if c, _ := p.chunks.Get().(*chunk); c != nil {
		return c
	}
	return &chunk{ready: make(chan struct{}, 1)}
}

// encoder is one that was used before, if there is one; nil where nothing is packed.
func (p *Packer) encoder() (packer, error) {
	if e, _ := p.encoders.Get().(packer); e != nil || p.codec.newPacker == nil {
		return e, nil
	}
	return p.codec.newPacker()
}

// segment packs one segment. It is kept only when it is whole.
func (p *pipeline) segment(ctx context.Context, packer *Packer, s Segment) (key string, err error) {
	draft, err := packer.shelf.Create()
	if err != nil {
		return "", err
	}
	// The channel holds all chunks there are, so that to send one never waits.
	out := &stretch{draft: draft, chunks: make(chan *chunk, cap(p.free))}
	if s.ID == "" {
		out.content = sha256.New()
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(out.chunks)
		w := &chunkWriter{ctx: ctx, p: p, s: out}
		if err := s.write(ctx, tar.NewWriter(w)); err != nil {
			return err
		}
		w.submit()
		return nil
	})
	g.Go(func() error { return p.keep(ctx, out) })
	if err := g.Wait(); err != nil {
		draft.Discard()
		return "", err
	}
	if _, err := draft.Write(out.tail()); err != nil {
		draft.Discard()
		return "", err
	}
	id := s.ID
	if id == "" {
		id = hex.EncodeToString(out.content.Sum(nil))
	}
	key = packer.key(id)
	return key, draft.Commit(KindSegment, key)
}

func (s *Segment) write(ctx context.Context, t *tar.Writer) error {
	if err := s.Write(ctx, t); err != nil {
		return fmt.Errorf("segment %s: %w", s.Name, err)
	}
	// Flush pads the last entry and reports one that is short.
	if err := t.Flush(); err != nil {
		return fmt.Errorf("segment %s: %w", s.Name, err)
	}
	return nil
}

// stretch is one segment on its way: its chunks in order.
type stretch struct {
	packed
	draft   Draft
	content hash.Hash // of the tar, where the segment has no ID
	chunks  chan *chunk
}

// chunkWriter cuts a segment's tar into chunks; where depends on the number of bytes alone.
type chunkWriter struct {
	ctx context.Context
	p   *pipeline
	s   *stretch
	cur *chunk
}

func (w *chunkWriter) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		if w.cur == nil {
			select {
			case w.cur = <-w.p.free:
			case <-w.ctx.Done():
				return 0, w.ctx.Err()
			}
		}
		c := w.cur
		part := min(len(b), w.p.codec.chunk-len(c.raw))
		c.raw = grow(c.raw, part, w.p.codec.chunk)
		c.raw = append(c.raw, b[:part]...)
		b = b[part:]
		if len(c.raw) == w.p.codec.chunk {
			w.submit()
		}
	}
	return n, nil
}

// grow makes room for n more bytes: little at first, then a whole chunk.
func grow(b []byte, n, limit int) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	size := limit
	if len(b)+n <= firstBuffer {
		size = firstBuffer
	}
	return append(make([]byte, 0, size), b...)
}

// submit hands the current chunk on.
func (w *chunkWriter) submit() {
	if w.cur == nil {
		return
	}
	w.s.chunks <- w.cur
	w.p.work <- w.cur
	w.cur = nil
}

// pack packs chunks until there are no more.
func (p *pipeline) pack(ctx context.Context, with *Packer) error {
	pack, err := with.encoder()
	if err != nil {
		return err
	}
	defer with.encoders.Put(pack)
	for {
		select {
		case c, ok := <-p.work:
			if !ok {
				return nil
			}
			if pack != nil {
				c.packed, c.err = pack(c.packed[:0], c.raw)
			}
			c.crc = crc32.ChecksumIEEE(c.raw)
			c.ready <- struct{}{}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// keep writes a segment's chunks, packed, in order.
func (p *pipeline) keep(ctx context.Context, s *stretch) error {
	for {
		var c *chunk
		var ok bool
		select {
		case c, ok = <-s.chunks:
			if !ok {
				return nil
			}
		case <-ctx.Done():
			return ctx.Err()
		}
		select {
		case <-c.ready:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := p.keepChunk(s, c); err != nil {
			return err
		}
		c.raw, c.packed, c.crc, c.err = c.raw[:0], c.packed[:0], 0, nil
		p.free <- c
	}
}

func (p *pipeline) keepChunk(s *stretch, c *chunk) error {
	if c.err != nil {
		return c.err
	}
	packed := c.packed
	if p.codec.newPacker == nil {
		packed = c.raw
	}
	s.crc = combineCRC(s.crc, c.crc, int64(len(c.raw)))
	s.rawSize += int64(len(c.raw))
	if s.content != nil {
		s.content.Write(c.raw)
	}
	_, err := s.draft.Write(packed)
	return err
}
