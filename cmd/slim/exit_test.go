package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"slim/builder"
)

// testEnvironment writes to the two buffers and has no variables, no home and a clock that stands still.
func testEnvironment() (env *environment, stdout, stderr *bytes.Buffer) {
	stdout, stderr = &bytes.Buffer{}, &bytes.Buffer{}
	return &environment{
		stdout: stdout,
		stderr: stderr,
		getenv: func(string) string { return "" },
		width:  func() int { return 80 },
		now:    func() time.Time { return time.Unix(0, 0) },
	}, stdout, stderr
}

func TestExitCodesAndMessages(t *testing.T) {
	tests := []struct {
		name string
		err  error
		code int
		want string
	}{
		{"any error", errors.New("disk full"), 1, "slim: disk full\n"},
		{"lines", errors.New("a\n  b"), 1, "slim: a\nslim:   b\n"},
		{"control characters", errors.New("a\x1b[31m\u009bb"), 1, "slim: a\uFFFD[31m\uFFFDb\n"},
		{"decided", fmt.Errorf("x: %w", &exitError{code: exitGate, err: errors.New("stale"), hint: "do"}), 3, "slim: x: stale\nslim: hint: do\n"},
		{
			"a recipe", &builder.RecipeError{Faults: []builder.Fault{{File: "a.yaml", Line: 3, Message: "m", Hint: "h"}, {File: "b.yaml", Message: "n"}}}, 2,
			"slim: a.yaml:3: m\nslim: hint: h\nslim: b.yaml: n\n",
		},
		{"no recipe", &builder.ReadError{File: "a.yaml", Err: fs.ErrNotExist}, 2, "slim: reading a.yaml: file does not exist\n"},
		{
			"a distribution", &builder.UnknownDistributionError{Name: "x", Known: []string{"a", "b"}}, 2,
			"slim: unknown distribution \"x\"\nslim: hint: known are a, b\n",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			env, stdout, stderr := testEnvironment()
			env.printError(tt.err)
			if got := exitCode(tt.err); got != tt.code {
				t.Errorf("exit code %d, want %d", got, tt.code)
			}
			if diff := cmp.Diff(tt.want, stderr.String()); diff != "" || stdout.Len() > 0 {
				t.Errorf("stdout %q, stderr (-want +got)\n%s", stdout, diff)
			}
		})
	}
	if exitCode(nil) != exitDone {
		t.Error("no error has an exit code")
	}
}

func TestInterruptIsAFailure(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	env, _, stderr := testEnvironment()
	env.stdout = brokenWriter{}
	if code := run(ctx, []string{"schema"}, env); code != exitFailed || stderr.String() != "slim: interrupted\n" {
		t.Errorf("exit code %d, %q", code, stderr)
	}
}

func TestAnswerThatCannotBeWrittenIsAFailure(t *testing.T) {
	for _, args := range [][]string{{"schema"}, {"version"}, {"version", "--json"}, {"init", "ubi9", "-o", "-"}, {"completion", "bash"}} {
		env, _, stderr := testEnvironment()
		env.stdout = brokenWriter{}
		if code := run(t.Context(), args, env); code != exitFailed || stderr.String() != "slim: broken\n" {
			t.Errorf("%v: exit code %d, %q", args, code, stderr)
		}
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("broken") }

func TestRecipeFlags(t *testing.T) {
	env, _, _ := testEnvironment()
	parse := func(args ...string) (builder.RecipeOptions, error) {
		var f recipeFlags
		cmd := &cobra.Command{}
		f.add(cmd)
		if err := cmd.ParseFlags(args); err != nil {
			t.Fatal(err)
		}
		return f.options(env)
	}
	got, err := parse("--set", "repository.releasever=9=,x", "--repo", "./mirror", "--platform", "x86_64,linux/arm64")
	if err != nil {
		t.Fatal(err)
	}
	want := builder.RecipeOptions{
		Set:       []builder.Setting{{Key: "repository.releasever", Value: "9=,x"}, {Key: "repository.baseurl", Value: "./mirror"}},
		Platforms: []builder.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64"}},
	}
	if diff := cmp.Diff(want.Set, got.Set); diff != "" {
		t.Errorf("settings (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(want.Platforms, got.Platforms); diff != "" {
		t.Errorf("platforms (-want +got)\n%s", diff)
	}
	for _, bad := range [][]string{{"--set", "x"}, {"--platform", "vax"}} {
		if _, err := parse(bad...); exitCode(err) != exitUsage {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "12": 12, "1kB": 1000, "1KiB": 1024, "1.5 GB": 1_500_000_000, "2g": 2e9, "3MiB": 3 << 20} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("%s: %d, %v", text, got, err)
		}
	}
	for _, bad := range []string{"", "GB", "-1", "1 x", "1.2.3", "1e3", "99999999TB"} {
		if got, err := parseSize(bad); err == nil {
			t.Errorf("%q is %d bytes", bad, got)
		}
	}
}
