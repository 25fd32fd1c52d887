package repomd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// scanner reads XML as a sequence of tokens. It checks that the document is well formed and resolves entities and
// character references. Errors stick: after the first one every method returns its zero value and err says why.
type scanner struct {
	r        io.Reader
	buf      []byte
	pos, end int   // what is not read yet is buf[pos:end]
	base     int64 // offset of buf[0] in the input
	eof      bool
	err      error

	// Of the current token; valid until the next call of next.
	name  []byte // local name of a start or end tag
	text  []byte
	attrs []attribute

	open    []byte // full names of the open elements, one after the other
	starts  []int  // where each begins in open
	closing bool   // the last start tag was an empty-element tag: its end comes next
	rooted  bool   // the root element has begun
	scratch []byte // decoded text and attributes
	value   []byte // what content returns
}

type attribute struct{ name, value []byte }

type token uint8

const (
	endOfInput token = iota // or an error
	startTag
	endTag
	charData
)

var errShort = errors.New("needs more input")

const firstBuffer = 64 << 10

func newScanner(r io.Reader) *scanner {
	s := &scanner{r: r, buf: make([]byte, firstBuffer)}
	s.fill()
	if bytes.HasPrefix(s.buf[:s.end], []byte("\xef\xbb\xbf")) {
		s.pos = 3
	}
	s.declaration()
	return s
}

// depth is the number of open elements, the current one included.
func (s *scanner) depth() int { return len(s.starts) }

// child goes to the next child element of the element that was opened as the depth-th, past anything deeper that has
// not been read. It returns false after that element's end and on an error.
func (s *scanner) child(depth int) bool {
	for {
		switch s.next() {
		case endOfInput:
			return false
		case startTag:
			if s.depth() == depth+1 {
				return true
			}
		case endTag:
			if s.depth() < depth {
				return false
			}
		}
	}
}

// root goes to the root element, which must have the given local name.
func (s *scanner) root(name string) {
	for {
		switch s.next() {
		case endOfInput:
			return
		case startTag:
			if string(s.name) != name {
				s.fail("the root element is <%s>, not <%s>", clip(s.name), name)
			}
			return
		}
	}
}

// finish reads to the end of the document after the root element's end.
func (s *scanner) finish() error {
	for s.next() != endOfInput {
	}
	return s.err
}

// content is the text of the element just begun, whose end it reads; child elements are passed over. It is valid until
// the next call of content.
func (s *scanner) content() []byte {
	s.value = s.value[:0]
	depth := s.depth()
	for {
		switch s.next() {
		case endOfInput:
			return nil
		case charData:
			if s.depth() != depth {
				continue
			}
			if len(s.value)+len(s.text) > MaxString {
				s.fail("more than %d bytes of text", MaxString)
				return nil
			}
			s.value = append(s.value, s.text...)
		case endTag:
			if s.depth() < depth {
				return s.value
			}
		}
	}
}

// attr is the value of an attribute of the current start tag, nil when there is none. The name includes a prefix.
func (s *scanner) attr(name string) []byte {
	for i := range s.attrs {
		if string(s.attrs[i].name) == name {
			return s.attrs[i].value
		}
	}
	return nil
}

// fail keeps the first error, with the place it was found at.
func (s *scanner) fail(format string, args ...any) {
	if s.err != nil {
		return
	}
	s.wrap(fmt.Errorf(format, args...))
}

func (s *scanner) wrap(err error) {
	if s.err != nil {
		return
	}
	place := fmt.Sprintf("byte %d", s.base+int64(s.pos))
	if n := len(s.starts); n > 0 {
		place += fmt.Sprintf(", in <%s>", clip(s.open[s.starts[n-1]:]))
	}
	s.err = fmt.Errorf("%s: %w", place, err)
}

// clip shortens what goes into an error message.
func clip(b []byte) []byte {
	const most = 80
	if len(b) > most {
		return append(bytes.ToValidUTF8(b[:most:most], nil), "..."...)
	}
	return b
}

