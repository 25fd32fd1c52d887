package rpmtest

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
	"github.com/ulikunitz/xz/lzma"
)

// Build is the package file, signed in its header by key; with a nil key it is not signed. The bytes depend on p and,
// where there is one, on the key.
func (p *Package) Build(key *Key) ([]byte, error) {
	b, err := p.build(key)
	if err != nil {
		return nil, fmt.Errorf("building package %s: %w", p.Name, err)
	}
	return b.bytes, nil
}

// built is a package file and what metadata says of it.
type built struct {
	bytes                []byte
	headerStart          int
	headerEnd            int
	archive, installed   int64
	files                []file
	provides, requires   []dependency
	conflicts, obsoletes []dependency
	recommends, suggests []dependency
	supplements, enhance []dependency
}

func (p *Package) build(key *Key) (*built, error) {
	b := new(built)
	if err := b.parse(p); err != nil {
		return nil, err
	}
	archive := p.Archive
	if archive == nil {
		archive = cpio(b.files)
	}
	payload, err := compress(or(p.Payload, "zstd"), archive)
	if err != nil {
		return nil, err
	}
	b.archive = int64(len(archive))
	h, err := p.header(b, archive, payload)
	if err != nil {
		return nil, err
	}
	h.override(p.Override)
	main, err := h.marshal(regionImmutable)
	if err != nil {
		return nil, err
	}
	signature, err := signatureHeader(main, payload, len(archive), key)
	if err != nil {
		return nil, err
	}
	intro := append(p.lead(), signature...)
	for len(intro)%8 != 0 {
		intro = append(intro, 0)
	}
	b.headerStart, b.headerEnd = len(intro), len(intro)+len(main)
	b.bytes = slices.Concat(intro, main, payload)
	return b, nil
}

// parse reads what p says in text.
func (b *built) parse(p *Package) error {
	var err error
	if b.files, err = p.files(); err != nil {
		return err
	}
	for i, f := range b.files {
		if f.Mode&typeMask == typeRegular && f.last && f.inCPIO {
			b.installed += b.files[i].size
		}
	}
	if b.provides, err = p.provides(); err != nil {
		return err
	}
	for _, list := range []struct {
		to   *[]dependency
		from []string
	}{
		{&b.requires, p.Requires},
		{&b.conflicts, p.Conflicts},
		{&b.obsoletes, p.Obsoletes},
		{&b.recommends, p.Recommends},
		{&b.suggests, p.Suggests},
		{&b.supplements, p.Supplements},
		{&b.enhance, p.Enhances},
	} {
		if *list.to, err = parseDependencies(list.from); err != nil {
			return err
		}
	}
	return nil
}

// lead is the old introduction, of which only its length and magic are still read.
func (p *Package) lead() []byte {
	b := make([]byte, 96)
	copy(b, []byte{0xed, 0xab, 0xee, 0xdb, 3, 0, 0, 0, 0, 1})
	copy(b[10:75], strings.TrimSuffix(p.FileName(), "."+p.arch()+".rpm"))
	b[77], b[79] = 1, 5
	return b
}

// Tags of the signature header.
const (
	sigRSA         = 268
	sigSHA1        = 269
	sigSHA256      = 273
	sigSize        = 1000
	sigMD5         = 1004
	sigPayloadSize = 1007
)

func signatureHeader(main, payload []byte, archive int, key *Key) ([]byte, error) {
	sha1Sum, sha256Sum := sha1.Sum(main), sha256.Sum256(main)
	both := md5.New()
	both.Write(main)
	both.Write(payload)
	h := header{
		sigSHA1:        hex.EncodeToString(sha1Sum[:]),
		sigSHA256:      hex.EncodeToString(sha256Sum[:]),
		sigSize:        []uint32{uint32(len(main) + len(payload))},
		sigMD5:         both.Sum(nil),
		sigPayloadSize: []uint32{uint32(archive)},
	}
	if key != nil {
		s, err := key.Sign(main)
		if err != nil {
			return nil, fmt.Errorf("signing: %w", err)
		}
		h[sigRSA] = s
	}
	return h.marshal(regionSignatures)
}

