package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBeginning(t *testing.T) {
	data := content(300_000)
	whole := func(_ int, w http.ResponseWriter, _ *http.Request) { w.Write(data) }
	for _, test := range []struct {
		name   string
		handle func(int, http.ResponseWriter, *http.Request)
		want   []string // the ranges asked for
	}{
		{"in part", file(data), []string{"bytes=0-999"}},
		{"a server that knows no parts", whole, []string{"bytes=0-999"}},
		{"broken off once", func(n int, w http.ResponseWriter, r *http.Request) {
			if n == 1 {
				w.Header().Set("Content-Range", fmt.Sprintf("bytes 0-999/%d", len(data)))
				w.WriteHeader(http.StatusPartialContent)
				w.Write(data[:500])
				return
			}
			file(data)(n, w, r)
		}, []string{"bytes=0-999", "bytes=0-999"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := serve(t, test.handle)
			c := New(quick(newCache(t)))
			r := Request{URLs: []string{s.URL}, Digest: digestOf(data), Size: int64(len(data))}
			for range 2 { // the second time from the cache
				got, err := c.Beginning(context.Background(), r, 1000)
				if err != nil || !bytes.Equal(got, data[:1000]) {
					t.Fatalf("got %d bytes, %v", len(got), err)
				}
			}
			if d := cmp.Diff(test.want, s.seen()); d != "" {
				t.Errorf("ranges (-want +got):\n%s", d)
			}
			wantUsage(t, c.o.Cache, Usage{Files: 1, Bytes: 1000 + int64(keptTail)})
		})
	}
}

// TestBeginningOfWhole takes the beginning from where the whole file already is.
func TestBeginningOfWhole(t *testing.T) {
	data := content(5000)
	s := serve(t, file(data))
	c := New(quick(newCache(t)))
	r := Request{URLs: []string{s.URL}, Digest: digestOf(data), Size: int64(len(data))}
	mustGet(t, c, r, data)
	local := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(local, data, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, r := range []Request{r, {URLs: []string{local}}, {URLs: []string{"file://" + local}, Digest: digestOf(data)}} {
		if got, err := c.Beginning(context.Background(), r, 100); err != nil || !bytes.Equal(got, data[:100]) {
			t.Errorf("%v: got %d bytes, %v", r, len(got), err)
		}
	}
	if got, err := c.Beginning(context.Background(), Request{URLs: []string{local}}, 10_000); err != nil || !bytes.Equal(got, data) {
		t.Errorf("more than there is: got %d bytes, %v", len(got), err)
	}
	if len(s.seen()) != 1 {
		t.Errorf("requests: %q", s.seen())
	}
}

func TestBeginningRefused(t *testing.T) {
	wrong := serve(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Range", "bytes 100-199/300")
		w.WriteHeader(http.StatusPartialContent)
		w.Write(make([]byte, 100))
	})
	gone := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) })
	for _, test := range []struct {
		url  string
		n    int64
		kind Kind
	}{{wrong.URL, 100, Network}, {gone.URL, 100, NotFound}, {gone.URL, 0, Invalid}, {t.TempDir(), 100, Local}} {
		_, err := New(quick(nil)).Beginning(context.Background(), Request{URLs: []string{test.url}, Size: 300}, test.n)
		var e *Error
		if !errors.As(err, &e) || e.Kind != test.kind {
			t.Errorf("%s: %v, want kind %v", test.url, err, test.kind)
		}
	}
}
