package rpm

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// entry is an entry to be written: the type follows from the value.
type entry struct {
	tag   Tag
	value any // string, []string, []uint16, []uint32, []uint64, []byte
}

func (e entry) encode() (Type, uint32, int, []byte) {
	var b []byte
	switch v := e.value.(type) {
	case string:
		return TypeString, 1, 1, append([]byte(v), 0)
	case []string:
		return TypeStringArray, uint32(len(v)), 1, []byte(strings.Join(v, "\x00") + "\x00")
	case []uint16:
		for _, n := range v {
			b = binary.BigEndian.AppendUint16(b, n)
		}
		return TypeInt16, uint32(len(v)), 2, b
	case []uint32:
		for _, n := range v {
			b = binary.BigEndian.AppendUint32(b, n)
		}
		return TypeInt32, uint32(len(v)), 4, b
	case []uint64:
		for _, n := range v {
			b = binary.BigEndian.AppendUint64(b, n)
		}
		return TypeInt64, uint32(len(v)), 8, b
	case []byte:
		return TypeBin, uint32(len(v)), 1, v
	}
	panic(fmt.Sprintf("entry of type %T", e.value))
}

// blob writes a header without magic: a region of tag around entries (none for tag 0), then more entries after it.
func blob(region Tag, entries []entry, after ...entry) []byte {
	var index, data []byte
	add := func(tag Tag, typ Type, off int, count uint32) {
		for _, n := range []uint32{uint32(tag), uint32(typ), uint32(off), count} {
			index = binary.BigEndian.AppendUint32(index, n)
		}
	}
	write := func(e entry) {
		typ, count, align, b := e.encode()
		for len(data)%align != 0 {
			data = append(data, 0)
		}
		add(e.tag, typ, len(data), count)
		data = append(data, b...)
	}
	for _, e := range entries {
		write(e)
	}
	if region != 0 {
		own := index
		index = nil
		add(region, TypeBin, len(data), 16)
		index = append(index, own...)
		for _, n := range []uint32{uint32(region), uint32(TypeBin), uint32(-len(index)), 16} {
			data = binary.BigEndian.AppendUint32(data, n)
		}
	}
	for _, e := range after {
		write(e)
	}
	var out []byte
	out = binary.BigEndian.AppendUint32(out, uint32(len(index)/16))
	out = binary.BigEndian.AppendUint32(out, uint32(len(data)))
	return append(append(out, index...), data...)
}