func (p *Package) header(b *built, archive, payload []byte) (header, error) {
	epoch, version, release := p.evr()
	sum, archiveSum := sha256.Sum256(payload), sha256.Sum256(archive)
	h := header{
		100:  []string{"C"},
		1000: p.Name,
		1001: version,
		1002: release,
		1004: I18N(or(p.Summary, p.Name)),
		1005: I18N(or(p.Summary, p.Name)),
		1006: []uint32{uint32(p.buildTime())},
		1007: "localhost",
		1009: []uint32{uint32(b.installed)},
		1014: or(p.License, "MIT"),
		1016: I18N("Unspecified"),
		1021: "linux",
		1022: p.arch(),
		1044: p.sourceRPM(),
		1064: "4.18.0",
		1124: "cpio",
		5062: "utf-8",
		5092: []string{hex.EncodeToString(sum[:])},
		5093: []uint32{8},
		5097: []string{hex.EncodeToString(archiveSum[:])},
	}
	if epoch != 0 {
		h[1003] = []uint32{epoch}
	}
	if p.Vendor != "" {
		h[1011] = p.Vendor
	}
	if c := or(p.Payload, "zstd"); c != "none" {
		h[1125], h[1126] = c, "6"
	}
	h.dependencies(1047, 1113, 1112, b.provides)
	h.dependencies(1049, 1050, 1048, append(p.features(b), b.requires...))
	h.dependencies(1054, 1055, 1053, b.conflicts)
	h.dependencies(1090, 1115, 1114, b.obsoletes)
	h.dependencies(5046, 5047, 5048, b.recommends)
	h.dependencies(5049, 5050, 5051, b.suggests)
	h.dependencies(5052, 5053, 5054, b.supplements)
	h.dependencies(5055, 5056, 5057, b.enhance)
	h.files(b.files)
	if err := h.scriptlets(p.Scriptlets); err != nil {
		return nil, err
	}
	return h, h.fileTriggers(p.Triggers)
}

// features are the rpmlib() requirements.
func (p *Package) features(b *built) []dependency {
	list := []struct {
		used          bool
		name, version string
	}{
		{slices.ContainsFunc(p.Scriptlets, usesLua), "BuiltinLuaScripts", "4.2.2-1"},
		{strings.Contains(p.EVR, "^"), "CaretInVersions", "4.15.0-1"},
		{true, "CompressedFileNames", "3.0.4-1"},
		{slices.ContainsFunc(p.Files, func(f File) bool { return f.Caps != "" }), "FileCaps", "4.6.1-1"},
		{true, "FileDigests", "4.6.0-1"},
		{true, "PayloadFilesHavePrefix", "4.0-1"},
		{or(p.Payload, "zstd") == "zstd", "PayloadIsZstd", "5.4.18-1"},
		{p.Payload == "xz", "PayloadIsXz", "5.2-1"},
		{p.Payload == "lzma", "PayloadIsLzma", "4.4.2-1"},
		{slices.ContainsFunc(b.requires, func(d dependency) bool { return d.name[0] == '(' }), "RichDependencies", "4.12.0-1"},
		{strings.Contains(p.EVR, "~"), "TildeInVersions", "4.10.0-1"},
	}
	var out []dependency
	for _, f := range list {
		if f.used {
			out = append(out, dependency{"rpmlib(" + f.name + ")", senseLess | senseEqual | senseRpmlib, f.version})
		}
	}
	return out
}

func usesLua(s Scriptlet) bool { return len(s.Program) > 0 && s.Program[0] == "<lua>" }

func (h header) dependencies(names, versions, flags uint32, list []dependency) {
	if len(list) == 0 {
		return
	}
	var n, v []string
	var f []uint32
	for _, d := range list {
		n, v, f = append(n, d.name), append(v, d.evr), append(f, d.flags)
	}
	h[names], h[versions], h[flags] = n, v, f
}

func (h header) files(list []file) {
	if len(list) == 0 {
		return
	}
	var (
		sizes, mtimes, flags, devs, inodes, verify, index, colors []uint32
		modes, rdevs                                              []uint16
		digests, links, users, groups, langs, base, dirs, caps    []string
		hasCaps                                                   bool
	)
	for _, f := range list {
		dir := path.Dir(f.Path)
		if dir != "/" {
			dir += "/"
		}
		if i := slices.Index(dirs, dir); i >= 0 {
			index = append(index, uint32(i))
		} else {
			dirs = append(dirs, dir)
			index = append(index, uint32(len(dirs)-1))
		}
		base = append(base, strings.TrimPrefix(f.Path, dir))
		sizes, mtimes = append(sizes, uint32(f.size)), append(mtimes, uint32(f.MTime))
		flags, verify = append(flags, f.Flags), append(verify, 0xffffffff)
		devs, inodes = append(devs, 1), append(inodes, f.inode)
		modes, rdevs = append(modes, uint16(f.Mode)), append(rdevs, uint16(f.RDev))
		digests, links = append(digests, f.digest()), append(links, f.Link)
		users, groups = append(users, f.User), append(groups, f.Group)
		langs, colors = append(langs, f.Lang), append(colors, f.Color)
		caps = append(caps, f.Caps)
		hasCaps = hasCaps || f.Caps != ""
	}
	h[1028], h[1030], h[1033], h[1034] = sizes, modes, rdevs, mtimes
	h[1035], h[1036], h[1037], h[1039], h[1040] = digests, links, flags, users, groups
	h[1045], h[1095], h[1096], h[1097] = verify, devs, inodes, langs
	h[1116], h[1117], h[1118], h[1140] = index, base, dirs, colors
	h[5011] = []uint32{8}
	if hasCaps {
		h[5010] = caps
	}
}

