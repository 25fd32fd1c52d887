package builder

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// fold says what becomes of a key when a recipe extends another.
type fold int

const (
	foldReplace fold = iota // what the recipe says replaces what its parent says
	foldOwn                 // never taken over
	foldSame                // the parent's; the recipe may repeat it, not change it
	foldAppend              // a list: the parent's entries, then the recipe's
	foldMerge               // a mapping: key by key
)

// shape is what a value may look like. One shape, of the whole recipe, is behind the parser, the folding of parents and
// the JSON Schema. As in JSON Schema, what is said of one kind of value does not concern the others: a pattern is for
// strings, keys are for mappings.
type shape struct {
	doc     string
	kinds   kind
	fold    fold
	initial any // the default, for the schema

	enum     []string // the strings allowed
	pattern  string   // of a string; the whole of it, so ^ and $ are written out
	wanted   string   // what a string that does not match was to be
	hint     string   // what to do when the value is not as wanted
	written  string   // pattern of a number's text, for numbers that are names; the schema cannot say it
	min, max int      // of a number, when max is not 0; it must be decimal then
	check    func(text string) string

	item   *shape // of a list
	filled bool   // the list must not be empty
	unique string // key of the items that tells them apart

	keys       []key  // of a mapping
	open       *shape // value of any other key
	keyPattern string // of the other keys
	keyWanted  string
	required   []string
	exactlyOne []string
	together   [][2]string // keys that need each other
	rules      []rule
	drops      [2]string // when the recipe says the first key but not the second, the parent's second is not taken over
}

type key struct {
	name string
	*shape
}

// rule is satisfied by any of its conditions.
type rule struct {
	anyOf   []condition
	message string
	hint    string
}

// condition holds for a mapping that has all keys of has, and in which the key not, when it is there, is false. With
// said, it must be there.
type condition struct {
	has  []string
	not  string
	said bool
}

func (c condition) holds(n *node) bool {
	for _, k := range c.has {
		if !n.has(k) {
			return false
		}
	}
	if c.not == "" {
		return true
	}
	v := n.get(c.not)
	if v == nil {
		return !c.said
	}
	return !v.is(kindBoolean) || !isTrue(v.text) // a value that is no boolean has its own fault
}

func (s *shape) names() []string {
	var names []string
	for _, k := range s.keys {
		names = append(names, k.name)
	}
	return names
}

func (s *shape) key(name string) (key, bool) {
	for _, k := range s.keys {
		if k.name == name {
			return k, true
		}
	}
	return key{}, false
}

// checker compares values with their shapes.
type checker struct {
	root    *shape
	faults  *faults
	regexps map[string]*regexp.Regexp
}

func newChecker(root *shape, f *faults) *checker {
	return &checker{root: root, faults: f, regexps: map[string]*regexp.Regexp{}}
}

func (c *checker) matches(pattern, text string) bool {
	re := c.regexps[pattern]
	if re == nil {
		re = regexp.MustCompile(pattern)
		c.regexps[pattern] = re
	}
	return re.MatchString(text)
}

// value checks n, which stands at path, against s.
func (c *checker) value(n *node, s *shape, path string) {
	switch {
	case n.kind == 0, len(c.faults.list) >= maxFaults:
		return
	case !n.is(s.kinds):
		c.wrongKind(n, s, path)
		return
	}
	switch n.kind {
	case kindString:
		c.text(n, s, path)
	case kindNumber:
		c.number(n, s, path)
	case kindList:
		c.list(n, s, path)
	case kindMapping:
		c.mapping(n, s, path)
	}
}

func (c *checker) wrongKind(n *node, s *shape, path string) {
	hint := s.hint
	switch {
	case n.kind == kindNull:
		c.faults.add(n.place, "give it a value or remove the key", "%s has no value", orRecipe(path))
		return
	case n.is(kindNumber|kindBoolean) && s.kinds&kindString != 0:
		hint = fmt.Sprintf("write it in quotes: %q", n.text)
	case n.is(kindString) && s.kinds&kindList != 0:
		hint = fmt.Sprintf("write a list: [%s]", n.text)
	}
	c.faults.add(n.place, hint, "%s must be %s, not %s", orRecipe(path), s.kinds, n.kind)
}

func (c *checker) text(n *node, s *shape, path string) {
	switch {
	case s.enum != nil && !slices.Contains(s.enum, n.text):
		hint := s.hint
		if near := nearest(n.text, s.enum); near != "" {
			hint = "did you mean " + near + "?"
		}
		wanted := s.wanted
		if wanted == "" {
			wanted = "one of " + strings.Join(s.enum, ", ")
		}
		c.faults.add(n.place, hint, "%s: %q is not %s", path, n.text, wanted)
	case s.pattern != "" && !c.matches(s.pattern, n.text):
		c.faults.add(n.place, s.hint, "%s: %q is not %s", path, n.text, s.wanted)
	case s.check != nil:
		if message := s.check(n.text); message != "" {
			c.faults.add(n.place, s.hint, "%s: %s", path, message)
		}
	}
}

