package store_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"slim/internal/image"
	"slim/internal/store"
	"slim/internal/tooltest"
)

// helloImage is a static program that says hello, in a tree that a runtime takes.
func helloImage(t *testing.T, compression string) store.Artifact {
	t.Helper()
	d := t.TempDir()
	source := "package main\n\nimport \"os\"\n\nfunc main() { os.Stdout.WriteString(\"hello from slim\\n\") }\n"
	if err := os.WriteFile(d+"/main.go", []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	tooltest.Run(t, []string{"CGO_ENABLED=0", "GOFLAGS="}, "go", "build", "-ldflags", "-s -w", "-o", d+"/hello", d+"/main.go")
	info, err := os.Stat(d + "/hello")
	if err != nil {
		t.Fatal(err)
	}
	hello := file("/hello")
	hello.Size = info.Size()
	hello.Open = func() (io.ReadCloser, error) { return os.Open(d + "/hello") }
	img := newImage(t, runtime.GOARCH,
		layer(t, compression, dir("/dev"), dir("/etc"), dir("/proc"), dir("/sys"), dir("/tmp"), file("/etc/x")), layer(t, compression, hello))
	return single(t, img)
}

var sending = regexp.MustCompile(`"(POST|PUT|PATCH) [^"]*"`)

func TestToolRegistry(t *testing.T) {
	host, log := tooltest.Registry(t, "", "")
	o := store.Options{Keychain: anonymous()}
	a := multi(t)
	write(t, "docker://"+host+"/a/b:1", a, o)
	if sent := sending.FindAllString(log.Take(), -1); len(sent) == 0 {
		t.Error("the first push is not in the log")
	}
	write(t, "docker://"+host+"/a/b:1", a, o)
	if sent := sending.FindAllString(log.Take(), -1); len(sent) > 0 {
		t.Errorf("the second push sends %s", sent)
	}
	got := read(t, "docker://"+host+"/a/b:1", o)
	if digest(t, got) != digest(t, a) {
		t.Errorf("read back %s", digest(t, got))
	}
	if err := validate.Index(got.Index); err != nil {
		t.Error(err)
	}
	o.Mounts = map[v1.Hash]name.Repository{}
	for _, img := range a.Images {
		layers, _ := img.Layers()
		for _, l := range layers {
			h, _ := l.Digest()
			o.Mounts[h] = parse(t, "docker://"+host+"/a/b").Reference.Context()
		}
	}
	write(t, "docker://"+host+"/c:1", a, o)
	// What is not mounted is sent with PATCH: only the two configs are.
	sent := sending.FindAllString(log.Take(), -1)
	if n := strings.Count(strings.Join(sent, "\n"), `"PATCH`); n != 2 {
		t.Errorf("push to another repository sends %d blobs, want 2:\n%s", n, strings.Join(sent, "\n"))
	}
}

// certificate is a self-signed one for localhost in dir.
func certificate(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	kder, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = dir+"/cert.pem", dir+"/key.pem"
	for p, b := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "EC PRIVATE KEY", Bytes: kder}} {
		if err := os.WriteFile(p, pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func TestToolRegistryWithPassword(t *testing.T) {
	tooltest.Need(t, "docker-registry", "htpasswd")
	d := t.TempDir()
	cert, key := certificate(t, d)
	if err := os.WriteFile(d+"/htpasswd", []byte(tooltest.Run(t, nil, "htpasswd", "-Bbn", "alice", "s3cret")), 0o600); err != nil {
		t.Fatal(err)
	}
	host, _ := tooltest.Registry(t, fmt.Sprintf("  tls: {certificate: %s, key: %s}\n", cert, key),
		fmt.Sprintf("auth:\n  htpasswd: {realm: slim, path: %s}\n", d+"/htpasswd"))
	ref := "docker://" + host + "/a/b:1"
	if err := os.MkdirAll(d+"/certs/"+host, 0o755); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(d+"/certs/"+host+"/ca.crt", b, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, e := range []string{"REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "DOCKER_CONFIG"} {
		t.Setenv(e, "")
	}
	t.Setenv("HOME", d)
	a := small(t, "x")

	var re *store.RegistryError
	_, err = store.Write(t.Context(), parse(t, ref), a, store.Options{CertDirs: []string{}})
	if !errors.As(err, &re) || re.Status != 0 || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("without the certificate: %v", err)
	}
	o := store.Options{CertDirs: []string{d + "/none", d + "/certs"}}
	if _, err = store.Write(t.Context(), parse(t, ref), a, o); !errors.As(err, &re) || re.Status != 401 {
		t.Errorf("without credentials: %v", err)
	}
	login := func(password string) {
		auth := base64.StdEncoding.EncodeToString([]byte("alice:" + password))
		if err := os.WriteFile(d+"/auth.json", fmt.Appendf(nil, `{"auths":{"%s/a":{"auth":"%s"}}}`, host, auth), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("REGISTRY_AUTH_FILE", d+"/auth.json")
	login("wr0ng")
	if _, err = store.Write(t.Context(), parse(t, ref), a, o); !errors.As(err, &re) || re.Status != 401 || strings.Contains(err.Error(), "wr0ng") {
		t.Errorf("with a wrong password: %v", err)
	}
	login("s3cret")
	write(t, ref, a, o)
	if got := read(t, ref, o); digest(t, got) != digest(t, a) {
		t.Errorf("read back %s", digest(t, got))
	}
}

func TestToolSkopeo(t *testing.T) {
	tooltest.Need(t, "skopeo")
	host, _ := tooltest.Registry(t, "", "")
	d := t.TempDir()
	a := small(t, "x")
	o := store.Options{Keychain: anonymous(), Name: "n"}
	config, _ := a.Images[0].ConfigName()
	refs := []string{"oci:" + d + "/l:t", "oci-archive:" + d + "/o.tar:t", "docker-archive:" + d + "/d.tar:n:1"}
	for _, ref := range append(refs, "docker://"+host+"/a:1") {
		write(t, ref, a, o)
	}
	write(t, d+"/both.tar", a, o)
	copyOf := func(from, to string) string {
		return tooltest.Run(t, nil, "skopeo", "--insecure-policy", "copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false", from, to)
	}
	for i, from := range append(refs, "docker://"+host+"/a:1", "oci-archive:"+d+"/both.tar", "docker-archive:"+d+"/both.tar") {
		copyOf(from, fmt.Sprintf("dir:%s/out%d", d, i))
		b, err := os.ReadFile(fmt.Sprintf("%s/out%d/manifest.json", d, i))
		if err != nil {
			t.Fatal(err)
		}
		var m struct{ Config struct{ Digest string } }
		if err := json.Unmarshal(b, &m); err != nil || m.Config.Digest != config.String() {
			t.Errorf("skopeo reads %s as config %s, %v; want %s", from, m.Config.Digest, err, config)
		}
	}
	for _, to := range []string{"oci:" + d + "/back:t", "oci-archive:" + d + "/back.tar:t", "docker-archive:" + d + "/backd.tar:n:1", "docker://" + host + "/back:1"} {
		copyOf(refs[0], to)
		got := read(t, to, o)
		root, err := image.Flatten(t.Context(), got.Images[0], t.TempDir())
		if err != nil {
			t.Errorf("%s: %v", to, err)
			continue
		}
		if _, ok := root.Lookup("/d/x"); !ok {
			t.Errorf("%s: no /d/x in it", to)
		}
		root.Close()
		if c, _ := got.Images[0].ConfigName(); c != config {
			t.Errorf("%s has config %s, want %s", to, c, config)
		}
	}
	x := multi(t)
	write(t, "oci:"+d+"/m:t", x, o)
	tooltest.Run(t, nil, "skopeo", "--insecure-policy", "copy", "-q", "--all", "--dest-tls-verify=false", "oci:"+d+"/m:t", "docker://"+host+"/m:1")
	if got := read(t, "docker://"+host+"/m:1", o); digest(t, got) != digest(t, x) {
		t.Errorf("index copied by skopeo is %s, want %s", digest(t, got), digest(t, x))
	}
}

func TestToolUmoci(t *testing.T) {
	tooltest.Need(t, "umoci")
	d := t.TempDir()
	a := helloImage(t, "gzip")
	write(t, "oci:"+d+"/l:t", a, store.Options{})
	args := []string{"unpack", "--image", d + "/l:t"}
	if os.Geteuid() != 0 {
		args = append(args, "--rootless")
	}
	tooltest.Run(t, nil, "umoci", append(args, d+"/bundle")...)
	write(t, "dir:"+d+"/root", a, store.Options{})
	if diff := tooltest.Run(t, nil, "diff", "-r", d+"/bundle/rootfs", d+"/root"); diff != "" {
		t.Errorf("umoci's root differs from ours:\n%s", diff)
	}
}

func TestToolPodman(t *testing.T) {
	tooltest.Need(t, "podman", "runc")
	if os.Geteuid() != 0 {
		t.Skip("skipped: needs root")
	}
	host, _ := tooltest.Registry(t, "", "")
	d := lowerDir(t)
	for _, compression := range []string{"gzip", "zstd", "none"} {
		a := helloImage(t, compression)
		o := store.Options{Keychain: anonymous(), Name: "hello"}
		for _, ref := range []string{d + "/hello.tar", "docker-archive:" + d + "/docker.tar", "oci:" + d + "/l:t", "docker://" + host + "/hello:1"} {
			if compression == "zstd" && strings.HasPrefix(ref, "docker-archive:") {
				continue
			}
			t.Run(compression+" "+filepath.Base(ref), func(t *testing.T) {
				write(t, ref, a, o)
				p := tooltest.NewPodman(t)
				name := ref
				switch {
				case strings.HasSuffix(ref, ".tar"):
					out := p.Run("load", "-q", "-i", strings.TrimPrefix(ref, "docker-archive:"))
					if name = strings.TrimSpace(strings.TrimPrefix(out, "Loaded image:")); !strings.HasSuffix(name, "/hello:latest") {
						t.Errorf("podman calls it %q", name)
					}
				case strings.HasPrefix(ref, "docker://"):
					name = strings.TrimPrefix(ref, "docker://")
					p.Run("pull", "-q", "--tls-verify=false", name)
				}
				if out := p.Run("run", "-q", "--rm", "--network=none", name); out != "hello from slim\n" {
					t.Errorf("it says %q", out)
				}
			})
		}
	}
}

// lowerDir is a temporary directory that podman, which makes a name of the path, can take.
func lowerDir(t *testing.T) string {
	t.Helper()
	d, err := os.MkdirTemp("", "store-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(d) })
	return d
}
