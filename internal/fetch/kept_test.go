package fetch

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var keptKey = strings.Repeat("ab", 32)

// keep keeps data and returns the file's path.
func keep(t *testing.T, c *Cache, data []byte) string {
	t.Helper()
	k, err := c.Keep()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := k.Commit("things", keptKey); err != nil {
		t.Fatal(err)
	}
	return c.keptPath("things", keptKey)
}

func TestKept(t *testing.T) {
	c := newCache(t)
	if k, err := c.Kept("things", keptKey); k != nil || err != nil {
		t.Fatalf("an empty cache has %v, %v", k, err)
	}
	for _, n := range []int{0, 1, 300_000} {
		data := content(n)
		keep(t, c, data)
		k, err := c.Kept("things", keptKey)
		if err != nil || k == nil {
			t.Fatal(k, err)
		}
		if got, err := io.ReadAll(k); err != nil || !bytes.Equal(got, data) || k.Size() != int64(n) {
			t.Errorf("%d bytes: read %d, %v", n, len(got), err)
		}
		if _, err := c.prune(0, time.Now().Add(time.Hour)); err != nil || !c.HasKept("things", keptKey) {
			t.Errorf("pruned while it is open: %v", err)
		}
		k.Close()
	}
	wantUsage(t, c, Usage{Files: 1, Bytes: 300_000 + int64(keptTail)})
	if _, err := c.prune(0, time.Now().Add(time.Hour)); err != nil || c.HasKept("things", keptKey) {
		t.Errorf("not pruned: %v", err)
	}
	wantEmpty(t, c)
}

func TestKeptDamage(t *testing.T) {
	data := content(70_000)
	for name, damage := range map[string]func([]byte) []byte{
		"a bit":      func(b []byte) []byte { b[40_000] ^= 1; return b },
		"tail":       func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
		"sum":        func(b []byte) []byte { b[len(b)-keptTail] ^= 1; return b },
		"cut":        func(b []byte) []byte { return b[:len(b)/2] },
		"nothing":    func([]byte) []byte { return nil },
		"more":       func(b []byte) []byte { return append(b, 0) },
		"other file": func([]byte) []byte { return content(70_000 + keptTail) },
	} {
		c := newCache(t)
		path := keep(t, c, data)
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, damage(whole), 0o644); err != nil {
			t.Fatal(err)
		}
		k, err := c.Kept("things", keptKey)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if k != nil {
			if _, err := io.Copy(io.Discard, k); !errors.Is(err, ErrDamaged) {
				t.Errorf("%s: %v", name, err)
			}
			k.Close()
		}
		if c.HasKept("things", keptKey) {
			t.Errorf("%s: it is still there", name)
		}
	}
}

// A damaged file that somebody has replaced meanwhile stays.
func TestKeptDamageIsDroppedOnce(t *testing.T) {
	c := newCache(t)
	data := content(1000)
	path := keep(t, c, data)
	if err := os.Truncate(path, 500); err != nil {
		t.Fatal(err)
	}
	k, err := c.Kept("things", keptKey)
	if k != nil || err != nil {
		t.Fatal(k, err)
	}
	path = keep(t, c, data)
	k, err = c.Kept("things", keptKey)
	if err != nil || k == nil {
		t.Fatal(k, err)
	}
	defer k.Close()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteAt([]byte{data[0] ^ 1}, 0)
	f.Close()
	keep(t, c, data)
	if _, err := io.Copy(io.Discard, k); !errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
	if !c.HasKept("things", keptKey) {
		t.Error("the good one is gone")
	}
}

func TestKeepLeavesNothing(t *testing.T) {
	c := newCache(t)
	k, err := c.Keep()
	if err != nil {
		t.Fatal(err)
	}
	k.Discard()
	for _, bad := range [][2]string{{"things", "xy"}, {"../x", keptKey}, {"", keptKey}, {"things", strings.Repeat("../", 21) + "a"}} {
		k, err := c.Keep()
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Commit(bad[0], bad[1]); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
	left, _ := filepath.Glob(c.tmp() + "/*")
	if len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// What was looked for counts as used, so that segments which images are known to have outlive those that none has.
func TestHasKeptIsUse(t *testing.T) {
	c := newCache(t)
	keep(t, c, content(1000))
	other := strings.Repeat("cd", 32)
	k, err := c.Keep()
	if err != nil {
		t.Fatal(err)
	}
	k.Write(content(1000))
	if err := k.Commit("things", other); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for key, used := range map[string]time.Time{keptKey: now.Add(-2 * time.Hour), other: now.Add(-time.Hour)} {
		if err := os.Chtimes(c.keptPath("things", key), used, used); err != nil {
			t.Fatal(err)
		}
	}
	if !c.HasKept("things", keptKey) {
		t.Fatal("it is gone")
	}
	if _, err := c.prune(1500, now); err != nil {
		t.Fatal(err)
	}
	if !c.HasKept("things", keptKey) || c.HasKept("things", other) {
		t.Error("the one that was not used for longest stays")
	}
	if _, err := c.prune(0, now.Add(justUsed)); err != nil || !c.HasKept("things", keptKey) {
		t.Errorf("what was used a minute ago is gone: %v", err)
	}
}
