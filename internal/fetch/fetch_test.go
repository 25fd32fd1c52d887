package fetch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// content is n bytes that cannot be guessed, the same ones for the same n.
func content(n int) []byte {
	r := rand.New(rand.NewPCG(uint64(n), 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func digestOf(b []byte) string {
	s := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(s[:])
}

func newCache(t *testing.T) *Cache {
	t.Helper()
	c, err := OpenCache(filepath.Join(t.TempDir(), "cache"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func quick(c *Cache) Options {
	return Options{Cache: c, Backoff: time.Millisecond, Stall: 5 * time.Second}
}

// server counts requests and keeps their Range headers.
type server struct {
	*httptest.Server
	mu     sync.Mutex
	ranges []string
}

func serve(t *testing.T, handle func(n int, w http.ResponseWriter, r *http.Request)) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.ranges = append(s.ranges, r.Header.Get("Range"))
		n := len(s.ranges)
		s.mu.Unlock()
		handle(n, w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.ranges...)
}

func file(data []byte) func(int, http.ResponseWriter, *http.Request) {
	return func(_ int, w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	}
}

// breakAfter says that all of data comes and sends only the first n bytes.
func breakAfter(w http.ResponseWriter, data []byte, n int) {
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	w.Write(data[:n])
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

func mustGet(t *testing.T, c *Client, r Request, want []byte) {
	t.Helper()
	f, err := c.Get(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("got %d bytes that are not the %d of the file", len(got), len(want))
	}
	if f.Size() != int64(len(want)) {
		t.Errorf("Size() = %d, want %d", f.Size(), len(want))
	}
}

func mustFail(t *testing.T, c *Client, r Request, kind Kind, words ...string) *Error {
	t.Helper()
	f, err := c.Get(context.Background(), r)
	if err == nil {
		f.Close()
		t.Fatal("no error")
	}
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("%T is no *Error: %v", err, err)
	}
	if e.Kind != kind {
		t.Errorf("kind %v, want %v: %v", e.Kind, kind, err)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
	return e
}

// wantEmpty checks that nothing under a final name and no part is left.
func wantEmpty(t *testing.T, c *Cache) {
	t.Helper()
	wantUsage(t, c, Usage{})
}

func wantUsage(t *testing.T, c *Cache, want Usage) {
	t.Helper()
	got, err := c.Info()
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("usage (-want +got):\n%s", d)
	}
}

func TestGetOnceThenFromCache(t *testing.T) {
	data := content(300_000)
	s := serve(t, file(data))
	cache := newCache(t)
	r := Request{URLs: []string{s.URL + "/a.rpm"}, Digest: digestOf(data), Size: int64(len(data))}
	for range 3 {
		mustGet(t, New(quick(cache)), r, data)
	}
	if n := len(s.seen()); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
	wantUsage(t, cache, Usage{Files: 1, Bytes: 300_000})

	o := quick(cache)
	o.Offline = true
	mustGet(t, New(o), r, data)
}

func TestRequestHeaders(t *testing.T) {
	var encoding, agent, auth string
	s := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		encoding, agent, auth = r.Header.Get("Accept-Encoding"), r.Header.Get("User-Agent"), r.Header.Get("Authorization")
		w.Write([]byte("x"))
	})
	o := quick(nil)
	o.UserAgent = "slim/1"
	with := strings.Replace(s.URL, "http://", "http://user:secret@", 1)
	if _, err := New(o).Bytes(context.Background(), Request{URLs: []string{with}}); err != nil {
		t.Fatal(err)
	}
	want := []string{"identity", "slim/1", "Basic dXNlcjpzZWNyZXQ="}
	if d := cmp.Diff(want, []string{encoding, agent, auth}); d != "" {
		t.Errorf("headers (-want +got):\n%s", d)
	}
}

func TestPasswordIsNotSaid(t *testing.T) {
	s := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	with := strings.Replace(s.URL, "http://", "http://user:secret@", 1)
	for _, u := range []string{with, "http://user:secret@[", "http://user:secret@127.0.0.1:1/x", "ftp://user:secret@host/"} {
		_, err := New(Options{Retries: -1}).Bytes(context.Background(), Request{URLs: []string{u}})
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: error %v", u, err)
		}
	}
}

func TestResume(t *testing.T) {
	data := content(400_000)
	t.Run("same server", func(t *testing.T) {
		var ifRange string
		s := serve(t, func(n int, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `"one"`)
			if n == 1 {
				breakAfter(w, data, 150_000)
			}
			ifRange = r.Header.Get("If-Range")
			file(data)(n, w, r)
		})
		mustGet(t, New(quick(newCache(t))), Request{URLs: []string{s.URL}, Digest: digestOf(data), Size: 400_000}, data)
		ranges := s.seen()
		if len(ranges) != 2 || !strings.HasPrefix(ranges[1], "bytes=") || ranges[1] == "bytes=0-" {
			t.Errorf("ranges %q", ranges)
		}
		if ifRange != `"one"` {
			t.Errorf("If-Range %q", ifRange)
		}
	})
	t.Run("left by a killed process", func(t *testing.T) {
		s := serve(t, file(data))
		cache := newCache(t)
		d, _ := parseDigest(digestOf(data))
		if err := os.WriteFile(cache.part(d), data[:123_456], 0o644); err != nil {
			t.Fatal(err)
		}
		mustGet(t, New(quick(cache)), Request{URLs: []string{s.URL}, Digest: digestOf(data)}, data)
		if d := cmp.Diff([]string{"bytes=123456-"}, s.seen()); d != "" {
			t.Errorf("ranges (-want +got):\n%s", d)
		}
		wantUsage(t, cache, Usage{Files: 1, Bytes: 400_000})
	})
	t.Run("left, and whole", func(t *testing.T) {
		s := serve(t, file(data))
		cache := newCache(t)
		d, _ := parseDigest(digestOf(data))
		if err := os.WriteFile(cache.part(d), data, 0o644); err != nil {
			t.Fatal(err)
		}
		mustGet(t, New(quick(cache)), Request{URLs: []string{s.URL}, Digest: digestOf(data), Size: 400_000}, data)
		if n := len(s.seen()); n != 0 {
			t.Errorf("%d requests, want none", n)
		}
	})
	for name, left := range map[string][]byte{
		"damaged":                append([]byte("not it"), data[6:200_000]...),
		"too long":               append(append([]byte(nil), data...), 'x'),
		"full of something else": content(400_001)[:400_000],
	} {
		t.Run("left, "+name, func(t *testing.T) {
			s := serve(t, file(data))
			cache := newCache(t)
			d, _ := parseDigest(digestOf(data))
			if err := os.WriteFile(cache.part(d), left, 0o644); err != nil {
				t.Fatal(err)
			}
			o := quick(cache)
			o.Retries = -1
			mustGet(t, New(o), Request{URLs: []string{s.URL}, Digest: digestOf(data), Size: 400_000}, data)
			wantUsage(t, cache, Usage{Files: 1, Bytes: 400_000})
		})
	}
	t.Run("on the next mirror", func(t *testing.T) {
		first := serve(t, func(n int, w http.ResponseWriter, r *http.Request) {
			if n > 1 {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			breakAfter(w, data, 300_000)
		})
		second := serve(t, file(data))
		mustGet(t, New(quick(newCache(t))), Request{URLs: []string{first.URL, second.URL}, Digest: digestOf(data)}, data)
		ranges := second.seen()
		if len(ranges) != 1 || !strings.HasPrefix(ranges[0], "bytes=") {
			t.Errorf("ranges %q", ranges)
		}
	})
}

// Servers that do not do what the Range header asks for.
func TestResumeWithOddServers(t *testing.T) {
	data := content(200_000)
	for name, odd := range map[string]func(w http.ResponseWriter, r *http.Request){
		"ignores it": func(w http.ResponseWriter, r *http.Request) { w.Write(data) },
		"wrong start": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Range", "bytes 0-199999/200000")
			w.WriteHeader(http.StatusPartialContent)
			w.Write(data)
		},
		"no Content-Range": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusPartialContent)
			w.Write(data[100_000:])
		},
		"not to the end": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Range", "bytes 100000-150000/200000")
			w.WriteHeader(http.StatusPartialContent)
			w.Write(data[100_000:150_001])
		},
		"another file's rest": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Range", "bytes 100000-199999/200000")
			w.WriteHeader(http.StatusPartialContent)
			w.Write(content(200_001)[100_000:200_000])
		},
		"416": func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusRequestedRangeNotSatisfiable) },
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Range") != "" {
					odd(w, r)
					return
				}
				w.Write(data)
			})
			cache := newCache(t)
			d, _ := parseDigest(digestOf(data))
			if err := os.WriteFile(cache.part(d), data[:100_000], 0o644); err != nil {
				t.Fatal(err)
			}
			o := quick(cache)
			o.Retries = -1
			mustGet(t, New(o), Request{URLs: []string{s.URL}, Digest: digestOf(data), Size: 200_000}, data)
			wantUsage(t, cache, Usage{Files: 1, Bytes: 200_000})
		})
	}
}

