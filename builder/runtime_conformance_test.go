package builder

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slim/internal/rpm"
	"slim/internal/tooltest"
)

// TestConformanceRuntime builds images without what only scriptlets require, runs their programs in containers, and
// compares what scriptlets made with the image that has all: of one set, of all five with SLIM_CONFORMANCE.
func TestConformanceRuntime(t *testing.T) {
	tooltest.Need(t, "rpm")
	podman := tooltest.NewPodman(t)
	proxy := `defaults\n mode http\n timeout client 9s\n timeout connect 9s\n timeout server 9s\n` +
		`frontend f\n bind 127.0.0.1:80\n http-request return status 200 content-type text/plain string of-haproxy\n`
	for i, test := range []struct {
		program
		lacks []string // of what the full image has
	}{
		{webServer, []string{"systemd", "shadow-utils", "pam", "alternatives"}},
		{twoServers, []string{"alternatives", "basesystem"}},
		{
			program{[]string{"python3", "openssl"}, "", `python3 -c "` + countAuthorities + `"; openssl version`, []string{"authorities", "OpenSSL 3"}},
			[]string{"basesystem"},
		},
		{
			program{
				[]string{"systemd", "util-linux", "shadow-utils"},
				"",
				"systemctl --version; lsblk --version; useradd -r someone; id someone",
				[]string{"systemd 252", "lsblk from util-linux", "(someone)"},
			},
			[]string{"alternatives", "basesystem"},
		},
		{program{
			[]string{"haproxy", "memcached", "perl", "sqlite"},
			"", "printf '" + proxy + "' > /tmp/proxy; haproxy -f /tmp/proxy & get; memcached -u memcached & " +
				`open 11211; printf 'version\r\nquit\r\n' >&3; cat <&3; perl -MPOSIX -e 'print "perl ", floor(42.5), "\n"'; sqlite3 :memory: 'select 6*7'`,
			[]string{"of-haproxy", "VERSION 1.", "perl 42", "\n42\n"},
		}, []string{"alternatives", "basesystem"}},
	} {
		t.Run(strings.Join(test.packages, ","), func(t *testing.T) {
			if i > 0 && os.Getenv("SLIM_CONFORMANCE") == "" {
				t.Skip("SLIM_CONFORMANCE is not set")
			}
			dir, cache := t.TempDir(), t.TempDir()
			extra := test.extra + "\nstrip: {locales: all}\ndependencies: "
			img := buildRecipe(t, sharedRecipe(t, test.packages, extra+"runtime"), Options{CacheDir: cache})
			deliver(t, img, "dir:"+dir+"/runtime")
			var names []string
			for _, p := range img.Platforms[0].Packages {
				names = append(names, p.Name)
			}
			for _, name := range test.lacks {
				if slices.Contains(names, name) {
					t.Errorf("%s is there", name)
				}
			}
			deliver(t, buildRecipe(t, sharedRecipe(t, test.packages, extra+"full"), Options{CacheDir: cache}), "dir:"+dir+"/full")
			compareWithFull(t, dir+"/full", dir+"/runtime", test.lacks)
			test.check(t, podman.Run("run", "--rm", "--network=none", "--rootfs", dir+"/runtime", "/bin/bash", "-c", waitFor+test.script))
		})
	}
}

// compareWithFull checks that a root has all that the full one has of its packages and of what scriptlets made.
func compareWithFull(t *testing.T, full, runtime string, lacks []string) {
	t.Helper()
	want, got := listTree(t, full), listTree(t, runtime)
	owners := ownersOf(t, full)
	for _, name := range lacks {
		if !slices.ContainsFunc(sortedPaths(want), func(p string) bool { return slices.Contains(owners[p], name) }) && name != "basesystem" {
			t.Errorf("the full root has no file of %s", name)
		}
	}
	kept := ownersOf(t, runtime)
	for _, p := range sortedPaths(got, want) {
		a, inA := got[p]
		b, inB := want[p]
		var fault string
		switch {
		case inA && inB && a == b, isTrace(p), strings.HasPrefix(p, "/var/lib/alternatives"), strings.HasPrefix(p, "/var/lib/dpkg"):
			// The files in which the program of alternatives remembers are its own.
		case !inB:
			fault = "too much"
		case !inA && (owners[p] != nil && kept[p] == nil || leadsTo(want, p, func(to string) bool { _, there := got[to]; return !there })):
			// It is, or leads to, a file of a package that is left out.
		case !inA:
			fault = "missing"
		case isAccounts(p):
			for line := range strings.Lines(a.content) {
				if name, _, _ := strings.Cut(line, ":"); !strings.HasSuffix(p, "-") && !strings.Contains("\n"+b.content, "\n"+name+":") {
					fault = name + " is not in the full root"
				}
			}
		case p == "/etc/ld.so.cache":
			tooltest.Run(t, nil, "chroot", runtime, "ldconfig")
			if content, err := os.ReadFile(filepath.Join(runtime, p)); err != nil || string(content) != a.content {
				fault = "not what ldconfig writes"
			}
		default:
			fault = "differs: " + a.String() + ", in full " + b.String()
		}
		if fault != "" {
			t.Errorf("%s: %s", p, fault)
		}
	}
}

// ownersOf are the names of the packages that own the paths of a root.
func ownersOf(t *testing.T, root string) map[string][]string {
	t.Helper()
	owners := map[string][]string{}
	out := tooltest.Run(t, nil, "rpm", "--root", root, "--dbpath", "/usr/lib/sysimage/rpm", "-qa", "--qf", `[%{=NAME}\t%{FILENAMES}\n]`)
	for line := range strings.Lines(out) {
		name, p, _ := strings.Cut(strings.TrimSpace(line), "\t")
		owners[p] = append(owners[p], name)
	}
	return owners
}

func isAccounts(p string) bool {
	return slices.Contains([]string{"/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow"}, strings.TrimSuffix(p, "-"))
}

// leadsTo reports whether a link leads to what fits, or all that is in a directory fits or leads there.
func leadsTo(tree map[string]testPath, p string, fits func(string) bool) bool {
	switch n := tree[p]; n.mode & rpm.ModeType {
	case rpm.ModeSymlink:
		to := n.link
		if !path.IsAbs(to) {
			to = path.Join(path.Dir(p), to)
		}
		for _, dir := range []string{"/lib/", "/bin/", "/sbin/"} {
			if strings.HasPrefix(to, dir) {
				to = "/usr" + to
			}
		}
		return fits(to)
	case rpm.ModeDir:
		for other := range tree {
			if path.Dir(other) == p && !fits(other) && !leadsTo(tree, other, fits) {
				return false
			}
		}
		return true
	}
	return false
}
