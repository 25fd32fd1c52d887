package scriptlet

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"slim/internal/rootfs"
)

// maxTrustObjects bounds what is read from trust sources.
const maxTrustObjects = 100_000

// Object identifiers that p11-kit gives a meaning.
const (
	oidSubjectKeyID     = "2.5.29.14"
	oidBasicConstraints = "2.5.29.19"
	oidPurposes         = "2.5.29.37"
	oidAnyPurpose       = "2.5.29.37.0"
	oidRejects          = "1.3.6.1.4.1.3319.6.10.1"  // its own extension for what OpenSSL's trusted certificates reject
	oidNoPurpose        = "1.3.6.1.4.1.3319.6.10.16" // stands in a list that must not be empty
)

// knownPurposes are the short names of purposes and all that a distrusted certificate is rejected for, in p11-kit's order.
func knownPurposes() []string {
	return []string{
		"1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2", "1.3.6.1.5.5.7.3.3", "1.3.6.1.5.5.7.3.4", "1.3.6.1.5.5.7.3.5",
		"1.3.6.1.5.5.7.3.6", "1.3.6.1.5.5.7.3.7", "1.3.6.1.5.5.7.3.8",
	}
}

// trustObject is a certificate of a trust source, or what a source says of one that it does not hold.
type trustObject struct {
	attributes
	cert      *certificate // nil when there is none, or none that can be read
	attached  map[string][]byte
	badAttach bool   // something attached cannot be read
	said      string // the label that its source gives it, for messages
	authority bool
}

// attributes are those of PKCS#11 by the names that p11-kit's files have for them.
type attributes map[string][]byte

func (a attributes) is(name string) bool {
	v := a[name]
	return len(v) == 1 && v[0] == 1
}

func (a attributes) number(name string) (uint64, bool) {
	v := a[name]
	if len(v) != 8 {
		return 0, false
	}
	return binary.LittleEndian.Uint64(v), true
}

func (a attributes) setDefault(name string, value []byte) {
	if _, ok := a[name]; !ok {
		a[name] = value
	}
}

func (a attributes) setBool(name string, value bool) {
	a[name] = []byte{0}
	if value {
		a[name][0] = 1
	}
}

// Object classes; those of vendors have numbers of our own.
const (
	classCertificate = 1
	classExtension   = 1 << 31
	classTrust       = 1<<31 + 1
	classRootList    = 1<<31 + 2
	classAssertion   = 1<<31 + 3
)

func number(n uint64) []byte { return binary.LittleEndian.AppendUint64(nil, n) }

// trustConstant is the number of a word in a p11-kit file.
func trustConstant(word string) (uint64, bool) {
	switch word {
	case "data", "x-509", "unspecified":
		return 0, true
	case "certificate", "x-509-attr-cert", "token-user":
		return classCertificate, true
	case "public-key", "wtls", "authority":
		return 2, true
	case "private-key", "other-entry":
		return 3, true
	case "secret-key":
		return 4, true
	case "x-certificate-extension":
		return classExtension, true
	case "nss-trust":
		return classTrust, true
	case "nss-builtin-root-list":
		return classRootList, true
	case "x-trust-assertion":
		return classAssertion, true
	case "nss-trusted":
		return 1 << 32, true
	case "nss-trusted-delegator":
		return 1<<32 + 1, true
	case "nss-must-verify-trust":
		return 1<<32 + 2, true
	case "nss-trust-unknown":
		return 1<<32 + 3, true
	case "nss-not-trusted":
		return 1<<32 + 4, true
	case "nss-valid-delegator":
		return 1<<32 + 5, true
	case "x-distrusted-certificate":
		return 1 << 33, true
	case "x-pinned-certificate":
		return 1<<33 + 1, true
	case "x-anchored-certificate":
		return 1<<33 + 2, true
	}
	return 0, false
}

// certificateAttributes are what an object that is a certificate may have. Others of p11-kit's make the rest of the file unread.
const certificateAttributes = " class token modifiable private label certificate-type trusted x-distrusted nss-mozilla-ca-policy" +
	" nss-server-distrust-after nss-email-distrust-after certificate-category check-value start-date end-date subject id" +
	" issuer serial-number value url hash-of-subject-public-key hash-of-issuer-public-key java-midp-security-domain public-key-info "

