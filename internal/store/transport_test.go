package store

import (
	"crypto/tls"
	"errors"
	"net/http"
	"testing"
	"time"
)

// slow fails https for the certificate, late, and answers http at once.
type slow struct{}

func (slow) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme == "https" {
		time.Sleep(100 * time.Millisecond)
		return nil, &tls.CertificateVerificationError{Err: errors.New("not trusted")}
	}
	return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
}

func TestGuardWaitsForHTTPS(t *testing.T) {
	g := newGuard(slow{})
	get := func(url string) error {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = g.RoundTrip(r)
		return err
	}
	if err := get("http://localhost:1/v2/"); err != nil {
		t.Errorf("http without https before: %v", err)
	}
	done := make(chan error)
	go func() { done <- get("https://localhost:2/v2/") }()
	time.Sleep(20 * time.Millisecond)
	var bad *tls.CertificateVerificationError
	if err := get("http://localhost:2/v2/"); !errors.As(err, &bad) {
		t.Errorf("http beside https that fails for the certificate: %v", err)
	}
	if err := <-done; !errors.As(err, &bad) {
		t.Errorf("https: %v", err)
	}
	if err := get("http://localhost:1/v2/"); err != nil {
		t.Errorf("http to another port: %v", err)
	}
	if err := get("http://10.0.0.1/v2/"); err == nil {
		t.Error("http to another machine: no error")
	}
}
