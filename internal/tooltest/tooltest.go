// Package tooltest runs the real tools that tests compare with: registries, podman, rpm. It is for tests only.
//
// A test that needs a tool is skipped on a machine without it; with CI=true that is a failure instead.
package tooltest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Need skips t without one of the tools.
func Need(t testing.TB, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			missing(t, tool)
		}
	}
}

// Path is where a tool is; t is skipped without it.
func Path(t testing.TB, tool string) string {
	t.Helper()
	Need(t, tool)
	path, err := exec.LookPath(tool)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// NeedRoot skips t for anybody but root.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		missing(t, "root")
	}
}

func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("needs %s", what)
	}
	t.Skipf("skipped: needs %s", what)
}

// Shared is the path of elements below the directory of real distributions beside the checkout; without that directory
// t is skipped, in CI too: it is no part of the checkout.
func Shared(t testing.TB, elements ...string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the working directory")
		}
		dir = filepath.Dir(dir)
	}
	path := filepath.Join(append([]string{filepath.Dir(dir), "shared"}, elements...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("skipped: needs ../shared/%s", filepath.Join(elements...))
	}
	return path
}

// Run is a command's standard output; it has to succeed.
func Run(t testing.TB, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	return run(t, cmd)
}

func run(t testing.TB, cmd *exec.Cmd) string {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(cmd.Args, " "), err, out.String(), errs.String())
	}
	return out.String()
}

// Log is a log that is read while it is written.
type Log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write adds to the log.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// Take is what was logged since the last time.
func (l *Log) Take() string {
	time.Sleep(200 * time.Millisecond) // what was just answered is logged a moment later
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.b.Reset()
	return l.b.String()
}

// Registry runs the reference registry until t ends; config is added under http: and at the end. It returns HOST:PORT and
// the registry's log, with a line for each request.
func Registry(t testing.TB, http, more string) (string, *Log) {
	t.Helper()
	Need(t, "docker-registry")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	d := t.TempDir()
	config := fmt.Sprintf("version: 0.1\nlog: {level: warn}\nstorage:\n  filesystem: {rootdirectory: %s/data}\nhttp:\n  addr: %s\n%s%s", d, addr, http, more)
	if err := os.WriteFile(d+"/reg.yml", []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	log := &Log{}
	cmd := exec.Command("docker-registry", "serve", d+"/reg.yml")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
	for range 100 {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			_, port, _ := net.SplitHostPort(addr)
			return "localhost:" + port, log
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("docker-registry does not answer:\n%s", log.Take())
	return "", nil
}

// Podman is one with a storage of its own, running containers by runc.
type Podman struct {
	t      testing.TB
	dir    string
	conf   string
	driver string // of its storage
}

// NewPodman makes one that is taken away when t ends. It needs root.
func NewPodman(t testing.TB) *Podman {
	t.Helper()
	Need(t, "podman", "runc")
	NeedRoot(t)
	// Not t.TempDir: what podman mounts there must be undone by podman first.
	d, err := os.MkdirTemp("", "podman-*")
	if err != nil {
		t.Fatal(err)
	}
	p := &Podman{t: t, dir: d, conf: d + "/containers.conf", driver: "overlay"}
	conf := "[containers]\ndefault_ulimits = [\"nofile=1024:20000\", \"nproc=4096:4096\"]\n" +
		"[engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\nruntime = \"runc\"\n"
	if err := os.WriteFile(p.conf, []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	if p.command("info").Run() != nil {
		p.driver = "vfs" // which copies all of an image for each layer and container, but works on every file system
	}
	t.Cleanup(func() {
		p.Run("rmi", "-af")
		os.RemoveAll(d)
	})
	return p
}

// Run is podman's output; it has to succeed.
func (p *Podman) Run(args ...string) string {
	p.t.Helper()
	return run(p.t, p.command(args...))
}

func (p *Podman) command(args ...string) *exec.Cmd {
	storage := []string{"--root", p.dir + "/root", "--runroot", p.dir + "/run", "--tmpdir", p.dir + "/tmp", "--storage-driver", p.driver}
	cmd := exec.Command("podman", append(storage, args...)...)
	cmd.Env = append(os.Environ(), "CONTAINERS_CONF="+p.conf)
	return cmd
}