func TestTruncation(t *testing.T) {
	data := content(100_000)
	t.Run("always at the same place", func(t *testing.T) {
		s := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) { breakAfter(w, data, 50_000) })
		o := quick(newCache(t))
		o.Retries = 1
		mustFail(t, New(o), Request{URLs: []string{s.URL}, Digest: digestOf(data), Size: 100_000}, Network, s.URL, "broken off after 50000")
		// What came stays for the next run, but not as an entry.
		wantUsage(t, o.Cache, Usage{Partial: 1, PartialBytes: 50_000})
	})
	t.Run("without a length", func(t *testing.T) {
		s := raw(t, func(n int) string {
			if n == 1 {
				return "HTTP/1.0 200 OK\r\n\r\n" + string(data[:60_000])
			}
			return "HTTP/1.0 200 OK\r\n\r\n" + string(data)
		})
		mustGet(t, New(quick(newCache(t))), Request{URLs: []string{s}, Digest: digestOf(data), Size: 100_000}, data)
	})
	t.Run("small file without digest", func(t *testing.T) {
		s := serve(t, func(n int, w http.ResponseWriter, r *http.Request) {
			if n == 1 {
				breakAfter(w, data, 1)
			}
			w.Write(data)
		})
		got, err := New(quick(nil)).Bytes(context.Background(), Request{URLs: []string{s.URL}})
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes, error %v", len(got), err)
		}
		if d := cmp.Diff([]string{"", ""}, s.seen()); d != "" {
			t.Errorf("ranges (-want +got):\n%s", d)
		}
	})
}

