package repomd

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// tokens is a document as one line per tag and text, adjacent texts as one.
func tokens(r io.Reader) ([]string, error) {
	s := newScanner(r)
	var list []string
	text := ""
	flush := func() {
		if text != "" {
			list = append(list, fmt.Sprintf("%q", text))
			text = ""
		}
	}
	for {
		switch s.next() {
		case endOfInput:
			return list, s.err
		case startTag:
			flush()
			line := "<" + string(s.name)
			for _, a := range s.attrs {
				line += fmt.Sprintf(" %s=%q", a.name, a.value)
			}
			list = append(list, line)
		case endTag:
			flush()
			list = append(list, ">"+string(s.name))
		case charData:
			text += string(s.text)
		}
	}
}

// standard is tokens by encoding/xml.
func standard(doc []byte) ([]string, error) {
	d := xml.NewDecoder(bytes.NewReader(doc))
	var list []string
	text, depth := "", 0
	flush := func() {
		if text != "" {
			list = append(list, fmt.Sprintf("%q", text))
			text = ""
		}
	}
	blank := strings.NewReplacer("\n", " ", "\t", " ", "\r", " ")
	for {
		t, err := d.RawToken()
		if err == io.EOF {
			return list, nil
		}
		if err != nil {
			return list, err
		}
		switch t := t.(type) {
		case xml.StartElement:
			flush()
			depth++
			line := "<" + t.Name.Local
			for _, a := range t.Attr {
				name := a.Name.Local
				if a.Name.Space != "" {
					name = a.Name.Space + ":" + name
				}
				line += fmt.Sprintf(" %s=%q", name, blank.Replace(a.Value))
			}
			list = append(list, line)
		case xml.EndElement:
			flush()
			depth--
			list = append(list, ">"+t.Name.Local)
		case xml.CharData:
			if depth > 0 {
				text += string(t)
			}
		}
	}
}

func TestTokens(t *testing.T) {
	for _, test := range []struct{ doc, want string }{
		{`<a/>`, `<a|>a`},
		{"\ufeff<?xml version='1.0' encoding='utf-8'?>\n<a></a>\n", `<a|>a`},
		{`<a b="1" c='"'>x</a >`, `<a b="1" c="\""|"x"|>a`},
		{`<r:a xml:base="u"><r:b/></r:a>`, `<a xml:base="u"|<b|>b|>a`},
		{`<a b="&lt;&#65;&#x41;&amp;&quot;&apos;">&gt;x&#10;</a>`, `<a b="<AA&\"'"|">x\n"|>a`},
		{"<a b='x\r\ny\tz'>1\r\n2\r3</a>", `<a b="x y z"|"1\n2\n3"|>a`},
		{`<a>x<![CDATA[<&]]y]]>z<!-- - -->w<?pi x?></a>`, `<a|"x<&]]yzw"|>a`},
		{`<a>ä€😀]]</a>`, `<a|"ä€😀]]"|>a`},
		{`<a b=">"/>`, `<a b=">"|>a`},
	} {
		for name, r := range map[string]io.Reader{
			"whole":    strings.NewReader(test.doc),
			"bytes":    iotest.OneByteReader(strings.NewReader(test.doc)),
			"with EOF": iotest.DataErrReader(strings.NewReader(test.doc)),
		} {
			got, err := tokens(r)
			if err != nil {
				t.Errorf("%s, %s: %v", test.doc, name, err)
			}
			if d := cmp.Diff(test.want, strings.Join(got, "|")); d != "" {
				t.Errorf("%s, %s (-want +got):\n%s", test.doc, name, d)
			}
		}
	}
}

