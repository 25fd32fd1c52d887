package image

import (
	"archive/tar"
	"bytes"
	stdgzip "compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/validate"

	"slim/internal/rootfs"
	"slim/internal/rpm"
)

// text is n bytes that compress somewhat, the same for the same seed.
func text(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = "aaaabbcdefgh\n /x"[r.IntN(16)] + byte(r.IntN(2))
	}
	return b
}

func regular(p string, content []byte) *rootfs.Node {
	return &rootfs.Node{
		Path: p, Mode: rpm.ModeRegular | 0o644, Size: int64(len(content)), MTime: 1700000000, Package: -1,
		Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil },
	}
}

func directory(p string) *rootfs.Node {
	return &rootfs.Node{Path: p, Mode: rpm.ModeDir | 0o755, MTime: 1700000000, Package: -1}
}

// segment writes nodes.
func segment(name string, nodes ...*rootfs.Node) Segment {
	return Segment{Name: name, Write: func(_ context.Context, w *tar.Writer) error {
		for _, n := range nodes {
			h, err := Header(n)
			if err != nil {
				return err
			}
			if err := w.WriteHeader(h); err != nil {
				return err
			}
			if h.Typeflag != tar.TypeReg {
				continue
			}
			r, err := n.Open()
			if err != nil {
				return err
			}
			_, err = io.Copy(w, r)
			r.Close()
			if err != nil {
				return err
			}
		}
		return nil
	}}
}

// mixed are segments of many sizes: none, tiny, at the edge of a chunk, and several chunks.
func mixed() []Segment {
	s := []Segment{segment("head", directory("/a"), directory("/b")), segment("none")}
	for i, size := range []int{0, 1, 511, 512, gzipChunk - 512, gzipChunk, 2*gzipChunk + 77, 3 << 20} {
		s = append(s, segment(fmt.Sprint("s", i), regular(fmt.Sprintf("/a/f%d", i), text(uint64(i), size))))
	}
	for i := range 40 {
		s = append(s, segment(fmt.Sprint("t", i), regular(fmt.Sprintf("/b/f%d", i), text(uint64(i), 1000*i))))
	}
	return s
}

