package rpmdb_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/adler32"
	"strings"
	"testing"

	"slim/internal/rpm"
	"slim/internal/rpmdb"
)

// header is a small header: a name, a version and a release of any length.
func header(name, release string) []byte {
	be := binary.BigEndian
	values := []string{name, "1", release}
	b := be.AppendUint32(nil, uint32(len(values)))
	b = be.AppendUint32(b, uint32(len(strings.Join(values, "\x00"))+1))
	offset := 0
	for i, v := range values {
		for _, n := range []uint32{uint32(rpm.TagName) + uint32(i), uint32(rpm.TypeString), uint32(offset), 1} {
			b = be.AppendUint32(b, n)
		}
		offset += len(v) + 1
	}
	return append(b, strings.Join(values, "\x00")+"\x00"...)
}

// sqlite is a database of three pages of 512 bytes: the schema, two packages, and what the second leaves over.
func sqlite() []byte {
	be := binary.BigEndian
	b := make([]byte, 3*512)
	copy(b, "SQLite format 3\x00")
	be.PutUint16(b[16:], 512)
	copy(b[18:], "\x02\x02\x00\x40\x20\x20")
	be.PutUint32(b[56:], 1)
	leaf := func(page []byte, at int, cells ...[]byte) {
		page[at] = 0x0d
		be.PutUint16(page[at+3:], uint16(len(cells)))
		end := len(page)
		for i, c := range cells {
			end -= len(c)
			copy(page[end:], c)
			be.PutUint16(page[at+8+2*i:], uint16(end))
		}
		be.PutUint16(page[at+5:], uint16(end))
	}
	leaf(b[:512], 100, append([]byte{30, 1, 6, 23, 29, 29, 1, 17}, "tablePackagesPackages\x02no"...))
	small := header("a", "2")
	long := header("b", strings.Repeat("r", 500))
	payload := append([]byte{4, 0, byte(0x80 | (len(long)*2+12)>>7), byte((len(long)*2 + 12) & 0x7f)}, long...)
	local := 39 + (len(payload)-39)%508
	if local > 477 {
		local = 39
	}
	second := append([]byte{byte(0x80 | len(payload)>>7), byte(len(payload) & 0x7f), 2}, payload[:local]...)
	second = append(second, 0, 0, 0, 3)
	first := append([]byte{byte(len(small) + 4), 1, 4, 0, byte(0x80 | (len(small)*2+12)>>7), byte((len(small)*2 + 12) & 0x7f)}, small...)
	leaf(b[512:1024], 0, first, second)
	copy(b[1028:], payload[local:])
	return b
}

// ndb is a Packages.db with two packages.
func ndb() []byte {
	le := binary.LittleEndian
	b := append([]byte("RpmP"), make([]byte, 28)...)
	le.PutUint32(b[8:], 1)
	le.PutUint32(b[12:], 1)
	le.PutUint32(b[16:], 3)
	var blobs []byte
	for i, h := range [][]byte{header("a", "2"), header("b", "3")} {
		frame := le.AppendUint32([]byte("BlbS"), uint32(i)+1)
		frame = le.AppendUint32(frame, 1)
		frame = le.AppendUint32(frame, uint32(len(h)))
		frame = append(frame, h...)
		for len(frame)%16 != 4 {
			frame = append(frame, 0)
		}
		frame = le.AppendUint32(frame, adler32.Checksum(frame))
		frame = append(le.AppendUint32(frame, uint32(len(h))), "BlbE"...)
		b = append(b, "Slot"...)
		b = le.AppendUint32(b, uint32(i)+1)
		b = le.AppendUint32(b, uint32(256+len(blobs)/16))
		b = le.AppendUint32(b, uint32(len(frame)/16))
		blobs = append(blobs, frame...)
	}
	for len(b) < 4096 {
		b = append(b, "Slot\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"...)
	}
	return append(b, blobs...)
}

// bdb is a Packages of pages of 512 bytes with two buckets, in the given byte order: a package in its bucket, and
// another in an overflow page.
func bdb(order binary.ByteOrder) []byte {
	b := make([]byte, 4*512)
	order.PutUint32(b[12:], 0x061561)
	order.PutUint32(b[16:], 9)
	order.PutUint32(b[20:], 512)
	order.PutUint32(b[72:], 1) // the last bucket
	order.PutUint32(b[96:], 1)
	order.PutUint32(b[100:], 1)
	key := func(n uint32) []byte {
		k := []byte{1, 0, 0, 0, 0}
		order.PutUint32(k[1:], n)
		return k
	}
	bucket := func(page []byte, items ...[]byte) {
		page[25] = 13
		end := len(page)
		for i, v := range items {
			end -= len(v)
			copy(page[end:], v)
			order.PutUint16(page[26+2*i:], uint16(end))
		}
		order.PutUint16(page[20:], uint16(len(items)))
	}
	away := header("b", strings.Repeat("r", 300))
	reference := make([]byte, 12)
	reference[0] = 3
	order.PutUint32(reference[4:], 3)
	order.PutUint32(reference[8:], uint32(len(away)))
	bucket(b[512:1024], key(0), key(2), key(1), append([]byte{1}, header("a", "2")...))
	bucket(b[1024:1536], key(2), reference)
	page := b[1536:]
	page[25] = 7
	order.PutUint16(page[22:], uint16(len(away)))
	copy(page[26:], away)
	return b
}

func seeds() map[string][]byte {
	return map[string][]byte{"sqlite": sqlite(), "ndb": ndb(), "bdb": bdb(binary.LittleEndian), "bdb, big-endian": bdb(binary.BigEndian)}
}

// TestSeeds shows that the targets begin with databases that can be read, so that what they change matters.
func TestSeeds(t *testing.T) {
	for name, b := range seeds() {
		installed, err := rpmdb.Read(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(installed) != 2 || installed[0].Header.Text(rpm.TagName) != "a" || installed[1].Header.Text(rpm.TagName) != "b" {
			t.Errorf("%s: %d packages", name, len(installed))
		}
	}
}

func FuzzReadSQLite(f *testing.F) { fuzz(f, sqlite()) }
func FuzzReadNDB(f *testing.F)    { fuzz(f, ndb()) }
func FuzzReadBDB(f *testing.F)    { fuzz(f, bdb(binary.LittleEndian), bdb(binary.BigEndian)) }

// fuzz reads changed databases: whatever they hold, nothing but packages or an error comes back, and the packages' headers
// can be read again.
func fuzz(f *testing.F, seeds ...[]byte) {
	for _, b := range seeds {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		installed, err := rpmdb.Read(bytes.NewReader(b), int64(len(b)))
		if err != nil && (installed != nil || !errors.Is(err, rpmdb.ErrDatabase)) {
			t.Fatalf("%d packages, error %v", len(installed), err)
		}
		for i, p := range installed {
			if i > 0 && installed[i-1].Num >= p.Num {
				t.Fatalf("package %d after %d", p.Num, installed[i-1].Num)
			}
			if _, err := rpm.ParseHeader(p.Header.Blob()); err != nil {
				t.Fatal(err)
			}
			p.States()
		}
	})
}
