package store

import (
	"context"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

func auth(s string) string { return `{"auth":"` + base64.StdEncoding.EncodeToString([]byte(s)) + `"}` }

func TestKeychain(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string // by path below the test's directory
		repo  string
		want  authn.AuthConfig
	}{
		{"none", nil, "h.example/a", authn.AuthConfig{}},
		{
			"podman",
			map[string]string{"run/containers/auth.json": `{"auths":{"h.example":` + auth("u:p:w") + `}}`},
			"h.example/a",
			authn.AuthConfig{Username: "u", Password: "p:w"},
		},
		{
			"longest scope",
			map[string]string{"run/containers/auth.json": `{"auths":{"h.example":` + auth("u:1") + `,"h.example/a":` + auth("u:2") + `,"h.example/a/b":` + auth("u:3") + `}}`},
			"h.example/a/b",
			authn.AuthConfig{Username: "u", Password: "3"},
		},
		{
			"namespace",
			map[string]string{"run/containers/auth.json": `{"auths":{"h.example":` + auth("u:1") + `,"h.example/a":` + auth("u:2") + `,"h.example/a/b":` + auth("u:3") + `}}`},
			"h.example/a/c/d",
			authn.AuthConfig{Username: "u", Password: "2"},
		},
		{
			"not a prefix of a name",
			map[string]string{"run/containers/auth.json": `{"auths":{"h.example":` + auth("u:1") + `,"h.example/a":` + auth("u:2") + `}}`},
			"h.example/ab",
			authn.AuthConfig{Username: "u", Password: "1"},
		},
		{
			"first file wins",
			map[string]string{"auth.json": `{"auths":{"h.example":` + auth("u:1") + `}}`, "run/containers/auth.json": `{"auths":{"h.example":` + auth("u:2") + `}}`},
			"h.example/a",
			authn.AuthConfig{Username: "u", Password: "1"},
		},
		{
			"next file",
			map[string]string{"auth.json": `{"auths":{"other":` + auth("u:1") + `}}`, "home/.docker/config.json": `{"auths":{"h.example":` + auth("u:2") + `}}`},
			"h.example/a",
			authn.AuthConfig{Username: "u", Password: "2"},
		},
		{
			"config",
			map[string]string{"home/.config/containers/auth.json": `{"auths":{"h.example":` + auth("u:1") + `}}`, "docker/config.json": `{"auths":{"h.example":` + auth("u:2") + `}}`},
			"h.example/a",
			authn.AuthConfig{Username: "u", Password: "1"},
		},
		{
			"URL",
			map[string]string{"docker/config.json": `{"auths":{"https://h.example:5000/v2/":` + auth("u:p") + `}}`},
			"h.example:5000/a",
			authn.AuthConfig{Username: "u", Password: "p"},
		},
		{
			"hub",
			map[string]string{"docker/config.json": `{"auths":{"https://index.docker.io/v1/":` + auth("u:p") + `}}`},
			"ubuntu",
			authn.AuthConfig{Username: "u", Password: "p"},
		},
		{
			"hub as podman says it",
			map[string]string{"docker/config.json": `{"auths":{"docker.io/me":` + auth("u:p") + `}}`},
			"me/x",
			authn.AuthConfig{Username: "u", Password: "p"},
		},
		{
			"identity token",
			map[string]string{"docker/config.json": `{"auths":{"h.example":{"auth":"` + base64.StdEncoding.EncodeToString([]byte("00000000:")) + `","identitytoken":"tok"}}}`},
			"h.example/a",
			authn.AuthConfig{Username: "00000000", IdentityToken: "tok"},
		},
		{
			"registry token",
			map[string]string{"docker/config.json": `{"auths":{"h.example":{"registrytoken":"tok"}}}`},
			"h.example/a",
			authn.AuthConfig{RegistryToken: "tok"},
		},
		{
			"helper",
			map[string]string{"docker/config.json": `{"credHelpers":{"h.example":"good"},"credsStore":"bad","auths":{"h.example":{}}}`},
			"h.example/a",
			authn.AuthConfig{Username: "helped", Password: "h.example"},
		},
		{
			"helper's token",
			map[string]string{"docker/config.json": `{"credHelpers":{"h.example":"token"}}`},
			"h.example/a",
			authn.AuthConfig{IdentityToken: "h.example"},
		},
		{
			"store",
			map[string]string{"docker/config.json": `{"credsStore":"good","auths":{"h.example":{}}}`},
			"h.example/a",
			authn.AuthConfig{Username: "helped", Password: "h.example"},
		},
		{
			"store of hub",
			map[string]string{"docker/config.json": `{"credsStore":"good"}`},
			"ubuntu",
			authn.AuthConfig{Username: "helped", Password: "https://index.docker.io/v1/"},
		},
		{"store without", map[string]string{"docker/config.json": `{"credsStore":"empty"}`}, "h.example/a", authn.AuthConfig{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := testKeychain(t, tt.files)
			repo, err := name.NewRepository(tt.repo)
			if err != nil {
				t.Fatal(err)
			}
			a, err := k.Resolve(repo)
			if err != nil {
				t.Fatal(err)
			}
			got, err := a.Authorization()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, *got); diff != "" {
				t.Errorf("credentials (-want +got):\n%s", diff)
			}
		})
	}
}