const extensionAttributes = " class token modifiable private label value public-key-info object-id id "

// trustSource is a directory of trust sources, one token of p11-kit's: its certificates in the order in which they are read.
type trustSource struct {
	say     func(format string, args ...any) // messages, as p11-kit prints them
	said    []string                         // them
	count   int                              // of what was read
	flag    string                           // "anchors" or "blocklist" while a file there is read
	name    string                           // base name of that file
	objects []*trustObject
	attach  []attachedExtension
}

type attachedExtension struct {
	publicKey string
	certExtension
	bad bool
}

// trustFile is a file of a directory of trust sources.
type trustFile struct {
	path, flag string
	node       *rootfs.Node
}

// trustFiles are the files of a directory, then those of its anchors and its blocklist, each sorted by name. (The order of
// p11-kit is that of readdir(3).) A path to a file is read as an anchor.
func trustFiles(f *FS, root string) ([]trustFile, error) {
	var out []trustFile
	for _, flag := range []string{"", "anchors", "blocklist"} {
		dir := path.Join(root, flag)
		n, err := f.Stat("/", dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if !n.IsDir() {
			if flag == "" {
				return []trustFile{{dir, "anchors", n}}, nil
			}
			out = append(out, trustFile{dir, flag, n})
			continue
		}
		names, err := f.ReadDir("/", dir)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			p := path.Join(dir, name)
			if n, err := f.Stat("/", p); err == nil && !n.IsDir() {
				out = append(out, trustFile{p, flag, n})
			}
		}
	}
	return out, nil
}

// readTrustSource reads the files below a directory. Those of packages do not change: where there are no others, they are
// read once, and say what they said. update-ca-trust(8) asks for them half a dozen times.
func readTrustSource(f *FS, root string, count *int, say func(string, ...any)) (*trustSource, error) {
	files, err := trustFiles(f, root)
	if err != nil {
		return nil, err
	}
	var key strings.Builder
	packaged := true
	for _, file := range files {
		packaged = packaged && file.node.Package >= 0 && file.node.HardTo == ""
		fmt.Fprintln(&key, file.path, file.node.Package, file.node.File)
	}
	s := f.trust[key.String()]
	if s != nil && packaged {
		for _, message := range s.said {
			say("%s", message)
		}
	} else if s, err = readTrustFiles(f, files, say); err != nil {
		return nil, err
	} else if packaged {
		if f.trust == nil {
			f.trust = map[string]*trustSource{}
		}
		f.trust[key.String()] = s
	}
	if *count += s.count; *count > maxTrustObjects {
		return nil, tooMuchTrust()
	}
	return s, nil
}

func readTrustFiles(f *FS, files []trustFile, say func(string, ...any)) (*trustSource, error) {
	s := &trustSource{}
	s.say = func(format string, args ...any) {
		message := fmt.Sprintf(format, args...)
		s.said = append(s.said, message)
		say("%s", message)
	}
	for _, file := range files {
		s.flag = file.flag
		if err := s.readFile(f, file.path); err != nil {
			return nil, err
		}
	}
	s.join()
	return s, nil
}

func tooMuchTrust() error { return &Limit{fmt.Sprintf("%d certificates", maxTrustObjects)} }

func (s *trustSource) readFile(f *FS, p string) error {
	b, err := f.ReadFile("/", p)
	if err != nil {
		return err
	}
	s.name = path.Base(p)
	for _, a := range s.parse(b) {
		if s.count++; s.count > maxTrustObjects {
			return tooMuchTrust()
		}
		if !s.add(a) {
			s.say("couldn't load file into objects: %s", p)
			break
		}
	}
	return nil
}

// parse reads a file of any format that p11-kit reads: its own, a certificate, or PEM.
func (s *trustSource) parse(b []byte) []attributes {
	if bytes.Contains(b, []byte("[p11-kit-object-v1]")) {
		if objects, ok := s.parsePersist(b); ok {
			return objects
		}
	}
	if _, ok := parseCertificate(b); ok {
		return []attributes{certificateOf(b)}
	}
	var out []attributes
	for _, block := range pemBlocks(b) {
		ok := true
		switch block.kind {
		case "CERTIFICATE":
			if _, ok = parseCertificate(block.content); ok {
				out = append(out, certificateOf(block.content))
			}
		case "TRUSTED CERTIFICATE":
			var objects []attributes
			objects, ok = parseTrustedCertificate(block.content)
			out = append(out, objects...)
		}
		if !ok {
			s.say("Couldn't parse PEM block of type %s", block.kind)
		}
	}
	return out
}