// plainTar is what the segments' tar must be, written by one writer.
func plainTar(t *testing.T, segments []Segment) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, s := range segments {
		if err := s.Write(t.Context(), w); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func write(t *testing.T, segments []Segment, o PackOptions) *Layer {
	t.Helper()
	return writeTo(t, &MemoryShelf{}, segments, o)
}

func writeTo(t *testing.T, shelf Shelf, segments []Segment, o PackOptions) *Layer {
	t.Helper()
	p, err := NewPacker(shelf, o)
	if err != nil {
		t.Fatal(err)
	}
	l, err := p.Layers(t.Context(), [][]Segment{segments})
	if err != nil {
		t.Fatal(err)
	}
	return l[0]
}

func content(t *testing.T, open func() (io.ReadCloser, error)) []byte {
	t.Helper()
	r, err := open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestWriteLayerIsTheSameForAnyJobs(t *testing.T) {
	segments := mixed()
	want := plainTar(t, segments)
	for _, compression := range []string{"gzip", "zstd", "none"} {
		var packed []byte
		for _, jobs := range []int{1, 2, 8} {
			l := write(t, segments, PackOptions{Compression: compression, Jobs: jobs})
			got := content(t, l.Compressed)
			if packed == nil {
				packed = got
			}
			if !bytes.Equal(got, packed) {
				t.Errorf("%s with %d jobs differs from that with 1", compression, jobs)
			}
			if !bytes.Equal(content(t, l.Uncompressed), want) {
				t.Errorf("%s with %d jobs: not the tar of the segments", compression, jobs)
			}
			wantFacts(t, l, want, got)
		}
	}
}

// wantFacts compares what a layer says of itself with its tar and its packed form.
func wantFacts(t *testing.T, l *Layer, raw, packed []byte) {
	t.Helper()
	f := l.facts
	if f.DiffID.Hex != fmt.Sprintf("%x", sha256.Sum256(raw)) || f.Digest.Hex != fmt.Sprintf("%x", sha256.Sum256(packed)) {
		t.Errorf("diff ID %s, digest %s", f.DiffID, f.Digest)
	}
	if f.Size != int64(len(packed)) || f.RawSize != int64(len(raw)) {
		t.Errorf("size %d, raw %d; want %d, %d", f.Size, f.RawSize, len(packed), len(raw))
	}
}

func TestGzipIsOneMember(t *testing.T) {
	l := write(t, mixed(), PackOptions{Jobs: 2})
	packed := content(t, l.Compressed)
	if want := []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff}; !bytes.HasPrefix(packed, want) {
		t.Errorf("header is % x, want % x", packed[:10], want)
	}
	b := bytes.NewReader(packed)
	z, err := stdgzip.NewReader(b)
	if err != nil {
		t.Fatal(err)
	}
	z.Multistream(false)
	n, err := io.Copy(io.Discard, z)
	if err != nil {
		t.Fatal(err)
	}
	if n != l.RawSize() || b.Len() != 0 {
		t.Errorf("first member has %d of %d bytes, %d packed bytes are left", n, l.RawSize(), b.Len())
	}
}

// TestSegmentsThatDiffer: a segment that is not the same when it is written for the diff ID makes no layer.
func TestSegmentsThatDiffer(t *testing.T) {
	for _, compression := range []string{"gzip", "zstd"} {
		s := segment("a", regular("/a", []byte("content")))
		first, n := s.Write, 0
		s.ID, s.Write = strings.Repeat("ab", 32), func(ctx context.Context, w *tar.Writer) error {
			if n++; n > 1 {
				return segment("a", regular("/a", []byte("another"))).Write(ctx, w)
			}
			return first(ctx, w)
		}
		packer, err := NewPacker(&MemoryShelf{}, PackOptions{Compression: compression})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := packer.Layers(t.Context(), [][]Segment{{s}}); err == nil || !strings.Contains(err.Error(), "CRC") {
			t.Errorf("%s: error is %v", compression, err)
		}
	}
}

func TestEmptyLayer(t *testing.T) {
	l := write(t, nil, PackOptions{})
	if got := content(t, l.Uncompressed); !bytes.Equal(got, make([]byte, 1024)) {
		t.Errorf("tar of no segments has %d bytes", len(got))
	}
}

func TestCombineCRC(t *testing.T) {
	b := text(7, 100_003)
	for _, cut := range []int{0, 1, 2, 255, 65536, len(b)} {
		got := combineCRC(crc32.ChecksumIEEE(b[:cut]), crc32.ChecksumIEEE(b[cut:]), int64(len(b)-cut))
		if want := crc32.ChecksumIEEE(b); got != want {
			t.Errorf("cut at %d: %08x, want %08x", cut, got, want)
		}
	}
}

func TestPackLeavesNothingAfterAnError(t *testing.T) {
	boom := errors.New("boom")
	bad := map[string]Segment{
		"error": {Name: "bad", Write: func(context.Context, *tar.Writer) error { return boom }},
		"short": {Name: "bad", Write: func(_ context.Context, w *tar.Writer) error {
			return w.WriteHeader(&tar.Header{Name: "x", Typeflag: tar.TypeReg, Size: 5, Mode: 0o644})
		}},
		"closed": {Name: "bad", Write: func(_ context.Context, w *tar.Writer) error { return w.Close() }},
		"socket": segment("bad", &rootfs.Node{Path: "/s", Mode: rpm.ModeSocket}),
	}
	some := mixed()[:6]
	for name, s := range bad {
		for _, jobs := range []int{1, 4} {
			s.ID = "bad"
			shelf := &MemoryShelf{}
			p, err := NewPacker(shelf, PackOptions{Jobs: jobs})
			if err != nil {
				t.Fatal(err)
			}
			_, err = p.Layers(t.Context(), [][]Segment{append(some[:6:6], s)})
			if err == nil || !strings.Contains(err.Error(), "segment bad") {
				t.Errorf("%s: error is %v", name, err)
			}
			if name == "error" && !errors.Is(err, boom) {
				t.Errorf("%s: %v does not wrap the segment's error", name, err)
			}
			if shelf.Has(KindSegment, p.key("bad")) {
				t.Errorf("%s: it was kept", name)
			}
		}
	}
}

func TestPackStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	endless := Segment{Name: "endless", Write: func(_ context.Context, w *tar.Writer) error {
		if err := w.WriteHeader(&tar.Header{Name: "x", Typeflag: tar.TypeReg, Size: 1 << 40, Mode: 0o644}); err != nil {
			return err
		}
		for b := make([]byte, 1<<20); ; {
			if _, err := w.Write(b); err != nil {
				return err
			}
		}
	}}
	p, err := NewPacker(&MemoryShelf{}, PackOptions{Jobs: 2})
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := p.Layers(ctx, [][]Segment{{endless, endless}}); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}