func testKeychain(t *testing.T, files map[string]string) keychain {
	t.Helper()
	dir := t.TempDir()
	for p, content := range files {
		p = filepath.Join(dir, p)
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	env := map[string]string{
		"REGISTRY_AUTH_FILE": dir + "/auth.json", "XDG_RUNTIME_DIR": dir + "/run", "HOME": dir + "/home", "DOCKER_CONFIG": dir + "/docker",
	}
	run := func(_ context.Context, helper, server string) ([]byte, error) {
		switch helper {
		case "good":
			return []byte(`{"ServerURL":"` + server + `","Username":"helped","Secret":"` + server + `"}`), nil
		case "token":
			return []byte(`{"Username":"<token>","Secret":"` + server + `"}`), nil
		case "empty":
			return []byte("credentials not found in native keychain\n"), errors.New("exit status 1")
		}
		return []byte("secret"), errors.New("exit status 2")
	}
	return keychain{env: func(n string) string { return env[n] }, run: run}
}

func TestKeychainRefuses(t *testing.T) {
	for content, want := range map[string]string{
		`{"auths":{"h.example":{"auth":"secret!"}}}`:                   "not base64",
		`{"auths":{"h.example":{"auth":"c2VjcmV0"}}}`:                  "not user:password",
		`{"auths":{"h.example":"secret"}}`:                             "not the JSON of an auth file",
		`{"credHelpers":{"h.example":"bad"}}`:                          "credential helper bad: exit status 2",
		`{"credHelpers":{"h.example":"../../x"}}`:                      "is no name",
		`{"auths":{"h.example":{"auth":"` + strings.Repeat("A", 5<<20): "larger than",
	} {
		k := testKeychain(t, map[string]string{"auth.json": content})
		repo, err := name.NewRepository("h.example/a")
		if err != nil {
			t.Fatal(err)
		}
		_, err = k.Resolve(repo)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %q", content, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%.60s: the error tells the secret: %v", content, err)
		}
	}
}

func TestRunHelper(t *testing.T) {
	dir := t.TempDir()
	script := "#!/bin/sh\nread server\nprintf '{\"Username\":\"%s\",\"Secret\":\"%s\"}' \"$1\" \"$server\"\n"
	if err := os.WriteFile(dir+"/docker-credential-t", []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	out, err := runHelper(t.Context(), "t", "h.example\n")
	if want := `{"Username":"get","Secret":"h.example"}`; err != nil || string(out) != want {
		t.Errorf("answer is %s, %v; want %s", out, err, want)
	}
}

func FuzzAuthFile(f *testing.F) {
	f.Add([]byte(`{"auths":{"h.example":`+auth("u:p")+`}}`), "h.example/a")
	f.Add([]byte(`{"credHelpers":{"h.example":"x"},"credsStore":"y"}`), "ubuntu")
	k := keychain{run: func(context.Context, string, string) ([]byte, error) { return []byte("{}"), nil }}
	f.Fuzz(func(t *testing.T, b []byte, repo string) {
		r, err := name.NewRepository(repo)
		if err != nil {
			return
		}
		if file, err := parseAuthFile(b); err == nil {
			k.lookup(t.Context(), file, r)
		}
	})
}