// raw serves prepared answers and closes the connection after each.
func raw(t *testing.T, answer func(n int) string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for n := 1; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			buf := make([]byte, 4096)
			c.Read(buf)
			io.WriteString(c, answer(n))
			c.Close()
		}
	}()
	return "http://" + l.Addr().String()
}

func TestRefused(t *testing.T) {
	data := content(10_000)
	good := Request{Digest: digestOf(data), Size: 10_000}
	other := content(10_001)[:10_000]
	for _, test := range []struct {
		name   string
		handle func(w http.ResponseWriter, r *http.Request)
		r      Request
		kind   Kind
		words  string
		tries  int
	}{
		{"404", func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }, good, NotFound, "404 Not Found", 1},
		{"401", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(401) }, good, Credentials, "401 Unauthorized", 1},
		{"500", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(500) }, good, Network, "500 Internal", 3},
		{"204", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) }, good, Network, "204", 1},
		{"206 unasked", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Range", "bytes 0-9999/10000")
			w.WriteHeader(206)
			w.Write(data)
		}, good, Network, "206", 1},
		{"other bytes", func(w http.ResponseWriter, r *http.Request) { w.Write(other) }, good, Mismatch, digestOf(other), 1},
		{"longer", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "10002")
			w.Write(content(10_002))
		}, good, Mismatch, "10002 bytes, not 10000", 1},
		{"shorter", func(w http.ResponseWriter, r *http.Request) { w.Write(data[:9_999]) }, good, Mismatch, "9999 bytes, not 10000", 1},
		{"longer, chunked", func(w http.ResponseWriter, r *http.Request) {
			w.(http.Flusher).Flush()
			w.Write(content(20_000))
		}, good, Mismatch, "more than 10000", 1},
		{"shorter, chunked", func(w http.ResponseWriter, r *http.Request) {
			w.(http.Flusher).Flush()
			w.Write(data[:5])
		}, good, Mismatch, "sends 5 bytes, not 10000", 1},
		{"huge length", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "9000000000000000000")
			w.Write(data)
		}, Request{Digest: digestOf(data)}, TooLarge, "9000000000000000000", 1},
		{"no end", func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				w.Write(data)
			}
		}, Request{Digest: digestOf(data), MaxSize: 1_000_000}, TooLarge, "more than 1000000", 1},
		{"encoded", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(data)
		}, Request{}, Mismatch, `encoded ("gzip")`, 1},
		{"encoded, with digest", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(data[:500])
		}, good, Mismatch, `encoded ("gzip")`, 1},
		{"long Retry-After", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "86400")
			w.WriteHeader(503)
		}, good, Network, "24h", 1},
		{
			"redirects in a circle", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }, good, Network,
			"more than 10 redirects", 11,
		},
		{"redirect to a file", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "file:///etc/passwd")
			w.WriteHeader(302)
		}, good, Network, "redirect to file", 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) { test.handle(w, r) })
			cache := newCache(t)
			o := quick(cache)
			o.Retries = 2
			r := test.r
			r.URLs = []string{s.URL + "/x"}
			e := mustFail(t, New(o), r, test.kind, s.URL+"/x", test.words)
			if len(e.Attempts) != 1 {
				t.Errorf("attempts %v", e.Attempts)
			}
			if n := len(s.seen()); n != test.tries {
				t.Errorf("%d requests, want %d", n, test.tries)
			}
			wantEmpty(t, cache)
		})
	}
}

// A file that is stored compressed and labelled so is served as it is.
func TestMislabelledEncoding(t *testing.T) {
	data := content(1000)
	s := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "x-gzip")
		w.Write(data)
	})
	mustGet(t, New(quick(newCache(t))), Request{URLs: []string{s.URL}, Digest: digestOf(data), Size: 1000}, data)
}

