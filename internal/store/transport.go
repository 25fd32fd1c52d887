package store

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// newTransport is the way to registries: o's, or one with the certificates that containers-certs.d(5) names per host.
// Neither speaks http but to this machine.
func newTransport(o Options) http.RoundTripper {
	if o.Transport != nil {
		return newGuard(o.Transport)
	}
	dirs := o.CertDirs
	if dirs == nil {
		dirs = []string{"/etc/containers/certs.d", "/etc/docker/certs.d"}
		if config, err := os.UserConfigDir(); err == nil {
			dirs = append([]string{filepath.Join(config, "containers", "certs.d")}, dirs...)
		}
	}
	return newGuard(&hostTransport{dirs: dirs, hosts: map[string]http.RoundTripper{}})
}

// guard refuses http to other machines: a registry on a private address would else get credentials in the clear. To this
// machine http waits for an https request under way, which the client may have begun at once with it, and is not tried
// where https failed for the certificate: the answer to that would hide what is wrong.
type guard struct {
	next  http.RoundTripper
	mu    sync.Mutex
	hosts map[string]*secured // by host and port
}

// secured is what https requests to a host came to.
type secured struct {
	underWay int
	idle     chan struct{} // closed when none is under way
	distrust error         // the certificate's fault
}

func newGuard(next http.RoundTripper) *guard { return &guard{next: next, hosts: map[string]*secured{}} }

func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme == "https" {
		g.begin(r.URL.Host)
		resp, err := g.next.RoundTrip(r)
		g.end(r.URL.Host, err)
		return resp, err
	}
	if !loopback(r.URL.Hostname()) {
		return nil, fmt.Errorf("%s to %s is refused: only https", r.URL.Scheme, r.URL.Hostname())
	}
	if err := g.wait(r.Context(), r.URL.Host); err != nil {
		return nil, err
	}
	return g.next.RoundTrip(r)
}

func (g *guard) begin(host string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.hosts[host]
	if s == nil {
		s = &secured{}
		g.hosts[host] = s
	}
	if s.underWay++; s.underWay == 1 {
		s.idle = make(chan struct{})
	}
}

func (g *guard) end(host string, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.hosts[host]
	if bad := (*tls.CertificateVerificationError)(nil); errors.As(err, &bad) {
		s.distrust = err
	}
	if s.underWay--; s.underWay == 0 {
		close(s.idle)
	}
}

// wait is for https requests to the host, and tells of its certificate.
func (g *guard) wait(ctx context.Context, host string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for s := g.hosts[host]; s != nil && s.distrust == nil && s.underWay > 0; {
		idle := s.idle
		g.mu.Unlock()
		select {
		case <-idle:
		case <-ctx.Done():
		}
		g.mu.Lock()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if s := g.hosts[host]; s != nil {
		return s.distrust
	}
	return nil
}

func loopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// hostTransport has a transport for each host that has certificates of its own.
type hostTransport struct {
	dirs  []string
	mu    sync.Mutex
	hosts map[string]http.RoundTripper
}

func (t *hostTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	h, err := t.host(r.URL.Host)
	if err != nil {
		return nil, err
	}
	return h.RoundTrip(r)
}

func (t *hostTransport) host(host string) (http.RoundTripper, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if h, ok := t.hosts[host]; ok {
		return h, nil
	}
	c, err := hostTLS(t.dirs, host)
	if err != nil {
		return nil, err
	}
	h := remote.DefaultTransport
	if c != nil {
		own := http.DefaultTransport.(*http.Transport).Clone()
		own.TLSClientConfig = c
		h = own
	}
	t.hosts[host] = h
	return h, nil
}

// hostTLS reads the first of dirs that has a directory for host; nil when none has.
func hostTLS(dirs []string, host string) (*tls.Config, error) {
	if host == "" || strings.ContainsAny(host, `/\`) || strings.HasPrefix(host, ".") {
		return nil, nil
	}
	for _, d := range dirs {
		d = filepath.Join(d, host)
		files, err := os.ReadDir(d)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading certificates: %w", err)
		}
		return readCerts(d, files)
	}
	return nil, nil
}

// readCerts takes *.crt as authorities, and *.cert with the *.key of the same name as a client's certificate.
func readCerts(dir string, files []os.DirEntry) (*tls.Config, error) {
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	c := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	for _, f := range files {
		p := filepath.Join(dir, f.Name())
		switch filepath.Ext(p) {
		case ".crt":
			b, err := os.ReadFile(p)
			if err != nil {
				return nil, fmt.Errorf("reading certificates: %w", err)
			}
			if !roots.AppendCertsFromPEM(b) {
				return nil, fmt.Errorf("reading certificates: no certificate in %s", p)
			}
		case ".cert":
			pair, err := tls.LoadX509KeyPair(p, strings.TrimSuffix(p, ".cert")+".key")
			if err != nil {
				return nil, fmt.Errorf("reading client certificate %s: %w", p, err)
			}
			c.Certificates = append(c.Certificates, pair)
		}
	}
	return c, nil
}
