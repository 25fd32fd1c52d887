package rpm

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
	"github.com/ulikunitz/xz/lzma"
)

// fileHash is the algorithm of a header's FILEDIGESTS by its OpenPGP number.
func fileHash(h *Header) hash.Hash {
	algorithm, ok := h.Uint64(TagFileDigestAlg)
	switch {
	case !ok || algorithm == 1:
		return md5.New()
	case algorithm == 2:
		return sha1.New()
	case algorithm == 8:
		return sha256.New()
	case algorithm == 9:
		return sha512.New384()
	case algorithm == 10:
		return sha512.New()
	}
	return nil
}

// drain reads a whole payload and compares each content with the header's digest.
func drain(p *Package, with *Decompressors) error {
	pay, err := p.PayloadWith(with)
	if err != nil {
		return err
	}
	defer pay.Close()
	sum := fileHash(p.Header())
	for {
		e, err := pay.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		f := p.Files()[e.File]
		sum.Reset()
		n, err := io.Copy(sum, pay)
		if err != nil {
			return err
		}
		if n != e.Size || !e.HasContent && n != 0 {
			return fmt.Errorf("%s: read %d of %d bytes", f.Path, n, e.Size)
		}
		if got := hex.EncodeToString(sum.Sum(nil)); e.HasContent && f.Digest != "" && got != f.Digest {
			return fmt.Errorf("%s: digest %s, in the header %s", f.Path, got, f.Digest)
		}
	}
}

// entries reads a payload whole: a line per entry.
func entries(t testing.TB, p *Package) (lines []string, err error) {
	t.Helper()
	pay, err := p.Payload()
	if err != nil {
		return nil, err
	}
	defer pay.Close()
	for {
		e, err := pay.Next()
		if err != nil {
			if _, again := pay.Next(); again != err {
				t.Errorf("after %v: %v", err, again)
			}
			if err == io.EOF {
				err = nil
			}
			return lines, err
		}
		content, err := io.ReadAll(pay)
		if err != nil {
			return lines, err
		}
		line := p.Files()[e.File].Path
		if e.HasContent {
			line += " " + string(content)
		}
		if int64(len(content)) != e.Size {
			t.Errorf("%s: %d bytes, not %d", line, len(content), e.Size)
		}
		lines = append(lines, line)
	}
}

const (
	regular = uint16(0o100644)
	dir     = uint16(0o040755)
	symlink = uint16(0o120777)
	device  = uint16(0o020666)
)

func everyKind() []member {
	return []member{
		{path: "/d", mode: dir},
		{path: "/d/empty", mode: regular},
		{path: "/d/file", mode: regular, content: "hello"},
		{path: "/d/ghost", mode: regular, content: "not here", flags: FileGhost, noEntry: true, digest: "x"},
		{path: "/d/link", mode: symlink, content: "file"},
		{path: "/d/one", mode: regular, content: "linked", inode: 7, entrySize: -1},
		{path: "/d/other", mode: regular, content: "other", inode: 8},
		{path: "/d/two", mode: regular, content: "linked", inode: 7},
		{path: "/d/null", mode: device},
	}
}

func TestPayload(t *testing.T) {
	want := []string{"/d", "/d/empty ", "/d/file hello", "/d/link", "/d/one", "/d/other other", "/d/two linked", "/d/null"}
	for _, stripped := range []bool{false, true} {
		for _, c := range compressors(t) {
			p := testPackage{members: everyKind(), stripped: stripped, compressor: c.name, compress: c.compress}
			got, err := entries(t, p.unsigned(t))
			if err != nil {
				t.Errorf("%s, stripped %v: %v", c.name, stripped, err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, stripped %v: %s", c.name, stripped, diff)
			}
		}
	}
}

type compressor struct {
	name     string
	compress func([]byte) []byte
}

func compressors(t testing.TB) []compressor {
	through := func(open func(io.Writer) (io.WriteCloser, error)) func([]byte) []byte {
		return func(b []byte) []byte {
			var out bytes.Buffer
			w, err := open(&out)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(b); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			return out.Bytes()
		}
	}
	return []compressor{
		{"none", nil},
		{"gzip", through(func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil })},
		{"gzip", nil}, // zlib passes what is not compressed, and packages rely on it
		{"xz", through(func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) })},
		{"lzma", through(func(w io.Writer) (io.WriteCloser, error) { return lzma.NewWriter(w) })},
		{"zstd", through(func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) })},
		// The standard library does not write bzip2: the foreign packages have it.
	}
}

