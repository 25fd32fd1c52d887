package fetch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

// KindBeginning is the kind as which beginnings of files are kept.
const KindBeginning = "beginning"

// Beginning returns the first n bytes of a file, or all of one that is shorter than n. It takes them from the cache
// when that has the file, asks a server for no more than them, and keeps what came by the file's digest. The digest is of
// the whole file, so that nothing shows whether they are the right ones: who uses them has to verify them by what is in
// them. Errors are as for Get.
func (c *Client) Beginning(ctx context.Context, r Request, n int64) ([]byte, error) {
	j, err := newJob(r, MaxFileSize)
	if err != nil {
		return nil, err
	}
	if n <= 0 {
		return nil, j.err([]Attempt{attempt(j.sources[0], fail(Invalid, "a request for the first %d bytes", n))})
	}
	if j.size > 0 {
		n = min(n, j.size)
	}
	if err := c.enter(ctx); err != nil {
		return nil, j.err([]Attempt{attempt(j.sources[0], err)})
	}
	defer c.leave()
	if data := c.keptBeginning(j, n); data != nil {
		c.tell(j, Event{Kind: Hit, URL: j.sources[0].name, Done: n, Total: n})
		return data, nil
	}
	j.first = n
	var into memory
	err = c.load(ctx, j, func() (target, error) { return &into, nil }, func(s source) error {
		f, err := os.Open(s.path)
		if err != nil {
			return pathError(err)
		}
		defer f.Close()
		if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
			return fail(Local, "not a regular file")
		}
		into.data, err = io.ReadAll(io.LimitReader(f, n))
		return err
	})
	if err != nil {
		return nil, err
	}
	c.keepBeginning(j, into.data)
	return into.data, nil
}

// begin asks one address for the first bytes of the file. It returns a *failure.
func (c *Client) begin(ctx context.Context, j *job, s *try, t target) error {
	if err := t.Reset(); err != nil {
		return &failure{kind: Local, err: err}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watch := watchdog(c.o.Stall, cancel)
	defer watch.stop()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url.String(), nil)
	if err != nil {
		return fail(Invalid, "%w", cause(err))
	}
	c.header(r, s, 0)
	r.Header.Set("Range", fmt.Sprintf("bytes=0-%d", j.first-1))
	c.tell(j, Event{Kind: Started, URL: s.name, Total: j.first})
	answer, err := c.http.Do(r)
	if err != nil {
		return c.refused(err, watch)
	}
	// What a server sends beyond what was asked for stays unread.
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusPartialContent {
		if text := answer.Header.Get("Content-Range"); !strings.HasPrefix(text, "bytes 0-") {
			return fail(Network, "the server answers requests for a part wrongly")
		}
	} else if err := s.accept(answer, 0); err != nil {
		return err
	}
	if encoding := answer.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return fail(Mismatch, "the server sends it encoded (%q), which was not asked for", encoding)
	}
	answer.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(answer.Body, j.first), answer.Body}
	return c.receive(j, s, t, answer, watch)
}

// beginningKey names the first n bytes of a file in the cache.
func beginningKey(d digest, n int64) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", d, n))
	return hex.EncodeToString(sum[:])
}

// keptBeginning are the first n bytes of a file that the cache has whole, or those that it keeps; nil without them.
func (c *Client) keptBeginning(j *job, n int64) []byte {
	if c.o.Cache == nil || !j.digest.known() {
		return nil
	}
	data := make([]byte, n)
	if f, err := c.o.Cache.open(j.digest, j.size); err == nil && f != nil {
		defer f.Close()
		if _, err := io.ReadFull(f, data); err == nil {
			return data
		}
	}
	k, err := c.o.Cache.Kept(KindBeginning, beginningKey(j.digest, n))
	if err != nil || k == nil {
		return nil
	}
	defer k.Close()
	data, err = io.ReadAll(k)
	if err != nil || int64(len(data)) != n {
		return nil
	}
	return data
}

// keepBeginning keeps what came. A cache that cannot be written to is no reason to fail: the bytes are there.
func (c *Client) keepBeginning(j *job, data []byte) {
	if c.o.Cache == nil || !j.digest.known() || int64(len(data)) != j.first {
		return
	}
	k, err := c.o.Cache.Keep()
	if err != nil {
		return
	}
	if _, err := k.Write(data); err != nil {
		k.Discard()
		return
	}
	_ = k.Commit(KindBeginning, beginningKey(j.digest, j.first))
}
