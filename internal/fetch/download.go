package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxResumes  = 20       // of one address in one round
	maxDrain    = 64 << 10 // bytes of an answer that are read for the sake of the connection
	minProgress = 1 << 10  // bytes in Options.Stall, or nothing moves
	tellEvery   = 100 * time.Millisecond
)

// try is an address while its request is under way.
type try struct {
	source
	err       error
	dead      bool      // not worth another try
	notBefore time.Time // as the server asked
	etag      string    // strong validator of what is in the target from here
	whole     bool      // all that is in the target came in one answer
}

// load fills what open returns from the first address that has the file, in rounds: each address is tried, those that
// may work later are tried again after a pause. open is called once, before the first address that is not local; local
// is called for those that are, and when it returns nil all is done.
func (c *Client) load(ctx context.Context, j *job, open func() (target, error), local func(source) error) error {
	tries := c.order(j.sources)
	var t target
	for round := 0; ; round++ {
		for i, s := range tries {
			if s.dead || time.Now().Before(s.notBefore) {
				continue
			}
			if t == nil && !s.local() && !c.o.Offline {
				var err error
				if t, err = open(); err == errThere {
					return err
				} else if err != nil {
					return j.err([]Attempt{attempt(s.source, err)})
				}
			}
			if s.err = c.one(ctx, j, s, t, local); s.err == nil {
				return nil
			}
			if err := ctx.Err(); err != nil {
				return j.err([]Attempt{attempt(s.source, err)})
			}
			var f *failure
			if again := errors.As(s.err, &f) && f.again; !again {
				s.dead = true
			}
			if f != nil && f.kind == Local && !s.local() {
				return j.err([]Attempt{attempt(s.source, s.err)})
			}
			c.demote(s.source)
			if i+1 < len(tries) {
				c.tell(j, Event{Kind: Retrying, URL: s.name, Err: s.err})
			}
		}
		wait, ok := c.pause(tries, round)
		if !ok {
			break
		}
		last := tries[len(tries)-1]
		c.tell(j, Event{Kind: Retrying, URL: last.name, Err: last.err, Wait: wait})
		if err := sleep(ctx, wait); err != nil {
			return j.err([]Attempt{attempt(last.source, err)})
		}
	}
	return j.err(attempts(j.sources, tries))
}

// one tries one address once.
func (c *Client) one(ctx context.Context, j *job, s *try, t target, local func(source) error) error {
	if s.local() {
		if err := local(s.source); err != nil {
			return err
		}
		c.tell(j, Event{Kind: Hit, URL: s.name, Done: j.size, Total: total(j)})
		return nil
	}
	if c.o.Offline {
		return fail(Offline, "not in the cache, and offline")
	}
	get := c.from
	if j.first > 0 {
		get = c.begin
	}
	if err := get(ctx, j, s, t); err != nil {
		return err
	}
	c.tell(j, Event{Kind: Finished, URL: s.name, Done: t.Len(), Total: t.Len()})
	return nil
}

// attempts says what went wrong, in the order of the request.
func attempts(sources []source, tries []*try) []Attempt {
	var list []Attempt
	for _, s := range sources {
		i := slices.IndexFunc(tries, func(t *try) bool { return t.source == s })
		if tries[i].err != nil {
			list = append(list, attempt(s, tries[i].err))
		}
	}
	return list
}

