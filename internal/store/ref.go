package store

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
)

// Kind is the kind of place a Ref names.
type Kind string

const (
	KindDocker        Kind = "docker"         // a registry
	KindOCI           Kind = "oci"            // an OCI layout
	KindOCIArchive    Kind = "oci-archive"    // a tar of one
	KindDockerArchive Kind = "docker-archive" // what docker save writes
	KindDir           Kind = "dir"            // the plain root
	KindTar           Kind = "tar"            // an archive that is an OCI one and docker's at once
)

// maxRef is the longest reference that is parsed.
const maxRef = 8192

// Ref is a place for an image. The zero value is none.
type Ref struct {
	Kind      Kind
	Path      string         // of a file or directory, as given
	Tag       string         // oci and oci-archive: name in the layout; docker-archive: reference in it; "" without one
	Reference name.Reference // docker: a tag, "latest" by default, or a digest
}

// String is r as Parse takes it.
func (r Ref) String() string {
	switch {
	case r.Kind == KindDocker:
		return "docker://" + r.Reference.String()
	case r.Kind == KindTar:
		return r.Path
	case r.Tag != "":
		return string(r.Kind) + ":" + r.Path + ":" + r.Tag
	}
	return string(r.Kind) + ":" + r.Path
}

// The names that the annotation org.opencontainers.image.ref.name may have (image-spec annotations.md).
var tagForm = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[A-Za-z0-9]+(?:(?:[-._:@+]|--)[A-Za-z0-9]+)*(?:/[A-Za-z0-9]+(?:(?:[-._:@+]|--)[A-Za-z0-9]+)*)*$`)
})

// Parse reads a reference; see the package comment for its forms. Files are not looked at. Errors do not repeat what may
// be a password.
func Parse(s string) (Ref, error) {
	if len(s) > maxRef || strings.ContainsAny(s, "\x00\n\r") {
		return Ref{}, errors.New("parsing reference: too long, or not one line")
	}
	if rest, ok := strings.CutPrefix(s, "docker://"); ok {
		return parseRegistry(rest)
	}
	kind, rest, ok := strings.Cut(s, ":")
	if ok {
		switch k := Kind(kind); k {
		case KindOCI, KindOCIArchive, KindDockerArchive, KindDir:
			return parsePath(s, k, rest)
		case "docker-daemon", "containers-storage":
			return Ref{}, fmt.Errorf("parsing reference %q: %s is not supported; write an archive and load it", s, kind)
		}
	}
	if strings.HasSuffix(s, ".tar") {
		return Ref{Kind: KindTar, Path: s}, nil
	}
	if s == "." || s == ".." || strings.HasPrefix(s, "/") || strings.HasPrefix(s, "./") || strings.HasPrefix(s, "../") {
		return Ref{}, fmt.Errorf("parsing reference %q: a path needs a kind, as in oci:%s, or the suffix .tar", s, s)
	}
	return parseRegistry(s)
}

func parsePath(s string, k Kind, rest string) (Ref, error) {
	r := Ref{Kind: k, Path: rest}
	if k != KindDir {
		r.Path, r.Tag, _ = strings.Cut(rest, ":")
		if strings.HasSuffix(rest, ":") {
			return Ref{}, fmt.Errorf("parsing reference %q: nothing after the last colon", s)
		}
	}
	if r.Path == "" {
		return Ref{}, fmt.Errorf("parsing reference %q: no path", s)
	}
	if r.Tag == "" {
		return r, nil
	}
	if k == KindDockerArchive {
		if _, err := name.NewTag(r.Tag); err != nil {
			return Ref{}, fmt.Errorf("parsing reference %q: %w", s, err)
		}
	} else if !tagForm().MatchString(r.Tag) {
		return Ref{}, fmt.Errorf("parsing reference %q: %q is no name for an image in a layout", s, r.Tag)
	}
	return r, nil
}

func parseRegistry(s string) (Ref, error) {
	host, _, slash := strings.Cut(s, "/")
	if slash && strings.Contains(host, "@") {
		return Ref{}, errors.New("parsing reference: credentials do not belong in it; log in with podman login or docker login")
	}
	if strings.Contains(s, "://") {
		return Ref{}, errors.New("parsing reference: a registry's reference is HOST/NAME:TAG, without a scheme")
	}
	ref, err := name.ParseReference(s)
	if err != nil {
		return Ref{}, fmt.Errorf("parsing reference %q: %w", s, err)
	}
	return Ref{Kind: KindDocker, Reference: ref}, nil
}
