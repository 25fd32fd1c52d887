package builder

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"slim/internal/tooltest"
)

// TestConformanceScriptlets compares the tree with the one that dnf and rpm leave of the same packages without
// documentation, scriptlets and triggers run: path by path kind, mode, owner, content, link, hard links, capabilities and
// device numbers, and the times of files that packages bring.
func TestConformanceScriptlets(t *testing.T) {
	tooltest.Need(t, "dnf", "rpm")
	tooltest.NeedRoot(t)
	for _, names := range []string{
		"bash coreutils glibc-minimal-langpack tzdata ca-certificates",
		"httpd",
		"python3 openssl",
		"nginx redis",
		"systemd util-linux shadow-utils",
		"haproxy memcached perl sqlite",
		strings.Join(everyday, " "),
	} {
		t.Run(strings.ReplaceAll(names, " ", ","), func(t *testing.T) {
			dir := t.TempDir()
			ours, theirs := filepath.Join(dir, "ours"), filepath.Join(dir, "theirs")
			img := buildRecipe(t, sharedRecipe(t, strings.Fields(names), "strip: {locales: all}"), Options{})
			deliver(t, img, "dir:"+ours)
			dnfRoot(t, "1", theirs, append([]string{"--setopt=tsflags=nodocs", "install"}, strings.Fields(names)...)...)
			compareWithDNF(t, ours, theirs, img.Created.Unix())
		})
	}
}

// compareWithDNF compares two trees but for what dnf, rpm and scriptlets leave of their own work: logs, locks, caches that
// hold inodes. Files that scriptlets write are as old as the image in ours.
func compareWithDNF(t *testing.T, ours, theirs string, now int64) {
	t.Helper()
	got, want := listTree(t, ours), listTree(t, theirs)
	var differences []string
	for _, p := range sortedPaths(got, want) {
		a, inA := got[p]
		b, inB := want[p]
		if a.mtime == now {
			a.mtime, b.mtime = 0, 0
		}
		a.content, b.content = undated(p, a.content), undated(p, b.content)
		switch {
		case isTrace(p) || isScriptTrace(p):
		case !inA:
			differences = append(differences, "missing: "+p+" "+b.String())
		case !inB:
			differences = append(differences, "too much: "+p+" "+a.String())
		case a != b:
			difference := fmt.Sprintf("%s\n  ours   %s\n  theirs %s", p, a, b)
			if len(b.content) < 1<<16 && utf8.ValidString(b.content) {
				difference += "\n" + cmp.Diff(b.content, a.content)
			}
			differences = append(differences, difference)
		}
	}
	if len(differences) > 0 {
		t.Errorf("%d of %d paths differ:\n%s", len(differences), len(want), strings.Join(differences[:min(60, len(differences))], "\n"))
	}
}

// isScriptTrace tells what scriptlets leave behind that is not the same on two machines, and caches that nobody needs.
func isScriptTrace(p string) bool {
	return slices.Contains([]string{
		"/dev/null", "/etc/.pwd.lock", "/var/cache/ldconfig/aux-cache", "/var/log/alternatives.log",
		"/var/lib/systemd/catalog/database",
	}, p)
}

// undated takes out of a file the days and times at which it was written, and what is random.
func undated(p, content string) string {
	switch p {
	case "/etc/machine-id":
		return ""
	case "/etc/shadow", "/etc/shadow-":
		return regexp.MustCompile(`(?m)^([^:]*:[^:]*:)\d+:`).ReplaceAllString(content, "${1}day:")
	case "/etc/pki/ca-trust/extracted/java/cacerts":
		return undatedJKS(content)
	}
	return content
}

// undatedJKS takes the times of a Java keystore's certificates out, and its digest.
func undatedJKS(content string) string {
	b := []byte(content)
	at := 12
	length := func(size int) int {
		n := 0
		for range size {
			n, at = n<<8|int(b[at]), at+1
		}
		return n
	}
	for at < len(b)-20 {
		at += 4
		at += length(2)
		clear(b[at : at+8])
		at += 8
		at += length(2)
		at += length(4)
	}
	return string(b[:len(b)-20])
}
