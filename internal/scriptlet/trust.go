package scriptlet

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"slim/internal/rpm"
)

// trustCommands are p11-kit's programs that make the bundles of certificate authorities. update-ca-trust and ca-legacy,
// which call them, are scripts in the tree.
func trustCommands() map[string]Command {
	return map[string]Command{"trust": rawTool(runTrust), "p11-kit": rawTool(runTrust)}
}

func runTrust(r *toolRun) error {
	r.name = "p11-kit" // in messages
	args := r.args
	for len(args) > 0 && slices.Contains([]string{"-v", "--verbose", "-q", "--quiet"}, args[0]) {
		args = args[1:]
	}
	if len(args) == 0 {
		return r.unsupported("a command is missing")
	}
	switch args[0] {
	case "extract":
		return r.trustExtract()
	case "extract-compat", "extract-trust":
		for _, p := range []string{"/usr/libexec/p11-kit/p11-kit-extract-trust", "/usr/libexec/p11-kit/trust-extract-compat"} {
			if r.FS.Exists("/", p) {
				status, err := r.Run(r.ctx, append([]string{p}, args[1:]...), r.Stdin, r.Stdout, r.Stderr)
				r.status = status
				return err
			}
		}
		return r.die(2, "could not run /usr/libexec/p11-kit/trust-extract-compat command: No such file or directory")
	}
	return r.unsupported("the command %s is not known here", args[0])
}

// extraction is one run of trust extract.
type extraction struct {
	*toolRun
	destination string
	format      string
	purposes    []string
	anchors     bool
	blocklist   bool
	authorities bool
	objects     []*trustObject
}

const trustSpec = "filter= format= purpose= overwrite,f comment verbose,v quiet,q"

func (r *toolRun) trustExtract() error {
	r.args = nil
	if err := r.parse(trustSpec); err != nil {
		return err
	}
	r.args = r.args[1:] // the command
	x := &extraction{toolRun: r}
	if err := x.options(); err != nil {
		return err
	}
	if err := x.collect(); err != nil {
		return err
	}
	return x.write()
}

func (x *extraction) options() error {
	filters := x.values("filter")
	for _, f := range filters {
		if err := x.filter(f); err != nil {
			return err
		}
	}
	for _, p := range x.values("purpose") {
		if err := x.purpose(p); err != nil {
			return err
		}
	}
	formats := x.values("format")
	for _, f := range formats {
		if !slices.Contains([]string{
			"x509-file", "x509-directory", "pem-bundle", "pem-directory", "pem-directory-hash",
			"java-cacerts", "edk2-cacerts", "openssl-bundle", "openssl-directory",
		}, f) {
			return x.die(2, "unsupported or unrecognized format: %s", f)
		}
	}
	switch {
	case len(formats) > 1:
		return x.die(2, "a format was already specified")
	case len(x.args) != 1:
		return x.die(2, "specify one destination file or directory")
	case len(formats) == 0:
		return x.die(2, "no output format specified")
	}
	x.destination, x.format = x.args[0], formats[0]
	if err := x.checkPurposes(); err != nil {
		return err
	}
	if len(filters) == 0 {
		return x.filter("ca-anchors")
	}
	return nil
}

func (x *extraction) filter(f string) error {
	switch f {
	case "ca-anchors":
		x.anchors, x.authorities = true, true
	case "trust-policy":
		x.anchors, x.blocklist = true, true
	case "blocklist", "blacklist":
		x.blocklist = true
	case "certificates":
	default:
		if f == "all" || strings.HasPrefix(f, "pkcs11:") {
			return x.unsupported("the filter %s is not known here", f)
		}
		return x.die(2, "unsupported or unrecognized filter: %s", f)
	}
	return nil
}

func (x *extraction) purpose(p string) error {
	names := []string{"server-auth", "client-auth", "code-signing", "email", "ipsec-end-system", "ipsec-tunnel", "ipsec-user", "time-stamping"}
	if p == "email-protection" {
		p = "email"
	}
	if i := slices.Index(names, p); i >= 0 {
		p = knownPurposes()[i]
	} else if p == "" || strings.Trim(p, "0123456789.") != "" || strings.Contains(p, "..") || p[0] == '.' || p[len(p)-1] == '.' {
		return x.die(2, "unsupported or unrecognized purpose: %s", p)
	}
	if !slices.Contains(x.purposes, p) {
		x.purposes = append(x.purposes, p)
	}
	return nil
}

