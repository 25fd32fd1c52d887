package builder

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"slim/internal/rpm"
	"slim/internal/solve"
)

// KonfluxLock is an rpms.lock.yaml of format 1, as Konflux' tools write and Hermeto reads it: which package files a build
// fetches for each architecture. It says nothing of what asked for them.
type KonfluxLock struct {
	File   string
	Arches []KonfluxArch
}

// KonfluxArch are the packages of one of rpm's architectures.
type KonfluxArch struct {
	Arch     string
	Packages []KonfluxPackage
}

// KonfluxPackage is one package file.
type KonfluxPackage struct {
	rpm.NEVRA
	URL      string
	Checksum rpm.Checksum // zero when the file gives none
	Size     int64        // 0 when the file gives none
}

// The shape of the file. What else may be in it is not looked at.
type konfluxYAML struct {
	Version int           `yaml:"lockfileVersion"`
	Vendor  string        `yaml:"lockfileVendor"`
	Arches  []konfluxArch `yaml:"arches"`
}

type konfluxArch struct {
	Arch     string           `yaml:"arch"`
	Packages []konfluxPackage `yaml:"packages"`
	Source   []konfluxPackage `yaml:"source"`
	Modules  []konfluxPackage `yaml:"module_metadata"`
}

type konfluxPackage struct {
	URL       string `yaml:"url"`
	RepoID    string `yaml:"repoid"`
	Size      int64  `yaml:"size"`
	Checksum  string `yaml:"checksum"`
	Name      string `yaml:"name"`
	EVR       string `yaml:"evr"`
	SourceRPM string `yaml:"sourcerpm,omitempty"`
}

// ReadKonflux reads an rpms.lock.yaml. What is wrong in it is a *RecipeError.
func ReadKonflux(file string) (*KonfluxLock, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, readError(file, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxLockSize+1))
	if err != nil {
		return nil, readError(file, err)
	}
	return parseKonflux(data, file)
}

func parseKonflux(data []byte, file string) (*KonfluxLock, error) {
	src := &source{file: file}
	var f faults
	var doc konfluxYAML
	top := place{source: src}
	switch err := yaml.Unmarshal(data, &doc); {
	case len(data) > maxLockSize:
		f.add(top, "", "larger than %d bytes", maxLockSize)
	case err != nil:
		addSyntax(&f, src, data, err)
	case doc.Version != 1:
		f.add(top, "", "lockfileVersion is %d, and slim reads 1", doc.Version)
	}
	out := &KonfluxLock{File: file}
	for _, a := range doc.Arches {
		if len(f.list) > 0 {
			break
		}
		arch := KonfluxArch{Arch: a.Arch}
		for _, p := range a.Packages {
			pkg, err := p.read()
			if err != nil {
				f.add(top, "", "%s, %s: %v", a.Arch, cmp.Or(p.URL, p.Name), err)
				continue
			}
			arch.Packages = append(arch.Packages, pkg)
		}
		out.Arches = append(out.Arches, arch)
	}
	return out, f.err()
}

// read takes the architecture from the file's name, and the rest too where it is not said.
func (p konfluxPackage) read() (KonfluxPackage, error) {
	out := KonfluxPackage{URL: p.URL, Size: p.Size}
	address, _, _ := strings.Cut(p.URL, "?")
	n, err := rpm.ParseNEVRA(strings.TrimSuffix(path.Base(address), ".rpm"))
	if err != nil || !strings.HasSuffix(address, ".rpm") {
		return out, errors.New("the address does not end with NAME-VERSION-RELEASE.ARCH.rpm")
	}
	if out.NEVRA = n; p.Name != "" && p.EVR != "" {
		out.NEVRA = rpm.NEVRA{Name: p.Name, EVR: rpm.ParseEVR(p.EVR), Arch: n.Arch}
	}
	if p.Checksum != "" {
		algorithm, sum, _ := strings.Cut(p.Checksum, ":")
		out.Checksum, err = rpm.NewChecksum(algorithm, sum)
	}
	return out, err
}

