package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"slim/internal/store"
	"slim/internal/tooltest"
)

// attachments are two documents about the first image of an artifact, and one about the whole.
func attachments(t testing.TB, a store.Artifact) []store.Attachment {
	t.Helper()
	image, err := a.Images[0].Digest()
	if err != nil {
		t.Fatal(err)
	}
	return []store.Attachment{
		{Subject: image, Type: "application/spdx+json", Content: []byte(`{"spdx":1}`), Annotations: map[string]string{"k": "v"}},
		{Subject: image, Type: "application/vnd.in-toto+json", Content: []byte(`{"statement":1}`)},
		{Subject: digest(t, a), Type: "application/vnd.in-toto+json", Content: []byte(`{"statement":2}`)},
	}
}

// referrers are the types of what a registry says is attached to a manifest, in the order of their digests.
func referrers(t testing.TB, host string, subject v1.Hash) []string {
	t.Helper()
	repo, err := name.NewRepository(host + "/a")
	if err != nil {
		t.Fatal(err)
	}
	x, err := remote.Referrers(repo.Digest(subject.String()))
	if err != nil {
		t.Fatal(err)
	}
	m, err := x.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var types []string
	for _, d := range m.Manifests {
		img, err := remote.Image(repo.Digest(d.Digest.String()))
		if err != nil {
			t.Fatal(err)
		}
		manifest, err := img.Manifest()
		if err != nil {
			t.Fatal(err)
		}
		if manifest.Subject == nil || manifest.Subject.Digest != subject {
			t.Errorf("the subject of %s is %v, not %s", d.Digest, manifest.Subject, subject)
		}
		types = append(types, manifest.ArtifactType)
	}
	slices.Sort(types)
	return types
}

// made are attachments that are there already.
func made(list []store.Attachment) func(context.Context) ([]store.Attachment, error) {
	return func(context.Context) ([]store.Attachment, error) { return list, nil }
}

// TestAttach attaches in registries with the referrers API and without, where the second push sends nothing, what somebody
// else has attached stays, and what is sent but not listed is listed.
func TestAttach(t *testing.T) {
	with := httptest.NewServer(registry.New(registry.WithReferrersSupport(true), registry.Logger(log.New(io.Discard, "", 0))))
	defer with.Close()
	without, count := newRegistry(t)
	for _, host := range []string{strings.TrimPrefix(with.URL, "http://"), without} {
		a := multi(t)
		list := attachments(t, a)
		o := store.Options{Keychain: anonymous(), Attachments: made(list)}
		ref := "docker://" + host + "/a:1"
		write(t, ref, a, o)
		image, both := list[0].Subject, []string{"application/spdx+json", "application/vnd.in-toto+json"}
		if got := referrers(t, host, image); !slices.Equal(got, both) {
			t.Errorf("attached to the image: %s", got)
		}
		if got := referrers(t, host, digest(t, a)); !slices.Equal(got, both[1:]) {
			t.Errorf("attached to the index: %s", got)
		}
		if got := digest(t, read(t, ref, o)); got != digest(t, a) {
			t.Errorf("read back %s", got)
		}
		count.take()
		write(t, ref, a, o)
		for what, n := range count.take() {
			if !strings.HasPrefix(what, "GET") && !strings.HasPrefix(what, "HEAD") {
				t.Errorf("the second push does %d %s", n, what)
			}
		}
		o.Attachments = made([]store.Attachment{{Subject: image, Type: "text/plain", Content: []byte("more")}})
		write(t, ref, a, o)
		if got := referrers(t, host, image); !slices.Equal(got, append(both, "text/plain")) {
			t.Errorf("attached to the image in the end: %s", got)
		}
	}
	// Somebody was interrupted before the list was written.
	a := multi(t)
	repo, err := name.NewRepository(without + "/a")
	if err != nil {
		t.Fatal(err)
	}
	list := attachments(t, a)
	o := store.Options{Keychain: anonymous(), Attachments: made(list)}
	image := list[0].Subject
	if err := remote.Delete(repo.Tag(strings.Replace(image.String(), ":", "-", 1))); err != nil {
		t.Fatal(err)
	}
	write(t, "docker://"+without+"/a:1", a, o)
	if got := referrers(t, without, image); len(got) != 2 {
		t.Errorf("attached again: %s", got)
	}
}

// TestAttachForbidden has a registry that takes images and no attachments: then nothing is tagged.
func TestAttachForbidden(t *testing.T) {
	_, count := newRegistry(t)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method == http.MethodPut && strings.Contains(string(body), `"subject"`) {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		count.ServeHTTP(w, r)
	}))
	defer s.Close()
	a := small(t, "x")
	ref := parse(t, "docker://"+strings.TrimPrefix(s.URL, "http://")+"/a:1")
	list := attachments(t, a)
	o := store.Options{Keychain: anonymous(), Attachments: made(list)}
	_, err := store.Write(t.Context(), ref, a, o)
	var re *store.RegistryError
	if !errors.As(err, &re) || re.Status != http.StatusForbidden || !strings.Contains(err.Error(), "attaching application/spdx+json to sha256:") {
		t.Errorf("error: %v", err)
	}
	if _, err := store.Read(t.Context(), ref, o); !errors.As(err, &re) || re.Status != http.StatusNotFound {
		t.Errorf("what was tagged: %v", err)
	}
	o.Attachments = nil
	if _, err := store.Write(t.Context(), ref, a, o); err != nil {
		t.Error(err)
	}
}