func (c *checker) number(n *node, s *shape, path string) {
	if s.max > 0 {
		v := n.number(-1)
		if !c.matches(`^(0|[1-9][0-9]{0,9})$`, n.text) || v < s.min || v > s.max {
			c.faults.add(n.place, s.hint, "%s: %s is not a number from %d to %d", path, n.text, s.min, s.max)
		}
		return
	}
	if s.written != "" && !c.matches(s.written, n.text) {
		c.faults.add(n.place, s.hint, "%s: %s is not %s", path, n.text, s.wanted)
	}
}

func (c *checker) list(n *node, s *shape, path string) {
	if s.filled && len(n.items) == 0 {
		c.faults.add(n.place, s.hint, "%s is empty", path)
	}
	first := map[string]int{}
	for i, item := range n.items {
		c.value(item, s.item, fmt.Sprintf("%s[%d]", path, i))
		id := item.get(s.unique).str()
		if s.unique == "" || id == "" {
			continue
		}
		if line, ok := first[id]; ok {
			c.faults.add(item.place, "", "%s: %s %q is given twice, first in line %d", path, s.unique, id, line)
			continue
		}
		first[id] = item.place.line
	}
}

func (c *checker) mapping(n *node, s *shape, path string) {
	for _, e := range n.entries {
		c.entry(e, s, path)
	}
	for _, name := range s.required {
		if !n.has(name) {
			c.faults.add(n.place, s.hint, "%s has no %s", orRecipe(path), name)
		}
	}
	for _, pair := range s.together {
		for i, name := range pair {
			if n.has(name) && !n.has(pair[1-i]) {
				c.faults.add(n.place, "", "%s has %s, but no %s", orRecipe(path), name, pair[1-i])
			}
		}
	}
	if len(s.exactlyOne) > 0 {
		c.exactlyOne(n, s, path)
	}
	for _, r := range s.rules {
		if !slices.ContainsFunc(r.anyOf, func(cond condition) bool { return cond.holds(n) }) {
			c.faults.add(n.place, r.hint, "%s %s", orRecipe(path), r.message)
		}
	}
}

func (c *checker) exactlyOne(n *node, s *shape, path string) {
	var said []string
	for _, name := range s.exactlyOne {
		if n.has(name) {
			said = append(said, name)
		}
	}
	all := strings.Join(s.exactlyOne, ", ")
	switch {
	case len(said) == 0:
		c.faults.add(n.place, "", "%s needs one of %s", path, all)
	case len(said) > 1:
		c.faults.add(n.place, "", "%s has %s, but takes only one of %s", path, strings.Join(said, " and "), all)
	}
}

func (c *checker) entry(e entry, s *shape, path string) {
	at := joinKey(path, e.key)
	k, ok := s.key(e.key)
	switch {
	case len(c.faults.list) >= maxFaults:
	case ok:
		c.value(e.value, k.shape, at)
	case s.open == nil:
		c.faults.add(e.place, c.whereIs(e.key, s), "unknown key %q%s", e.key, inPath(path))
	case s.keyPattern != "" && !c.matches(s.keyPattern, e.key):
		c.faults.add(e.place, "", "%q%s is not %s", e.key, inPath(path), s.keyWanted)
	default:
		c.value(e.value, s.open, at)
	}
}

// whereIs says what an unknown key of s may have been meant as: the same key in another mapping, or one much like it.
func (c *checker) whereIs(name string, s *shape) string {
	if section := c.root.sectionOf(name); section != "" {
		return fmt.Sprintf("%s belongs under %s", name, section)
	}
	for _, k := range c.root.keys {
		if k.name == name {
			return fmt.Sprintf("%s stands at the recipe's top level", name)
		}
	}
	if near := nearest(name, s.names()); near != "" {
		return fmt.Sprintf("did you mean %s?", near)
	}
	return "known here are " + strings.Join(s.names(), ", ")
}

// sectionOf is the top-level key whose mapping has the key name.
func (s *shape) sectionOf(name string) string {
	for _, k := range s.keys {
		if k.kinds&kindMapping == 0 {
			continue
		}
		if _, ok := k.key(name); ok {
			return k.name
		}
	}
	return ""
}

func joinKey(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func inPath(path string) string {
	if path == "" {
		return ""
	}
	return " in " + path
}

func orRecipe(path string) string {
	if path == "" {
		return "the recipe"
	}
	return path
}
