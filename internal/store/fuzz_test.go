package store

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/random"
)

func FuzzReadArchive(f *testing.F) {
	img, err := random.Image(64, 1)
	if err != nil {
		f.Fatal(err)
	}
	a, err := artifactOfImage(img, nil)
	if err != nil {
		f.Fatal(err)
	}
	dir := f.TempDir()
	for _, kind := range []Kind{KindTar, KindDockerArchive} {
		ref := Ref{Kind: kind, Path: dir + "/seed.tar"}
		if _, err := Write(f.Context(), ref, a, Options{Name: "n"}); err != nil {
			f.Fatal(err)
		}
		b, err := os.ReadFile(ref.Path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	var links bytes.Buffer
	w := tar.NewWriter(&links)
	w.WriteHeader(&tar.Header{Name: "manifest.json", Typeflag: tar.TypeSymlink, Linkname: "../x", ModTime: time.Unix(0, 0)})
	w.WriteHeader(&tar.Header{Name: "x", Typeflag: tar.TypeLink, Linkname: "manifest.json"})
	w.Close()
	f.Add(links.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		p := dir + "/fuzz.tar"
		if err := os.WriteFile(p, b, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, kind := range []Kind{KindTar, KindOCIArchive, KindDockerArchive} {
			a, err := Read(t.Context(), Ref{Kind: kind, Path: p}, Options{})
			if err != nil {
				continue
			}
			for _, img := range a.Images {
				layers, err := img.Layers()
				if err != nil {
					continue
				}
				for _, l := range layers {
					if r, err := l.Compressed(); err == nil {
						io.Copy(io.Discard, r)
						r.Close()
					}
				}
			}
		}
	})
}