func certificateOf(b []byte) attributes {
	return attributes{"class": number(classCertificate), "certificate-type": number(0), "value": bytes.Clone(b)}
}

// pemBlock is one -----BEGIN kind----- block.
type pemBlock struct {
	kind    string
	content []byte
}

// pemBlocks finds the blocks of a text. A block without an end ends the search, one that is no base64 is passed over.
func pemBlocks(b []byte) []pemBlock {
	const begin, end, dashes = "-----BEGIN ", "-----END ", "-----"
	var out []pemBlock
	for {
		i := bytes.Index(b, []byte(begin))
		if i < 0 {
			return out
		}
		b = b[i+len(begin):]
		i = bytes.Index(b, []byte(dashes))
		if i < 0 || bytes.IndexByte(b[:i], '\n') >= 0 {
			return out
		}
		kind := string(b[:i])
		b = b[i+len(dashes):]
		i = bytes.Index(b, []byte(end))
		if i < 0 || !bytes.HasPrefix(b[i+len(end):], []byte(kind+dashes)) {
			return out
		}
		if content, ok := pemContent(b[:i]); ok {
			out = append(out, pemBlock{kind, content})
		}
		b = b[i+len(end)+len(kind)+len(dashes):]
	}
}

// pemContent decodes base64 after headers, which an empty line ends.
func pemContent(b []byte) ([]byte, bool) {
	for at := 0; ; {
		i := bytes.IndexByte(b[at:], '\n')
		if i < 0 {
			break
		}
		at += i + 1
		rest := bytes.TrimLeft(b[at:], " \t\r\v\f")
		if len(rest) > 0 && rest[0] == '\n' {
			b = rest[1:]
			break
		}
	}
	text := make([]byte, 0, len(b))
	for _, c := range b {
		if strings.IndexByte(" \t\r\n\v\f", c) < 0 {
			text = append(text, c)
		}
	}
	content, err := base64.StdEncoding.AppendDecode(nil, text)
	return content, err == nil && len(b) > 0
}

// parseTrustedCertificate reads a certificate with OpenSSL's auxiliary part: for what it is trusted and for what not, its
// alias and its key identifier, which become extensions attached to the certificate.
func parseTrustedCertificate(b []byte) ([]attributes, bool) {
	first, aux, ok := nextDER(b)
	if !ok {
		return nil, false
	}
	c, ok := parseCertificate(first.whole)
	if !ok {
		return nil, false
	}
	a := certificateOf(first.whole)
	if len(aux) == 0 {
		return []attributes{a}, true
	}
	outer, ok := wholeDER(aux, tagSequence)
	if !ok {
		return nil, false
	}
	parts, ok := outer.elements()
	if !ok {
		return nil, false
	}
	var trusts, rejects []string
	var keyID []byte
	for _, p := range parts {
		switch p.tag {
		case tagSequence:
			trusts, ok = purposesIn(p)
		case 0xa0:
			rejects, ok = purposesIn(p)
		case tagUTF8:
			a["label"], _, _ = bytes.Cut(bytes.Clone(p.content), []byte{0})
		case tagOctetString:
			keyID = p.whole
		case 0xa1:
		default:
			ok = false
		}
		if !ok {
			return nil, false
		}
	}
	trusts, rejects = hashOrder(trusts), hashOrder(rejects)
	trusts = slices.DeleteFunc(trusts, func(oid string) bool { return slices.Contains(rejects, oid) })
	a.setBool("trusted", len(trusts) > 0)
	a.setBool("x-distrusted", len(trusts) == 0)
	attach := func(oid string, value []byte) attributes {
		id, _ := oidDER(oid)
		return attributes{
			"class": number(classExtension), "public-key-info": c.publicKey,
			"value": encodeDER(tagSequence, id, encodeDER(tagOctetString, value)),
		}
	}
	some := trusts
	if len(some) == 0 {
		some = []string{oidNoPurpose}
	}
	out := []attributes{attach(oidPurposes, encodePurposes(tagSequence, some))}
	if len(rejects) > 0 {
		out = append(out, attach(oidRejects, encodePurposes(tagSequence, rejects)))
	}
	if keyID != nil {
		out = append(out, attach(oidSubjectKeyID, keyID))
	}
	return append(out, a), true
}

