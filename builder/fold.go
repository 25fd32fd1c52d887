package builder

import (
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

// fold lays a recipe over its folded parent, which may be nil, as the shape's keys say.
func (l *loader) fold(parent, child *node, f *faults) *node {
	if parent == nil {
		return child
	}
	if repo := child.get("repository"); repo != nil && !sameRepository(parent.get("repository"), repo) {
		f.add(repo.place, "remove it: a recipe takes the repository of the recipe that it extends",
			"repository differs from that of %s", parent.get("repository").place.file)
	}
	return foldMapping(parent, child, l.shape)
}

func foldMapping(parent, child *node, s *shape) *node {
	out := &node{kind: kindMapping, place: child.place}
	for _, e := range parent.pairs() {
		k := s.of(e.key)
		said := child.get(e.key)
		switch {
		case k.fold == foldOwn, e.key == s.drops[1] && child.has(s.drops[0]) && said == nil:
		case said == nil || k.fold == foldSame:
			out.entries = append(out.entries, e)
		default:
			out.entries = append(out.entries, entry{e.key, e.place, foldValue(e.value, said, k)})
		}
	}
	for _, e := range child.pairs() {
		if !parent.has(e.key) || s.of(e.key).fold == foldOwn {
			out.entries = append(out.entries, e)
		}
	}
	return out
}

func foldValue(parent, child *node, s *shape) *node {
	switch s.fold {
	case foldAppend:
		return &node{kind: kindList, place: child.place, items: slices.Concat(parent.list(), child.list())}
	case foldMerge:
		parent, child = asMapping(asStrip(parent)), asMapping(child)
		if parent.is(kindMapping) && child.is(kindMapping) {
			return foldMapping(parent, child, s)
		}
	}
	return child
}

// of is the shape of a key's value.
func (s *shape) of(name string) *shape {
	if k, ok := s.key(name); ok {
		return k.shape
	}
	if s.open != nil {
		return s.open
	}
	return &shape{}
}

// asMapping turns a list of NAME=VALUE into the mapping that it stands for, and leaves everything else.
func asMapping(n *node) *node {
	if !n.is(kindList) {
		return n
	}
	out := &node{kind: kindMapping, place: n.place}
	for _, item := range n.items {
		name, value, _ := strings.Cut(item.text, "=")
		at := slices.IndexFunc(out.entries, func(e entry) bool { return e.key == name })
		e := entry{name, item.place, &node{kind: kindString, text: value, place: item.place}}
		if at >= 0 {
			out.entries[at] = e
		} else {
			out.entries = append(out.entries, e)
		}
	}
	return out
}

// asStrip turns the boolean that stands for a strip mapping into that mapping.
func asStrip(n *node) *node {
	if !n.is(kindBoolean) {
		return n
	}
	out := &node{kind: kindMapping, place: n.place}
	if !isTrue(n.text) {
		out.entries = []entry{
			{"docs", n.place, &node{kind: kindBoolean, text: "false", place: n.place}},
			{"locales", n.place, &node{kind: kindString, text: "all", place: n.place}},
		}
	}
	return out
}

// sameRepository compares what two recipes say of the repository, wherever they stand.
func sameRepository(a, b *node) bool {
	return reflect.DeepEqual(resolved(a), resolved(b))
}

func resolved(n *node) any {
	r := decodeRepository(n)
	absolute := func(s string) string {
		if s == "" || isURL(s) || strings.HasPrefix(s, builtinPrefix) || filepath.IsAbs(s) {
			return s
		}
		return filepath.Join(r.Dir, s)
	}
	r.BaseURL, r.MirrorList, r.Metalink = absolute(r.BaseURL), absolute(r.MirrorList), absolute(r.Metalink)
	for i, k := range r.GPGKeys {
		r.GPGKeys[i] = absolute(k)
	}
	file := absolute(n.get("file").str())
	r.Dir = ""
	return []any{r, file, texts(n.get("ids"))}
}
