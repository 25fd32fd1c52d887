package builder

import (
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"slim/internal/fetch"
)

// Options are what is not in a recipe: where to work, how fast, and who is told. The zero value works.
type Options struct {
	CacheDir string   // of downloaded files; "" is a temporary directory that is removed again
	WorkDir  string   // for spool files; "" is the system's directory for temporary files
	Jobs     int      // tasks at once; 0 is one a processor
	Offline  bool     // fetch nothing over the network
	Bill     bool     // have Build make the bill of materials, which Deliver otherwise reads off the image when it needs one
	Epoch    *int64   // SOURCE_DATE_EPOCH, seconds since 1970; nil is the newest build time of the packages
	Version  string   // slim's own, for the image's history
	Builtin  fs.FS    // recipes and keys that builtin: names; nil for none
	Report   Reporter // progress and remarks; may be nil

	Keys      []LockedKey       // keys whose content is known from a lock file: they may come from the cache
	KeyDir    string            // a vendored directory of keys, where those are looked for too; "" is none
	Transport http.RoundTripper // that requests of repositories go through; nil is the network
	Shared    *SharedCache      // behind the cache of CacheDir; nil for none
}

func (o Options) jobs() int {
	if o.Jobs > 0 {
		return o.Jobs
	}
	return runtime.GOMAXPROCS(0)
}

// workDir makes a directory for this run's spool files; the caller removes it.
func (o Options) workDir() (string, error) {
	return os.MkdirTemp(o.WorkDir, "slim-")
}

// client opens the cache. The returned function gives back what only this run needs.
func (o Options) client() (*fetch.Client, func(), error) {
	dir, done := o.CacheDir, func() {}
	if dir == "" {
		tmp, err := o.workDir()
		if err != nil {
			return nil, nil, err
		}
		dir, done = filepath.Join(tmp, "cache"), func() { os.RemoveAll(tmp) }
	}
	cache, err := o.openCache(dir)
	if err != nil {
		done()
		return nil, nil, err
	}
	return fetch.New(fetch.Options{
		Cache: cache, Jobs: max(4, o.jobs()), Offline: o.Offline, UserAgent: "slim/" + o.version(),
		HTTP: o.http(),
	}), done, nil
}

// openCache opens the cache in dir, with the shared one behind it.
func (o Options) openCache(dir string) (*fetch.Cache, error) {
	cache, err := fetch.OpenCache(dir)
	if err != nil || o.Shared == nil {
		return cache, err
	}
	return cache.Before(o.Shared.behind(o.Report)), nil
}

func (o Options) http() *http.Client {
	if o.Transport == nil {
		return nil
	}
	return &http.Client{Transport: o.Transport}
}

func (o Options) version() string {
	if o.Version == "" {
		return "devel"
	}
	return strings.TrimPrefix(o.Version, "v")
}