// hashOrder is a set of strings in the order in which p11-kit's hash table gives them out again.
func hashOrder(list []string) []string {
	buckets, items := make([][]string, 9), 0
	for _, s := range list {
		i := murmur3(s) % uint32(len(buckets))
		if slices.Contains(buckets[i], s) {
			continue
		}
		buckets[i] = append(buckets[i], s)
		if items++; items <= len(buckets) {
			continue
		}
		grown := make([][]string, len(buckets)*2+1)
		for _, s := range slices.Concat(buckets...) {
			i := murmur3(s) % uint32(len(grown))
			grown[i] = append([]string{s}, grown[i]...)
		}
		buckets = grown
	}
	return slices.Concat(buckets...)
}

// murmur3 is the hash of p11-kit's tables: MurmurHash3 from seed 42, the length of what is left after whole words mixed in
// at the end instead of that of all.
func murmur3(s string) uint32 {
	mix := func(k uint32) uint32 {
		k *= 0xcc9e2d51
		return (k<<15 | k>>17) * 0x1b873593
	}
	h := uint32(42)
	for ; len(s) >= 4; s = s[4:] {
		h ^= mix(binary.LittleEndian.Uint32([]byte(s)))
		h = (h<<13|h>>19)*5 + 0xe6546b64
	}
	if s != "" {
		h ^= mix(binary.LittleEndian.Uint32([]byte(s + "\x00\x00\x00")))
	}
	h ^= uint32(len(s))
	h = (h ^ h>>16) * 0x85ebca6b
	h = (h ^ h>>13) * 0xc2b2ae35
	return h ^ h>>16
}

// parsePersist reads p11-kit's own format: objects that begin with [p11-kit-object-v1] and have lines "name: value", and
// a certificate or a public key in PEM.
func (s *trustSource) parsePersist(b []byte) (objects []attributes, ok bool) {
	var a attributes
	skip := false
	bad := func(format string, args ...any) ([]attributes, bool) {
		s.say("%s: %s", s.name, fmt.Sprintf(format, args...))
		return nil, false
	}
	for len(b) > 0 {
		if bytes.HasPrefix(b, []byte("-----BEGIN ")) {
			n := bytes.Index(b, []byte("\n-----END "))
			if n < 0 {
				return bad("invalid pem block: no ending line")
			}
			if end := bytes.IndexByte(b[n+1:], '\n'); end >= 0 {
				n += end + 2
			} else {
				n = len(b)
			}
			block := b[:n]
			b = b[n:]
			switch {
			case skip:
			case a == nil:
				return bad("BEGIN ...: pem block before p11-kit section header")
			case !a.pem(block):
				return bad("BEGIN ...: invalid pem block")
			}
			continue
		}
		line, rest, _ := bytes.Cut(b, []byte("\n"))
		b = rest
		text := strings.Trim(string(line), " \t\n\v\f\r")
		switch {
		case text == "" || text[0] == '#':
		case text[0] == '[':
			if !strings.HasSuffix(text, "]") {
				return bad("invalid section header: missing braces")
			}
			if skip = text != "[p11-kit-object-v1]"; skip {
				s.say("%s: %s: unrecognized or invalid section header", s.name, text)
				a = nil
				continue
			}
			a = attributes{}
			objects = append(objects, a)
		default:
			name, value, ok := strings.Cut(text, ":")
			name, value = strings.Trim(name, " \t\v\f\r"), strings.Trim(value, " \t\v\f\r")
			switch {
			case !ok:
				return bad("invalid field line: no colon")
			case skip:
			case a == nil:
				return bad("%s: attribute before p11-kit section header", name)
			default:
				if name == "x-public-key-info" {
					name = "public-key-info"
				}
				v, ok := parseAttribute(value)
				if !isAttribute(name) {
					return bad("%s: invalid or unsupported attribute", name)
				}
				if !ok {
					return bad("%s: invalid value", name)
				}
				a[name] = v
			}
		}
	}
	return objects, true
}