func TestRetryAfter(t *testing.T) {
	data := content(1000)
	var first, second time.Time
	s := serve(t, func(n int, w http.ResponseWriter, r *http.Request) {
		if n == 1 {
			first = time.Now()
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(503)
			return
		}
		second = time.Now()
		w.Write(data)
	})
	var events []Event
	o := quick(newCache(t))
	o.Progress = func(e Event) { events = append(events, e) }
	mustGet(t, New(o), Request{URLs: []string{s.URL}, Digest: digestOf(data)}, data)
	if d := second.Sub(first); d < time.Second {
		t.Errorf("came back after %v", d)
	}
	var kinds []EventKind
	for _, e := range events {
		kinds = append(kinds, e.Kind)
	}
	if d := cmp.Diff([]EventKind{Started, Retrying, Started, Finished}, kinds); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
	if w := events[1].Wait; w < 900*time.Millisecond || w > 2*time.Second {
		t.Errorf("wait %v", w)
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "-1": 0, "soon": 0, "99999999999999": 0,
		"Fri, 02 Jan 2026 03:05:05 GMT": time.Minute, "Fri, 02 Jan 2026 03:00:05 GMT": 0,
	} {
		if got := retryAfter(text, now); got != want {
			t.Errorf("retryAfter(%q) = %v, want %v", text, got, want)
		}
	}
}

func TestMirrors(t *testing.T) {
	data := content(50_000)
	bad := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) { w.Write(content(50_001)[:50_000]) })
	gone := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) })
	good := serve(t, file(data))
	dead := "http://127.0.0.1:1"
	urls := func(path string) []string {
		return []string{dead + path, bad.URL + path, gone.URL + path, good.URL + path}
	}
	cache := newCache(t)
	c := New(quick(cache))
	mustGet(t, c, Request{URLs: urls("/a"), Digest: digestOf(data), Size: 50_000}, data)
	wantUsage(t, cache, Usage{Files: 1, Bytes: 50_000})
	// The mirrors that failed go last from now on.
	got, err := c.Bytes(context.Background(), Request{URLs: urls("/b")})
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes, error %v", len(got), err)
	}
	if n := []int{len(bad.seen()), len(gone.seen()), len(good.seen())}; !cmp.Equal(n, []int{1, 1, 2}) {
		t.Errorf("requests %v, want [1 1 2]", n)
	}
	o := quick(newCache(t))
	o.Retries = -1
	e := mustFail(t, New(o), Request{URLs: urls("/c")[:3], Digest: digestOf(data)}, Mismatch,
		dead+"/c", bad.URL+"/c", gone.URL+"/c", "refused", "404", "digest is", "none of 3 addresses")
	var kinds []Kind
	for _, a := range e.Attempts {
		kinds = append(kinds, a.Kind)
	}
	if d := cmp.Diff([]Kind{Network, Mismatch, NotFound}, kinds); d != "" {
		t.Errorf("kinds (-want +got):\n%s", d)
	}
	wantEmpty(t, o.Cache)
}

func TestStall(t *testing.T) {
	data := content(200_000)
	for name, handle := range map[string]func(w http.ResponseWriter){
		"before the answer": func(http.ResponseWriter) {},
		"in the body": func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "200000")
			w.Write(data[:100_000])
			w.(http.Flusher).Flush()
		},
		"trickle": func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "200000")
			for i := range 40 {
				if _, err := w.Write(data[i : i+1]); err != nil {
					return
				}
				w.(http.Flusher).Flush()
				time.Sleep(20 * time.Millisecond)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(n int, w http.ResponseWriter, r *http.Request) {
				if n > 1 {
					file(data)(n, w, r)
					return
				}
				handle(w)
				<-r.Context().Done()
			})
			o := quick(newCache(t))
			o.Stall = 200 * time.Millisecond
			start := time.Now()
			mustGet(t, New(o), Request{URLs: []string{s.URL}, Digest: digestOf(data), Size: 200_000}, data)
			if d := time.Since(start); d > 5*time.Second {
				t.Errorf("took %v", d)
			}
			s.CloseClientConnections()
		})
	}
	t.Run("slow but steady", func(t *testing.T) {
		s := serve(t, func(n int, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "200000")
			for i := 0; i < len(data); i += 10_000 {
				w.Write(data[i : i+10_000])
				w.(http.Flusher).Flush()
				time.Sleep(40 * time.Millisecond)
			}
		})
		o := quick(newCache(t))
		o.Stall, o.Retries = 300*time.Millisecond, -1
		mustGet(t, New(o), Request{URLs: []string{s.URL}, Digest: digestOf(data), Size: 200_000}, data)
		if n := len(s.seen()); n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
	})
}

