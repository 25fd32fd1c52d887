// Package fetch turns http, https and file URLs into verified files, and keeps what has a digest in a
// content-addressed cache.
package fetch

import (
	"context"
	"errors"
	"net/http"
	"time"
)

type Cache struct{ dir string }

type Usage struct {
	Files        int
	Bytes        int64
	Partial      int
	PartialBytes int64
}

func DefaultDir(getenv func(string) string, home string) string { return "" }
func OpenCache(dir string) (*Cache, error)                      { return nil, errors.ErrUnsupported }
func (c *Cache) Dir() string                                    { return c.dir }
func (c *Cache) Info() (Usage, error)                           { return Usage{}, errors.ErrUnsupported }
func (c *Cache) Prune(keep int64) (Usage, error)                { return Usage{}, errors.ErrUnsupported }

type Options struct {
	Cache     *Cache
	Jobs      int
	Retries   int
	Offline   bool
	HTTP      *http.Client
	Progress  func(Event)
	UserAgent string
	Stall     time.Duration
	Backoff   time.Duration
}

type EventKind uint8

const (
	Started EventKind = iota + 1
	Advanced
	Retrying
	Finished
	Hit
)

type Event struct {
	Kind        EventKind
	URL         string
	Digest      string
	Done, Total int64
	Err         error
	Wait        time.Duration
}

type Request struct {
	URLs    []string
	Digest  string
	Size    int64
	MaxSize int64
}

type Kind uint8

const (
	Network Kind = iota + 1
	NotFound
	Credentials
	Mismatch
	Offline
	Local
	Invalid
)

type Attempt struct {
	URL  string
	Kind Kind
	Err  error
}

type Error struct {
	URL      string
	Kind     Kind
	Attempts []Attempt
}

func (e *Error) Error() string { return e.URL }

type File struct{}

func (f *File) Read(p []byte) (int, error)                { return 0, errors.ErrUnsupported }
func (f *File) ReadAt(p []byte, off int64) (int, error)   { return 0, errors.ErrUnsupported }
func (f *File) Seek(off int64, whence int) (int64, error) { return 0, errors.ErrUnsupported }
func (f *File) Size() int64                               { return 0 }
func (f *File) Path() string                              { return "" }
func (f *File) Digest() string                            { return "" }
func (f *File) Close() error                              { return nil }

type Client struct{}

func New(o Options) *Client                                            { return &Client{} }
func (c *Client) Get(ctx context.Context, r Request) (*File, error)    { return nil, errors.ErrUnsupported }
func (c *Client) Bytes(ctx context.Context, r Request) ([]byte, error) { return nil, errors.ErrUnsupported }
func (c *Client) GetAll(ctx context.Context, r []Request) ([]*File, error) {
	return nil, errors.ErrUnsupported
}
