package solve

import (
	"slices"
	"strconv"
	"strings"

	"slim/internal/rpm"
)

// found is what a spec names. Each group is asked for on its own: one of its packages has to be installed.
type found struct {
	groups [][]int32
	rich   *rpm.Rich // instead of groups
}

// form is one way to read a spec; an empty field is not asked for.
type form struct {
	name, version, release, arch string
	epoch                        int64 // -1: not asked for
}

func (f form) justName() bool {
	return f.version == "" && f.release == "" && f.arch == "" && f.epoch < 0
}

// forms are the ways to read a spec, in the order dnf tries them: name-version-release.arch, name.arch, name,
// name-version-release, name-version. The epoch stands before the version, or in front of everything.
func forms(spec string) []form {
	front := int64(-1)
	if head, tail, ok := strings.Cut(spec, ":"); ok && head != "" {
		if n, err := strconv.ParseUint(head, 10, 32); err == nil {
			front, spec = int64(n), tail
		}
	}
	if spec == "" || strings.ContainsAny(spec, "(/=<> ") {
		return nil
	}
	var all []form
	rest, arch, dotted := cutLast(spec, '.')
	dotted = dotted && rest != "" && arch != "" && !strings.ContainsAny(arch, "-:")
	if dotted {
		all = append(all, withRelease(rest, arch)...)
		all = append(all, form{name: rest, arch: arch, epoch: -1})
	}
	all = append(all, form{name: spec, epoch: -1})
	all = append(all, withRelease(spec, "")...)
	all = append(all, withVersion(spec, "", "")...)
	all = slices.DeleteFunc(all, func(f form) bool { return strings.Contains(f.name, ":") || front >= 0 && f.version == "" })
	for i := range all {
		if front >= 0 {
			all[i].epoch = front
		}
	}
	return all
}

func withRelease(s, arch string) []form {
	rest, release, ok := cutLast(s, '-')
	if !ok || release == "" || strings.Contains(release, ":") {
		return nil
	}
	return withVersion(rest, release, arch)
}

func withVersion(s, release, arch string) []form {
	name, version, ok := cutLast(s, '-')
	if !ok || name == "" || version == "" {
		return nil
	}
	f := form{name: name, version: version, release: release, arch: arch, epoch: -1}
	if head, tail, ok := strings.Cut(version, ":"); ok {
		n, err := strconv.ParseUint(head, 10, 32)
		if err != nil || tail == "" || strings.Contains(tail, ":") {
			return nil
		}
		f.epoch, f.version = int64(n), tail
	}
	return []form{f}
}

func cutLast(s string, sep byte) (head, tail string, ok bool) {
	i := strings.LastIndexByte(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

func (f form) matches(m rpm.NEVRA) bool {
	return wordMatch(f.name, m.Name) && (f.arch == "" || wordMatch(f.arch, m.Arch)) &&
		(f.epoch < 0 || uint32(f.epoch) == m.Epoch) &&
		versionMatch(f.version, m.Version) && versionMatch(f.release, m.Release)
}

func wordMatch(pattern, s string) bool {
	return pattern == s || isGlob(pattern) && globMatch(pattern, s)
}

func versionMatch(pattern, v string) bool {
	return pattern == "" || wordMatch(pattern, v) || !isGlob(pattern) && rpm.CompareVersions(pattern, v) == 0
}

// byForm are the packages that the first fitting form of spec names, and that form.
func (p *pool) byForm(spec string, keep func(int32) bool) ([]int32, form) {
	for _, f := range forms(spec) {
		if ids := p.formMatches(f, keep); len(ids) > 0 {
			return ids, f
		}
	}
	if !strings.ContainsAny(spec, "(/=<> ") && isGlob(spec) {
		return p.wholeMatches(spec, keep), form{}
	}
	return nil, form{}
}

func (p *pool) formMatches(f form, keep func(int32) bool) []int32 {
	var ids []int32
	check := func(id int32) {
		if keep(id) && f.matches(p.nevra(id)) {
			ids = append(ids, id)
		}
	}
	if !isGlob(f.name) {
		for _, id := range p.named(f.name) {
			check(id)
		}
		return ids
	}
	for id := int32(1); int(id) < p.len(); id++ {
		check(id)
	}
	return ids
}

// wholeMatches matches a glob against whole NEVRAs, with the epoch when the glob has a colon.
func (p *pool) wholeMatches(glob string, keep func(int32) bool) []int32 {
	var ids []int32
	for id := int32(1); int(id) < p.len(); id++ {
		n := p.nevra(id)
		if !strings.Contains(glob, ":") {
			n.Epoch = 0
		}
		if keep(id) && globMatch(glob, n.String()) {
			ids = append(ids, id)
		}
	}
	return ids
}

func (p *pool) available(id int32) bool { return !p.excluded[id] }

// find reads a spec as dnf's install does: a form of a package name, else a capability, else a path. A name also takes
// the packages that obsolete it; a glob asks for each name it matches.
func (p *pool) find(spec string) found {
	if strings.HasPrefix(spec, "(") {
		return found{rich: p.parse(spec)}
	}
	ids, f := p.byForm(spec, p.available)
	if len(ids) == 0 {
		ids = p.byCapability(spec)
	}
	if len(ids) == 0 {
		return found{}
	}
	if !isGlob(spec) {
		return found{groups: [][]int32{p.withObsoleters(ids, f)}}
	}
	var groups [][]int32
	for _, group := range p.split(ids, isGlob(f.arch)) {
		groups = append(groups, p.withObsoleters(group, f))
	}
	return found{groups: groups}
}

func (p *pool) withObsoleters(ids []int32, f form) []int32 {
	if f.name == "" || !f.justName() {
		return ids
	}
	by := slices.DeleteFunc(p.obsoleters(ids), func(id int32) bool { return p.excluded[id] })
	return merge(ids, by)
}

// split divides packages by name, or by name and architecture.
func (p *pool) split(ids []int32, byArch bool) [][]int32 {
	var groups [][]int32
	at := map[[2]string]int{}
	for _, id := range ids {
		n := p.nevra(id)
		key := [2]string{n.Name}
		if byArch {
			key[1] = n.Arch
		}
		i, ok := at[key]
		if !ok {
			i = len(groups)
			at[key] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], id)
	}
	return groups
}

func (p *pool) byCapability(spec string) []int32 {
	if isGlob(spec) {
		return p.byCapabilityGlob(spec)
	}
	c, err := rpm.ParseCapability(spec)
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(p.providers(c)), func(id int32) bool { return p.excluded[id] })
}

func (p *pool) byCapabilityGlob(glob string) []int32 {
	ids := p.matching(rpm.WhatProvides, glob)
	if len(ids) == 0 && (strings.HasPrefix(glob, "/") || strings.HasPrefix(glob, "*/")) {
		ids = p.matching(rpm.WhatOwns, glob)
	}
	return ids
}

// matching are the available packages that stand in a relation to a name that glob matches.
func (p *pool) matching(r rpm.Relation, glob string) []int32 {
	var ids []int32
	for name := range p.repo.Names(r) {
		if globMatch(glob, name) {
			ids = append(ids, p.lookup(r, name)...)
		}
	}
	slices.Sort(ids)
	return slices.DeleteFunc(slices.Compact(ids), func(id int32) bool { return p.excluded[id] })
}