// order puts the addresses on hosts that have failed before last.
func (c *Client) order(sources []source) []*try {
	tries := make([]*try, len(sources))
	for i, s := range sources {
		tries[i] = &try{source: s}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	slices.SortStableFunc(tries, func(a, b *try) int { return c.failed[host(a.source)] - c.failed[host(b.source)] })
	return tries
}

// demote puts a host last for the rest of the client's life.
func (c *Client) demote(s source) {
	if s.local() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed[host(s)] == 0 {
		c.failed[host(s)] = len(c.failed) + 1
	}
}

func host(s source) string {
	if s.local() {
		return ""
	}
	return s.url.Scheme + "://" + s.url.Host
}

// pause is how long to wait before the next round, and whether there is one.
func (c *Client) pause(tries []*try, round int) (time.Duration, bool) {
	if round >= c.o.Retries {
		return 0, false
	}
	wait := c.backoff(round)
	asked := time.Duration(-1)
	for _, s := range tries {
		if left := time.Until(s.notBefore); !s.dead && (asked < 0 || left < asked) {
			asked = max(left, 0)
		}
	}
	return max(wait, asked), asked >= 0
}

// backoff doubles with every round, less up to a half, so that many clients do not come back together.
func (c *Client) backoff(round int) time.Duration {
	d := min(c.o.Backoff<<min(round, 10), maxBackoff)
	return d - rand.N(d/2+1)
}

// from fills t from one address, going on where the connection broke as long as something comes.
func (c *Client) from(ctx context.Context, j *job, s *try, t target) error {
	s.whole = t.Len() == 0
	restarted := false
	for resumes := 0; ; resumes++ {
		before := t.Len()
		err := c.request(ctx, j, s, t)
		if err == nil {
			if err = t.Check(j.digest); err == nil {
				return nil
			}
		}
		var f *failure
		if !errors.As(err, &f) {
			return &failure{kind: Local, err: err}
		}
		bad := f.kind == Mismatch || f.kind == TooLarge || f == errRestart
		if bad {
			if err := t.Reset(); err != nil {
				return &failure{kind: Local, err: err}
			}
		}
		switch {
		case ctx.Err() != nil:
			return err
		case bad && !restarted && (f == errRestart || !s.whole):
			// The beginning was from elsewhere, or from before: it need not be this address that is wrong.
			restarted = true
		case f == errRestart:
			return fail(Network, "the server answers requests for a part wrongly")
		case !f.again || t.Len() <= before || resumes == maxResumes:
			return err
		default:
			wait := c.backoff(0)
			c.tell(j, Event{Kind: Retrying, URL: s.name, Err: err, Wait: wait, Done: t.Len(), Total: total(j)})
			if sleep(ctx, wait) != nil {
				return err
			}
			s.whole = false
			continue
		}
		s.whole, s.etag = true, ""
	}
}

func total(j *job) int64 {
	if j.first > 0 {
		return j.first
	}
	if j.size > 0 {
		return j.size
	}
	return -1
}

// errRestart says that what is in the target cannot be gone on with.
var errRestart = &failure{kind: Network, again: true, err: errors.New("the server cannot send the rest")}

// request sends one request and adds what comes to t. It returns a *failure.
func (c *Client) request(ctx context.Context, j *job, s *try, t target) error {
	offset := t.Len()
	switch {
	case offset > 0 && (!j.digest.known() || j.size > 0 && offset > j.size):
		// Without a digest nothing would show that the rest belongs to it.
		if err := t.Reset(); err != nil {
			return &failure{kind: Local, err: err}
		}
		offset, s.whole = 0, true
	case offset > 0 && offset == j.size:
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watch := watchdog(c.o.Stall, cancel)
	defer watch.stop()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url.String(), nil)
	if err != nil {
		return fail(Invalid, "%w", cause(err))
	}
	c.header(r, s, offset)
	c.tell(j, Event{Kind: Started, URL: s.name, Done: offset, Total: total(j)})
	answer, err := c.http.Do(r)
	if err != nil {
		return c.refused(err, watch)
	}
	defer answer.Body.Close()
	if err := s.accept(answer, offset); err != nil {
		// So that the connection can be used again.
		_, _ = io.CopyN(io.Discard, answer.Body, maxDrain)
		return err
	}
	if answer.StatusCode == http.StatusOK {
		if offset > 0 {
			if err := t.Reset(); err != nil {
				return &failure{kind: Local, err: err}
			}
			offset = 0
		}
		s.whole = true
		s.etag = strong(answer.Header.Get("ETag"))
	}
	if err := j.promised(answer, offset); err != nil {
		return err
	}
	return c.receive(j, s, t, answer, watch)
}

func (c *Client) header(r *http.Request, s *try, offset int64) {
	r.Header.Set("User-Agent", c.o.UserAgent)
	// Stored bytes are what digests are of.
	r.Header.Set("Accept-Encoding", "identity")
	if offset > 0 {
		r.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
		if s.etag != "" {
			r.Header.Set("If-Range", s.etag)
		}
	}
}

// strong is an entity tag that may stand in If-Range.
func strong(etag string) string {
	if len(etag) < 2 || etag[0] != '"' {
		return ""
	}
	return etag
}

// refused is what to make of an error instead of an answer.
func (c *Client) refused(err error, watch *watch) error {
	var f *failure
	var certificate *tls.CertificateVerificationError
	switch {
	case watch.barked():
		return broken("no answer within %v", c.o.Stall)
	case errors.As(err, &f):
		return f
	case errors.As(err, &certificate):
		return fail(Credentials, "%w", cause(err))
	}
	return broken("%w", cause(err))
}

// cause is an error without the address, which the attempt names, and which may hold a password.
func cause(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// accept checks that the answer is the file, or the rest of it from offset.
func (s *try) accept(answer *http.Response, offset int64) error {
	code := answer.StatusCode
	switch {
	case code == http.StatusOK:
		return nil
	case code == http.StatusPartialContent && offset > 0:
		return rest(answer, offset)
	case code == http.StatusRequestedRangeNotSatisfiable && offset > 0:
		return errRestart
	case code == http.StatusUnauthorized, code == http.StatusForbidden, code == http.StatusProxyAuthRequired:
		return fail(Credentials, "%s", status(answer))
	case code == http.StatusRequestTimeout, code == http.StatusTooEarly, code == http.StatusTooManyRequests, code >= 500:
		wait := retryAfter(answer.Header.Get("Retry-After"), time.Now())
		if wait > maxRetryAfter {
			return fail(Network, "%s, and to come back in %v", status(answer), wait)
		}
		s.notBefore = time.Now().Add(wait)
		return broken("%s", status(answer))
	case code >= 400:
		return fail(NotFound, "%s", status(answer))
	}
	return fail(Network, "%s, which was not asked for", status(answer))
}

func status(answer *http.Response) string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", answer.StatusCode, http.StatusText(answer.StatusCode)))
}

// rest checks the Content-Range of a partial answer: bytes FIRST-LAST/LENGTH, all that is left.
func rest(answer *http.Response, offset int64) error {
	text, ok := strings.CutPrefix(answer.Header.Get("Content-Range"), "bytes ")
	span, length, ok2 := strings.Cut(text, "/")
	first, last, ok3 := strings.Cut(span, "-")
	a, err := strconv.ParseInt(first, 10, 64)
	b, err2 := strconv.ParseInt(last, 10, 64)
	if !ok || !ok2 || !ok3 || errors.Join(err, err2) != nil || a != offset || b < a {
		return errRestart
	}
	if length != "*" && length != strconv.FormatInt(b+1, 10) {
		return errRestart
	}
	if answer.ContentLength >= 0 && answer.ContentLength != b-a+1 {
		return errRestart
	}
	return nil
}

// retryAfter reads a number of seconds or a date.
func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if date, err := http.ParseTime(text); err == nil {
		return max(date.Sub(now), 0)
	}
	return 0
}

