package execpath

import (
	"errors"
	"io"
	"path"
	"slices"
	"strings"

	"slim/internal/elf"
	"slim/internal/rootfs"
)

// classify gives every regular file its tier.
func (s *search) classify() error {
	owner := s.owners()
	onPath := make([]bool, len(s.Packages))
	holdsCode := make([]bool, len(s.Packages))
	nodes := slices.DeleteFunc(s.Tree.Nodes(), func(n *rootfs.Node) bool { return !n.IsRegular() })
	for _, n := range nodes {
		at, ok := owner[n.Path]
		if !ok {
			continue
		}
		if m := s.marks[n.Path]; m != nil && m.tier != Data {
			onPath[at] = true
		}
		if !holdsCode[at] && s.isCode(n) {
			script, err := s.isScript(n)
			if err != nil {
				return err
			}
			holdsCode[at] = !script
		}
	}
	for _, n := range nodes {
		f := File{Path: n.Path, Size: n.Size, Tier: Data, Package: -1}
		if n.HardTo != "" {
			f.Size = 0
		}
		at, owned := owner[n.Path]
		if owned {
			f.Package = at
		}
		m := s.marks[n.Path]
		switch {
		case m != nil:
			f.Tier, f.Hwcaps, f.Object = m.tier, m.hwcaps, m.object
			via := m.via
			f.Via = &via
		case s.isCode(n), s.isAside(n.Path), owned && holdsCode[at] && !onPath[at]:
			f.Tier = Idle
		}
		s.result.index[f.Path] = len(s.result.Files)
		s.result.Files = append(s.result.Files, f)
	}
	return nil
}

// isScript tells an executable file that is no program by itself.
func (s *search) isScript(n *rootfs.Node) (bool, error) {
	if strings.Contains(path.Base(n.Path), ".") {
		return false, nil
	}
	r, err := s.Open(n)
	if err != nil {
		return false, err
	}
	defer r.Close()
	start := make([]byte, 4)
	m, err := r.ReadAt(start, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return !elf.IsELF(start[:m]), err
}

// owners are the packages of paths, the symbolic links of directories followed.
func (s *search) owners() map[string]int {
	owner := map[string]int{}
	for i := range s.Packages {
		for _, f := range s.Packages[i].Files {
			at, _, err := s.Tree.Walk("/", f, false)
			if err != nil {
				continue
			}
			if _, taken := owner[at]; !taken {
				owner[at] = i
			}
		}
	}
	return owner
}

func (s *search) isAside(p string) bool {
	return slices.ContainsFunc(s.Aside, func(dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") })
}

// isCode tells programs and libraries by their mode and name, without looking into each.
func (s *search) isCode(n *rootfs.Node) bool {
	base := path.Base(n.Path)
	switch path.Ext(base) {
	case ".py", ".pyc", ".pm", ".pl", ".jar", ".so", ".node", ".rb", ".ko", ".a":
		return true
	}
	if o := s.objects[n.Path]; o != nil && (o.Type == elf.TypeDyn || o.Type == elf.TypeExec) {
		return true
	}
	return n.Mode&0o111 != 0 || strings.Contains(base, ".so.")
}