// isAttribute knows the names that p11-kit's constants.c has for attributes, and numbers.
func isAttribute(name string) bool {
	if strings.Contains(certificateAttributes+extensionAttributes, " "+name+" ") {
		return true
	}
	if _, err := strconv.ParseUint(name, 10, 64); err == nil {
		return true
	}
	const others = " application ac-issuer owner attr-types key-type sensitive encrypt decrypt wrap unwrap sign sign-recover verify" +
		" recover derive modulus modulus-bits public-exponent private-exponent prime-1 prime-2 exponent-1 exponent-2 coefficient" +
		" prime subprime base prime-bits subprime-bits value-bits value-len extractable local never-extractable" +
		" always-sensitive key-gen-mechanism ecdsa-params ec-point secondary-auth auth-pin-flags always-authenticate" +
		" wrap-with-trusted mechanism-type nss-url nss-email nss-smime-constant nss-smime-timestamp nss-pkcs8-salt" +
		" nss-password-check nss-expires nss-krl nss-module-spec cert-sha1-hash cert-md5-hash x-assertion-type" +
		" x-certificate-value x-purpose x-peer x-critical "
	return strings.Contains(others, " "+name+" ") || strings.HasPrefix(name, "trust-") || strings.HasPrefix(name, "nss-trust-")
}

// pem adds what a PEM block in a p11-kit file says.
func (a attributes) pem(b []byte) bool {
	blocks := pemBlocks(b)
	if len(blocks) != 1 {
		return false
	}
	switch blocks[0].kind {
	case "CERTIFICATE":
		a.setDefault("class", number(classCertificate))
		a.setDefault("certificate-type", number(0))
		a.setDefault("value", blocks[0].content)
	case "PUBLIC KEY":
		a.setDefault("public-key-info", blocks[0].content)
	default:
		return false
	}
	return true
}

// parseAttribute reads a value: a word, "text" with %41, true or false, a number, or an object identifier.
func parseAttribute(s string) ([]byte, bool) {
	if n, ok := trustConstant(s); ok {
		return number(n), true
	}
	if len(s) > 0 && s[0] == '"' && s[len(s)-1] == '"' {
		if len(s) == 1 {
			return nil, false
		}
		return percentDecode(s[1 : len(s)-1])
	}
	switch s {
	case "true":
		return []byte{1}, true
	case "false":
		return []byte{0}, true
	}
	if n, err := strconv.ParseUint(s, 10, 64); err == nil {
		return number(n), true
	}
	if strings.Count(s, ".") < 2 || s[0] == '0' {
		return nil, false
	}
	return oidDER(s)
}

func percentDecode(s string) ([]byte, bool) {
	out := []byte{}
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			out = append(out, s[i])
			continue
		}
		if i+2 >= len(s) {
			return nil, false
		}
		b, err := hex.DecodeString(s[i+1 : i+3])
		if err != nil {
			return nil, false
		}
		out, i = append(out, b...), i+2
	}
	return out, true
}

// add takes an object in. It returns false for one that ends the reading of its file.
func (s *trustSource) add(a attributes) bool {
	class, ok := a.number("class")
	if !ok {
		s.say("no CKA_CLASS attribute found")
		return false
	}
	known := ""
	switch class {
	case classCertificate:
		known = certificateAttributes
		if kind, ok := a.number("certificate-type"); !ok || kind != 0 {
			s.say("missing or unsupported CKA_CERTIFICATE_TYPE on object")
			return false
		}
	case classExtension:
		known = extensionAttributes
	case 0, classTrust, classRootList, classAssertion:
		return true // says nothing that is extracted
	default:
		s.say("unknown unsupported object class")
		return false
	}
	for _, name := range sortedKeys(a) {
		if !strings.Contains(known, " "+name+" ") {
			s.say("the CKA_%s attribute is not valid for the object", strings.ToUpper(strings.ReplaceAll(name, "-", "_")))
			return false
		}
	}
	if class == classExtension {
		if a["value"] == nil || a["public-key-info"] == nil {
			s.say("missing the CKA_VALUE or CKA_PUBLIC_KEY_INFO attribute")
			return false
		}
		x, ok := parseExtension(a["value"])
		s.attach = append(s.attach, attachedExtension{string(a["public-key-info"]), x, !ok})
		return true
	}
	s.setTrust(a)
	o := &trustObject{attributes: a, said: "unknown"}
	if len(a["label"]) > 0 {
		o.said = string(a["label"])
	}
	if c, ok := parseCertificate(a["value"]); ok {
		o.cert = c
		a.setDefault("public-key-info", c.publicKey)
		a.setDefault("issuer", c.issuer)
		a.setDefault("subject", c.subject)
		a.setDefault("serial-number", c.serial)
		if label := nameLabel(c.subject); label != "" {
			a.setDefault("label", []byte(label))
		}
	}
	s.objects = append(s.objects, o)
	return true
}

