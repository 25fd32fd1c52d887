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
