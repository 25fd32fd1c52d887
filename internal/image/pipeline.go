package image

import (
	"archive/tar"
	"context"
	"fmt"
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
	home   chan *chunk
}

// stretch is one segment on its way: its chunks in order, closed after the last.
type stretch struct {
	Segment
	end    bool // the two zero blocks, which only closing the writer gives
	chunks chan *chunk
	head   chan struct{} // closed when all segments before are joined
}

// pipeline is the way of a layer: producers cut segments into chunks, packers pack them in any order, the joiner takes
// them in order, and the hasher behind it computes the diff ID. The chunks are all made at the start, which bounds the
// memory. Some are in reserve for the segment that the joiner waits for, so segments ahead of it never starve it.
type pipeline struct {
	codec   *codec
	shared  chan *chunk
	reserve chan *chunk
	work    chan *chunk // to be packed
	joined  chan *chunk // to be hashed
}

// runPipeline writes segments and the end of the tar to j.
func runPipeline(ctx context.Context, j *joiner, segments []Segment, jobs int) error {
	shared, reserve := j.c.chunks(jobs)
	p := &pipeline{
		codec: j.c, shared: make(chan *chunk, shared), reserve: make(chan *chunk, reserve),
		work: make(chan *chunk, shared+reserve), joined: make(chan *chunk, shared+reserve),
	}
	fill(p.shared)
	fill(p.reserve)
	stretches := make([]*stretch, 0, len(segments)+1)
	for i := range len(segments) + 1 {
		s := &stretch{chunks: make(chan *chunk, shared+reserve), head: make(chan struct{})}
		if s.end = i == len(segments); !s.end {
			s.Segment = segments[i]
		}
		stretches = append(stretches, s)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return p.produceAll(ctx, stretches, jobs) })
	for range jobs {
		g.Go(func() error { return p.pack(ctx) })
	}
	g.Go(func() error { return p.join(ctx, j, stretches) })
	g.Go(func() error { return p.hash(j) })
	return g.Wait()
}

func fill(home chan *chunk) {
	for range cap(home) {
		home <- &chunk{home: home, ready: make(chan struct{}, 1)}
	}
}

// produceAll writes segments, jobs at once, started in order.
func (p *pipeline) produceAll(ctx context.Context, stretches []*stretch, jobs int) error {
	defer close(p.work)
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(jobs)
	for _, s := range stretches {
		if inner.Err() != nil {
			break
		}
		g.Go(func() error { return p.produce(inner, s) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// produce writes one segment. Its chunks are closed only when it is whole, so a broken one is never joined as if it ended.
func (p *pipeline) produce(ctx context.Context, s *stretch) error {
	w := &chunkWriter{ctx: ctx, p: p, s: s}
	if err := s.write(ctx, tar.NewWriter(w)); err != nil {
		return err
	}
	w.submit()
	close(s.chunks)
	return nil
}

func (s *stretch) write(ctx context.Context, t *tar.Writer) error {
	if s.end {
		return t.Close()
	}
	if err := s.Segment.Write(ctx, t); err != nil {
		return fmt.Errorf("segment %s: %w", s.Name, err)
	}
	// Flush pads the last entry and reports one that is short.
	if err := t.Flush(); err != nil {
		return fmt.Errorf("segment %s: %w", s.Name, err)
	}
	return nil
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
			c, err := w.p.acquire(w.ctx, w.s)
			if err != nil {
				return 0, err
			}
			w.cur = c
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

// submit hands the current chunk on. Both channels hold all chunks there are, so it never waits.
func (w *chunkWriter) submit() {
	if w.cur == nil {
		return
	}
	w.s.chunks <- w.cur
	w.p.work <- w.cur
	w.cur = nil
}

// acquire waits for a free chunk.
func (p *pipeline) acquire(ctx context.Context, s *stretch) (*chunk, error) {
	select {
	case c := <-p.shared:
		return c, nil
	case <-s.head:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case c := <-p.shared:
		return c, nil
	case c := <-p.reserve:
		return c, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// release gives a chunk back.
func release(c *chunk) {
	c.raw, c.packed, c.crc, c.err = c.raw[:0], c.packed[:0], 0, nil
	c.home <- c
}

// pack packs chunks until there are no more.
func (p *pipeline) pack(ctx context.Context) error {
	var pack packer
	if p.codec.newPacker != nil {
		var err error
		if pack, err = p.codec.newPacker(); err != nil {
			return err
		}
	}
	for {
		select {
		case c, ok := <-p.work:
			if !ok {
				return nil
			}
			if pack != nil {
				c.packed, c.err = pack(c.packed[:0], c.raw)
			}
			if p.codec.gzip {
				c.crc = crc32.ChecksumIEEE(c.raw)
			}
			c.ready <- struct{}{}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// join adds the chunks to the layer in order.
func (p *pipeline) join(ctx context.Context, j *joiner, stretches []*stretch) error {
	defer close(p.joined)
	for _, s := range stretches {
		close(s.head)
		for {
			c, err := s.next(ctx)
			if err != nil {
				return err
			}
			if c == nil {
				break
			}
			packed := c.packed
			if p.codec.newPacker == nil {
				packed = c.raw
			}
			if err := j.add(packed, c.crc, len(c.raw)); err != nil {
				return err
			}
			p.joined <- c
		}
	}
	return nil
}

// next is the next chunk, packed; nil after the last.
func (s *stretch) next(ctx context.Context) (*chunk, error) {
	var c *chunk
	var ok bool
	select {
	case c, ok = <-s.chunks:
		if !ok {
			return nil, nil
		}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case <-c.ready:
		return c, c.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// hash computes the diff ID and frees the chunks. It ends when join does, which closes its channel.
func (p *pipeline) hash(j *joiner) error {
	for c := range p.joined {
		j.raw(c.raw)
		release(c)
	}
	return nil
}
