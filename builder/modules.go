package builder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"slim/internal/rpm"
)

// Module streams, as dnf treats them (modulemd's specification; libdnf's ModulePackageContainer and its filter of the
// sack). Of a module one stream is active at most: the one that the recipe names, else the default one, where the modules
// it requires are active in a stream it accepts. Artifacts of the other streams are invisible, and so is whatever else
// has the name of an artifact of an active stream, or provides it. The platform that a stream requires counts as met: it
// is that of the repository. dnf enables required modules on its own; here the recipe names them.

// Limits of modules.yaml.
const (
	maxModules     = 32 << 20 // bytes
	maxModuleParts = 100_000  // documents
)

// moduleDocument is a document of modules.yaml, of those that count.
type moduleDocument struct {
	Document string    `yaml:"document"`
	Data     yaml.Node `yaml:"data"`
}

// moduleStream is one build of a stream: document modulemd, version 2.
type moduleStream struct {
	Name         string `yaml:"name"`
	Stream       string `yaml:"stream"`
	Dependencies []struct {
		Requires map[string][]string `yaml:"requires"`
	} `yaml:"dependencies"`
	Artifacts struct {
		RPMs []string `yaml:"rpms"`
	} `yaml:"artifacts"`
	Demodularized struct {
		RPMs []string `yaml:"rpms"`
	} `yaml:"demodularized"`
}

// moduleDefault is a document modulemd-defaults, version 1.
type moduleDefault struct {
	Module string `yaml:"module"`
	Stream string `yaml:"stream"`
}

// modules are all that the components of a repository say.
type modules struct {
	streams  []moduleStream
	defaults map[string]string // stream of a module
}

// ModuleError is a stream that a recipe enables and cannot have.
type ModuleError struct{ Module, Reason, Hint string }

func (e *ModuleError) Error() string { return fmt.Sprintf("module %s: %s", e.Module, e.Reason) }

// parse reads one modules.yaml. Kinds of documents that slim has no use for are passed over.
func (m *modules) parse(r io.Reader) error {
	content, err := io.ReadAll(io.LimitReader(r, maxModules+1))
	if err != nil {
		return err
	}
	if len(content) > maxModules {
		return fmt.Errorf("more than %d bytes", maxModules)
	}
	in := yaml.NewDecoder(bytes.NewReader(content))
	for n := 1; ; n++ {
		var d moduleDocument
		err := in.Decode(&d)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err == nil && n > maxModuleParts:
			return fmt.Errorf("more than %d documents", maxModuleParts)
		case err == nil && d.Document == "modulemd":
			var s moduleStream
			if err = d.Data.Decode(&s); err == nil {
				m.streams = append(m.streams, s)
			}
		case err == nil && d.Document == "modulemd-defaults":
			var s moduleDefault
			if err = d.Data.Decode(&s); err == nil && s.Stream != "" {
				m.defaults[s.Module] = s.Stream
			}
		}
		if err != nil {
			return fmt.Errorf("document %d: %w", n, err)
		}
	}
}

// activate chooses the stream of each module. What is enabled has to be there, with all that it requires; a default that
// lacks something is no stream at all.
func (m *modules) activate(enabled []string) (map[string]string, error) {
	active, asked := maps.Clone(m.defaults), map[string]bool{}
	for _, e := range enabled {
		name, stream, _ := strings.Cut(e, ":")
		has := m.streamsOf(name)
		if !slices.Contains(has, stream) {
			err := &ModuleError{Module: e, Reason: "the repository has no such module"}
			if len(has) > 0 {
				err.Reason, err.Hint = "the repository has no such stream", "it has "+name+":"+strings.Join(has, ", "+name+":")
			}
			return nil, err
		}
		if asked[name] {
			return nil, &ModuleError{Module: e, Reason: "another stream of it is enabled too: " + active[name]}
		}
		active[name], asked[name] = stream, true
	}
	for again := true; again; {
		again = false
		for _, name := range slices.Sorted(maps.Keys(active)) {
			lacks := m.lacks(name, active)
			if lacks == "" {
				continue
			}
			if asked[name] {
				return nil, &ModuleError{Module: name + ":" + active[name], Reason: "it requires module " + lacks, Hint: "name a stream of it in repository.modules too"}
			}
			delete(active, name)
			again = true
		}
	}
	return active, nil
}