func TestNewPackerRefusesUnknownCompression(t *testing.T) {
	if _, err := NewPacker(&MemoryShelf{}, PackOptions{Compression: "lzma"}); err == nil {
		t.Error("no error")
	}
}

// named gives segments IDs, and counts how often each is written.
func named(segments []Segment, written map[string]int, mu *sync.Mutex) []Segment {
	out := slices.Clone(segments)
	for i := range out {
		out[i].ID = "id of " + out[i].Name
		out[i].Write = func(ctx context.Context, w *tar.Writer) error {
			mu.Lock()
			written[segments[i].Name]++
			mu.Unlock()
			return segments[i].Write(ctx, w)
		}
	}
	return out
}

// TestPackedSegmentsAreKept makes the same layers from an empty shelf, from one that has everything, and from one whose
// segments another layer has left.
func TestPackedSegmentsAreKept(t *testing.T) {
	for _, compression := range []string{"gzip", "zstd", "none"} {
		segments := slices.Delete(mixed(), 7, 10)
		want := write(t, segments, PackOptions{Compression: compression, Jobs: 2})
		raw, packed := content(t, want.Uncompressed), content(t, want.Compressed)
		var mu sync.Mutex
		written := map[string]int{}
		shelf := &MemoryShelf{}
		o := PackOptions{Compression: compression, Jobs: 2}
		some := named(segments, written, &mu)
		writeTo(t, shelf, some[4:20], o)
		clear(written)
		for range 2 {
			l := writeTo(t, shelf, some, o)
			if !bytes.Equal(content(t, l.Compressed), packed) || !bytes.Equal(content(t, l.Uncompressed), raw) {
				t.Errorf("%s: the layer differs", compression)
			}
			wantFacts(t, l, raw, packed)
		}
		for i, s := range segments {
			n := written[s.Name]
			if kept := 4 <= i && i < 20; kept && n > 0 || n > 2 {
				t.Errorf("%s: segment %s was written %d times", compression, s.Name, n)
			}
		}
		clear(written)
		writeTo(t, shelf, some, o)
		if len(written) > 0 {
			t.Errorf("%s: written though nothing changed: %v", compression, written)
		}
	}
}

// damaging is a shelf that loses or damages what is read from it, once.
type damaging struct {
	MemoryShelf
	gone bool
	hit  map[string]bool
}