// next reads one token. It returns endOfInput at the end of a whole document and on an error.
func (s *scanner) next() token {
	if s.closing && s.err == nil {
		s.closing = false
		s.name = s.localOpen()
		s.pop()
		return endTag
	}
	for s.err == nil {
		i := bytes.IndexByte(s.buf[s.pos:s.end], '<')
		if i < 0 && !s.eof {
			s.more()
			continue
		}
		if i < 0 {
			i = s.end - s.pos
		}
		if i > 0 {
			if s.charData(s.buf[s.pos:s.pos+i], i) {
				return charData
			}
			continue
		}
		if s.pos == s.end {
			s.atEnd()
			return endOfInput
		}
		t, n, err := s.markup(s.buf[s.pos:s.end])
		switch {
		case err == errShort && s.eof:
			s.fail("the document ends within a tag")
		case err == errShort:
			s.more()
		case err != nil:
			s.wrap(err)
		default:
			s.pos += n
			if t != endOfInput {
				return t
			}
		}
	}
	return endOfInput
}

func (s *scanner) atEnd() {
	switch {
	case len(s.starts) > 0:
		s.fail("the document ends within an element")
	case !s.rooted:
		s.fail("no element in the document")
	}
}

// charData takes n bytes of text. It reports whether they are a token: outside the root element they are not.
func (s *scanner) charData(raw []byte, n int) bool {
	if len(s.starts) == 0 {
		if len(bytes.Trim(raw, " \t\r\n")) > 0 {
			s.fail("text outside the root element: %q", clip(raw))
			return false
		}
		s.pos += n
		return false
	}
	if n > maxToken {
		s.fail("more than %d bytes between two tags", maxToken)
		return false
	}
	s.scratch = s.scratch[:0]
	var err error
	if s.text, err = s.decode(raw, plainText); err != nil {
		s.wrap(err)
		return false
	}
	s.pos += n
	return true
}

// markup reads what begins with `<` at the start of b and returns its length. endOfInput as the token means: nothing
// to report (a comment, say). errShort means that b ends too early.
func (s *scanner) markup(b []byte) (token, int, error) {
	if len(b) < 2 {
		return 0, 0, errShort
	}
	switch b[1] {
	case '/':
		return s.closeTag(b)
	case '!':
		return s.declared(b)
	case '?':
		return s.instruction(b)
	}
	return s.openTag(b)
}

func (s *scanner) openTag(b []byte) (token, int, error) {
	n, err := nameLength(b[1:])
	if err != nil {
		return 0, 0, err
	}
	full := b[1 : 1+n]
	i := 1 + n
	s.attrs, s.scratch = s.attrs[:0], s.scratch[:0]
	for {
		blank := i
		for i < len(b) && isSpace(b[i]) {
			i++
		}
		if i >= len(b) {
			return 0, 0, errShort
		}
		switch b[i] {
		case '>':
			return startTag, i + 1, s.push(full, false)
		case '/':
			if i+1 >= len(b) {
				return 0, 0, errShort
			}
			if b[i+1] != '>' {
				return 0, 0, fmt.Errorf("a slash within the tag <%s>", clip(full))
			}
			return startTag, i + 2, s.push(full, true)
		}
		if blank == i {
			return 0, 0, fmt.Errorf("character %q within the tag <%s>", b[i], clip(full))
		}
		if i, err = s.attribute(b, i); err != nil {
			if err == errShort {
				return 0, 0, err
			}
			return 0, 0, fmt.Errorf("tag <%s>: %w", clip(full), err)
		}
	}
}