func (f *file) digest() string {
	if f.Mode&typeMask != typeRegular || !f.inCPIO {
		return ""
	}
	sum := sha256.Sum256([]byte(f.Content))
	return hex.EncodeToString(sum[:])
}

func (h header) scriptlets(list []Scriptlet) error {
	for _, s := range list {
		body, program, ok := slotTags(s.Slot)
		if !ok {
			return fmt.Errorf("there is no scriptlet %q", s.Slot)
		}
		if s.Body != "" {
			h[body] = s.Body
		}
		switch len(s.Program) {
		case 0:
			h[program] = "/bin/sh"
		case 1:
			h[program] = s.Program[0]
		default:
			h[program] = s.Program
		}
	}
	return nil
}

func slotTags(slot string) (body, program uint32, ok bool) {
	switch slot {
	case "pre":
		return 1023, 1085, true
	case "post":
		return 1024, 1086, true
	case "preun":
		return 1025, 1087, true
	case "postun":
		return 1026, 1088, true
	case "pretrans":
		return 1151, 1153, true
	case "posttrans":
		return 1152, 1154, true
	}
	return 0, 0, false
}

// Flags of trigger conditions, RPMSENSE_TRIGGER*.
func triggerFlag(slot string) (uint32, bool) {
	switch slot {
	case "filetriggerin":
		return 1 << 16, true
	case "filetriggerun":
		return 1 << 17, true
	case "filetriggerpostun":
		return 1 << 18, true
	}
	return 0, false
}

func (h header) fileTriggers(list []FileTrigger) error {
	for _, group := range []struct {
		prefix         string
		base, priority uint32
	}{{"", 5066, 5084}, {"trans", 5076, 5085}} {
		var scripts, programs, names, versions []string
		var scriptFlags, index, flags, priorities []uint32
		for _, t := range list {
			slot, trans := strings.CutPrefix(t.Slot, "trans")
			flag, ok := triggerFlag(slot)
			if !ok {
				return fmt.Errorf("there is no file trigger %q", t.Slot)
			}
			if trans != (group.prefix == "trans") {
				continue
			}
			for _, p := range t.Prefixes {
				names, versions = append(names, p), append(versions, "")
				flags, index = append(flags, flag), append(index, uint32(len(scripts)))
			}
			program := "/bin/sh"
			if len(t.Program) > 0 {
				program = t.Program[0]
			}
			scripts, programs = append(scripts, t.Body), append(programs, program)
			scriptFlags, priorities = append(scriptFlags, 0), append(priorities, or(t.Priority, 1000000))
		}
		if len(scripts) == 0 {
			continue
		}
		b := group.base
		h[b], h[b+1], h[b+2], h[b+3] = scripts, programs, scriptFlags, names
		h[b+4], h[b+5], h[b+6], h[group.priority] = index, versions, flags, priorities
	}
	return nil
}

// cpio is the archive of list in the "newc" form.
func cpio(list []file) []byte {
	var b bytes.Buffer
	for _, f := range list {
		if !f.inCPIO {
			continue
		}
		content := ""
		switch f.Mode & typeMask {
		case typeSymlink:
			content = f.Link
		case typeRegular:
			if f.last {
				content = f.Content
			}
		}
		member(&b, "."+f.Path, f, content)
	}
	member(&b, "TRAILER!!!", file{nlink: 1}, "")
	return b.Bytes()
}

func member(b *bytes.Buffer, name string, f file, content string) {
	fmt.Fprintf(b, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", f.inode, f.Mode, 0, 0, f.nlink, uint32(f.MTime),
		len(content), 0, 1, f.RDev>>8, f.RDev&0xff, len(name)+1, 0)
	b.WriteString(name + "\x00")
	pad(b)
	b.WriteString(content)
	pad(b)
}

func pad(b *bytes.Buffer) {
	for b.Len()%4 != 0 {
		b.WriteByte(0)
	}
}

func compress(compressor string, data []byte) ([]byte, error) {
	var b bytes.Buffer
	var w io.WriteCloser
	var err error
	switch compressor {
	case "none":
		return data, nil
	case "gzip":
		w = gzip.NewWriter(&b)
	case "zstd":
		w, err = zstd.NewWriter(&b)
	case "xz":
		w, err = xz.NewWriter(&b)
	case "lzma":
		w, err = lzma.NewWriter(&b)
	default:
		err = fmt.Errorf("compressor %q is not one of zstd, gzip, xz, lzma, none", compressor)
	}
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, fmt.Errorf("compressing: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compressing: %w", err)
	}
	return b.Bytes(), nil
}