func (m *modules) streamsOf(name string) []string {
	var has []string
	for _, s := range m.streams {
		if s.Name == name {
			has = append(has, s.Stream)
		}
	}
	slices.Sort(has)
	return slices.Compact(has)
}

// lacks is what every build of a module's active stream requires in vain; "" when one of them has all.
func (m *modules) lacks(name string, active map[string]string) string {
	lacks := name + ":" + active[name]
	for _, s := range m.streams {
		if s.Name != name || s.Stream != active[name] {
			continue
		}
		if lacks = s.lacks(active); lacks == "" {
			return ""
		}
	}
	return lacks
}

// lacks is a module that s requires and that is not active in a stream it accepts. An empty list accepts every stream,
// and one that begins with a minus sign every other. One of the alternatives has to be met.
func (s moduleStream) lacks(active map[string]string) string {
	lacks := ""
	for _, alternative := range s.Dependencies {
		lacks = ""
		for _, name := range slices.Sorted(maps.Keys(alternative.Requires)) {
			if name != "platform" && !accepts(alternative.Requires[name], active[name]) {
				lacks = strings.TrimSuffix(name+":"+strings.Join(alternative.Requires[name], " or "+name+":"), ":")
			}
		}
		if lacks == "" {
			return ""
		}
	}
	return lacks
}

func accepts(streams []string, stream string) bool {
	if stream == "" {
		return false
	}
	if len(streams) == 0 || slices.Contains(streams, stream) {
		return true
	}
	return strings.HasPrefix(streams[0], "-") && !slices.Contains(streams, "-"+stream)
}

// visible makes the filter of a repository: nil when it has no modules.
func (repo *repository) visible(m *modules, enabled []string) (filter, error) {
	active, err := m.activate(enabled)
	if err != nil || len(m.streams) == 0 {
		return nil, err
	}
	ours, hidden, names := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, s := range m.streams {
		is := s.Stream == active[s.Name] && s.lacks(active) == ""
		for _, artifact := range s.Artifacts.RPMs {
			if !is {
				hidden[artifact] = true
				continue
			}
			ours[artifact] = true
			if name := artifactName(artifact); !strings.HasSuffix(artifact, ".src") && !slices.Contains(s.Demodularized.RPMs, name) {
				names[name] = true
			}
		}
	}
	for name := range names {
		for _, relation := range []rpm.Relation{rpm.Named, rpm.WhatProvides} {
			for _, number := range repo.catalog.Lookup(relation, name) {
				hidden[artifactOf(repo.catalog.NEVRA(number))] = true
			}
		}
	}
	return func(n rpm.NEVRA) bool {
		key := artifactOf(n)
		return ours[key] || !hidden[key]
	}, nil
}

// artifactOf writes a package as modulemd does: NAME-EPOCH:VERSION-RELEASE.ARCH, the epoch always.
func artifactOf(n rpm.NEVRA) string {
	return fmt.Sprintf("%s-%d:%s-%s.%s", n.Name, n.Epoch, n.Version, n.Release, n.Arch)
}

func artifactName(artifact string) string {
	for range 2 {
		if i := strings.LastIndexByte(artifact, '-'); i > 0 {
			artifact = artifact[:i]
		}
	}
	return artifact
}

// openModules reads the module metadata of every component, and sets which packages count.
func (repo *repository) openModules(ctx context.Context) error {
	m := &modules{defaults: map[string]string{}}
	for _, src := range repo.sources {
		if _, ok := src.index.Record("modules"); !ok {
			continue
		}
		if err := repo.read(ctx, src, "modules", m.parse); err != nil {
			return err
		}
	}
	var err error
	repo.keep, err = repo.visible(m, repo.from.Modules)
	return err
}