// attribute reads NAME="VALUE" at b[i:] and returns the index after it.
func (s *scanner) attribute(b []byte, i int) (int, error) {
	n, err := nameLength(b[i:])
	if err != nil {
		return 0, err
	}
	name := b[i : i+n]
	i += n
	for i < len(b) && isSpace(b[i]) {
		i++
	}
	if i < len(b) && b[i] != '=' {
		return 0, fmt.Errorf("attribute %s has no value", clip(name))
	}
	i++
	for i < len(b) && isSpace(b[i]) {
		i++
	}
	if i >= len(b) {
		return 0, errShort
	}
	quote := b[i]
	if quote != '"' && quote != '\'' {
		return 0, fmt.Errorf("the value of attribute %s is not quoted", clip(name))
	}
	i++
	n = bytes.IndexByte(b[i:], quote)
	if n < 0 {
		return 0, errShort
	}
	value, err := s.decode(b[i:i+n], attributeText)
	if err != nil {
		return 0, fmt.Errorf("attribute %s: %w", clip(name), err)
	}
	for j := range s.attrs {
		if bytes.Equal(s.attrs[j].name, name) {
			return 0, fmt.Errorf("attribute %s is there twice", clip(name))
		}
	}
	if len(s.attrs) == MaxAttributes {
		return 0, fmt.Errorf("more than %d attributes", MaxAttributes)
	}
	s.attrs = append(s.attrs, attribute{name, value})
	return i + n + 1, nil
}

func (s *scanner) closeTag(b []byte) (token, int, error) {
	n, err := nameLength(b[2:])
	if err != nil {
		return 0, 0, err
	}
	i := 2 + n
	for i < len(b) && isSpace(b[i]) {
		i++
	}
	if i >= len(b) {
		return 0, 0, errShort
	}
	full := b[2 : 2+n]
	if b[i] != '>' {
		return 0, 0, fmt.Errorf("character %q within the tag </%s>", b[i], clip(full))
	}
	if len(s.starts) == 0 || !bytes.Equal(full, s.open[s.starts[len(s.starts)-1]:]) {
		return 0, 0, fmt.Errorf("the tag </%s> closes nothing that is open", clip(full))
	}
	s.name = local(full)
	s.pop()
	return endTag, i + 1, nil
}

// declared reads what begins with `<!`: a comment or a CDATA section.
func (s *scanner) declared(b []byte) (token, int, error) {
	const comment, cdata = "<!--", "<![CDATA["
	switch {
	case bytes.HasPrefix(b, []byte(comment)):
		n := bytes.Index(b[len(comment):], []byte("--"))
		i := len(comment) + n + 2
		if n < 0 || i >= len(b) {
			return 0, 0, errShort
		}
		if b[i] != '>' {
			return 0, 0, errors.New("two hyphens within a comment")
		}
		s.scratch = s.scratch[:0]
		_, err := s.decode(b[len(comment):i-2], rawText)
		return endOfInput, i + 1, err
	case bytes.HasPrefix(b, []byte(cdata)):
		if len(s.starts) == 0 {
			return 0, 0, errors.New("text outside the root element")
		}
		n := bytes.Index(b[len(cdata):], []byte("]]>"))
		if n < 0 {
			return 0, 0, errShort
		}
		s.scratch = s.scratch[:0]
		var err error
		s.text, err = s.decode(b[len(cdata):len(cdata)+n], rawText)
		return charData, len(cdata) + n + 3, err
	case len(b) < len(cdata) && (bytes.HasPrefix([]byte(comment), b) || bytes.HasPrefix([]byte(cdata), b)):
		return 0, 0, errShort
	}
	return 0, 0, errors.New("a document type or another declaration, which is not read")
}

// instruction passes over a processing instruction.
func (s *scanner) instruction(b []byte) (token, int, error) {
	n, err := nameLength(b[2:])
	if err != nil {
		return 0, 0, err
	}
	if bytes.EqualFold(b[2:2+n], []byte("xml")) {
		return 0, 0, errors.New("an XML declaration that is not at the start")
	}
	i := bytes.Index(b[2+n:], []byte("?>"))
	if i < 0 {
		return 0, 0, errShort
	}
	if i > 0 && !isSpace(b[2+n]) {
		return 0, 0, fmt.Errorf("character %q in the name of a processing instruction", b[2+n])
	}
	s.scratch = s.scratch[:0]
	_, err = s.decode(b[2+n:2+n+i], rawText)
	return endOfInput, 2 + n + i + 2, err
}

