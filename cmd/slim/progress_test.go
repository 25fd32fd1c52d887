package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slim/builder"
)

// step is an event and the time before it.
type step struct {
	after time.Duration
	event builder.Event
}

func buildSteps() []step {
	return []step{
		{0, builder.Event{Phase: builder.PhaseMetadata}},
		{0, builder.Event{Phase: builder.PhaseMetadata, Done: 512, Total: 2048}},
		{50 * time.Millisecond, builder.Event{Phase: builder.PhaseMetadata, Done: 1024, Total: 2048}},
		{100 * time.Millisecond, builder.Event{Phase: builder.PhaseMetadata, Done: 2048, Total: 2048}},
		{time.Second, builder.Event{Phase: builder.PhasePackages, TotalItems: 12, Total: 24_500_000}},
		{11 * time.Second, builder.Event{Phase: builder.PhasePackages, Items: 3, TotalItems: 12, Done: 6_125_000, Total: 24_500_000}},
		{time.Second, builder.Event{Phase: builder.PhasePackages, Items: 12, TotalItems: 12, Done: 24_500_000, Total: 24_500_000, Message: "warning: mirror is slow"}},
		{time.Second, builder.Event{Phase: builder.PhaseTree}},
	}
}

// play reports the steps to a progress and returns what came to stderr.
func play(t *testing.T, steps []step, err error, change func(*environment)) string {
	t.Helper()
	env, stdout, stderr := testEnvironment()
	now := time.Unix(1000, 0)
	env.now = func() time.Time { return now }
	env.progressMode = "auto"
	change(env)
	p := env.newProgress()
	for _, s := range steps {
		now = now.Add(s.after)
		p.report(s.event)
	}
	p.close(err)
	if stdout.Len() > 0 {
		t.Errorf("stdout %q", stdout)
	}
	return stderr.String()
}

const plainProgress = `slim: metadata  2.0 kB  1.1 s
slim: packages  3/12  6.1 MB of 24.5 MB  25% ...
slim: warning: mirror is slow
slim: packages  12  24.5 MB  13.0 s
slim: tree      0.0 s
`

func TestPlainProgress(t *testing.T) {
	vars := func(pairs ...string) func(string) string {
		return func(name string) string {
			for i := 0; i < len(pairs); i += 2 {
				if pairs[i] == name {
					return pairs[i+1]
				}
			}
			return ""
		}
	}
	for name, change := range map[string]func(*environment){
		"no terminal":   func(*environment) {},
		"plain":         func(e *environment) { e.terminal, e.progressMode = true, "plain" },
		"CI":            func(e *environment) { e.terminal, e.getenv = true, vars("CI", "true") },
		"dumb terminal": func(e *environment) { e.terminal, e.getenv = true, vars("TERM", "dumb") },
	} {
		if diff := cmp.Diff(plainProgress, play(t, buildSteps(), nil, change)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
}

func TestNoProgressStillWarns(t *testing.T) {
	got := play(t, buildSteps(), nil, func(e *environment) { e.terminal, e.progressMode = true, "none" })
	if got != "slim: warning: mirror is slow\n" {
		t.Errorf("%q", got)
	}
}

func TestLiveProgress(t *testing.T) {
	noColor := func(name string) string {
		if name == "NO_COLOR" {
			return "1"
		}
		return ""
	}
	got := play(t, buildSteps(), nil, func(e *environment) { e.terminal, e.getenv, e.width = true, noColor, func() int { return 40 } })
	want := strings.Join([]string{
		"slim: metadata", "~", // a phase is drawn when it begins, and again after a tenth of a second
		"slim: metadata  2.0 kB of 2.0 kB  100%", "~",
		"slim: metadata  2.0 kB  1.1 s\n",
		"slim: packages  0/12  0 B of 24.5 MB  0", "~", // cut at the terminal's width
		"slim: packages  3/12  6.1 MB of 24.5 MB", "~",
		"slim: warning: mirror is slow\n",
		"slim: packages  12/12  24.5 MB of 24.5 ", "~",
		"slim: packages  12  24.5 MB  13.0 s\n",
		"slim: tree", "~",
		"slim: tree      0.0 s\n",
	}, "")
	if diff := cmp.Diff(want, strings.ReplaceAll(got, "\r\x1b[K", "~")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestLiveProgressWithColor(t *testing.T) {
	steps := []step{{0, builder.Event{Phase: builder.PhasePlan}}}
	got := play(t, steps, nil, func(e *environment) { e.terminal = true })
	if want := "\x1b[2mslim: plan\x1b[0m\r\x1b[Kslim: plan      0.0 s\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestFailedPhaseIsNotSaidToBeDone(t *testing.T) {
	steps := []step{{0, builder.Event{Phase: builder.PhaseMetadata}}, {time.Second, builder.Event{Phase: builder.PhasePlan}}}
	if got := play(t, steps, errors.New("x"), func(*environment) {}); got != "slim: metadata  1.0 s\n" {
		t.Errorf("plain: %q", got)
	}
	got := play(t, steps, errors.New("x"), func(e *environment) { e.terminal = true })
	if !strings.HasSuffix(got, "slim: plan\x1b[0m\r\x1b[K") {
		t.Errorf("live: %q", got)
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 1234: "1.2 kB", 99_960: "100 kB", 999_499: "999 kB", 999_500: "1.0 MB", 24_500_000: "24.5 MB", 3e12: "3.0 TB", 5e15: "5000 TB"} {
		if got := size(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