func TestCanceled(t *testing.T) {
	s := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	cache := newCache(t)
	_, err := New(quick(cache)).Get(ctx, Request{URLs: []string{s.URL, s.URL + "/2"}, Digest: digestOf(nil)})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	if n := len(s.seen()); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
	wantEmpty(t, cache)
}

func TestDamagedEntry(t *testing.T) {
	data := content(20_000)
	d, _ := parseDigest(digestOf(data))
	for name, damage := range map[string][]byte{
		"a bit":     append(append([]byte(nil), data[:19_999]...), data[19_999]^1),
		"truncated": data[:100],
		"empty":     {},
		"longer":    append(append([]byte(nil), data...), 0),
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, file(data))
			cache := newCache(t)
			r := Request{URLs: []string{s.URL}, Digest: d.String(), Size: 20_000}
			mustGet(t, New(quick(cache)), r, data)
			if err := os.WriteFile(cache.path(d), damage, 0o644); err != nil {
				t.Fatal(err)
			}
			o := quick(cache)
			o.Offline = true
			mustFail(t, New(o), r, Offline, "offline")
			wantEmpty(t, cache)
			if err := os.WriteFile(cache.path(d), damage, 0o644); err != nil {
				t.Fatal(err)
			}
			mustGet(t, New(quick(cache)), r, data)
			if n := len(s.seen()); n != 2 {
				t.Errorf("%d requests, want 2", n)
			}
		})
	}
	t.Run("right entry, wrong request", func(t *testing.T) {
		s := serve(t, file(data))
		cache := newCache(t)
		mustGet(t, New(quick(cache)), Request{URLs: []string{s.URL}, Digest: d.String()}, data)
		mustFail(t, New(quick(cache)), Request{URLs: []string{s.URL}, Digest: d.String(), Size: 3}, Mismatch, "20000 bytes, not 3")
		wantUsage(t, cache, Usage{Files: 1, Bytes: 20_000})
	})
}

func TestLocalFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a b+c%41.rpm")
	data := content(5000)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	cache := newCache(t)
	o := quick(cache)
	o.Offline = true
	c := New(o)
	escaped := "file://" + (&url.URL{Path: path}).EscapedPath()
	for _, u := range []string{path, escaped, strings.Replace(escaped, "file://", "file://localhost", 1)} {
		r := Request{URLs: []string{u}, Digest: digestOf(data), Size: 5000}
		f, err := c.Get(context.Background(), r)
		if err != nil {
			t.Fatal(err)
		}
		if f.Path() != path || f.Digest() != digestOf(data) {
			t.Errorf("Path() %q, Digest() %q", f.Path(), f.Digest())
		}
		f.Close()
		got, err := c.Bytes(context.Background(), Request{URLs: []string{u}})
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes, error %v", len(got), err)
		}
		mustFail(t, c, Request{URLs: []string{u}, Digest: digestOf(nil)}, Mismatch, "digest is")
		mustFail(t, c, Request{URLs: []string{u}, Size: 4}, Mismatch, "size is 5000 bytes, not 4")
		mustFail(t, c, Request{URLs: []string{u}, MaxSize: 4}, TooLarge, "5000")
	}
	mustFail(t, c, Request{URLs: []string{path + "x"}, Digest: digestOf(data)}, NotFound, path+"x")
	mustFail(t, c, Request{URLs: []string{dir}}, Local, "not a regular file")
	wantEmpty(t, cache)
	// The next mirror, when the local one is wrong.
	s := serve(t, file(data))
	mustGet(t, New(quick(cache)), Request{URLs: []string{path + "x", s.URL}, Digest: digestOf(data)}, data)
}

func TestInvalidRequests(t *testing.T) {
	for _, r := range []Request{
		{},
		{URLs: []string{"relative/path"}},
		{URLs: []string{"http:///nohost"}},
		{URLs: []string{"rsync://host/x"}},
		{URLs: []string{"file://host/x"}},
		{URLs: []string{"http://host/%zz"}},
		{URLs: []string{"http://host/"}, Digest: "md5:00"},
		{URLs: []string{"http://host/"}, Digest: "sha256:00"},
		{URLs: []string{"http://host/"}, Digest: "sha256:../../../../../../../../../../../../../../../../etc/passwd0000000"},
	} {
		mustFail(t, New(Options{}), r, Invalid)
	}
	mustFail(t, New(Options{}), Request{URLs: []string{"http://host/"}, Size: 5, MaxSize: 4}, TooLarge)
}

