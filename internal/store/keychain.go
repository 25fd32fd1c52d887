package store

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
)

const (
	maxAuthFile   = 4 << 20
	maxHelperOut  = 1 << 20
	helperTimeout = time.Minute
)

// DefaultKeychain finds credentials as podman and docker do. It asks, in this order, the files that REGISTRY_AUTH_FILE
// names, $XDG_RUNTIME_DIR/containers/auth.json, ~/.config/containers/auth.json, $DOCKER_CONFIG/config.json and
// ~/.docker/config.json; the first that has an answer gives it. Within a file the longest key wins that is the
// repository or a namespace around it, then the registry's credential helper, then the registry itself, then the
// credential store. A file that does not exist is passed over; one that cannot be read as such is an error.
func DefaultKeychain() authn.Keychain { return keychain{env: os.Getenv, run: runHelper} }

type keychain struct {
	env func(string) string
	run func(ctx context.Context, helper, server string) ([]byte, error)
}

// Resolve is authn.Keychain's.
func (k keychain) Resolve(r authn.Resource) (authn.Authenticator, error) {
	return k.ResolveContext(context.Background(), r)
}

// ResolveContext is authn.ContextKeychain's.
func (k keychain) ResolveContext(ctx context.Context, r authn.Resource) (authn.Authenticator, error) {
	for _, p := range k.files() {
		a, err := k.fromFile(ctx, p, r)
		if err != nil {
			return nil, fmt.Errorf("credentials for %s: %w", r.RegistryStr(), err)
		}
		if a != nil && *a != (authn.AuthConfig{}) {
			return authn.FromConfig(*a), nil
		}
	}
	return authn.Anonymous, nil
}

func (k keychain) files() []string {
	var files []string
	add := func(base string, parts ...string) {
		if base != "" {
			files = append(files, filepath.Join(append([]string{base}, parts...)...))
		}
	}
	config := k.env("XDG_CONFIG_HOME")
	if home := k.env("HOME"); config == "" && home != "" {
		config = filepath.Join(home, ".config")
	}
	add(k.env("REGISTRY_AUTH_FILE"))
	add(k.env("XDG_RUNTIME_DIR"), "containers", "auth.json")
	add(config, "containers", "auth.json")
	add(k.env("DOCKER_CONFIG"), "config.json")
	add(k.env("HOME"), ".docker", "config.json")
	return files
}

// authFile is the part of auth.json and config.json that holds credentials.
type authFile struct {
	Auths       map[string]authEntry `json:"auths"`
	CredHelpers map[string]string    `json:"credHelpers"`
	CredsStore  string               `json:"credsStore"`
}

type authEntry struct {
	Auth          string `json:"auth"` // base64 of user:password
	Username      string `json:"username"`
	Password      string `json:"password"`
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`
}

func (k keychain) fromFile(ctx context.Context, p string, r authn.Resource) (*authn.AuthConfig, error) {
	f, err := os.Open(p)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxAuthFile+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxAuthFile {
		return nil, fmt.Errorf("%s: larger than %d bytes", p, maxAuthFile)
	}
	file, err := parseAuthFile(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p, err)
	}
	a, err := k.lookup(ctx, file, r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p, err)
	}
	return a, nil
}

func parseAuthFile(b []byte) (*authFile, error) {
	var f authFile
	if len(bytes.TrimSpace(b)) == 0 {
		return &f, nil
	}
	// The decoder's own error may repeat what stands in the file.
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, errors.New("not the JSON of an auth file")
	}
	return &f, nil
}

func (k keychain) lookup(ctx context.Context, f *authFile, r authn.Resource) (*authn.AuthConfig, error) {
	scopes := scopesOf(r.String())
	for _, s := range scopes[:len(scopes)-1] {
		if e, ok := f.Auths[s]; ok && e != (authEntry{}) {
			return e.config()
		}
	}
	hosts := hostNames(r.RegistryStr())
	for _, h := range hosts {
		if helper := f.CredHelpers[h]; helper != "" {
			return k.ask(ctx, helper, h)
		}
	}
	for _, h := range hosts {
		for _, key := range []string{h, "https://" + h, "http://" + h, "https://" + h + "/", "https://" + h + "/v1/", "https://" + h + "/v2/"} {
			if e, ok := f.Auths[key]; ok && e != (authEntry{}) {
				return e.config()
			}
		}
	}
	if f.CredsStore == "" {
		return nil, nil
	}
	for _, h := range hosts {
		server := h
		if h == hostNames("docker.io")[0] {
			server = "https://" + h + "/v1/"
		}
		if a, err := k.ask(ctx, f.CredsStore, server); a != nil || err != nil {
			return a, err
		}
	}
	return nil, nil
}

// scopesOf are a repository and the namespaces around it, the registry last.
func scopesOf(repo string) []string {
	scopes := []string{repo}
	if rest, ok := strings.CutPrefix(repo, "index.docker.io/"); ok {
		scopes = []string{"docker.io/" + rest}
	}
	for {
		last := scopes[len(scopes)-1]
		i := strings.LastIndexByte(last, '/')
		if i < 0 {
			return scopes
		}
		scopes = append(scopes, last[:i])
	}
}

// hostNames are the names of a registry; Docker Hub has several.
func hostNames(host string) []string {
	switch host {
	case "docker.io", "index.docker.io", "registry-1.docker.io":
		return []string{"index.docker.io", "docker.io", "registry-1.docker.io"}
	}
	return []string{host}
}

func (e authEntry) config() (*authn.AuthConfig, error) {
	c := &authn.AuthConfig{Username: e.Username, Password: e.Password, IdentityToken: e.IdentityToken, RegistryToken: e.RegistryToken}
	if e.Auth == "" {
		return c, nil
	}
	b, err := base64.StdEncoding.DecodeString(e.Auth)
	if err != nil {
		if b, err = base64.RawStdEncoding.DecodeString(e.Auth); err != nil {
			return nil, errors.New("auth is not base64")
		}
	}
	user, password, ok := strings.Cut(string(b), ":")
	if !ok {
		return nil, errors.New("auth is not user:password")
	}
	c.Username, c.Password = user, strings.TrimRight(password, "\x00")
	return c, nil
}

// ask runs a credential helper (github.com/docker/docker-credential-helpers, its protocol). Nil is: it has none.
func (k keychain) ask(ctx context.Context, helper, server string) (*authn.AuthConfig, error) {
	if strings.ContainsAny(helper, `/\`) {
		return nil, fmt.Errorf("credential helper %q is no name", helper)
	}
	out, err := k.run(ctx, helper, server)
	if err != nil {
		if strings.Contains(string(out), "credentials not found") {
			return nil, nil
		}
		return nil, fmt.Errorf("credential helper %s: %w", helper, err)
	}
	var answer struct{ Username, Secret string }
	if err := json.Unmarshal(out, &answer); err != nil {
		return nil, fmt.Errorf("credential helper %s: its answer is not JSON", helper)
	}
	if answer.Username == "<token>" {
		return &authn.AuthConfig{IdentityToken: answer.Secret}, nil
	}
	return &authn.AuthConfig{Username: answer.Username, Password: answer.Secret}, nil
}

func runHelper(ctx context.Context, helper, server string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, helperTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "docker-credential-"+helper, "get")
	cmd.Stdin = strings.NewReader(server)
	out := &limitedBuffer{}
	cmd.Stdout = out
	err := cmd.Run()
	return out.Bytes(), err
}

// limitedBuffer fails when it gets too much.
type limitedBuffer struct{ bytes.Buffer }

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxHelperOut {
		return 0, errors.New("answer is too long")
	}
	return b.Buffer.Write(p)
}