// checkPurposes gives anchors one purpose where the format cannot say which they have.
func (x *extraction) checkPurposes() error {
	switch {
	case strings.HasPrefix(x.format, "openssl-"):
		return nil
	case x.anchors && x.blocklist:
		return x.die(1, "format does not support trust policy")
	case !x.anchors:
		return nil
	case len(x.purposes) == 0:
		x.tell("format requires a purpose, specify it with --purpose; defaulting to 'server-auth'")
		return x.purpose("server-auth")
	case len(x.purposes) > 1:
		x.tell("format does not support multiple purposes, defaulting to 'server-auth'")
		return x.purpose("server-auth")
	}
	return nil
}

// tell prints a message that is no failure.
func (x *extraction) tell(format string, args ...any) {
	status := x.status
	x.complain(format, args...)
	x.status = status
}

// trustPaths are where the trust module of this root looks: what its configuration says, or where Fedora and RHEL have it.
func (r *toolRun) trustPaths() []string {
	paths := "/etc/pki/ca-trust/source:/usr/share/pki/ca-trust-source"
	for _, p := range []string{"/usr/share/p11-kit/modules/p11-kit-trust.module", "/etc/pkcs11/modules/p11-kit-trust.module"} {
		b, err := r.FS.ReadFile("/", p)
		if err != nil {
			continue
		}
		for line := range strings.SplitSeq(string(b), "\n") {
			value, ok := strings.CutPrefix(strings.TrimSpace(line), "x-init-reserved:")
			if !ok {
				continue
			}
			if value, ok = strings.CutPrefix(strings.TrimSpace(value), "paths="); ok {
				paths = strings.Trim(value, `'"`)
			}
		}
	}
	return slices.DeleteFunc(strings.Split(paths, ":"), func(p string) bool { return p == "" })
}

// collect reads the sources and picks what was asked for.
func (x *extraction) collect() error {
	var sources []*trustSource
	count := 0
	for _, p := range x.trustPaths() {
		s, err := readTrustSource(x.FS, p, &count, x.tell)
		if err != nil {
			return err
		}
		sources = append(sources, s)
	}
	blockedKeys, blockedNames := map[string]bool{}, map[string]bool{}
	for _, s := range sources {
		for _, o := range s.objects {
			if !x.anchors || !o.is("x-distrusted") {
				continue
			}
			if key := o.attributes["public-key-info"]; len(key) > 0 {
				blockedKeys[string(key)] = true
			}
			if issuer, serial := o.attributes["issuer"], o.attributes["serial-number"]; len(issuer) > 0 && len(serial) > 0 {
				blockedNames[string(issuer)+"\x00"+string(serial)] = true
			}
		}
	}
	seen := map[string]bool{}
	for _, s := range sources {
		for _, o := range s.objects {
			value := string(o.attributes["value"])
			if x.authorities && !o.authority || value == "" || seen[value] {
				continue
			}
			if x.anchors || x.blocklist {
				blocked := blockedKeys[string(o.attributes["public-key-info"])] ||
					blockedNames[string(o.attributes["issuer"])+"\x00"+string(o.attributes["serial-number"])]
				distrusted := o.is("x-distrusted")
				if !(x.blocklist && distrusted || x.anchors && !distrusted && !blocked && o.is("trusted")) {
					continue
				}
			}
			seen[value] = true
			if x.wanted(o) {
				x.objects = append(x.objects, o)
			}
		}
	}
	return nil
}

// wanted reports whether a certificate can be read and is for one of the purposes asked for.
func (x *extraction) wanted(o *trustObject) bool {
	switch {
	case o.cert == nil:
		x.tell("couldn't parse certificate: Error in DER parsing.")
		return false
	case o.badAttach:
		x.tell("couldn't parse attached certificate extension: Error in DER parsing.")
		return false
	}
	purposes, ok := o.purposes()
	if !ok {
		return false
	}
	if len(x.purposes) == 0 || purposes == nil || slices.Contains(purposes, oidAnyPurpose) {
		return true
	}
	return slices.ContainsFunc(purposes, func(p string) bool { return slices.Contains(x.purposes, p) })
}

func (x *extraction) write() error {
	switch x.format {
	case "pem-bundle":
		return x.save(x.destination, x.bundle("CERTIFICATE", func(o *trustObject) []byte { return o.attributes["value"] }))
	case "openssl-bundle":
		return x.save(x.destination, x.bundle("TRUSTED CERTIFICATE", trustedCertificate))
	case "java-cacerts":
		return x.save(x.destination, x.javaKeystore())
	case "edk2-cacerts":
		return x.save(x.destination, x.signatureLists())
	case "x509-file":
		switch len(x.objects) {
		case 0:
			return x.die(1, "no certificate found")
		case 1:
		default:
			x.tell("multiple certificates found but could only write one to file")
		}
		return x.save(x.destination, x.objects[0].attributes["value"])
	}
	return x.directory()
}

