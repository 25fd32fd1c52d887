package repomd

import (
	"io"

	"slim/internal/rpm"
)

// ParseFilelists reads a filelists.xml and hands add, package by package in their order, the package's checksum (pkgid),
// its name and all its paths: files, directories and ghosts. The slice is add's only until it returns. The strings may
// be kept, but keep all paths of the package in memory: clone a path when only a few are wanted. An error of add ends
// the reading and is returned as it is.
func ParseFilelists(r io.Reader, add func(pkgid string, n rpm.NEVRA, files []string) error) error {
	p := filelists{packages: newPackages(r)}
	return p.each("package", "filelists", "filelists", func() error {
		id, n := p.read()
		if p.s.err != nil {
			return nil
		}
		return add(id, n, p.cut())
	})
}

type filelists struct {
	packages
	paths []byte // of the package, one after the other
	ends  []int
	files []string
}

func (p *filelists) read() (string, rpm.NEVRA) {
	s := p.s
	id := string(s.attr("pkgid"))
	if id == "" {
		s.fail("package %d has no pkgid", p.count)
	}
	n := rpm.NEVRA{Name: p.word(s.attr("name"), "a name"), Arch: p.word(s.attr("arch"), "an architecture")}
	p.paths, p.ends = p.paths[:0], p.ends[:0]
	for d := s.depth(); s.child(d); {
		switch string(s.name) {
		case "version":
			n.EVR = p.version()
		case "file":
			p.add(s.content())
		}
	}
	if n.Version == "" {
		s.fail("package %d (%s) has no <version>", p.count, n.Name)
	}
	return id, n
}

func (p *filelists) add(path []byte) {
	if len(p.ends) == MaxFiles || len(p.paths) > MaxFileBytes {
		p.s.fail("more than %d files or %d bytes of paths", MaxFiles, MaxFileBytes)
		return
	}
	p.paths = append(p.paths, path...)
	p.ends = append(p.ends, len(p.paths))
}

// cut makes the paths out of one string, which is much cheaper than one each.
func (p *filelists) cut() []string {
	all := string(p.paths)
	p.files = p.files[:0]
	from := 0
	for _, end := range p.ends {
		p.files = append(p.files, all[from:end])
		from = end
	}
	return p.files
}
