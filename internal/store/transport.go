package store

import (
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

// guard refuses http to other machines: a registry on a private address would else get credentials in the clear. Nor
// does it try http where https failed for the certificate: the answer to that would hide what is wrong.
type guard struct {
	next     http.RoundTripper
	mu       sync.Mutex
	distrust map[string]error // by host and port
}

func newGuard(next http.RoundTripper) *guard { return &guard{next: next, distrust: map[string]error{}} }

func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme == "https" {
		resp, err := g.next.RoundTrip(r)
		if bad := (*tls.CertificateVerificationError)(nil); errors.As(err, &bad) {
			g.mu.Lock()
			g.distrust[r.URL.Host] = err
			g.mu.Unlock()
		}
		return resp, err
	}
	if !loopback(r.URL.Hostname()) {
		return nil, fmt.Errorf("%s to %s is refused: only https", r.URL.Scheme, r.URL.Hostname())
	}
	g.mu.Lock()
	err := g.distrust[r.URL.Host]
	g.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return g.next.RoundTrip(r)
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
