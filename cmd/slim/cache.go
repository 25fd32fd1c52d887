package main

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"slim/internal/fetch"
)

// cacheDir is where downloaded files are kept: SLIM_CACHE_DIR, or slim in the user's directory for caches; "" when
// there is none.
func (env *environment) cacheDir() string {
	return fetch.DefaultDir(env.getenv, env.home)
}

// cacheJSON is the answer of the cache commands.
type cacheJSON struct {
	Version      int    `json:"version"`
	Dir          string `json:"dir"`
	Files        int    `json:"files"`
	Bytes        int64  `json:"bytes"`
	Partial      int    `json:"partial"`
	PartialBytes int64  `json:"partial_bytes"`
	Removed      *usage `json:"removed,omitempty"` // by prune
}

type usage struct {
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
}

func newCacheCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cache",
		Short: "Show or shrink the cache of downloads and of what was made of them",
		Long: `Show or shrink the cache: downloaded packages and metadata, each under its
checksum, and what was made of them, under a checksum of all it was made from,
so that nothing in it is ever stale. What is damaged is dropped when it is used,
and fetched or made again. It is in SLIM_CACHE_DIR, or in slim under
XDG_CACHE_HOME or the user's directory for caches. slim build --cache-from and
--cache-to share it through a registry.`,
		GroupID: groupOther,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usageError("slim cache --help shows what it takes", "slim cache takes a command: info or prune")
		},
	}
	cmd.AddCommand(newCacheInfoCommand(env), newCachePruneCommand(env))
	return cmd
}

func newCacheInfoCommand(env *environment) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "info",
		Short: "Show where the cache is and what it holds",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			answer, _, err := env.cacheUsage()
			if err != nil {
				return err
			}
			return env.printCache(answer, asJSON)
		},
	}
	addJSONFlag(cmd, &asJSON)
	return cmd
}

func newCachePruneCommand(env *environment) *cobra.Command {
	var asJSON bool
	var keep string
	cmd := &cobra.Command{
		Use:   "prune --keep SIZE",
		Short: "Remove what was not used for longest, until SIZE is left",
		Long: `Remove the files that were not used for longest, until SIZE is left. What is in
use, or was used within the last minute, stays.`,
		Example: "  slim cache prune --keep 2GB\n  slim cache prune --keep 0",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			limit, err := parseSize(keep)
			if err != nil {
				return usageError("write a number with B, kB, MB, GB, KiB, MiB or GiB, as in --keep 2GB", "--keep: %w", err)
			}
			_, cache, err := env.cacheUsage()
			if err != nil {
				return err
			}
			var removed usage
			if cache != nil {
				gone, err := cache.Prune(limit)
				if err != nil {
					return err
				}
				removed = usage{Files: gone.Files + gone.Partial, Bytes: gone.Bytes + gone.PartialBytes}
			}
			answer, _, err := env.cacheUsage()
			if err != nil {
				return err
			}
			answer.Removed = &removed
			return env.printCache(answer, asJSON)
		},
	}
	cmd.Flags().StringVar(&keep, "keep", "", "leave at most `SIZE`, as in 2GB")
	if err := cmd.MarkFlagRequired("keep"); err != nil {
		panic(err) // the flag is defined above
	}
	addJSONFlag(cmd, &asJSON)
	return cmd
}

// cacheUsage reads the cache. It makes none: without one, the usage is zero and the cache nil.
func (env *environment) cacheUsage() (cacheJSON, *fetch.Cache, error) {
	answer := cacheJSON{Version: 1, Dir: env.cacheDir()}
	if answer.Dir == "" {
		return answer, nil, usageError("set SLIM_CACHE_DIR", "there is no directory for caches")
	}
	if _, err := os.Stat(answer.Dir); errors.Is(err, fs.ErrNotExist) {
		return answer, nil, nil
	}
	cache, err := fetch.OpenCache(answer.Dir)
	if err != nil {
		return answer, nil, err
	}
	u, err := cache.Info()
	answer.Files, answer.Bytes, answer.Partial, answer.PartialBytes = u.Files, u.Bytes, u.Partial, u.PartialBytes
	return answer, cache, err
}

func (env *environment) printCache(a cacheJSON, asJSON bool) error {
	if asJSON {
		return writeJSON(env.stdout, a)
	}
	text := fmt.Sprintf("%s\n%d files, %s\n", a.Dir, a.Files, size(a.Bytes))
	if a.Partial > 0 {
		text += fmt.Sprintf("%d files that have not come whole, %s\n", a.Partial, size(a.PartialBytes))
	}
	if a.Removed != nil {
		text += fmt.Sprintf("removed %d files, %s\n", a.Removed.Files, size(a.Removed.Bytes))
	}
	_, err := fmt.Fprint(env.stdout, text)
	return err
}

// parseSize reads a number of bytes with a unit, of 1000 (MB) or of 1024 (MiB). A number alone is bytes.
func parseSize(s string) (int64, error) {
	at := strings.IndexFunc(s, func(r rune) bool { return r != '.' && (r < '0' || '9' < r) })
	if at < 0 {
		at = len(s)
	}
	units := map[string]float64{
		"": 1, "b": 1, "k": 1e3, "kb": 1e3, "m": 1e6, "mb": 1e6, "g": 1e9, "gb": 1e9, "t": 1e12, "tb": 1e12,
		"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
	}
	unit, ok := units[strings.ToLower(strings.TrimSpace(s[at:]))]
	number, err := strconv.ParseFloat(s[:at], 64)
	if !ok || err != nil || number*unit > math.MaxInt64/2 {
		return 0, fmt.Errorf("%q is not a size", s)
	}
	return int64(number * unit), nil
}