func TestNotWellFormed(t *testing.T) {
	deep := strings.Repeat("<a>", MaxDepth+1) + strings.Repeat("</a>", MaxDepth+1)
	var many strings.Builder
	for i := range MaxAttributes + 1 {
		fmt.Fprintf(&many, " a%d='x'", i)
	}
	for _, test := range []struct{ doc, words string }{
		{``, "no element"},
		{` x`, "outside the root"},
		{`<a/>x`, "outside the root"},
		{`<a/><b/>`, "second root element <b>"},
		{`<![CDATA[x]]><a/>`, "outside the root"},
		{`<a>`, "in <a>: the document ends within an element"},
		{`<a`, "within a tag"},
		{`<a b="`, "within a tag"},
		{`<a><!-- `, "within a tag"},
		{`<a></b>`, "</b> closes nothing"},
		{`</a>`, "</a> closes nothing"},
		{`<a><b></a></b>`, "in <b>: the tag </a> closes nothing"},
		{`<a b>`, "attribute b has no value"},
		{`<a b=1/>`, "attribute b is not quoted"},
		{`<a b="1"c="2"/>`, "within the tag <a>"},
		{`<a b="1" b="2"/>`, "attribute b is there twice"},
		{`<a b="<"/>`, "unescaped <"},
		{`<a>]]></a>`, "unescaped ]]>"},
		{`<a>&nbsp;</a>`, `unknown reference "&nbsp;"`},
		{`<a>a & b</a>`, "begins no reference"},
		{`<a>&#0;</a>`, "unknown reference"},
		{`<a>&#xD800;</a>`, "unknown reference"},
		{`<a>&#x110000;</a>`, "unknown reference"},
		{`<a>&#99999999999999999999;</a>`, "&"},
		{"<a>\x00</a>", `control character '\x00'`},
		{"<a b='\x01'/>", `control character '\x01'`},
		{"<a>\xff</a>", "not UTF-8"},
		{"<a>\xed\xa0\x80</a>", "not UTF-8"},
		{"<a>\uffff</a>", "U+FFFF"},
		{`<a><!-- -- --></a>`, "two hyphens"},
		{`<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>`, "document type"},
		{`<a><?xml version="1.0"?></a>`, "not at the start"},
		{`<?xml version="1.1"?><a/>`, "version"},
		{`<?xml version="1.0" encoding="iso-8859-1"?><a/>`, `encoding "iso-8859-1" is not UTF-8`},
		{`<?xml version="1.0"/?><a/>`, "XML declaration"},
		{`<?xml version="1.0">?><a/>`, "XML declaration"},
		{`<1/>`, "where a name is expected"},
		{`<a:/>`, "where a name is expected"},
		{`<a:b:c/>`, "where a name is expected"},
		{deep, "more than 32 elements"},
		{"<a" + many.String() + "/>", "more than 64 attributes"},
		{"<a b='" + strings.Repeat("x", maxToken) + "'/>", "more than 1048576 bytes"},
		{"<a>" + strings.Repeat("x", maxToken+1) + "</a>", "more than 1048576 bytes"},
	} {
		_, err := tokens(strings.NewReader(test.doc))
		if err == nil || !strings.Contains(err.Error(), test.words) {
			t.Errorf("%.60q: error %v, want %q", test.doc, err, test.words)
		}
	}
}

func TestReaderErrors(t *testing.T) {
	bad := errors.New("bad disk")
	_, err := tokens(io.MultiReader(strings.NewReader("<a>x"), iotest.ErrReader(bad)))
	if !errors.Is(err, bad) {
		t.Errorf("error %v", err)
	}
	_, err = tokens(stuck{})
	if !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("error %v", err)
	}
}

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

// Tokens that stand across the buffer's end, in every position.
func TestBufferEnds(t *testing.T) {
	const piece = `<b c="d&amp;e" f='g'>hä&lt;i]]j<![CDATA[k]]><!--l--></b>`
	for shift := range len(piece) + 2 {
		doc := "<a>" + strings.Repeat(" ", firstBuffer-shift-3) + piece + strings.Repeat("x", firstBuffer) + piece + "</a>"
		got, err := tokens(strings.NewReader(doc))
		want, err2 := standard([]byte(doc))
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("shift %d (-want +got):\n%s", shift, d)
		}
	}
}

// What the scanner accepts, encoding/xml accepts too and reads the same from it.
func FuzzScanner(f *testing.F) {
	for _, s := range []string{
		`<a b="c" d='e&amp;'>x<b/>&#65;<![CDATA[<]]>]]<!-- c --><?p i?></a>`,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<r:a xmlns:r='u'>\r\ty\r\n</r:a>",
		"<a>\xc3\xa4&#x10FFFF;</a>", "<a-b.c _d:e='1'/>", "<a>&#13;\r</a>",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		got, err := tokens(bytes.NewReader(doc))
		slow, err2 := tokens(iotest.OneByteReader(bytes.NewReader(doc)))
		if (err == nil) != (err2 == nil) || !cmp.Equal(got, slow) {
			t.Fatalf("%q: in small pieces %v %v, at once %v %v", doc, slow, err2, got, err)
		}
		if err != nil {
			return
		}
		doc = bytes.TrimPrefix(doc, []byte("\ufeff"))
		want, err := standard(doc)
		if err != nil && !strings.Contains(err.Error(), "encoding \"us-ascii\"") && !strings.Contains(strings.ToLower(err.Error()), "us-ascii") {
			t.Fatalf("%q: encoding/xml says %v", doc, err)
		}
		if err == nil && !cmp.Equal(want, got) {
			t.Fatalf("%q: %s", doc, cmp.Diff(want, got))
		}
	})
}
