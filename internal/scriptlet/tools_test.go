package scriptlet

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"slim/internal/tooltest"
)

// outcome is what a script says and leaves in its directory.
type outcome struct {
	Status int
	Stdout []string
	Tree   []string
}

// realOutcome runs a script with the machine's own shell and tools, in a directory of its own that counts as /here.
// Programs in bin, where that is given, come before all others.
func realOutcome(t *testing.T, script, bin string) outcome {
	t.Helper()
	dir := t.TempDir()
	work := filepath.Join(dir, "here")
	if err := os.Mkdir(work, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "script"), []byte(script), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "--posix", "../script")
	cmd.Dir = work
	cmd.Env = []string{"PATH=" + bin + "/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8", "TZ=UTC"}
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	f := fsOf(hostTree(t, work))
	return outcome{cmd.ProcessState.ExitCode(), strings.Split(strings.ReplaceAll(string(out), dir, ""), "\n"), listing(t, f, nil)}
}

// nativeOutcome runs a script on a tree.
func nativeOutcome(t *testing.T, script string) (outcome, string, error) {
	t.Helper()
	m := testMachine(t, withFile(t, "/etc/group", "root:x:0:\n", 0o644))
	m.toolbox = true
	var out, errs bytes.Buffer
	status, err := m.shellProgram(context.Background(), process{
		args: []string{"sh", "../script"}, env: map[string]string{"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8"},
		dir: "/here", umask: 0o022, stdin: strings.NewReader(""), stdout: &out, stderr: &errs, body: &script,
	})
	var tree []string
	for _, line := range listing(t, m.fs, func(p string) bool { return !strings.HasPrefix(p, "/here/") }) {
		tree = append(tree, strings.Replace(line, " /here/", " /", 1))
	}
	slices.Sort(tree)
	return outcome{status, strings.Split(out.String(), "\n"), tree}, errs.String(), err
}

// TestConformanceTools runs the scripts of testdata/tools with the machine's own tools and with those here. A line is a script, in
// which ";;" between programs prints the first one's status; a script of several lines stands in a file of its own.
func TestConformanceTools(t *testing.T) {
	tooltest.NeedRoot(t)
	tooltest.Need(t, "bash", "sed", "grep", "find", "xargs", "diff")
	names, err := filepath.Glob("testdata/tools/*.txt")
	if err != nil || len(names) == 0 {
		t.Fatal("no cases", err)
	}
	for _, name := range names {
		compareTools(t, name, "")
	}
}

// awkLikeGawk runs the scripts of testdata/awk.txt with the distribution's gawk as awk, and natively.
func awkLikeGawk(t *testing.T, root string) {
	bin := t.TempDir()
	wrapper := "#!/bin/sh\nLD_LIBRARY_PATH=" + root + "/usr/lib/x86_64-linux-gnu exec " + root + "/usr/bin/gawk \"$@\"\n"
	if err := os.WriteFile(filepath.Join(bin, "awk"), []byte(wrapper), 0o755); err != nil {
		t.Fatal(err)
	}
	compareTools(t, "testdata/awk.txt", bin+":")
}

// compareTools runs the scripts of one file.
func compareTools(t *testing.T, name, bin string) {
	t.Helper()
	a, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	prelude, scripts := "", []string{}
	for line := range strings.SplitSeq(string(a.Comment), "\n") {
		if p, ok := strings.CutPrefix(line, "prelude: "); ok {
			prelude = p + "\n"
		} else if line != "" && line[0] != '#' {
			scripts = append(scripts, strings.ReplaceAll(line, " ;; ", "; echo =$?; "))
		}
	}
	for _, f := range a.Files {
		scripts = append(scripts, string(f.Data))
	}
	for _, script := range sampled(scripts, 60) {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt")+"/"+script, func(t *testing.T) {
			want := realOutcome(t, prelude+script, bin)
			got, errs, err := nativeOutcome(t, prelude+script)
			if err != nil {
				t.Fatalf("%v\nreal: %+v", err, want)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("real (-) and native (+) differ:\n%s\nstderr: %s", d, errs)
			}
		})
	}
}
