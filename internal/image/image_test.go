package image

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

func spec(layers ...*Layer) Spec {
	s := Spec{
		OS: "linux", Architecture: "arm64", Variant: "v8", Entrypoint: []string{"/bin/a", "<&>"}, Cmd: []string{"b"},
		Env: []string{"PATH=/bin", "A=b"}, User: "65532", WorkingDir: "/", ExposedPorts: []string{"8080/tcp", "53/udp", "1/tcp"},
		Volumes: []string{"/b", "/a"}, StopSignal: "SIGTERM", Labels: map[string]string{"x": "1", "a": "2", "m": "3"},
		Annotations: map[string]string{"k": "v", "b": "c"}, Created: time.Unix(1700000000, 999),
	}
	for i, l := range layers {
		s.Layers = append(s.Layers, SpecLayer{Layer: l, CreatedBy: "slim", Comment: fmt.Sprint("layer ", i)})
	}
	return s
}

func TestNew(t *testing.T) {
	l := write(t, []Segment{segment("a", regular("/a", []byte("hi")))}, PackOptions{})
	img, err := New(spec(l))
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(img); err != nil {
		t.Error(err)
	}
	config, err := img.RawConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"architecture":"arm64","created":"2023-11-14T22:13:20Z","history":[{"created":"2023-11-14T22:13:20Z","created_by":"slim","comment":"layer 0"}],` +
		`"os":"linux","rootfs":{"type":"layers","diff_ids":["` + l.facts.DiffID.String() + `"]},` +
		`"config":{"Cmd":["b"],"Entrypoint":["/bin/a","\u003c\u0026\u003e"],"Env":["PATH=/bin","A=b"],"Labels":{"a":"2","m":"3","x":"1"},"User":"65532",` +
		`"Volumes":{"/a":{},"/b":{}},"WorkingDir":"/","ExposedPorts":{"1/tcp":{},"53/udp":{},"8080/tcp":{}},"StopSignal":"SIGTERM"},"variant":"v8"}`
	if string(config) != want {
		t.Errorf("config is\n%s\nwant\n%s", config, want)
	}
	manifest, err := img.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	name, _ := img.ConfigName()
	want = fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",`+
		`"config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":%d,"digest":"%s"},`+
		`"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","size":%d,"digest":"%s"}],"annotations":{"b":"c","k":"v"}}`,
		len(config), name, l.facts.Size, l.facts.Digest)
	if string(manifest) != want {
		t.Errorf("manifest is\n%s\nwant\n%s", manifest, want)
	}
}

func TestNewRefuses(t *testing.T) {
	for name, change := range map[string]func(*Spec){
		"platform": func(s *Spec) { s.OS = "" },
		"time":     func(s *Spec) { s.Created = time.Time{} },
		"layer":    func(s *Spec) { s.Layers = []SpecLayer{{}} },
	} {
		s := spec()
		change(&s)
		if _, err := New(s); err == nil {
			t.Errorf("no %s: no error", name)
		}
	}
}

func TestIndex(t *testing.T) {
	var images []v1.Image
	platforms := []v1.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64", Variant: "v8"}}
	for _, p := range platforms {
		s := spec(write(t, []Segment{segment("a", regular("/"+p.Architecture, nil))}, PackOptions{}))
		s.Architecture, s.Variant = p.Architecture, p.Variant
		img, err := New(s)
		if err != nil {
			t.Fatal(err)
		}
		images = append(images, img)
	}
	x, err := Index(images, platforms, map[string]string{"k": "v"})
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(x); err != nil {
		t.Error(err)
	}
	raw, err := x.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	var m v1.IndexManifest
	if err := json.NewDecoder(bytes.NewReader(raw)).Decode(&m); err != nil {
		t.Fatal(err)
	}
	for i, d := range m.Manifests {
		if want, _ := images[i].Digest(); d.Digest != want || !d.Platform.Equals(platforms[i]) {
			t.Errorf("manifest %d is %s for %s, want %s for %s", i, d.Digest, d.Platform, want, platforms[i])
		}
	}
	if _, err := Index(images, platforms[:1], nil); err == nil {
		t.Error("two images for one platform: no error")
	}
}
