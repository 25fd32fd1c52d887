package builder

import (
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// decode makes the recipe of a folded tree, which has the right shape, and checks what concerns several of its keys.
func (l *loader) decode(tree *node, file recipeFile, f *faults) *Recipe {
	r := &Recipe{
		Name:         tree.get("name").str(),
		File:         file.source.file,
		Dir:          file.source.dir,
		SHA256:       file.sha256,
		Repository:   l.repository(tree.get("repository"), f),
		Platforms:    decodePlatforms(tree.get("platforms")),
		Packages:     decodeRequests(tree.get("packages")),
		Exclude:      distinct(texts(tree.get("exclude"))),
		Prefer:       distinct(texts(tree.get("prefer"))),
		Dependencies: Dependencies(orText(tree.get("dependencies"), string(DependenciesFull))),
		Scriptlets:   decodeScriptlets(tree.get("scriptlets")),
		Strip:        decodeStrip(tree.get("strip")),
		Accounts:     decodeAccounts(tree.get("accounts")),
		Files:        decodeFiles(tree.get("files")),
		Image:        decodeImage(tree.get("image")),
		Layers:       decodeLayers(tree.get("layers")),
		Push:         texts(tree.get("push")),
	}
	if r.Name == "" {
		r.Name, _ = defaultName(file.source) // checked with the file
	}
	if len(l.opts.Platforms) > 0 {
		r.Platforms = slices.Clone(l.opts.Platforms)
	}
	if len(r.Platforms) == 0 {
		r.Platforms = []Platform{HostPlatform()}
	}
	for _, n := range tree.get("exclude").list() {
		if i := slices.IndexFunc(r.Packages, func(p PackageRequest) bool { return p.Spec == n.text }); i >= 0 {
			asked := r.Packages[i].Pos
			f.add(n.place, "", "exclude has %s, which packages asks for (%s:%d)", n.text, asked.File, asked.Line)
		}
	}
	return r
}

func (l *loader) repository(n *node, f *faults) Repository {
	r := decodeRepository(n)
	if !n.has("file") {
		return r
	}
	at := n.get("file")
	if err := readRepoFile(&r, absoluteIn(at), n); err != nil {
		f.add(at.place, "", "repository.file: %s: %v", at.text, err)
	}
	return r
}

func decodeRepository(n *node) Repository {
	r := Repository{
		Name:         orText(n.get("name"), defaultRepositoryName),
		BaseURL:      n.get("baseurl").str(),
		MirrorList:   n.get("mirrorlist").str(),
		Metalink:     n.get("metalink").str(),
		Components:   texts(n.get("components")),
		ReleaseVer:   n.get("releasever").str(),
		Modules:      texts(n.get("modules")),
		ContentSets:  texts(n.get("content_sets")),
		GPGCheck:     n.get("gpgcheck").bool(true),
		RepoGPGCheck: n.get("repo_gpgcheck").bool(false),
	}
	for _, k := range n.get("gpgkey").list() {
		text := k.text
		if k.place.builtin && !isURL(text) {
			text = builtinPrefix + path.Join(k.place.dir, text)
		}
		r.GPGKeys = append(r.GPGKeys, text)
	}
	if n != nil && !n.place.builtin {
		r.Dir = n.place.dir
	}
	return r
}

func decodePlatforms(n *node) []Platform {
	var list []Platform
	for _, item := range n.list() {
		p, err := ParsePlatform(item.text)
		if err == nil && !slices.Contains(list, p) {
			list = append(list, p)
		}
	}
	return list
}

// decodeRequests joins entries that ask for the same: the package is then for the platforms of all of them.
func decodeRequests(n *node) []PackageRequest {
	var list []PackageRequest
	for _, item := range n.list() {
		req := PackageRequest{Spec: item.text, Pos: item.place.position()}
		if item.is(kindMapping) {
			req.Spec, req.Platforms = item.get("name").str(), decodePlatforms(item.get("platforms"))
		}
		i := slices.IndexFunc(list, func(o PackageRequest) bool { return o.Spec == req.Spec })
		switch {
		case i < 0:
			list = append(list, req)
		case len(req.Platforms) == 0:
			list[i].Platforms = nil
		case len(list[i].Platforms) > 0:
			list[i].Platforms = union(list[i].Platforms, req.Platforms)
		}
	}
	return list
}

func union[T comparable](a, b []T) []T {
	out := slices.Clone(a)
	for _, v := range b {
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

func decodeScriptlets(n *node) map[string]ScriptletRule {
	rules := map[string]ScriptletRule{}
	for _, e := range n.pairs() {
		rule := ScriptletRule{Skip: e.value.is(kindString)}
		for _, slot := range e.value.pairs() {
			if rule.Slots == nil {
				rule.Slots = map[string]bool{}
			}
			rule.Slots[slot.key] = true
		}
		rules[e.key] = rule
	}
	return rules
}

func decodeStrip(n *node) Strip {
	n = asStrip(n)
	s := Strip{
		Docs:       n.get("docs").bool(true),
		AllLocales: n.get("locales").is(kindString),
		Paths:      distinct(texts(n.get("paths"))),
		Keep:       distinct(texts(n.get("keep"))),
	}
	if !s.AllLocales {
		s.Locales = texts(n.get("locales"))
	}
	return s
}

func decodeAccounts(n *node) Accounts {
	var a Accounts
	for _, item := range n.get("groups").list() {
		g := Group{Name: item.get("name").str(), GID: item.get("gid").number(-1)}
		a.Groups = putInto(a.Groups, g, func(o Group) bool { return o.Name == g.Name })
	}
	for _, item := range n.get("users").list() {
		u := User{
			Name:  item.get("name").str(),
			UID:   item.get("uid").number(-1),
			Group: item.get("group").str(),
			Home:  orText(item.get("home"), "/"),
			Shell: orText(item.get("shell"), "/sbin/nologin"),
			Gecos: item.get("gecos").str(),
		}
		a.Users = putInto(a.Users, u, func(o User) bool { return o.Name == u.Name })
	}
	return a
}

func decodeFiles(n *node) []ExtraFile {
	var list []ExtraFile
	for _, item := range n.list() {
		file := ExtraFile{
			Path:  item.get("path").str(),
			Link:  item.get("link").str(),
			Owner: item.get("owner").str(),
			Group: item.get("group").str(),
			Pos:   item.place.position(),
		}
		if c := item.get("content"); c != nil {
			file.Content = &c.text
		}
		if s := item.get("source"); s != nil {
			file.Source = absoluteIn(s)
		}
		if m := item.get("mode"); m != nil {
			bits, _ := strconv.ParseUint(strings.TrimPrefix(m.text, "0o"), 8, 32) // its shape says that it is octal
			mode := uint32(bits)
			file.Mode = &mode
		}
		list = putInto(list, file, func(o ExtraFile) bool { return o.Path == file.Path })
	}
	return list
}

// putInto puts v in the place of the element that is the same, or at the end.
func putInto[T any](list []T, v T, same func(T) bool) []T {
	if i := slices.IndexFunc(list, same); i >= 0 {
		list[i] = v
		return list
	}
	return append(list, v)
}

func decodeImage(n *node) ImageConfig {
	c := ImageConfig{
		Entrypoint:  texts(n.get("entrypoint")),
		Cmd:         texts(n.get("cmd")),
		User:        n.get("user").str(),
		WorkDir:     n.get("workdir").str(),
		Volumes:     distinct(texts(n.get("volumes"))),
		StopSignal:  n.get("stopsignal").str(),
		Labels:      textMap(n.get("labels")),
		Annotations: textMap(n.get("annotations")),
	}
	for _, e := range asMapping(n.get("env")).pairs() {
		c.Env = append(c.Env, EnvVar{e.key, e.value.text})
	}
	for _, p := range texts(n.get("ports")) {
		if !strings.Contains(p, "/") {
			p += "/tcp"
		}
		c.Ports = append(c.Ports, p)
	}
	c.Ports = distinct(c.Ports)
	return c
}

func decodeLayers(n *node) Layers {
	strategy, budget := orText(n.get("strategy"), strategySplit), defaultBudget
	if strategy == strategyPackage {
		budget = maxLayers
	}
	return Layers{
		Strategy:    strategy,
		Budget:      n.get("budget").number(budget),
		Compression: orText(n.get("compression"), "gzip"),
	}
}

func orText(n *node, otherwise string) string {
	if n == nil {
		return otherwise
	}
	return n.text
}

// texts are the texts of a list, nil when it is empty.
func texts(n *node) []string {
	var list []string
	for _, item := range n.list() {
		list = append(list, item.text)
	}
	return list
}

func distinct(list []string) []string { return union(nil, list) }

func textMap(n *node) map[string]string {
	m := map[string]string{}
	for _, e := range n.pairs() {
		m[e.key] = e.value.text
	}
	return m
}

// absoluteIn is the path in n, which starts at the directory of the recipe that says it.
func absoluteIn(n *node) string {
	if filepath.IsAbs(n.text) {
		return filepath.Clean(n.text)
	}
	return filepath.Join(n.place.dir, n.text)
}
