package builder

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// Limits of a recipe file. They are far above what anyone writes and keep a hostile file from costing more than it is.
const (
	maxRecipeSize  = 1 << 20 // bytes of one file
	maxRecipeNodes = 20_000  // values of one file, aliases expanded
	maxRecipeDepth = 32      // of nesting
	maxExtends     = 16      // parents above a recipe
	maxFaults      = 100     // reported of one file
	maxWord        = 64      // longest key that is compared with the known ones
)

// kind is what a value is, in JSON Schema's division. As bits, several kinds make a set.
type kind uint8

const (
	kindString kind = 1 << iota
	kindNumber
	kindBoolean
	kindList
	kindMapping
	kindNull
)

func (k kind) String() string {
	var names []string
	for i, name := range []string{"a string", "a number", "true or false", "a list", "a mapping", "nothing"} {
		if k&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	if n := len(names); n > 1 {
		return strings.Join(names[:n-1], ", ") + " or " + names[n-1]
	}
	return strings.Join(names, "")
}

// source is the file or option that a value stands in.
type source struct {
	file    string // for people
	dir     string // where relative paths start: a directory, or one of the built-in recipes
	builtin bool
}

// place is where a value stands.
type place struct {
	*source
	line, column int
}

func (p place) position() Position { return Position{File: p.file, Line: p.line} }

// node is one value of a recipe, with aliases expanded. A nil node is an absent one, and all methods take it.
type node struct {
	kind    kind   // 0 for a value that has a fault already
	text    string // of a scalar, as written: 9.10 stays 9.10
	items   []*node
	entries []entry // in the file's order, keys without repetition
	place   place
}

// entry is one key of a mapping and its value.
type entry struct {
	key   string
	place place
	value *node
}

func (n *node) get(key string) *node {
	if n == nil {
		return nil
	}
	for _, e := range n.entries {
		if e.key == key {
			return e.value
		}
	}
	return nil
}

func (n *node) has(key string) bool { return n.get(key) != nil }

func (n *node) is(k kind) bool { return n != nil && n.kind&k != 0 }

func (n *node) str() string {
	if n == nil {
		return ""
	}
	return n.text
}

// bool is the value of a boolean, and otherwise what is given.
func (n *node) bool(otherwise bool) bool {
	if !n.is(kindBoolean) {
		return otherwise
	}
	return isTrue(n.text)
}

// isTrue reads a boolean in YAML's core schema.
func isTrue(text string) bool { return strings.EqualFold(text, "true") }

// number is the value of a decimal number, and otherwise what is given.
func (n *node) number(otherwise int) int {
	if n == nil {
		return otherwise
	}
	v, err := strconv.Atoi(n.text)
	if err != nil {
		return otherwise
	}
	return v
}

// list are the items of a list, or the scalar itself where one may stand for a list of one.
func (n *node) list() []*node {
	if n.is(kindString) {
		return []*node{n}
	}
	if n == nil {
		return nil
	}
	return n.items
}

// pairs are the entries of a mapping.
func (n *node) pairs() []entry {
	if n == nil {
		return nil
	}
	return n.entries
}

// readDocument reads the one YAML document of data. What is not understood is reported to f; the result is nil when
// nothing was.
func readDocument(data []byte, src *source, f *faults) *node {
	top := place{source: src}
	if len(data) > maxRecipeSize {
		f.add(top, "", "larger than %d bytes", maxRecipeSize)
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, next yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		f.add(top, "slim init DISTRO writes a first recipe", "the recipe is empty")
		return nil
	case err != nil:
		addSyntax(f, src, data, err)
		return nil
	}
	switch err := dec.Decode(&next); {
	case errors.Is(err, io.EOF):
	case err != nil:
		addSyntax(f, src, data, err)
	default:
		f.add(place{src, next.Line, next.Column}, "write each recipe to a file of its own", "a second document in one recipe")
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		f.add(top, "", "no document")
		return nil
	}
	r := nodeReader{src: src, faults: f}
	return r.node(doc.Content[0], 0)
}

// addSyntax reports an error of the YAML parser, which begins with its line.
func addSyntax(f *faults, src *source, data []byte, err error) {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	p, hint := place{source: src}, ""
	if m := regexp.MustCompile(`^line (\d+): `).FindStringSubmatch(message); m != nil {
		p.line, _ = strconv.Atoi(m[1])
		message = message[len(m[0]):]
	}
	if m := regexp.MustCompile(`^unknown anchor '(.*)' referenced$`).FindStringSubmatch(message); m != nil {
		before, _, _ := bytes.Cut(data, []byte("*"+m[1]))
		p.line = 1 + bytes.Count(before, []byte("\n"))
	}
	if line := tabbedLine(data, p.line); line > 0 {
		p.line, hint = line, "indent with spaces: YAML allows no tabs there"
	}
	f.add(p, hint, "not YAML: %s", message)
}

// tabbedLine is the number of a line at or next to near whose indentation has a tab, or 0.
func tabbedLine(data []byte, near int) int {
	lines := strings.Split(string(data), "\n")
	for _, n := range []int{near, near + 1, near - 1} {
		if n < 1 || n > len(lines) {
			continue
		}
		line := lines[n-1]
		indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
		if strings.Contains(indent, "\t") {
			return n
		}
	}
	return 0
}

// nodeReader turns YAML's nodes into ours.
type nodeReader struct {
	src    *source
	faults *faults
	count  int
}

func (r *nodeReader) node(y *yaml.Node, depth int) *node {
	p := place{r.src, y.Line, y.Column}
	if r.count++; r.count == maxRecipeNodes {
		r.faults.add(p, "", "more than %d values, aliases expanded", maxRecipeNodes)
	}
	if r.count >= maxRecipeNodes {
		return &node{place: p}
	}
	if depth > maxRecipeDepth {
		r.faults.add(p, "", "nested deeper than %d", maxRecipeDepth)
		r.count = maxRecipeNodes
		return &node{place: p}
	}
	if y.Style&yaml.TaggedStyle != 0 && y.ShortTag() != "!!str" {
		r.faults.add(p, "", "the tag %s is not understood", y.Tag)
		return &node{place: p}
	}
	switch y.Kind {
	case yaml.AliasNode:
		return r.node(y.Alias, depth+1)
	case yaml.SequenceNode:
		n := &node{kind: kindList, place: p}
		for _, item := range y.Content {
			n.items = append(n.items, r.node(item, depth+1))
		}
		return n
	case yaml.MappingNode:
		return r.mapping(y, p, depth)
	default:
		return r.scalar(y, p)
	}
}

func (r *nodeReader) mapping(y *yaml.Node, p place, depth int) *node {
	n := &node{kind: kindMapping, place: p}
	first := map[string]int{}
	for i := 0; i+1 < len(y.Content); i += 2 {
		k := y.Content[i]
		at := place{r.src, k.Line, k.Column}
		if k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		if k.Kind != yaml.ScalarNode {
			r.faults.add(at, "", "a key must be a string")
			continue
		}
		if k.ShortTag() == "!!merge" {
			r.faults.add(at, "extends takes over what another recipe says", "merge keys (<<) are not understood")
			continue
		}
		if line, ok := first[k.Value]; ok {
			r.faults.add(at, "", "key %q is given twice, first in line %d", k.Value, line)
			continue
		}
		first[k.Value] = at.line
		n.entries = append(n.entries, entry{k.Value, at, r.node(y.Content[i+1], depth+1)})
	}
	return n
}

func (r *nodeReader) scalar(y *yaml.Node, p place) *node {
	n := &node{kind: kindString, text: y.Value, place: p}
	if strings.ContainsRune(y.Value, 0) {
		r.faults.add(p, "", "a string with a NUL character")
		return &node{place: p}
	}
	switch y.ShortTag() {
	case "!!int", "!!float":
		n.kind = kindNumber
	case "!!bool":
		n.kind = kindBoolean
	case "!!null":
		n.kind = kindNull
	}
	return n
}
