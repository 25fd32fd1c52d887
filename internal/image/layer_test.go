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
	"strings"
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

func write(t *testing.T, segments []Segment, o LayerOptions) *Layer {
	t.Helper()
	o.Dir = t.TempDir()
	l, err := WriteLayer(t.Context(), segments, o)
	if err != nil {
		t.Fatal(err)
	}
	return l
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
			l := write(t, segments, LayerOptions{Compression: compression, Jobs: jobs})
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
			if l.diffID.Hex != fmt.Sprintf("%x", sha256.Sum256(want)) || l.digest.Hex != fmt.Sprintf("%x", sha256.Sum256(got)) {
				t.Errorf("%s with %d jobs: diff ID %s, digest %s", compression, jobs, l.diffID, l.digest)
			}
			if l.size != int64(len(got)) || l.RawSize() != int64(len(want)) {
				t.Errorf("%s with %d jobs: size %d, raw %d; want %d, %d", compression, jobs, l.size, l.RawSize(), len(got), len(want))
			}
		}
	}
}

func TestGzipIsOneMember(t *testing.T) {
	l := write(t, mixed(), LayerOptions{Jobs: 2})
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

func TestEmptyLayer(t *testing.T) {
	l := write(t, nil, LayerOptions{})
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

func TestWriteLayerLeavesNothingAfterAnError(t *testing.T) {
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
			dir := t.TempDir()
			_, err := WriteLayer(t.Context(), append(some[:6:6], s), LayerOptions{Dir: dir, Jobs: jobs})
			if err == nil || !strings.Contains(err.Error(), "segment bad") {
				t.Errorf("%s: error is %v", name, err)
			}
			if name == "error" && !errors.Is(err, boom) {
				t.Errorf("%s: %v does not wrap the segment's error", name, err)
			}
			if left, _ := filepath.Glob(dir + "/*"); len(left) > 0 {
				t.Errorf("%s: %s is left", name, left)
			}
		}
	}
}

func TestWriteLayerStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	dir := t.TempDir()
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
	time.AfterFunc(50*time.Millisecond, cancel)
	_, err := WriteLayer(ctx, []Segment{endless, endless}, LayerOptions{Dir: dir, Jobs: 2})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	if left, _ := filepath.Glob(dir + "/*"); len(left) > 0 {
		t.Errorf("%s is left", left)
	}
}

func TestWriteLayerRefusesUnknownCompression(t *testing.T) {
	if _, err := WriteLayer(t.Context(), nil, LayerOptions{Dir: t.TempDir(), Compression: "lzma"}); err == nil {
		t.Error("no error")
	}
}

func TestLayerRemove(t *testing.T) {
	l := write(t, nil, LayerOptions{})
	for range 2 {
		if err := l.Remove(); err != nil {
			t.Error(err)
		}
	}
	if _, err := l.Compressed(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after Remove: %v", err)
	}
}

func TestLayerValidates(t *testing.T) {
	if err := validate.Layer(write(t, mixed(), LayerOptions{Jobs: 2})); err != nil {
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
				l, err := WriteLayer(b.Context(), segments, LayerOptions{Dir: b.TempDir(), Compression: compression, Jobs: runtime.NumCPU()})
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(l.size)/1e6, "packed-MB")
				l.Remove()
			}
			close(stop)
			b.ReportMetric(float64(<-peak-m.HeapInuse)/1e6, "peak-MB")
		})
	}
}