func TestWithoutDigestOrCache(t *testing.T) {
	data := content(70_000)
	s := serve(t, file(data))
	cache := newCache(t)
	mustGet(t, New(quick(cache)), Request{URLs: []string{s.URL}}, data)
	wantEmpty(t, cache)
	mustGet(t, New(quick(nil)), Request{URLs: []string{s.URL}, Digest: digestOf(data)}, data)
	o := quick(cache)
	o.Offline = true
	_, err := New(o).Bytes(context.Background(), Request{URLs: []string{s.URL}})
	var e *Error
	if !errors.As(err, &e) || e.Kind != Offline {
		t.Errorf("error %v", err)
	}
	_, err = New(quick(cache)).Bytes(context.Background(), Request{URLs: []string{s.URL}, MaxSize: 69_999})
	if !errors.As(err, &e) || e.Kind != TooLarge {
		t.Errorf("error %v", err)
	}
	got, err := New(quick(cache)).Bytes(context.Background(), Request{URLs: []string{s.URL}, Digest: digestOf(data), MaxSize: 70_000})
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes, error %v", len(got), err)
	}
}

func TestRedirectDown(t *testing.T) {
	data := content(100)
	plain := serve(t, file(data))
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/down":
			http.Redirect(w, r, plain.URL, http.StatusFound)
		case "/here":
			http.Redirect(w, r, "/file", http.StatusFound)
		default:
			w.Write(data)
		}
	}))
	defer secure.Close()
	o := quick(newCache(t))
	o.HTTP = secure.Client()
	mustFail(t, New(o), Request{URLs: []string{secure.URL + "/down"}, Digest: digestOf(data)}, Network, "from https to http")
	mustGet(t, New(o), Request{URLs: []string{secure.URL + "/here"}, Digest: digestOf(data)}, data)
	if n := len(plain.seen()); n != 0 {
		t.Errorf("%d requests in the clear", n)
	}
	// A certificate nobody vouches for is not worth a second try.
	start := time.Now()
	mustFail(t, New(Options{Backoff: time.Hour}), Request{URLs: []string{secure.URL}}, Credentials, "certificate")
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("took %v", d)
	}
}

func TestOneDownloadForMany(t *testing.T) {
	data := content(100_000)
	s := serve(t, func(n int, w http.ResponseWriter, r *http.Request) {
		time.Sleep(50 * time.Millisecond)
		file(data)(n, w, r)
	})
	cache := newCache(t)
	o := quick(cache)
	o.Jobs = 3
	c := New(o)
	r := Request{URLs: []string{s.URL}, Digest: digestOf(data), Size: 100_000}
	files, err := c.GetAll(context.Background(), []Request{r, r, r, r, r, r, r, r})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		f.Close()
	}
	// Two clients that know nothing of each other are like two processes.
	r.URLs[0] += "/other"
	os.RemoveAll(filepath.Join(cache.Dir(), "sha256"))
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() { mustGet(t, New(o), r, data) })
	}
	group.Wait()
	if n := len(s.seen()); n != 2 {
		t.Errorf("%d requests, want 2", n)
	}
}

func TestGetAll(t *testing.T) {
	var running, most atomic.Int32
	s := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		most.Store(max(most.Load(), running.Add(1)))
		defer running.Add(-1)
		time.Sleep(2 * time.Millisecond)
		if r.URL.Path == "/missing" {
			http.NotFound(w, r)
			return
		}
		n, _ := strconv.Atoi(r.URL.Path[1:])
		w.Write(content(n))
	})
	var requests []Request
	for i := range 40 {
		requests = append(requests, Request{URLs: []string{fmt.Sprintf("%s/%d", s.URL, 1000+i)}, Digest: digestOf(content(1000 + i))})
	}
	o := quick(newCache(t))
	o.Jobs = 4
	files, err := New(o).GetAll(context.Background(), requests)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range files {
		if f.Size() != int64(1000+i) {
			t.Errorf("file %d has %d bytes", i, f.Size())
		}
		f.Close()
	}
	if m := most.Load(); m > 4 || m < 2 {
		t.Errorf("%d requests at a time", m)
	}
	requests[7].URLs, requests[7].Digest = []string{s.URL + "/missing"}, digestOf(nil)
	files, err = New(Options{Jobs: 4, Backoff: time.Millisecond}).GetAll(context.Background(), requests)
	var e *Error
	if files != nil || !errors.As(err, &e) || e.Kind != NotFound || e.URL != s.URL+"/missing" {
		t.Errorf("files %v, error %v", files, err)
	}
	if strings.Contains(err.Error(), "canceled") {
		t.Errorf("the error says what is only a consequence: %v", err)
	}
}