// setTrust makes anchors of what is among the anchors, and distrusts what is on the blocklist.
func (s *trustSource) setTrust(a attributes) {
	switch s.flag {
	case "anchors":
		if a.is("x-distrusted") {
			s.say("certificate with distrust in location for anchors: %s", s.name)
			return
		}
		a.setBool("trusted", true)
		a.setBool("x-distrusted", false)
	case "blocklist":
		if a.is("trusted") {
			s.say("overriding trust for anchor in blocklist: %s", s.name)
		}
		a.setBool("trusted", false)
		a.setBool("x-distrusted", true)
	default:
		if len(a["trusted"]) == 0 {
			a.setBool("trusted", false)
		}
		if len(a["x-distrusted"]) == 0 {
			a.setBool("x-distrusted", false)
		}
	}
}

// join gives certificates the extensions that the source attaches to their keys, and finds the authorities.
func (s *trustSource) join() {
	byKey := map[string][]attachedExtension{}
	for _, x := range s.attach {
		byKey[x.publicKey] = append(byKey[x.publicKey], x)
	}
	for _, o := range s.objects {
		o.attached = map[string][]byte{}
		if len(o.attributes["public-key-info"]) > 0 {
			for _, x := range byKey[string(o.attributes["public-key-info"])] {
				if x.bad {
					o.badAttach = true
					continue
				}
				o.attached[x.oid] = append([]byte{}, x.value...)
			}
		}
		o.authority = s.isAuthority(o)
		s.checkUsage(o)
	}
}

// checkUsage complains of purposes that cannot be read.
func (s *trustSource) checkUsage(o *trustObject) {
	if o.cert == nil || o.is("x-distrusted") {
		return
	}
	if _, ok := o.purposes(); !ok {
		s.say("invalid extended key usage certificate extension")
	}
	if value := o.attached[oidRejects]; value != nil {
		if _, ok := purposes(value); !ok {
			s.say("invalid reject key usage certificate extension")
		}
	}
}

func (s *trustSource) isAuthority(o *trustObject) bool {
	constraints, attached := o.attached[oidBasicConstraints]
	if n, ok := o.number("certificate-category"); ok && !attached {
		return n == 2
	}
	if !attached && o.cert != nil {
		constraints = o.cert.extension(oidBasicConstraints)
	}
	if constraints == nil {
		return o.cert != nil && o.cert.version1 && bytes.Equal(o.cert.subject, o.cert.issuer)
	}
	ca, ok := isAuthority(constraints)
	if !ok {
		s.say("%s: invalid basic constraints certificate extension", o.said)
	}
	return ca && ok
}

// label is what the object is called.
func (o *trustObject) label(otherwise string) string {
	if l := o.attributes["label"]; len(l) > 0 {
		text, _, _ := strings.Cut(string(l), "\x00")
		return text
	}
	return otherwise
}

// purposes are what the certificate may be used for; nil stands for everything.
func (o *trustObject) purposes() (oids []string, ok bool) {
	value, attached := o.attached[oidPurposes]
	if !attached {
		value = o.cert.extension(oidPurposes)
	}
	if value == nil {
		return nil, true
	}
	oids, ok = purposes(value)
	return slices.DeleteFunc(oids, func(oid string) bool { return oid == oidNoPurpose }), ok
}
