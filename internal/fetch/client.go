package fetch

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	defaultJobs      = 6
	defaultRetries   = 3
	defaultStall     = 30 * time.Second
	defaultBackoff   = 500 * time.Millisecond
	defaultUserAgent = "slim"

	maxBackoff    = 20 * time.Second
	maxRetryAfter = 2 * time.Minute // a server that wants us to wait longer has failed
	maxRedirects  = 10

	// MaxFileSize is Request.MaxSize for Get when the request says nothing, MaxBytesSize that for Bytes.
	MaxFileSize  = 16 << 30
	MaxBytesSize = 64 << 20
)

// Options say how a Client works. The zero value is a client without a cache.
type Options struct {
	Cache     *Cache        // nil: files with a digest are loaded every time, and are gone when closed
	Jobs      int           // requests at the same time; default 6
	Retries   int           // rounds over the addresses after the first one; default 3, negative: none
	Offline   bool          // nothing but the cache and local files
	HTTP      *http.Client  // default: honours the proxy variables of the environment; times out when nothing moves
	Progress  func(Event)   // called by one goroutine at a time; nil: nobody
	UserAgent string        // default "slim"
	Stall     time.Duration // longest time in which less than 1 KiB comes; default 30 s
	Backoff   time.Duration // pause before the first retry, doubled for each next one; default 0.5 s
}

// EventKind says what an Event tells.
type EventKind uint8

const (
	Started  EventKind = iota + 1 // a request has been sent to URL
	Advanced                      // Done bytes of Total (-1: not known) are there
	Retrying                      // Err went wrong at URL; after Wait the next try, maybe at another address
	Finished                      // the file is there and verified
	Hit                           // the file was in the cache, or is local
)

// Event is something that happened to a request.
type Event struct {
	Kind        EventKind
	Request     Request
	URL         string // without password
	Done, Total int64
	Err         error
	Wait        time.Duration
}

// Request asks for a file.
type Request struct {
	// URLs are the file's addresses, the best first: http, https and file URLs, or absolute paths.
	URLs []string
	// Digest is ALGORITHM:HEX (sha1, sha224, sha256, sha384, sha512), "" when it is not known. What has none is not cached.
	Digest string
	// Size is the number of bytes; not known when it is not positive.
	Size int64
	// MaxSize is the most bytes to accept when Size is not known; MaxFileSize or MaxBytesSize when it is not positive.
	MaxSize int64
}

// Client fetches files. It is safe for use by several goroutines.
type Client struct {
	o     Options
	http  *http.Client
	slots chan struct{}

	mu     sync.Mutex
	failed map[string]int           // hosts in the order they failed in, which go last
	flying map[string]chan struct{} // digests that are being fetched; closed at the end

	progress sync.Mutex
}

// New returns a client.
func New(o Options) *Client {
	if o.Jobs <= 0 {
		o.Jobs = defaultJobs
	}
	switch {
	case o.Retries == 0:
		o.Retries = defaultRetries
	case o.Retries < 0:
		o.Retries = 0
	}
	if o.Stall <= 0 {
		o.Stall = defaultStall
	}
	if o.Backoff <= 0 {
		o.Backoff = defaultBackoff
	}
	if o.UserAgent == "" {
		o.UserAgent = defaultUserAgent
	}
	return &Client{
		o: o, http: httpClient(o), slots: make(chan struct{}, o.Jobs),
		failed: map[string]int{}, flying: map[string]chan struct{}{},
	}
}

func httpClient(o Options) *http.Client {
	if o.HTTP == nil {
		dial := &net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}
		o.HTTP = &http.Client{Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            dial.DialContext,
			ForceAttemptHTTP2:      true,
			TLSHandshakeTimeout:    15 * time.Second,
			ResponseHeaderTimeout:  o.Stall,
			MaxResponseHeaderBytes: 256 << 10,
			MaxIdleConnsPerHost:    o.Jobs,
			IdleConnTimeout:        30 * time.Second,
			DisableCompression:     true,
		}}
	}
	client := *o.HTTP
	client.CheckRedirect = checkRedirect(o.HTTP.CheckRedirect)
	return &client
}