func TestPrune(t *testing.T) {
	cache := newCache(t)
	c := New(quick(cache))
	now := time.Now()
	var digests []digest
	s := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.URL.Path[1:])
		w.Write(content(n))
	})
	for i := range 4 {
		data := content(1000 + i)
		mustGet(t, c, Request{URLs: []string{fmt.Sprintf("%s/%d", s.URL, 1000+i)}, Digest: digestOf(data)}, data)
		d, _ := parseDigest(digestOf(data))
		digests = append(digests, d)
		// The second one was used last.
		used := now.Add(-time.Duration([]int{30, 10, 20, 40}[i]) * time.Minute)
		if err := os.Chtimes(cache.path(d), used, used); err != nil {
			t.Fatal(err)
		}
	}
	old := filepath.Join(cache.tmp(), "private-123")
	fresh := filepath.Join(cache.tmp(), "sha256-abc.part")
	foreign := filepath.Join(cache.Dir(), "sha256", "README")
	for _, p := range []string{old, fresh, foreign} {
		if err := os.WriteFile(p, []byte("123"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	os.Chtimes(old, now.Add(-2*time.Hour), now.Add(-2*time.Hour))
	wantUsage(t, cache, Usage{Files: 4, Bytes: 4006, Partial: 2, PartialBytes: 6})

	// The oldest is in use, so the next oldest go.
	f, err := os.Open(cache.path(digests[3]))
	if err != nil {
		t.Fatal(err)
	}
	if held, known := lock(f, false); known && !held {
		t.Fatal("no lock")
	}
	got, err := cache.Prune(2500)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(Usage{Files: 2, Bytes: 2002, Partial: 1, PartialBytes: 3}, got); d != "" {
		t.Errorf("removed (-want +got):\n%s", d)
	}
	f.Close()
	for i, want := range []bool{false, true, false, true} {
		_, err := os.Stat(cache.path(digests[i]))
		if (err == nil) != want {
			t.Errorf("entry %d: %v, want %v", i, err == nil, want)
		}
	}
	// A hit makes it new, and new ones stay.
	mustGet(t, c, Request{URLs: []string{s.URL}, Digest: digests[3].String()}, content(1003))
	if _, err := cache.Prune(0); err != nil {
		t.Fatal(err)
	}
	wantUsage(t, cache, Usage{Files: 1, Bytes: 1003, Partial: 1, PartialBytes: 3})
	if _, err := cache.prune(0, now.Add(3*time.Hour)); err != nil {
		t.Fatal(err)
	}
	wantEmpty(t, cache)
	if _, err := os.Stat(foreign); err != nil {
		t.Error(err)
	}
}

func TestOpenFileIsNotPruned(t *testing.T) {
	data := content(100)
	s := serve(t, file(data))
	cache := newCache(t)
	r := Request{URLs: []string{s.URL}, Digest: digestOf(data)}
	for _, how := range []string{"just downloaded", "from the cache"} {
		f, err := New(quick(cache)).Get(context.Background(), r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := cache.prune(0, time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(f.Path()); err != nil {
			t.Errorf("%s: %v", how, err)
		}
		f.Close()
	}
	if _, err := cache.prune(0, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	wantEmpty(t, cache)
}

func TestDefaultDir(t *testing.T) {
	for _, test := range []struct {
		slim, xdg, home, system, want string
	}{
		{"", "", "/home/u", "linux", "/home/u/.cache/slim"},
		{"", "", "/Users/u", "darwin", "/Users/u/Library/Caches/slim"},
		{"", "/x", "/Users/u", "darwin", "/x/slim"},
		{"", "relative", "/home/u", "linux", "/home/u/.cache/slim"},
		{"/s", "/x", "/home/u", "linux", "/s"},
		{"", "", "", "linux", ""},
	} {
		getenv := func(name string) string {
			return map[string]string{"SLIM_CACHE_DIR": test.slim, "XDG_CACHE_HOME": test.xdg}[name]
		}
		if got := defaultDir(getenv, test.home, test.system); got != test.want {
			t.Errorf("%+v: got %q", test, got)
		}
	}
}

// Helper processes: the test binary, told by SLIM_TEST_HELPER what to do.
func TestMain(m *testing.M) {
	arguments := strings.Fields(os.Getenv("SLIM_TEST_HELPER"))
	if len(arguments) == 0 {
		os.Exit(m.Run())
	}
	o := Options{Backoff: time.Millisecond, Retries: 1}
	if arguments[0] != "-" {
		c, err := OpenCache(arguments[0])
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		o.Cache = c
	}
	digest := ""
	if len(arguments) > 2 {
		digest = arguments[2]
	}
	f, err := New(o).Get(context.Background(), Request{URLs: []string{arguments[1]}, Digest: digest})
	if err == nil {
		_, err = io.Copy(os.Stdout, f)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func helper(t *testing.T, arguments ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), "SLIM_TEST_HELPER="+strings.Join(arguments, " "))
	cmd.Stderr = os.Stderr
	return cmd
}

func TestProcesses(t *testing.T) {
	data := content(2_000_000)
	s := serve(t, func(n int, w http.ResponseWriter, r *http.Request) {
		time.Sleep(100 * time.Millisecond)
		file(data)(n, w, r)
	})
	cache := newCache(t)
	var group sync.WaitGroup
	for range 5 {
		cmd := helper(t, cache.Dir(), s.URL, digestOf(data))
		group.Go(func() {
			out, err := cmd.Output()
			if err != nil || !bytes.Equal(out, data) {
				t.Errorf("%d bytes, error %v", len(out), err)
			}
		})
	}
	group.Wait()
	if n := len(s.seen()); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
	wantUsage(t, cache, Usage{Files: 1, Bytes: 2_000_000})
}

// A process that is killed in the middle of a download leaves no entry, and the next one goes on where it was.
func TestKilledProcess(t *testing.T) {
	data := content(3_000_000)
	half := make(chan struct{})
	s := serve(t, func(n int, w http.ResponseWriter, r *http.Request) {
		if n > 1 {
			file(data)(n, w, r)
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(data)))
		w.Write(data[:2_000_000])
		w.(http.Flusher).Flush()
		close(half)
		<-r.Context().Done()
	})
	cache := newCache(t)
	cmd := helper(t, cache.Dir(), s.URL, digestOf(data))
	cmd.Stderr = nil
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-half
	d, _ := parseDigest(digestOf(data))
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if info, err := os.Stat(cache.part(d)); err == nil && info.Size() >= 1_000_000 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing comes")
		}
	}
	cmd.Process.Kill()
	cmd.Wait()
	u, err := cache.Info()
	if err != nil || u.Files != 0 || u.Partial != 1 {
		t.Errorf("usage %+v, error %v", u, err)
	}
	mustGet(t, New(quick(cache)), Request{URLs: []string{s.URL}, Digest: digestOf(data)}, data)
	if r := s.seen(); len(r) != 2 || !strings.HasPrefix(r[1], "bytes=") {
		t.Errorf("ranges %q", r)
	}
	wantUsage(t, cache, Usage{Files: 1, Bytes: 3_000_000})
}

// Who holds the lock and does not get on does not keep others from it.
func TestHungProcess(t *testing.T) {
	data := content(1000)
	s := serve(t, file(data))
	cache := newCache(t)
	d, _ := parseDigest(digestOf(data))
	f, err := os.Create(cache.part(d))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if held, known := lock(f, true); !known || !held {
		t.Skip("skipped: needs file locks")
	}
	o := quick(cache)
	o.Stall = 100 * time.Millisecond
	mustGet(t, New(o), Request{URLs: []string{s.URL}, Digest: digestOf(data)}, data)
	wantUsage(t, cache, Usage{Files: 1, Bytes: 1000, Partial: 1})
}

func TestProxy(t *testing.T) {
	data := content(100)
	asked := make(chan string, 10)
	proxy := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.String()
		w.Write(data)
	})
	cmd := helper(t, "-", "http://mirror.invalid/a")
	cmd.Env = append(cmd.Env, "HTTP_PROXY="+proxy.URL, "http_proxy="+proxy.URL, "NO_PROXY=", "no_proxy=")
	out, err := cmd.Output()
	if err != nil || !bytes.Equal(out, data) {
		t.Fatalf("%d bytes, error %v", len(out), err)
	}
	if u := <-asked; u != "http://mirror.invalid/a" {
		t.Errorf("the proxy was asked for %s", u)
	}
}