// declaration reads <?xml version="1.0" encoding="UTF-8"?> at the start, if it is there.
func (s *scanner) declaration() {
	b := s.buf[s.pos:s.end]
	if !bytes.HasPrefix(b, []byte("<?xml")) || len(b) < 6 || !isSpace(b[5]) {
		return
	}
	n := bytes.Index(b, []byte("?>"))
	if n < 0 {
		s.fail("the XML declaration has no end")
		return
	}
	// A declaration is written as attributes are.
	tag := append(append([]byte("<xml"), b[5:n]...), '>')
	_, length, err := s.openTag(tag)
	if err == nil && (length != len(tag) || s.closing) {
		err = errors.New("a tag's end within it")
	}
	if err != nil {
		s.wrap(fmt.Errorf("XML declaration: %w", err))
		return
	}
	s.pop()
	s.rooted = false
	if v := s.attr("version"); string(v) != "1.0" {
		s.fail("XML version %q is not 1.0", clip(v))
	}
	if e := s.attr("encoding"); e != nil && !bytes.EqualFold(e, []byte("utf-8")) && !bytes.EqualFold(e, []byte("us-ascii")) {
		s.fail("encoding %q is not UTF-8", clip(e))
	}
	s.pos += n + 2
}

func (s *scanner) push(full []byte, empty bool) error {
	switch {
	case len(s.starts) == 0 && s.rooted:
		return fmt.Errorf("a second root element <%s>", clip(full))
	case len(s.starts) == MaxDepth:
		return fmt.Errorf("more than %d elements in each other", MaxDepth)
	}
	s.rooted = true
	s.starts = append(s.starts, len(s.open))
	s.open = append(s.open, full...)
	s.name = local(full)
	s.closing = empty
	return nil
}

func (s *scanner) pop() {
	last := len(s.starts) - 1
	s.open, s.starts = s.open[:s.starts[last]], s.starts[:last]
}

func (s *scanner) localOpen() []byte { return local(s.open[s.starts[len(s.starts)-1]:]) }

// more makes room and reads on.
func (s *scanner) more() {
	if s.pos == 0 && s.end == len(s.buf) {
		if len(s.buf) >= maxToken {
			s.fail("more than %d bytes of text or of one tag", maxToken)
			return
		}
		s.buf = append(s.buf, make([]byte, len(s.buf))...)
	}
	s.fill()
}

// fill moves what is unread to the front and reads until the buffer is full, so that a token is looked at anew a bounded
// number of times however small the pieces are that r gives.
func (s *scanner) fill() {
	copy(s.buf, s.buf[s.pos:s.end])
	s.base += int64(s.pos)
	s.end -= s.pos
	s.pos = 0
	for empty := 0; s.end < len(s.buf); {
		n, err := s.r.Read(s.buf[s.end:])
		s.end += n
		if err == io.EOF {
			s.eof = true
			return
		}
		if n > 0 {
			empty = 0
		} else if empty++; err == nil && empty > 100 {
			err = io.ErrNoProgress
		}
		if err != nil {
			// What came before the error is not looked at: the input as a whole is bad.
			s.err = err
			return
		}
	}
}

type textKind uint8

const (
	plainText     textKind = iota // between tags
	attributeText                 // between quotes: white space becomes blanks
	rawText                       // no references: CDATA and comments
)