func mustParse(t testing.TB, b []byte) *Header {
	t.Helper()
	h, err := ParseHeader(b)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// member is an entry of a payload and, unless absent, a file of the header.
type member struct {
	path    string
	mode    uint16
	content string // of a regular file, the target of a symbolic link
	inode   uint32
	flags   FileFlags

	size       int  // in the header, when content is not what it says: -1 for 0
	noEntry    bool // not in the payload
	noFile     bool // not in the header
	name       string
	twice      bool
	entryMode  uint16
	entrySize  int // of the payload entry, when content is not what it says: -1 for 0
	entryBytes string
	digest     string
}

// testPackage is a package to be written.
type testPackage struct {
	members    []member
	stripped   bool
	compress   func([]byte) []byte
	compressor string
	headerAdd  []entry
	noPayload  bool // no payload digest
	signatures func(header, payload []byte) []entry
	trailer    string // cpio trailer, "" for the usual
}

func (p testPackage) headerSize(m member) uint32 {
	switch {
	case m.size == -1:
		return 0
	case m.size != 0:
		return uint32(m.size)
	}
	return uint32(len(m.content))
}

func (p testPackage) cpio() []byte {
	var b bytes.Buffer
	pad := func() {
		for b.Len()%4 != 0 {
			b.WriteByte(0)
		}
	}
	newc := func(name string, mode uint16, size int) {
		fmt.Fprintf(&b, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00", 1, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, len(name)+1, 0, name)
		pad()
	}
	index := 0
	for _, m := range p.members {
		n := 1
		if m.twice {
			n = 2
		}
		for range n {
			if m.noEntry {
				break
			}
			content := m.content
			if m.entryBytes != "" {
				content = m.entryBytes
			}
			if m.entrySize == -1 {
				content = ""
			}
			if p.stripped {
				fmt.Fprintf(&b, "07070X%08x", index)
				pad()
			} else {
				name, mode := "."+m.path, m.mode
				if m.name != "" {
					name = m.name
				}
				if m.entryMode != 0 {
					mode = m.entryMode
				}
				newc(name, mode, len(content))
			}
			b.WriteString(content)
			pad()
		}
		if !m.noFile {
			index++
		}
	}
	switch p.trailer {
	case "":
		newc(cpioTrailer, 0, 0)
	case "none":
	default:
		b.WriteString(p.trailer)
	}
	return b.Bytes()
}

func (p testPackage) entries(payload []byte) []entry {
	es := []entry{{TagName, "foo"}, {TagVersion, "1.0"}, {TagRelease, "1"}, {TagArch, "noarch"}, {TagSourceRPM, "foo-1.0-1.src.rpm"}}
	var base, users, digests, links []string
	var sizes, mtimes, flags, devs, inodes, dirs []uint32
	var modes []uint16
	for _, m := range p.members {
		if m.noFile {
			continue
		}
		base, users = append(base, strings.TrimPrefix(m.path, "/")), append(users, "root")
		sizes, mtimes, flags = append(sizes, p.headerSize(m)), append(mtimes, 1), append(flags, uint32(m.flags))
		modes, devs, inodes, dirs = append(modes, m.mode), append(devs, 1), append(inodes, m.inode), append(dirs, 0)
		link, digest := "", m.digest
		if m.mode&ModeType == ModeSymlink {
			link = m.content
		} else if digest == "" && m.mode&ModeType == ModeRegular {
			sum := sha256.Sum256([]byte(m.content))
			digest = hex.EncodeToString(sum[:])
		}
		links, digests = append(links, link), append(digests, digest)
	}
	if len(base) > 0 {
		es = append(es, entry{TagFileSizes, sizes}, entry{TagFileModes, modes}, entry{TagFileMTimes, mtimes}, entry{TagFileDigests, digests},
			entry{TagFileLinkTos, links}, entry{TagFileFlags, flags}, entry{TagFileUserName, users}, entry{TagFileGroupName, users},
			entry{TagFileDevices, devs}, entry{TagFileInodes, inodes}, entry{TagDirIndexes, dirs}, entry{TagBaseNames, base},
			entry{TagDirNames, []string{"/"}}, entry{TagFileDigestAlg, []uint32{8}})
	}
	compressor := p.compressor
	if compressor == "" {
		compressor = "none"
	}
	es = append(es, entry{TagPayloadFormat, "cpio"}, entry{TagPayloadCompressor, compressor})
	if !p.noPayload {
		sum := sha256.Sum256(payload)
		es = append(es, entry{TagPayloadSHA256, []string{hex.EncodeToString(sum[:])}}, entry{TagPayloadDigestAlgo, []uint32{8}})
	}
	return append(es, p.headerAdd...)
}

// build writes the package file. Without signatures its signature header has a SHA-256 of the header.
func (p testPackage) build() []byte {
	payload := p.cpio()
	if p.compress != nil {
		payload = p.compress(payload)
	}
	header := append(headerMagic[:len(headerMagic):len(headerMagic)], blob(TagHeaderImmutable, p.entries(payload))...)
	sum := sha256.Sum256(header)
	sigs := []entry{{TagSHA256Header, hex.EncodeToString(sum[:])}}
	if p.signatures != nil {
		sigs = append(sigs, p.signatures(header, payload)...)
	}
	return join(sigs, header, payload)
}

func join(sigs []entry, header, payload []byte) []byte {
	lead := make([]byte, leadSize)
	copy(lead, "\xed\xab\xee\xdb\x03\x00\x00\x00")
	lead[79] = 5
	b := append(lead, headerMagic[:]...)
	b = append(b, blob(TagHeaderSignatures, sigs)...)
	for len(b)%8 != 0 {
		b = append(b, 0)
	}
	return append(append(b, header...), payload...)
}

func openBytes(t testing.TB, b []byte) *PackageFile {
	t.Helper()
	f, err := OpenPackage(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// unsigned verifies a package without a signature.
func (p testPackage) unsigned(t testing.TB) *Package {
	t.Helper()
	pkg, err := openBytes(t, p.build()).Verify(nil, VerifyOptions{AllowUnsigned: true})
	if err != nil {
		t.Fatal(err)
	}
	return pkg
}

// Times of the tests' keys and signatures.
var (
	keyTime  = time.Unix(1_600_000_000, 0)
	signTime = keyTime.Add(1000 * time.Second)
)

func at(t time.Time, lifetime uint32) *packet.Config {
	return &packet.Config{Time: func() time.Time { return t }, Algorithm: packet.PubKeyAlgoEdDSA, KeyLifetimeSecs: lifetime}
}

func newKey(t testing.TB, lifetime uint32) *openpgp.Entity {
	t.Helper()
	e, err := openpgp.NewEntity("Tester", "", "tester@example.org", at(keyTime, lifetime))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// public is the binary certificate.
func public(t testing.TB, e *openpgp.Entity) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := e.Serialize(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func keyring(t testing.TB, es ...*openpgp.Entity) *Keyring {
	t.Helper()
	k := &Keyring{}
	for _, e := range es {
		if _, _, err := k.Add(public(t, e)); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

func sign(t testing.TB, e *openpgp.Entity, data ...[]byte) []byte {
	t.Helper()
	return signWith(t, e.PrivateKey, packet.SigTypeBinary, signTime, data...)
}

func signWith(t testing.TB, key *packet.PrivateKey, typ packet.SignatureType, when time.Time, data ...[]byte) []byte {
	t.Helper()
	sig := &packet.Signature{Version: key.Version, SigType: typ, PubKeyAlgo: key.PubKeyAlgo, Hash: 5 /* SHA-256 */, CreationTime: when, IssuerKeyId: &key.KeyId}
	h, err := sig.PrepareSign(at(when, 0))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range data {
		h.Write(d)
	}
	var b bytes.Buffer
	if err := sig.Sign(h, key, at(when, 0)); err != nil {
		t.Fatal(err)
	}
	if err := sig.Serialize(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