func TestCacheThatCannotBeWritten(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("skipped: needs a user who is not root")
	}
	data := content(100)
	s := serve(t, file(data))
	cache := newCache(t)
	if err := os.Chmod(cache.tmp(), 0o500); err != nil {
		t.Fatal(err)
	}
	mustFail(t, New(quick(cache)), Request{URLs: []string{s.URL}, Digest: digestOf(data)}, Local)
}

func FuzzDigest(f *testing.F) {
	f.Add("sha256:" + strings.Repeat("a", 64))
	f.Add("sha1:" + strings.Repeat("/", 40))
	f.Fuzz(func(t *testing.T, s string) {
		d, err := parseDigest(s)
		if err != nil || !d.known() {
			return
		}
		c := &Cache{dir: "/cache"}
		for _, p := range []string{c.path(d), c.part(d)} {
			if !strings.HasPrefix(filepath.Clean(p), "/cache/") || strings.Contains(p, "..") {
				t.Errorf("%q is at %q", s, p)
			}
		}
	})
}

func FuzzContentRange(f *testing.F) {
	f.Add("bytes 5-9/10", int64(5))
	f.Add("bytes 5-9/*", int64(5))
	f.Add("bytes -5-9/10", int64(-5))
	f.Fuzz(func(t *testing.T, text string, offset int64) {
		a := &http.Response{Header: http.Header{"Content-Range": {text}}, ContentLength: -1}
		if offset < 0 || rest(a, offset) != nil {
			return
		}
		if !strings.HasPrefix(text, "bytes ") || !strings.Contains(text, strconv.FormatInt(offset, 10)) {
			t.Errorf("%q for offset %d", text, offset)
		}
	})
}