// arch are the packages of an architecture.
func (k *KonfluxLock) arch(arch string) []KonfluxPackage {
	for _, a := range k.Arches {
		if a.Arch == arch {
			return a.Packages
		}
	}
	return nil
}

// pinned solves with the builds of an rpms.lock.yaml. The file need not have all that a recipe takes, as it may be for
// what comes on top of an image; but of what it has no other build is taken.
func (l *locking) pinned(ctx context.Context, s *solvedPlatform, u *joint) (err error) {
	listed := versions{}
	for _, p := range l.req.Pins.arch(s.platform.Arch()) {
		listed.add(&rpm.Metadata{NEVRA: p.NEVRA})
		number, ok := s.repo.catalog.Find(p.NEVRA)
		if !ok {
			continue
		}
		m := s.repo.catalog.Package(number)
		if p.Checksum.Algorithm == m.Checksum.Algorithm && p.Checksum.Hex != m.Checksum.Hex {
			return &VerifyError{What: p.NEVRA.String(), Err: fmt.Errorf("its checksum is %s, and %s says %s", m.Checksum, l.req.Pins.File, p.Checksum)}
		}
		u.pins.add(m)
	}
	if s.takes, err = u.solve(ctx, u.pins.keep); err != nil {
		return err
	}
	var problems []solve.Problem
	seen := map[*rpm.Metadata]bool{}
	for _, r := range u.recipes {
		for _, m := range s.takes[r.File] {
			if evrs := listed[m.Name]; evrs != nil && !listed.has(m.Name, m.EVR) && !seen[m] {
				seen[m] = true
				problems = append(problems, solve.Problem{
					Summary: fmt.Sprintf("%s has %s %s, which the repository does not have", l.req.Pins.File, m.Name, evrs[0]),
					Hints:   []string{"there is " + m.NEVRA.String()},
				})
			}
		}
	}
	if len(problems) > 0 {
		return &solve.Error{Problems: problems}
	}
	return nil
}

// Konflux is the lock as rpms.lock.yaml. The sources need their URLs: the lock must be one that MakeLock made.
func (f *LockFile) Konflux() ([]byte, error) {
	f.sort()
	doc := konfluxYAML{Version: 1, Vendor: "redhat"}
	for _, p := range f.Platforms() {
		a := konfluxArch{Arch: p.Arch(), Packages: []konfluxPackage{}, Source: []konfluxPackage{}, Modules: []konfluxPackage{}}
		for _, pkg := range f.Packages {
			if pkg.Platform != p {
				continue
			}
			i := slices.IndexFunc(f.Sources, func(s LockFileSource) bool { return s.Platform == p && s.Component == pkg.Component })
			if i < 0 || len(f.Sources[i].URLs) == 0 {
				return nil, fmt.Errorf("writing rpms.lock.yaml: there is no address for %s", pkg.NEVRA)
			}
			l := LockedPlatform{Sources: []LockedSource{f.Sources[i].LockedSource}, Packages: []LockedPackage{pkg.LockedPackage}}
			l.Packages[0].Source = 0
			id := f.Repository.Name
			if pkg.Component != "" {
				id += "-" + pkg.Component
			}
			a.Packages = append(a.Packages, konfluxPackage{
				URL: l.request(0).URLs[0], RepoID: id, Size: pkg.Size, Checksum: pkg.Checksum.String(),
				Name: pkg.Name, EVR: pkg.EVR.String(), SourceRPM: pkg.SourceRPM,
			})
		}
		doc.Arches = append(doc.Arches, a)
	}
	slices.SortFunc(doc.Arches, func(a, b konfluxArch) int { return cmp.Compare(a.Arch, b.Arch) })
	var b bytes.Buffer
	b.WriteString("---\n")
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := errors.Join(enc.Encode(doc), enc.Close()); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
