package builder

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"slim/internal/tooltest"
)

// TestPathMaps runs programs inside an image, looks at what they have mapped, and wants to find all of it on the direct
// and loadable path.
func TestPathMaps(t *testing.T) {
	tooltest.NeedRoot(t)
	root := t.TempDir()
	packages := []string{"bash", "coreutils", "httpd", "openssl", "python3", "perl", "nginx", "redis"}
	deliver(t, buildRecipe(t, sharedRecipe(t, packages, ""), Options{}), "dir:"+root)
	if err := syscall.Mknod(root+"/dev/null", syscall.S_IFCHR|0o666, 1<<8|3); err != nil && !os.IsExist(err) {
		t.Fatal(err)
	}
	v, err := openDirectory(context.Background(), root)
	if err != nil {
		t.Fatal(err)
	}
	defer v.close()
	for _, test := range []struct {
		args  []string
		loads []string // parts of the names of what has to be mapped at the end
	}{
		{[]string{"/usr/sbin/httpd", "-DFOREGROUND"}, []string{"mod_mpm_event.so", "libapr-1.so"}},
		{[]string{"/usr/sbin/nginx", "-g", "daemon off;"}, []string{"libcrypto.so", "libpcre"}},
		{[]string{"/usr/bin/redis-server", "--save", ""}, []string{"libjemalloc", "libssl"}},
		{[]string{"/usr/bin/python3", "-c", pythonProgram}, []string{"_ssl.cpython", "libsqlite3.so", "libcrypto.so", "_ctypes"}},
		{[]string{"/usr/bin/perl", "-MPOSIX", "-MEncode", "-MSocket", "-MData::Dumper", "-e", "getpwnam('root'); $_ = <STDIN>"}, []string{"POSIX.so", "Encode.so"}},
		{[]string{"/usr/bin/openssl", "md4", "-provider", "legacy", "-provider", "default"}, []string{"legacy.so"}},
		{[]string{"/usr/bin/bash", "-c", "read line"}, []string{"libtinfo.so"}},
	} {
		mapped := mapsOf(t, root, test.args, test.loads)
		found, err := v.path(context.Background(), &PathOptions{Programs: test.args[:1]})
		if err != nil {
			t.Fatal(err)
		}
		on := map[string]Tier{}
		for _, f := range found.Files {
			on[f.Path] = f.Tier
		}
		for _, p := range mapped {
			if tier, ok := on[p]; ok && tier != TierDirect && tier != TierLoadable && !isMappedData(p) {
				t.Errorf("%s has mapped %s, which is called %s", test.args[0], p, tier)
			}
		}
	}
}

const pythonProgram = `import ssl, sqlite3, ctypes, bz2, lzma, json, socket, pwd, hashlib, decimal, curses, readline, uuid
pwd.getpwall(); ssl.create_default_context(); hashlib.new('sha3_256')
try: socket.getaddrinfo('localhost', 80)
except OSError: pass
'x'.encode('idna')
input()`

// isMappedData tells what is no code although it is mapped: locales and caches.
func isMappedData(p string) bool {
	return strings.Contains(p, "/locale/") || strings.HasSuffix(p, ".cache") || strings.HasPrefix(p, "/var/") || strings.HasPrefix(p, "/run/")
}

// mapsOf runs a program in a root, in a network of its own, until all of want is mapped and nothing new comes, and
// returns what it and its children have mapped, as paths of the root.
func mapsOf(t *testing.T, root string, args, want []string) []string {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Path, cmd.Dir, cmd.Env = args[0], "/", []string{
		"PATH=/usr/sbin:/usr/bin", "HOME=/root", "APACHE_RUN_DIR=/run", "APACHE_PID_FILE=/run/httpd.pid", "APACHE_RUN_USER=www-data",
		"APACHE_RUN_GROUP=www-data", "APACHE_LOG_DIR=/var/log", "APACHE_LOCK_DIR=/run",
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWPID}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	var log tooltest.Log
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cmd.Process.Kill() // the first process of its namespace takes all others with it
		cmd.Wait()
	}()
	var last []string
	for same, left := 0, 300; same < 5; left-- {
		time.Sleep(100 * time.Millisecond)
		now := mapped(t, root)
		if len(now) == 0 && len(last) > 0 || left == 0 {
			t.Fatalf("%v does not stay or does not load %v: %s", args, want, log.Take())
		}
		missing := slices.ContainsFunc(want, func(part string) bool {
			return !slices.ContainsFunc(now, func(p string) bool { return strings.Contains(p, part) })
		})
		if same++; missing || !slices.Equal(now, last) {
			same = 0
		}
		last = now
	}
	return last
}

// mapped are the files of a root that processes in it have mapped.
func mapped(t *testing.T, root string) []string {
	processes, err := filepath.Glob("/proc/[0-9]*/root")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, p := range processes {
		if at, err := os.Readlink(p); err != nil || at != root {
			continue
		}
		maps, err := os.ReadFile(filepath.Dir(p) + "/maps")
		if err != nil {
			continue // it has just ended
		}
		for line := range strings.Lines(string(maps)) {
			if i := strings.Index(line, root+"/"); i >= 0 {
				out = append(out, strings.TrimSpace(line[i+len(root):]))
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