// promised checks what the answer says about what will come.
func (j *job) promised(answer *http.Response, offset int64) error {
	encoding := answer.Header.Get("Content-Encoding")
	if encoding == "identity" {
		encoding = ""
	}
	if encoding != "" && !j.digest.known() {
		return fail(Mismatch, "the server sends it encoded (%q), which was not asked for", encoding)
	}
	if answer.ContentLength < 0 {
		return nil
	}
	all := offset + answer.ContentLength
	switch {
	case j.size > 0 && all != j.size && encoding != "":
		return fail(Mismatch, "the server has %d bytes, encoded (%q), not %d", all, encoding, j.size)
	case j.size > 0 && all != j.size:
		return fail(Mismatch, "the server has %d bytes, not %d", all, j.size)
	case all > j.max || all < 0:
		return fail(TooLarge, "the server has %d bytes, more than %d", all, j.max)
	}
	return nil
}

// receive copies the body to t.
func (c *Client) receive(j *job, s *try, t target, answer *http.Response, watch *watch) error {
	buf := make([]byte, 128<<10)
	told := time.Now()
	for {
		n, err := answer.Body.Read(buf)
		watch.add(n)
		if t.Len()+int64(n) > j.max {
			if j.size > 0 {
				return fail(Mismatch, "the server sends more than %d bytes", j.size)
			}
			return fail(TooLarge, "the server sends more than %d bytes", j.max)
		}
		if _, err := t.Write(buf[:n]); err != nil {
			return &failure{kind: Local, err: err}
		}
		if now := time.Now(); now.Sub(told) > tellEvery {
			told = now
			c.tell(j, Event{Kind: Advanced, URL: s.name, Done: t.Len(), Total: total(j)})
		}
		switch {
		case err == io.EOF:
			return j.ended(answer, t.Len())
		case err != nil && watch.barked():
			return broken("less than %d bytes in %v, after %d bytes", minProgress, c.o.Stall, t.Len())
		case err != nil:
			return broken("broken off after %d bytes: %w", t.Len(), cause(err))
		}
	}
}

// ended says what the end of a body means: the file may be too short because the connection ended, where nothing but that
// marks the end, or because the server has another file.
func (j *job) ended(answer *http.Response, n int64) error {
	switch {
	case j.first > 0 && n < j.first && j.size > 0:
		return broken("broken off after %d of %d bytes", n, j.first)
	case j.size <= 0 || n == j.size || j.first > 0:
		return nil
	case answer.ContentLength < 0 && answer.ProtoMajor == 1 && len(answer.TransferEncoding) == 0:
		return broken("broken off after %d of %d bytes", n, j.size)
	}
	return fail(Mismatch, "the server sends %d bytes, not %d", n, j.size)
}

// watch calls cancel when too little comes.
type watch struct {
	every  time.Duration
	cancel func()
	mu     sync.Mutex
	timer  *time.Timer
	n      atomic.Int64
	bark   atomic.Bool
}

func watchdog(every time.Duration, cancel func()) *watch {
	w := &watch{every: every, cancel: cancel}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(every, w.look)
	return w
}

func (w *watch) look() {
	if w.n.Swap(0) < minProgress {
		w.bark.Store(true)
		w.cancel()
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer.Reset(w.every)
}

func (w *watch) add(n int)    { w.n.Add(int64(n)) }
func (w *watch) barked() bool { return w.bark.Load() }
func (w *watch) stop()        { w.timer.Stop() }