func (d *damaging) Open(kind, key string) (Entry, error) {
	e, err := d.MemoryShelf.Open(kind, key)
	if e == nil || err != nil || kind != KindSegment {
		return e, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.hit[key] {
		return e, nil
	}
	d.hit[key] = true
	delete(d.entries, kind+"/"+key)
	if d.gone {
		return nil, nil
	}
	return damagedEntry{e}, nil
}

type damagedEntry struct{ Entry }

func (d damagedEntry) Read(p []byte) (int, error) {
	n, err := d.Entry.Read(p)
	if err == io.EOF {
		err = errors.New("checksum differs")
	}
	return n, err
}

func TestLostSegmentsAreMadeAnew(t *testing.T) {
	segments := mixed()[:6]
	want := write(t, segments, PackOptions{})
	for _, gone := range []bool{true, false} {
		var mu sync.Mutex
		shelf := &damaging{gone: gone, hit: map[string]bool{}}
		some := named(segments, map[string]int{}, &mu)
		p, err := NewPacker(shelf, PackOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Pack(t.Context(), some); err != nil {
			t.Fatal(err)
		}
		shelf.hit = map[string]bool{}
		for _, s := range some[2:] {
			shelf.hit[p.key(s.ID)] = true
		}
		l := writeTo(t, shelf, some, PackOptions{})
		if l.facts != want.facts {
			t.Errorf("gone %v: the layer differs", gone)
		}
		shelf.hit = map[string]bool{}
		if r, err := l.Compressed(); err != nil {
			t.Error(err)
		} else if _, err := io.Copy(io.Discard, r); !errors.Is(err, ErrLost) {
			t.Errorf("gone %v: reading a layer without its segments: %v", gone, err)
		}
	}
}

// TestEncoders guards the bytes that the encoders make: see gzipEncoder.
func TestEncoders(t *testing.T) {
	b := slices.Concat(text(1, 300_000), make([]byte, 70_000), bytes.Repeat([]byte("slim "), 20_000), text(2, 100_000))
	for compression, want := range map[string]string{"gzip": gzipEncoder, "zstd": zstdEncoder} {
		c, err := newCodec(compression)
		if err != nil {
			t.Fatal(err)
		}
		pack, err := c.newPacker()
		if err != nil {
			t.Fatal(err)
		}
		packed, err := pack(nil, b)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%x", sha256.Sum256(packed)); got != want {
			t.Errorf("%s makes other bytes: %s. Every layer gets another digest with it: take it back, or set the constant and say it in the release notes",
				compression, got)
		}
	}
}

func TestLayerValidates(t *testing.T) {
	if err := validate.Layer(write(t, mixed(), PackOptions{Jobs: 2})); err != nil {
		t.Error(err)
	}
}

// BenchmarkWriteLayer packs what is in /usr/lib and /usr/bin up to 150 MB. peak-MB is the heap the pipeline adds.
func BenchmarkWriteLayer(b *testing.B) {
	var segments []Segment
	var total int64
	for _, dir := range []string{"/usr/lib", "/usr/bin"} {
		filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
			if err != nil || total > 150<<20 || !d.Type().IsRegular() {
				return nil
			}
			info, err := d.Info()
			if err != nil {
				return nil
			}
			n := &rootfs.Node{Path: p, Mode: rpm.ModeRegular | 0o755, Size: info.Size(), Open: func() (io.ReadCloser, error) { return os.Open(p) }}
			segments = append(segments, segment(p, n))
			total += n.Size
			return nil
		})
	}
	if total < 50<<20 {
		b.Skip("skipped: too little in /usr")
	}
	for _, compression := range []string{"gzip", "zstd", "none"} {
		b.Run(compression, func(b *testing.B) {
			b.SetBytes(total)
			stop, peak := make(chan struct{}), make(chan uint64)
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			go func(base uint64) {
				var top uint64
				for {
					select {
					case <-stop:
						peak <- top
						return
					case <-time.After(5 * time.Millisecond):
						var m runtime.MemStats
						runtime.ReadMemStats(&m)
						top = max(top, m.HeapInuse+m.StackInuse)
					}
				}
			}(m.HeapInuse)
			for b.Loop() {
				p, err := NewPacker(&MemoryShelf{}, PackOptions{Compression: compression, Jobs: runtime.NumCPU()})
				if err != nil {
					b.Fatal(err)
				}
				l, err := p.Layers(b.Context(), [][]Segment{segments})
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(l[0].facts.Size)/1e6, "packed-MB")
			}
			close(stop)
			b.ReportMetric(float64(<-peak-m.HeapInuse)/1e6, "peak-MB")
		})
	}
}