// TestPayloadTwice: streams of one package do not disturb each other.
func TestPayloadTwice(t *testing.T) {
	p := testPackage{members: everyKind(), compressor: "zstd", compress: compressors(t)[5].compress}.unsigned(t)
	first, err := p.Payload()
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if _, err := first.Next(); err != nil {
		t.Fatal(err)
	}
	if lines, err := entries(t, p); err != nil || len(lines) != 8 {
		t.Errorf("second: %v, %v", lines, err)
	}
	n := 1
	for ; err == nil; n++ {
		_, err = first.Next()
	}
	if err != io.EOF || n != 9 {
		t.Errorf("first: %d entries, %v", n, err)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
}

// TestDecompressors: a payload does not tell that another was unpacked with the same buffers before, whole, cut short by
// Close, or damaged.
func TestDecompressors(t *testing.T) {
	with := &Decompressors{}
	for _, c := range compressors(t) {
		p := testPackage{members: everyKind(), compressor: c.name, compress: c.compress}.unsigned(t)
		other := testPackage{members: oneFile(), compressor: c.name, compress: c.compress}.unsigned(t)
		for range 3 {
			early, err := p.PayloadWith(with)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := early.Next(); err != nil {
				t.Error(err)
			}
			early.Close()
			early.Close()
			if _, err := early.Read(make([]byte, 1)); err == nil {
				t.Errorf("%s: read after Close", c.name)
			}
			if broken, err := openPayload(p.Header(), p.Files(), strings.NewReader("\x28\xb5\x2f\xfd nonsense"), with); err == nil {
				if _, err := broken.Next(); err == nil {
					t.Errorf("%s: an entry of nonsense", c.name)
				}
				broken.Close()
			}
			if err := errors.Join(drain(p, with), drain(other, with)); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		}
	}
}

// TestPayloadSkips: contents need not be read, or not to their ends.
func TestPayloadSkips(t *testing.T) {
	p, err := testPackage{members: everyKind()}.unsigned(t).Payload()
	if err != nil {
		t.Fatal(err)
	}
	var paths []int
	for {
		e, err := p.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, e.File)
		if e.Size > 1 {
			if _, err := p.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if diff := cmp.Diff([]int{0, 1, 2, 4, 5, 6, 7, 8}, paths); diff != "" {
		t.Error(diff)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := p.Next(); err == nil {
		t.Error("an entry after Close")
	}
}

func TestPayloadFaults(t *testing.T) {
	a := member{path: "/a", mode: regular, content: "hello"}
	with := func(change func(m *member)) []member {
		m := a
		change(&m)
		return []member{m}
	}
	squeeze := compressors(t)[5].compress
	for _, test := range []struct {
		name string
		pkg  testPackage
		want string
	}{
		{"not in the header", testPackage{members: []member{a, {path: "/b", mode: regular, noFile: true}}}, `"./b" is not in the header`},
		{"another name", testPackage{members: with(func(m *member) { m.name = "./../a" })}, `"./../a" is not in the header`},
		{"stripped, index too high", testPackage{members: []member{a, {path: "/b", mode: regular, noFile: true}}, stripped: true}, "file 1 of 1"},
		{"twice", testPackage{members: with(func(m *member) { m.twice = true })}, "/a comes twice"},
		{"stripped, twice", testPackage{members: with(func(m *member) { m.twice = true }), stripped: true}, "/a comes twice"},
		{"never", testPackage{members: with(func(m *member) { m.noEntry = true })}, "/a is not in it"},
		{"link never", testPackage{members: []member{{path: "/l", mode: symlink, content: "a", noEntry: true}}}, "/l is not in it"},
		{"larger than the header says", testPackage{members: with(func(m *member) { m.size = 4 })}, "/a has 5 bytes, in the header 4"},
		{"smaller", testPackage{members: with(func(m *member) { m.size = 6 })}, "/a has 5 bytes, in the header 6"},
		{"stripped, smaller", testPackage{members: with(func(m *member) { m.size = 400 }), stripped: true}, "unexpected EOF"},
		{"another kind", testPackage{members: with(func(m *member) { m.entryMode = symlink })}, "/a has mode 120777, in the header 100644"},
		{"link elsewhere", testPackage{members: []member{{path: "/l", mode: symlink, content: "a", entryBytes: "b"}}}, `link /l leads to "b", in the header to "a"`},
		{"link of another size", testPackage{members: []member{{path: "/l", mode: symlink, content: "a", entryBytes: "bb"}}}, "link /l has 2 bytes"},
		{"directory with content", testPackage{members: []member{{path: "/d", mode: dir, entryBytes: "x"}}}, "/d has 1 bytes"},
		{"hard links without content", testPackage{members: []member{
			{path: "/a", mode: regular, content: "x", inode: 3, entrySize: -1}, {path: "/b", mode: regular, content: "x", inode: 3, entrySize: -1},
		}}, "/b has 0 bytes, in the header 1"},
		{"an earlier hard link with other content", testPackage{members: []member{
			{path: "/a", mode: regular, content: "x", inode: 3, entryBytes: "yy"}, {path: "/b", mode: regular, content: "x", inode: 3},
		}}, "/a has 2 bytes"},
		{"no trailer", testPackage{members: []member{a}, trailer: "none"}, "unexpected EOF"},
		{"another magic", testPackage{members: []member{a}, trailer: "070707"}, `cpio magic "070707"`},
		{"a number that is none", testPackage{members: []member{a}, trailer: "070701" + strings.Repeat("z", 200)}, `cpio number "zzzzzzzz"`},
		{"a name without an end", testPackage{members: []member{a}, trailer: "070701" + strings.Repeat("00000008", 13) + "abcdefgh"}, "name does not end"},
		{"a name too long", testPackage{members: []member{a}, trailer: "070701" + strings.Repeat("00002000", 13)}, "name of 8192 bytes"},
		{"a stripped number that is none", testPackage{members: []member{a}, trailer: "07070X+0000000"}, `cpio number "+0000000"`},
		{"a bomb of entries", testPackage{members: []member{a}, trailer: strings.Repeat("0", 1<<20)}, `cpio magic "000000"`},
		{"a bomb in a compressed entry", testPackage{members: with(func(m *member) { m.entryBytes = strings.Repeat("x", 1<<24) }), compressor: "zstd", compress: squeeze}, "/a has 16777216 bytes"},
		{"not what it is said to be", testPackage{members: []member{a}, compressor: "zstd"}, "magic"},
		{"an unknown compressor", testPackage{members: []member{a}, compressor: "lzip"}, `compressor "lzip" is not one of`},
		{"a delta", testPackage{members: []member{a}, headerAdd: []entry{{TagPayloadFormat, "drpm"}}}, `format "drpm" is not cpio`},
		{"lzma with a huge dictionary", testPackage{members: []member{a}, compressor: "lzma", compress: func([]byte) []byte {
			return []byte("\x5d\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00")
		}}, "dictionary of 4278190080 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := entries(t, test.pkg.unsigned(t))
			if !errors.Is(err, ErrPayload) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, not %s", err, test.want)
			}
		})
	}
}

// TestPayloadAsRPM: what rpm passes over.
func TestPayloadAsRPM(t *testing.T) {
	for _, test := range []struct {
		name    string
		members []member
		want    []string
	}{
		{"an earlier hard link with the content too", []member{
			{path: "/a", mode: regular, content: "x", inode: 3}, {path: "/b", mode: regular, content: "x", inode: 3},
		}, []string{"/a", "/b x"}},
		{"inode 0 is no hard link", []member{
			{path: "/a", mode: regular, content: "x"}, {path: "/b", mode: regular, content: "y"},
		}, []string{"/a x", "/b y"}},
		{"a ghost links nothing", []member{
			{path: "/a", mode: regular, content: "x", inode: 3},
			{path: "/b", mode: regular, content: "x", inode: 3, flags: FileGhost, noEntry: true},
		}, []string{"/a x"}},
		{"a ghost that is there", []member{{path: "/a", mode: regular, content: "x", flags: FileGhost}}, []string{"/a"}},
		{"a name without ./", []member{{path: "/a", mode: regular, content: "x", name: "a"}}, []string{"/a x"}},
		{"an absolute name", []member{{path: "/a", mode: regular, content: "x", name: "/a"}}, []string{"/a x"}},
		{"no files", nil, nil},
	} {
		got, err := entries(t, testPackage{members: test.members}.unsigned(t))
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
	}
	got, err := entries(t, testPackage{members: []member{{path: "/a", mode: regular, content: "x"}}, stripped: true, trailer: "07070Xffffffff\x00\x00"}.unsigned(t))
	if err != nil || len(got) != 1 {
		t.Errorf("a stripped trailer: %v, %v", got, err)
	}
}

func TestLimitReader(t *testing.T) {
	l := &limitReader{r: strings.NewReader("12345"), n: 3}
	got, err := io.ReadAll(l)
	if string(got) != "123" || err == nil {
		t.Errorf("%q, %v", got, err)
	}
	if n := maxArchive([]File{{Size: 1<<62 + 1}, {Size: 1 << 62}}); n != 1<<62 {
		t.Errorf("sizes beyond all measure: %d", n)
	}
}

func FuzzPayload(f *testing.F) {
	for i, c := range compressors(f) {
		p := testPackage{members: everyKind(), stripped: i%2 == 0, compressor: c.name, compress: c.compress}
		payload := p.cpio()
		if c.compress != nil {
			payload = c.compress(payload)
		}
		f.Add(uint8(i), payload)
	}
	names := []string{"none", "gzip", "bzip2", "xz", "lzma", "zstd"}
	members := testPackage{members: everyKind()}
	headers := make([]*Header, len(names))
	var files []File
	for i, name := range names {
		headers[i] = mustParse(f, blob(TagHeaderImmutable, testPackage{members: members.members, compressor: name}.entries(nil)))
		files, _ = headers[i].Files()
	}
	var all int64
	for _, file := range files {
		all += file.Size
	}
	f.Fuzz(func(t *testing.T, which uint8, payload []byte) {
		p, err := openPayload(headers[int(which)%len(names)], files, bytes.NewReader(payload), &Decompressors{})
		if err != nil {
			return
		}
		defer p.Close()
		var read int64
		for {
			e, err := p.Next()
			if err != nil {
				break
			}
			n, _ := io.Copy(io.Discard, p)
			if n > e.Size || e.Size > files[e.File].Size {
				t.Fatalf("read %d of %d bytes", n, e.Size)
			}
			read += n
		}
		if read > all {
			t.Fatalf("read %d bytes of files of %d", read, all)
		}
	})
}

// BenchmarkPayload reads one foreign payload of each compressor to its end.
func BenchmarkPayload(b *testing.B) {
	root, paths := sharedPackages(b)
	type largest struct {
		path string
		size int64
	}
	of := map[string]largest{}
	for _, p := range paths {
		path := filepath.Join(root, p)
		info, err := os.Stat(path)
		if err != nil {
			b.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		pkg, err := OpenPackage(f, info.Size())
		if err == nil {
			if name := pkg.Header().Text(TagPayloadCompressor); info.Size() > of[name].size && !pkg.Header().IsSource() {
				of[name] = largest{path, info.Size()}
			}
		}
		f.Close()
	}
	for _, name := range []string{"gzip", "bzip2", "lzma", "xz", "zstd"} {
		b.Run(name, func(b *testing.B) {
			f, err := open(b, of[name].path)
			if err != nil {
				b.Fatal(err)
			}
			pkg, err := f.Verify(nil, VerifyOptions{AllowUnsigned: true, Checksum: fileChecksum(b, of[name].path)})
			if err != nil {
				b.Fatal(err)
			}
			var size int64
			for _, f := range pkg.Files() {
				size += f.Size
			}
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				p, err := pkg.Payload()
				if err != nil {
					b.Fatal(err)
				}
				for err == nil {
					_, err = p.Next()
				}
				if err != io.EOF {
					b.Fatal(err)
				}
				p.Close()
			}
		})
	}
}