// decode resolves references and line ends and checks the characters. The result is raw itself or in s.scratch.
func (s *scanner) decode(raw []byte, kind textKind) ([]byte, error) {
	i := 0
	for i < len(raw) && (raw[i] > ' ' && raw[i] < 0x80 && raw[i] != '&' && raw[i] != ']' && raw[i] != '<' ||
		raw[i] == ' ' || raw[i] == '\n' && kind != attributeText) {
		i++
	}
	if i == len(raw) {
		return raw, nil
	}
	from := len(s.scratch)
	out := append(s.scratch, raw[:i]...)
	for i < len(raw) {
		c := raw[i]
		switch {
		case c == '&' && kind != rawText:
			r, n, err := reference(raw[i:])
			if err != nil {
				return nil, err
			}
			out = utf8.AppendRune(out, r)
			i += n
			continue
		case c == '<' && kind == attributeText:
			return nil, errors.New("an unescaped <")
		case c == ']' && kind == plainText && bytes.HasPrefix(raw[i:], []byte("]]>")):
			return nil, errors.New("an unescaped ]]>")
		case c == '\r':
			if i+1 < len(raw) && raw[i+1] == '\n' {
				i++
			}
			c = '\n'
			fallthrough
		case c == '\n' || c == '\t':
			if kind == attributeText {
				c = ' '
			}
		case c < ' ':
			return nil, fmt.Errorf("control character %q", c)
		case c >= utf8.RuneSelf:
			r, n := utf8.DecodeRune(raw[i:])
			if r == utf8.RuneError && n == 1 {
				return nil, fmt.Errorf("bytes that are not UTF-8: %q", clip(raw[i:]))
			}
			if !isChar(r) {
				return nil, fmt.Errorf("character %U, which is not allowed in XML", r)
			}
			out = append(out, raw[i:i+n]...)
			i += n
			continue
		}
		out = append(out, c)
		i++
	}
	s.scratch = out
	return out[from:len(out):len(out)], nil
}

// reference reads an entity or character reference at the start of b.
func reference(b []byte) (rune, int, error) {
	const longest = len("&#x10FFFF;") + 8 // some leading zeros
	semicolon := bytes.IndexByte(b[:min(len(b), longest)], ';')
	if semicolon < 0 {
		return 0, 0, fmt.Errorf("an & that begins no reference: %q", clip(b[:min(len(b), longest)]))
	}
	body := b[1:semicolon]
	n := semicolon + 1
	switch string(body) {
	case "lt":
		return '<', n, nil
	case "gt":
		return '>', n, nil
	case "amp":
		return '&', n, nil
	case "apos":
		return '\'', n, nil
	case "quot":
		return '"', n, nil
	}
	if r, ok := characterReference(body); ok {
		return r, n, nil
	}
	return 0, 0, fmt.Errorf("unknown reference %q", clip(b[:n]))
}

// characterReference reads #DECIMAL or #xHEXADECIMAL.
func characterReference(body []byte) (rune, bool) {
	if len(body) < 2 || body[0] != '#' {
		return 0, false
	}
	digits, base := body[1:], rune(10)
	if digits[0] == 'x' {
		digits, base = digits[1:], 16
	}
	var r rune
	for _, c := range digits {
		d := rune(-1)
		switch {
		case '0' <= c && c <= '9':
			d = rune(c - '0')
		case base == 16 && 'a' <= c && c <= 'f':
			d = rune(c-'a') + 10
		case base == 16 && 'A' <= c && c <= 'F':
			d = rune(c-'A') + 10
		}
		if d < 0 {
			return 0, false
		}
		if r = r*base + d; r > utf8.MaxRune {
			return 0, false
		}
	}
	return r, len(digits) > 0 && isChar(r)
}

// isChar is the production Char of XML 1.0.
func isChar(r rune) bool {
	return r == '\t' || r == '\n' || r == '\r' || r >= ' ' && r <= 0xd7ff || r >= 0xe000 && r <= 0xfffd || r >= 0x10000
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

// nameLength is the length of the name at the start of b: NAME or PREFIX:NAME, in ASCII.
func nameLength(b []byte) (int, error) {
	colon := -1
	for i, c := range b {
		switch {
		case 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_':
			continue
		case i > colon+1 && ('0' <= c && c <= '9' || c == '-' || c == '.'):
			continue
		case c == ':' && i > 0 && colon < 0:
			colon = i
			continue
		}
		if i == colon+1 || c == ':' || c >= utf8.RuneSelf {
			return 0, fmt.Errorf("character %q where a name is expected", c)
		}
		return i, nil
	}
	return 0, errShort
}

// local is a name without its prefix.
func local(full []byte) []byte {
	return full[bytes.IndexByte(full, ':')+1:]
}