// TestAttachInLayout puts attachments into a layout, which stays one image for those who read it.
func TestAttachInLayout(t *testing.T) {
	dir := t.TempDir() + "/l"
	a := small(t, "x")
	list := attachments(t, a)
	o := store.Options{Attachments: made(list)}
	write(t, "oci:"+dir+":n", a, o)
	first := files(t, dir)
	write(t, "oci:"+dir+":n", a, o)
	if second := files(t, dir); !slices.Equal(first, second) {
		t.Errorf("written again: %s, before %s", second, first)
	}
	if tags, err := store.Tags(dir); err != nil || !slices.Equal(tags, []string{"n"}) {
		t.Errorf("%q %v", tags, err)
	}
	if got := read(t, "oci:"+dir, o); digest(t, got) != digest(t, a) {
		t.Errorf("read back %s", digest(t, got))
	}
	tag := strings.Replace(digest(t, a).String(), ":", "-", 1)
	raw, err := os.ReadFile(dir + "/index.json")
	if err != nil {
		t.Fatal(err)
	}
	var index v1.IndexManifest
	if err := json.Unmarshal(raw, &index); err != nil {
		t.Fatal(err)
	}
	if len(index.Manifests) != 2 || index.Manifests[1].Annotations["org.opencontainers.image.ref.name"] != tag {
		t.Fatalf("%s", raw)
	}
	raw, err = os.ReadFile(dir + "/blobs/sha256/" + index.Manifests[1].Digest.Hex)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &index); err != nil || len(index.Manifests) != 3 {
		t.Errorf("%s %v", raw, err)
	}
	for _, bad := range []string{"oci-archive:" + dir + ".tar", "dir:" + dir + ".d", dir + ".tar"} {
		if _, err := store.Write(t.Context(), parse(t, bad), a, o); err == nil || !strings.Contains(err.Error(), "no place for what is attached") {
			t.Errorf("%s: %v", bad, err)
		}
		if _, err := os.Lstat(dir + ".tar"); err == nil {
			t.Errorf("%s is there", bad)
		}
	}
	list[0].Subject = v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("0", 64)}
	if _, err := store.Write(t.Context(), parse(t, "oci:"+dir+":n"), a, o); err == nil || !strings.Contains(err.Error(), "it has no image sha256:000") {
		t.Errorf("%v", err)
	}
}

// TestToolAttach pushes to the reference registry, which has no referrers API.
func TestToolAttach(t *testing.T) {
	host, log := tooltest.Registry(t, "", "")
	a := multi(t)
	list := attachments(t, a)
	o := store.Options{Keychain: anonymous(), Attachments: made(list)}
	write(t, "docker://"+host+"/a:1", a, o)
	if got := referrers(t, host, list[0].Subject); len(got) != 2 {
		t.Errorf("attached: %s", got)
	}
	log.Take()
	write(t, "docker://"+host+"/a:1", a, o)
	if sent := sending.FindAllString(log.Take(), -1); len(sent) > 0 {
		t.Errorf("the second push sends %s", sent)
	}
}

// TestAttachWhileLayersAreSent makes what is attached once a layer is on its way; what cannot be made leaves no tag.
func TestAttachWhileLayersAreSent(t *testing.T) {
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	sent := make(chan struct{})
	var once sync.Once
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			once.Do(func() { close(sent) })
		}
		inner.ServeHTTP(w, r)
	}))
	defer s.Close()
	host, a := strings.TrimPrefix(s.URL, "http://"), small(t, "x")
	o := store.Options{Keychain: anonymous(), Attachments: func(ctx context.Context) ([]store.Attachment, error) {
		select {
		case <-sent:
			return attachments(t, a), nil
		case <-time.After(time.Minute):
			return nil, errors.New("no layer was sent")
		}
	}}
	write(t, "docker://"+host+"/a:1", a, o)
	if got := referrers(t, host, digest(t, a)); len(got) != len(attachments(t, a)) {
		t.Errorf("attached: %s", got)
	}
	boom := errors.New("boom")
	o.Attachments = func(context.Context) ([]store.Attachment, error) { return nil, boom }
	ref := parse(t, "docker://"+host+"/a:2")
	if _, err := store.Write(t.Context(), ref, a, o); !errors.Is(err, boom) {
		t.Errorf("error: %v", err)
	}
	var re *store.RegistryError
	if _, err := store.Read(t.Context(), ref, store.Options{Keychain: anonymous()}); !errors.As(err, &re) || re.Status != http.StatusNotFound {
		t.Errorf("what was tagged: %v", err)
	}
}
