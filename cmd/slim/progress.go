package main

import (
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"slim/builder"
)

const (
	redrawEvery = 100 * time.Millisecond // on a terminal
	repeatEvery = 10 * time.Second       // in plain lines, while a phase lasts
)

// progress tells on stderr how far a build is: on a terminal by one line that changes and one that stays for each
// finished phase, elsewhere by plain lines. Its methods may be called by several goroutines.
type progress struct {
	env   *environment
	live  bool
	quiet bool // only messages
	color bool

	mu      sync.Mutex
	current builder.Event
	started time.Time // of the current phase
	told    time.Time // when the current phase was last drawn or said
	drawn   bool      // a line stands that must be cleared
}

// newProgress follows --progress and the environment: auto draws on a terminal, unless it is a dumb one or CI is set.
// The caller closes it before it writes to stderr itself.
func (env *environment) newProgress() *progress {
	auto := env.terminal && env.getenv("CI") == "" && env.getenv("TERM") != "dumb"
	return &progress{
		env:   env,
		live:  auto && env.progressMode == "auto",
		quiet: env.progressMode == "none",
		color: env.getenv("NO_COLOR") == "",
	}
}

// report takes a builder's event; it is a builder.Reporter.
func (p *progress) report(e builder.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.Phase != "" && e.Phase != p.current.Phase {
		p.finish()
		p.current, p.started, p.told = builder.Event{}, p.env.now(), time.Time{}
		if !p.live {
			p.told = p.started
		}
	}
	if e.Phase != "" {
		p.current = e
	}
	if e.Message != "" {
		p.clear()
		p.env.say("%s", e.Message)
	}
	p.tell(e.Message != "")
}

// close ends the current phase, which is not said to be done when err is not nil.
func (p *progress) close(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		p.finish()
	}
	p.clear()
	p.current = builder.Event{}
}

// tell draws or says the current phase when it is time to.
func (p *progress) tell(redraw bool) {
	now := p.env.now()
	every := repeatEvery
	if p.live {
		every = redrawEvery
	}
	if p.quiet || p.current.Phase == "" || now.Sub(p.told) < every && !(redraw && p.live) {
		return
	}
	p.told = now
	line := strings.TrimRight(fmt.Sprintf("%-9s %s", p.current.Phase, amounts(p.current, false)), " ")
	if !p.live {
		p.env.say("%s ...", line)
		return
	}
	p.clear()
	fmt.Fprint(p.env.stderr, p.paint(fit("slim: "+line, p.env.width()-1)))
	p.drawn = true
}

// finish says what the current phase did.
func (p *progress) finish() {
	if p.current.Phase == "" || p.quiet {
		return
	}
	p.clear()
	took := p.env.now().Sub(p.started).Seconds()
	p.env.say("%-9s %s%.1f s", p.current.Phase, padded(amounts(p.current, true)), took)
}

func (p *progress) clear() {
	if p.drawn {
		fmt.Fprint(p.env.stderr, "\r\x1b[K")
		p.drawn = false
	}
}

func (p *progress) paint(line string) string {
	if !p.color {
		return line
	}
	return "\x1b[2m" + line + "\x1b[0m"
}

// amounts says the numbers of e: what is done of what there is or, when the phase is over, what there was.
func amounts(e builder.Event, over bool) string {
	var parts []string
	switch {
	case e.TotalItems > 0 && !over:
		parts = append(parts, fmt.Sprintf("%d/%d", e.Items, e.TotalItems))
	case e.Items > 0:
		parts = append(parts, fmt.Sprint(e.Items))
	}
	switch {
	case e.Total > 0 && !over:
		percent := min(100, 100*float64(e.Done)/float64(e.Total))
		parts = append(parts, fmt.Sprintf("%s of %s  %.0f%%", size(e.Done), size(e.Total), percent))
	case e.Done > 0:
		parts = append(parts, size(e.Done))
	}
	return strings.Join(parts, "  ")
}

func padded(s string) string {
	if s == "" {
		return ""
	}
	return s + "  "
}

// size writes bytes for people, in powers of 1000.
func size(n int64) string {
	f, unit := float64(n), 0
	for f >= 999.5 && unit < 4 {
		f, unit = f/1000, unit+1
	}
	name := []string{"B", "kB", "MB", "GB", "TB"}[unit]
	if unit == 0 || f >= 99.95 {
		return fmt.Sprintf("%.0f %s", f, name)
	}
	return fmt.Sprintf("%.1f %s", f, name)
}

// fit shortens s to width columns.
func fit(s string, width int) string {
	if width < 1 || utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:width])
}
