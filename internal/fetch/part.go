package fetch

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

const privatePart = "private-"

// target takes the bytes of a download in their order.
type target interface {
	io.Writer
	Len() int64           // bytes so far
	Reset() error         // none of them
	Check(d digest) error // whether they are the whole file
}

// memory is a target of bytes without a digest.
type memory struct{ data []byte }

func (m *memory) Write(p []byte) (int, error) {
	m.data = append(m.data, p...)
	return len(p), nil
}
func (m *memory) Len() int64         { return int64(len(m.data)) }
func (m *memory) Reset() error       { m.data = m.data[:0]; return nil }
func (m *memory) Check(digest) error { return nil }

// part is a file that is being downloaded.
type part struct {
	f    *os.File
	path string // "" when the file has no name
	n    int64
}

func (p *part) Write(b []byte) (int, error) {
	n, err := p.f.WriteAt(b, p.n)
	p.n += int64(n)
	return n, err
}

func (p *part) Len() int64 { return p.n }

func (p *part) Reset() error {
	p.n = 0
	return p.f.Truncate(0)
}

// Check reads what is in the file, not what was written, so that it holds for whoever reads it.
func (p *part) Check(d digest) error {
	if !d.known() {
		return nil
	}
	h := d.hash()
	if err := sum(h, p.f, p.n); err != nil {
		return err
	}
	return d.check(h)
}

// discard closes the part. One with bytes in it that may be gone on with stays, if resumable.
func (p *part) discard(resumable bool) {
	if p.path != "" && (p.n == 0 || !resumable) {
		_ = os.Remove(p.path)
	}
	p.f.Close()
}

// newPart makes a file in dir for one download alone. Unless named is set it has no name, and ends with the process.
func newPart(dir string, named bool) (*part, error) {
	f, err := os.CreateTemp(dir, privatePart+"*")
	if err != nil {
		return nil, err
	}
	if named {
		return &part{f: f, path: f.Name()}, nil
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	return &part{f: f}, nil
}

// errThere says that the file has come into the cache meanwhile.
var errThere = errors.New("the file is in the cache")

// acquire opens the part of a file, with a lock on it and what an earlier process has left in it. While another process
// has the lock it waits for that one, but not for one that gets nowhere in patience: then, and where there are no
// locks, the part is a private one.
func (c *Cache) acquire(ctx context.Context, d digest, patience time.Duration) (*part, bool, error) {
	path := c.part(d)
	seen, since := int64(-1), time.Now()
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return nil, false, err
		}
		held, known := lock(f, true)
		info, err := f.Stat()
		switch {
		case err != nil:
			f.Close()
			return nil, false, err
		case !known:
			f.Close()
			p, err := newPart(c.tmp(), true)
			return p, false, err
		case held && same(f, path):
			if _, err := os.Stat(c.path(d)); err == nil {
				(&part{f: f, path: path}).discard(false)
				return nil, false, errThere
			}
			return &part{f: f, path: path, n: info.Size()}, true, nil
		}
		f.Close()
		if _, err := os.Stat(c.path(d)); err == nil {
			return nil, false, errThere
		}
		if info.Size() != seen {
			seen, since = info.Size(), time.Now()
		}
		if time.Since(since) > patience {
			p, err := newPart(c.tmp(), true)
			return p, false, err
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return nil, false, err
		}
	}
}

// keep gives a verified part its final name.
func (c *Cache) keep(p *part, d digest) (*File, error) {
	path := c.path(d)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	// Nobody who waits for the part may get it, and Prune must see that the file is in use: at no moment without a lock.
	lock(p.f, false)
	if err := os.Chmod(p.path, 0o644); err != nil {
		return nil, err
	}
	if err := os.Rename(p.path, path); err != nil {
		return nil, err
	}
	return newFile(p.f, path, d, p.n), nil
}

// cached gets a file with a digest, by way of the cache.
func (c *Client) cached(ctx context.Context, j *job) (*File, error) {
	for {
		file, err := c.o.Cache.open(j.digest, j.size)
		if err != nil {
			return nil, j.err([]Attempt{attempt(source{name: c.o.Cache.path(j.digest)}, err)})
		}
		if file != nil {
			c.tell(j, Event{Kind: Hit, URL: j.sources[0].name, Done: file.Size(), Total: file.Size()})
			return file, nil
		}
		file, err = c.intoCache(ctx, j)
		if !errors.Is(err, errThere) {
			return file, err
		}
	}
}

func (c *Client) intoCache(ctx context.Context, j *job) (*File, error) {
	var file *File
	var p *part
	resumable := false
	err := c.load(ctx, j, func() (target, error) {
		var err error
		p, resumable, err = c.o.Cache.acquire(ctx, j.digest, 2*c.o.Stall)
		return p, err
	}, func(s source) (err error) {
		file, err = openLocal(s, j)
		return err
	})
	switch {
	case err == nil && file == nil:
		if file, err = c.o.Cache.keep(p, j.digest); err == nil {
			return file, nil
		}
		err = j.err([]Attempt{attempt(source{name: c.o.Cache.path(j.digest)}, err)})
	}
	if p != nil {
		p.discard(resumable)
	}
	return file, err
}

// private gets a file that is nobody else's.
func (c *Client) private(ctx context.Context, j *job) (*File, error) {
	dir := ""
	if c.o.Cache != nil {
		dir = c.o.Cache.tmp()
	}
	var file *File
	var p *part
	err := c.load(ctx, j, func() (target, error) {
		var err error
		p, err = newPart(dir, false)
		return p, err
	}, func(s source) (err error) {
		file, err = openLocal(s, j)
		return err
	})
	if err == nil && file == nil {
		return newFile(p.f, "", j.digest, p.n), nil
	}
	if p != nil {
		p.discard(false)
	}
	return file, err
}

// openLocal opens and verifies a local file.
func openLocal(s source, j *job) (*File, error) {
	// A pipe would block the opening.
	if info, err := os.Stat(s.path); err != nil {
		return nil, pathError(err)
	} else if !info.Mode().IsRegular() {
		return nil, fail(Local, "not a regular file")
	} else if j.size == 0 && info.Size() > j.max {
		return nil, fail(TooLarge, "%d bytes are more than %d", info.Size(), j.max)
	}
	f, err := os.Open(s.path)
	if err != nil {
		return nil, pathError(err)
	}
	file, err := verify(f, s.path, j.digest, j.size)
	if err != nil {
		f.Close()
		return nil, err
	}
	return file, nil
}

// pathError is the error without the path, which the attempt names.
func pathError(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// sleep waits, or returns the context's error.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