// checkRedirect refuses redirects to anything less safe, after what the caller's own client says.
func checkRedirect(next func(*http.Request, []*http.Request) error) func(*http.Request, []*http.Request) error {
	return func(r *http.Request, via []*http.Request) error {
		switch {
		case len(via) > maxRedirects:
			return fail(Network, "more than %d redirects", maxRedirects)
		case r.URL.Scheme != "http" && r.URL.Scheme != "https":
			return fail(Network, "a redirect to %s", r.URL.Scheme)
		case r.URL.Scheme == "http" && via[len(via)-1].URL.Scheme == "https":
			return fail(Network, "a redirect from https to http (%s)", r.URL.Host)
		case next != nil:
			return next(r, via)
		}
		return nil
	}
}

// source is one address of a request.
type source struct {
	name string // the address without password, for people
	path string // of a local file, or ""
	url  *url.URL
}

func (s source) local() bool { return s.path != "" }

func parseSource(address string) (source, error) {
	if strings.HasPrefix(address, "/") {
		return source{name: address, path: filepath.Clean(address)}, nil
	}
	u, err := url.Parse(address)
	if err != nil {
		// The error repeats the address, password and all.
		return source{}, fail(Invalid, "an address that is not a URL")
	}
	s := source{name: u.Redacted(), url: u}
	switch u.Scheme {
	case "http", "https":
		if u.Host == "" {
			return s, fail(Invalid, "%s has no host", s.name)
		}
		return s, nil
	case "file":
		if u.Host != "" && u.Host != "localhost" || !strings.HasPrefix(u.Path, "/") {
			return s, fail(Invalid, "%s is not file:///PATH", s.name)
		}
		s.path = filepath.Clean(u.Path)
		return s, nil
	}
	return s, fail(Invalid, "%s is neither http, https nor file URL nor absolute path", s.name)
}

// job is a request, understood.
type job struct {
	request Request
	sources []source
	digest  digest
	size    int64 // 0: not known
	max     int64
	first   int64 // how many bytes of the beginning are wanted; 0: the whole file
}

func newJob(r Request, most int64) (*job, error) {
	j := &job{request: r, size: max(r.Size, 0), max: r.MaxSize}
	if j.max <= 0 {
		j.max = most
	}
	invalid := func(name string, err error) error {
		return newError(name, r.Digest, []Attempt{{URL: name, Kind: Invalid, Err: err}})
	}
	if len(r.URLs) == 0 {
		return nil, invalid("", errors.New("a request without an address"))
	}
	for _, address := range r.URLs {
		s, err := parseSource(address)
		if err != nil {
			return nil, invalid(s.name, err)
		}
		j.sources = append(j.sources, s)
	}
	var err error
	if j.digest, err = parseDigest(r.Digest); err != nil {
		return nil, invalid(j.sources[0].name, err)
	}
	if j.size > j.max && r.MaxSize > 0 {
		return nil, newError(j.sources[0].name, r.Digest, []Attempt{{
			URL: j.sources[0].name, Kind: TooLarge,
			Err: fail(TooLarge, "%d bytes are more than %d", j.size, j.max),
		}})
	}
	if j.size > 0 {
		j.max = j.size
	}
	return j, nil
}

func (j *job) err(attempts []Attempt) error {
	return newError(j.sources[0].name, j.digest.String(), attempts)
}

func attempt(s source, err error) Attempt {
	a := Attempt{URL: s.name, Kind: Local, Err: err}
	var f *failure
	switch {
	case errors.As(err, &f):
		a.Kind = f.kind
	case errors.Is(err, fs.ErrNotExist):
		a.Kind = NotFound
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		a.Kind = Network
	}
	return a
}