// size is about what a binary file of all takes. The files are large for something that grows by doubling.
func (x *extraction) size() int {
	n := 0
	for _, o := range x.objects {
		n += len(o.attributes["value"]) + 128
	}
	return n
}

// bundle is a file of PEM blocks.
func (x *extraction) bundle(kind string, content func(o *trustObject) []byte) []byte {
	b := make([]byte, 0, 3*x.size()/2)
	for i, o := range x.objects {
		if x.has("comment") {
			if i > 0 {
				b = append(b, '\n')
			}
			b = append(b, "# "+o.label("certificate")+"\n"...)
		}
		b = appendPEM(b, kind, content(o))
	}
	return b
}

func encodePEM(kind string, content []byte) []byte { return appendPEM(nil, kind, content) }

func appendPEM(b []byte, kind string, content []byte) []byte {
	const line = 64 / 4 * 3 // bytes of content
	b = append(b, "-----BEGIN "+kind+"-----\n"...)
	for len(content) > 0 {
		n := min(line, len(content))
		b = append(base64.StdEncoding.AppendEncode(b, content[:n]), '\n')
		content = content[n:]
	}
	return append(b, "-----END "+kind+"-----\n"...)
}

// trustedCertificate is a certificate with OpenSSL's auxiliary part.
func trustedCertificate(o *trustObject) []byte {
	list := func(oid string) []string {
		oids, ok := purposes(o.attached[oid])
		if !ok {
			return nil
		}
		return slices.DeleteFunc(oids, func(oid string) bool { return oid == oidNoPurpose })
	}
	var parts [][]byte
	rejects := list(oidRejects)
	switch {
	case o.is("x-distrusted"):
		rejects = append(rejects, knownPurposes()...)
	case o.is("trusted"):
		if trusts := list(oidPurposes); trusts != nil {
			parts = append(parts, encodePurposes(tagSequence, trusts))
		}
	default:
		parts = append(parts, encodePurposes(tagSequence, nil))
	}
	if rejects != nil {
		parts = append(parts, encodePurposes(0xa0, rejects))
	}
	if label := o.attributes["label"]; len(label) > 0 {
		parts = append(parts, encodeDER(tagUTF8, label))
	}
	if id, ok := o.attached[oidSubjectKeyID]; ok {
		parts = append(parts, encodeDER(tagOctetString, id))
	}
	return append(bytes.Clone(o.attributes["value"]), encodeDER(tagSequence, parts...)...)
}

// javaKeystore is a JKS keystore of trusted certificates with the password changeit, all added at the one moment.
func (x *extraction) javaKeystore() []byte {
	b := append(make([]byte, 0, x.size()), 0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2)
	b = binary.BigEndian.AppendUint32(b, uint32(len(x.objects)))
	text := func(s string) {
		s = s[:min(len(s), 1<<15-1)]
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
	}
	names := uniqueNames{}
	for _, o := range x.objects {
		b = binary.BigEndian.AppendUint32(b, 2)
		text(names.next(javaAlias(o), "", "-"))
		b = binary.BigEndian.AppendUint64(b, uint64(x.FS.Now())*1000)
		text("X.509")
		b = binary.BigEndian.AppendUint32(b, uint32(len(o.attributes["value"])))
		b = append(b, o.attributes["value"]...)
	}
	sum := sha1.New()
	sum.Write([]byte("\x00c\x00h\x00a\x00n\x00g\x00e\x00i\x00tMighty Aphrodite"))
	sum.Write(b)
	return sum.Sum(b)
}

// javaAlias is a label in lower case without blanks and what is not ASCII.
func javaAlias(o *trustObject) string {
	label := "unlabeled"
	if l := o.attributes["label"]; len(l) > 0 {
		label = string(l)
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ' || r >= '\t' && r <= '\r' || r >= 0x80:
			return -1
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return r
	}, label)
}

// uniqueNames are those given out.
type uniqueNames map[string]bool

// next is base with its extension, or the first of base-1, base-2 ... that was not given out. An extension of digits alone
// (.0) is replaced by the number, others follow it.
func (u uniqueNames) next(base, extension, separator string) string {
	name := base + extension
	for i := 1; u[name]; i++ {
		name = base + separator + strconv.Itoa(i)
		if extension != ".0" {
			name += extension
		}
	}
	u[name] = true
	return name
}

