package builder

import (
	"strings"
	"testing"

	"slim/internal/tooltest"
)

// TestConformanceContainer pushes an image of everyday programs to the reference registry, takes it back with skopeo, and
// runs the programs under podman, as an unprivileged user too.
func TestConformanceContainer(t *testing.T) {
	tooltest.Need(t, "skopeo")
	host, log := tooltest.Registry(t, "", "")
	img := buildRecipe(t, sharedRecipe(t, []string{"bash", "coreutils", "openssl", "python3", "curl"},
		"accounts: {users: [{name: app, uid: 65532}]}\nimage: {cmd: [/bin/bash], env: {LANG: C.UTF-8}}"), Options{})
	name := host + "/base/everyday:1"
	pushed := deliver(t, img, "docker://"+name)
	if !strings.HasPrefix(pushed.String(), name+"@sha256:") {
		t.Errorf("delivered to %s", pushed)
	}
	log.Take()
	deliver(t, img, "docker://"+name)
	if again := log.Take(); strings.Contains(again, `"PUT `) || strings.Contains(again, `"PATCH `) {
		t.Errorf("the second push sends something:\n%s", again)
	}
	digest := tooltest.Run(t, nil, "skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", "docker://"+name)
	if strings.TrimSpace(digest) != pushed.Digest {
		t.Errorf("skopeo sees %s, slim delivered %s", digest, pushed.Digest)
	}
	back := t.TempDir()
	tooltest.Run(t, nil, "skopeo", "--insecure-policy", "copy", "-q", "--src-tls-verify=false", "docker://"+name, "oci:"+back+"/back:1")

	podman := tooltest.NewPodman(t)
	podman.Run("pull", "-q", "--tls-verify=false", name)
	for _, test := range []struct {
		user string
		args []string
		want string
	}{
		{"", []string{"bash", "-c", "echo $BASH_VERSION; id -u"}, "5.2"},
		{"app", []string{"id"}, "uid=65532(app) gid=65532(app)"},
		{"", []string{"openssl", "version"}, "OpenSSL 3.0"},
		{"app", []string{"python3", "-c", "import ssl, sqlite3, json, ctypes; print(json.dumps({'ssl': ssl.OPENSSL_VERSION}))"}, `{"ssl": "OpenSSL 3.0`},
		{"", []string{"curl", "--version"}, "curl 7.88"},
		{"", []string{"sh", "-c", "ls -l /usr/bin/env /etc/shadow; stat -c %a /tmp"}, "1777"},
	} {
		args := []string{"run", "-q", "--rm", "--network=none"}
		if test.user != "" {
			args = append(args, "--user", test.user)
		}
		if out := podman.Run(append(append(args, name), test.args...)...); !strings.Contains(out, test.want) {
			t.Errorf("%v says %q, want %q", test.args, out, test.want)
		}
	}
}

// program is a set of packages and what its programs say when they run in a root of it.
type program struct {
	packages []string
	extra    string // of the recipe
	script   string // of bash; nothing is reachable but the container's own loopback interface
	want     []string
}

// waitFor is a function of bash that opens a connection to a port of its own machine as soon as something listens.
const waitFor = `open() { for i in {1..150}; do { exec 3<>/dev/tcp/127.0.0.1/$1; } 2>/dev/null && return; sleep .1; done; exit 9; }
get() { open 80; printf 'GET / HTTP/1.0\r\n\r\n' >&3; cat <&3; }
`

var (
	webServer  = program{[]string{"httpd"}, "", "apachectl -DFOREGROUND 2>/dev/null & get", []string{"HTTP/1.1 200 OK", "SlimTest httpd"}}
	twoServers = program{
		[]string{"nginx", "redis"},
		`files: [{path: /var/www/html/index.html, content: "<p>of nginx</p>\n"}]`,
		`redis-server --save '' >/dev/null & nginx -g 'daemon off;' & get; open 6379; redis-cli PING`,
		[]string{"HTTP/1.1 200 OK", "<p>of nginx</p>", "PONG"},
	}
)

// countAuthorities has python open a TLS context and count the authorities that it trusts.
const countAuthorities = "import ssl; print(len(ssl.create_default_context().get_ca_certs()), 'authorities')"

// TestConformanceContainerServers starts servers in containers and asks them for something.
func TestConformanceContainerServers(t *testing.T) {
	podman := tooltest.NewPodman(t)
	for _, p := range []program{webServer, twoServers} {
		t.Run(strings.Join(p.packages, ","), func(t *testing.T) {
			name := load(t, podman, buildRecipe(t, sharedRecipe(t, p.packages, p.extra+"\nlayers: {strategy: single}"), Options{}))
			p.check(t, podman.Run("run", "--rm", "--network=none", name, "/bin/bash", "-c", waitFor+p.script))
		})
	}
}

// load brings an image into podman's storage, and returns the name that it has there.
func load(t *testing.T, podman *tooltest.Podman, img *Image) string {
	t.Helper()
	file := t.TempDir() + "/image.tar"
	deliver(t, img, "oci-archive:"+file)
	_, name, _ := strings.Cut(strings.TrimSpace(podman.Run("load", "-q", "-i", file)), ": ")
	return name
}

func (p *program) check(t *testing.T, out string) {
	t.Helper()
	for _, want := range p.want {
		if !strings.Contains(out, want) {
			t.Errorf("%s: %s\nsays nothing of %q:\n%s", p.packages, p.script, want, out)
		}
	}
}

// TestConformanceContainerTLS runs python and ldconfig in a container of slim's image and in the root that dnf makes:
// both trust as many authorities, and find the same libraries.
func TestConformanceContainerTLS(t *testing.T) {
	tooltest.Need(t, "dnf", "rpm")
	podman := tooltest.NewPodman(t)
	packages := []string{"python3", "openssl"}
	dir := t.TempDir()
	name := load(t, podman, buildRecipe(t, sharedRecipe(t, packages, "layers: {strategy: single}"), Options{}))
	dnfRoot(t, "1", dir+"/theirs", append([]string{"install"}, packages...)...)
	for _, args := range [][]string{{"python3", "-c", countAuthorities}, {"ldconfig", "-p"}} {
		ours := podman.Run(append([]string{"run", "--rm", "--network=none", name}, args...)...)
		theirs := tooltest.Run(t, nil, "chroot", append([]string{dir + "/theirs"}, args...)...)
		if ours != theirs || strings.HasPrefix(ours, "0 ") {
			t.Errorf("%s says %q, and in dnf's root %q", args, ours, theirs)
		}
	}
}