// Get returns the file, verified. With a digest it comes from the cache when it is there, and goes into it otherwise; a
// file that is local is opened where it is. Without a digest it is loaded into a file that has no name. Errors are
// *Error; of a canceled context the cause is in their chain.
func (c *Client) Get(ctx context.Context, r Request) (*File, error) {
	j, err := newJob(r, MaxFileSize)
	if err != nil {
		return nil, err
	}
	if err := c.enter(ctx); err != nil {
		return nil, j.err([]Attempt{attempt(j.sources[0], err)})
	}
	defer c.leave()
	if c.o.Cache == nil || !j.digest.known() {
		return c.private(ctx, j)
	}
	land, err := c.alone(ctx, j.digest.String())
	if err != nil {
		return nil, j.err([]Attempt{attempt(j.sources[0], err)})
	}
	defer land()
	return c.cached(ctx, j)
}

// GetAll gets all files, several at a time, and returns them in the order of the requests. The first error ends what is
// still under way; what failed of itself is joined in the error, in the order of the requests, and no file is
// returned. The caller closes the files.
func (c *Client) GetAll(ctx context.Context, requests []Request) ([]*File, error) {
	files := make([]*File, len(requests))
	faults := make([]error, len(requests))
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(c.o.Jobs)
	for i, r := range requests {
		group.Go(func() error {
			if faults[i] = within.Err(); faults[i] != nil {
				return faults[i]
			}
			files[i], faults[i] = c.Get(within, r)
			return faults[i]
		})
	}
	first := group.Wait()
	if first == nil {
		return files, nil
	}
	var own []error
	for i, f := range files {
		if f != nil {
			f.Close()
		}
		if faults[i] != nil && !errors.Is(faults[i], context.Canceled) {
			own = append(own, faults[i])
		}
	}
	if len(own) == 0 || ctx.Err() != nil {
		return nil, first
	}
	return nil, errors.Join(own...)
}

// Bytes returns a whole file, for small ones whose digest is not known: repomd.xml, signatures, keys. Nothing is cached,
// except when there is a digest. Errors are as for Get.
func (c *Client) Bytes(ctx context.Context, r Request) ([]byte, error) {
	if r.MaxSize <= 0 {
		r.MaxSize = MaxBytesSize
	}
	if r.Digest != "" {
		f, err := c.Get(ctx, r)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		data, err := io.ReadAll(f)
		if err != nil {
			return nil, newError(f.Path(), r.Digest, []Attempt{{URL: f.Path(), Kind: Local, Err: err}})
		}
		return data, nil
	}
	j, err := newJob(r, MaxBytesSize)
	if err != nil {
		return nil, err
	}
	if err := c.enter(ctx); err != nil {
		return nil, j.err([]Attempt{attempt(j.sources[0], err)})
	}
	defer c.leave()
	var into memory
	err = c.load(ctx, j, func() (target, error) { return &into, nil }, func(s source) error {
		f, err := openLocal(s, j)
		if err != nil {
			return err
		}
		defer f.Close()
		into.data, err = io.ReadAll(f)
		return err
	})
	if err != nil {
		return nil, err
	}
	return into.data, nil
}

// Cache is that of the options.
func (c *Client) Cache() *Cache { return c.o.Cache }

// enter waits for a slot.
func (c *Client) enter(ctx context.Context) error {
	select {
	case c.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *Client) leave() { <-c.slots }

// alone waits until no other goroutine of this client fetches the same digest. The result lets the next one go.
func (c *Client) alone(ctx context.Context, digest string) (func(), error) {
	for {
		c.mu.Lock()
		other, busy := c.flying[digest]
		if !busy {
			mine := make(chan struct{})
			c.flying[digest] = mine
			c.mu.Unlock()
			return func() {
				c.mu.Lock()
				delete(c.flying, digest)
				c.mu.Unlock()
				close(mine)
			}, nil
		}
		c.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (c *Client) tell(j *job, e Event) {
	if c.o.Progress == nil {
		return
	}
	c.progress.Lock()
	defer c.progress.Unlock()
	e.Request = j.request
	c.o.Progress(e)
}