// signatureLists is EFI_SIGNATURE_LIST for each certificate: its type EFI_CERT_X509_GUID, its owner p11-kit.
func (x *extraction) signatureLists() []byte {
	kind := []byte{0xa1, 0x59, 0xc0, 0xa5, 0xe4, 0x94, 0xa7, 0x4a, 0x87, 0xb5, 0xab, 0x15, 0x5c, 0x2b, 0xf0, 0x72}
	owner := []byte{0x50, 0x3b, 0xdd, 0xdc, 0x05, 0xf4, 0xfd, 0x43, 0x96, 0xbe, 0xbd, 0x33, 0xb1, 0x73, 0x47, 0x76}
	b := make([]byte, 0, x.size())
	for _, o := range x.objects {
		size := uint32(len(owner) + len(o.attributes["value"]))
		b = append(b, kind...)
		b = binary.LittleEndian.AppendUint32(b, size+28)
		b = binary.LittleEndian.AppendUint32(b, 0)
		b = binary.LittleEndian.AppendUint32(b, size)
		b = append(append(b, owner...), o.attributes["value"]...)
	}
	return b
}

// directory writes a file for each certificate, and with -hash and for OpenSSL the links it looks them up by.
func (x *extraction) directory() error {
	dir := x.destination
	n, err := x.FS.Stat(x.Dir, dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = x.FS.Mkdir(x.Dir, dir, 0o700)
	case err == nil && !n.IsDir():
		err = &fs.PathError{Op: "mkdir", Path: dir, Err: fs.ErrExist}
	case err == nil && !x.has("overwrite"):
		return x.die(1, "directory already exists: %s", dir)
	}
	if err != nil {
		return x.die(1, "couldn't create directory: %s: %s", dir, errorText(err))
	}
	names := uniqueNames{}
	for _, o := range x.objects {
		extension, content := ".pem", o.attributes["value"]
		switch x.format {
		case "x509-directory":
			extension = ".cer"
		case "openssl-directory":
			content = encodePEM("TRUSTED CERTIFICATE", trustedCertificate(o))
		default:
			content = encodePEM("CERTIFICATE", content)
		}
		name := names.next(fileName(o.label("certificate")), extension, ".")
		if err := x.save(join(dir, name), content); err != nil {
			return err
		}
		if x.format == "pem-directory-hash" || x.format == "openssl-directory" {
			if err := x.links(names, dir, name, o); err != nil {
				return err
			}
		}
	}
	return x.finishDirectory(dir, names)
}

func fileName(label string) string {
	b := []byte(label)
	for i, c := range b {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '-' || c == '_') {
			b[i] = '_'
		}
	}
	return string(b)
}

func (x *extraction) links(names uniqueNames, dir, name string, o *trustObject) error {
	if len(o.attributes["subject"]) == 0 {
		return nil
	}
	for _, hash := range subjectHashes(o.attributes["subject"]) {
		p := join(dir, names.next(hash, ".0", "."))
		if err := x.FS.Remove(x.Dir, p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return x.die(1, "couldn't create symlink: %s: %s", p, errorText(err))
		}
		if err := x.FS.Symlink(x.Dir, name, p); err != nil {
			return x.die(1, "couldn't create symlink: %s: %s", p, errorText(err))
		}
	}
	return nil
}

// finishDirectory takes away what was there before, but for directories and links that lead nowhere.
func (x *extraction) finishDirectory(dir string, names uniqueNames) error {
	if x.has("overwrite") {
		list, err := x.FS.ReadDir(x.Dir, dir)
		if err != nil {
			return err
		}
		for _, name := range list {
			n, err := x.FS.Stat(x.Dir, join(dir, name))
			if names[name] || err != nil || n.IsDir() {
				continue
			}
			if err := x.FS.Remove(x.Dir, join(dir, name)); err != nil {
				return err
			}
		}
	}
	return x.FS.Chmod(x.Dir, dir, 0o555)
}

// save makes a file that nobody may write, whole: beside its place first.
func (x *extraction) save(p string, content []byte) error {
	temporary := p + ".XXXXXX"
	if err := x.FS.WriteFile(x.Dir, temporary, content, 0o444); err != nil {
		if fatal(err) {
			return err
		}
		return x.die(1, "couldn't create file: %s: %s", p, errorText(err))
	}
	var err error
	if n, lerr := x.FS.Lstat(x.Dir, p); lerr == nil && !x.has("overwrite") {
		err = &fs.PathError{Op: "link", Path: p, Err: fs.ErrExist}
	} else if lerr == nil && n.Mode&rpm.ModeType == rpm.ModeDir {
		err = &fs.PathError{Op: "rename", Path: p, Err: errors.New("is a directory")}
	} else {
		err = x.FS.Rename(x.Dir, temporary, p)
	}
	if err == nil {
		return nil
	}
	if rerr := x.FS.Remove(x.Dir, temporary); rerr != nil {
		return rerr
	}
	return x.die(1, "couldn't complete writing of file: %s: %s", p, errorText(err))
}
