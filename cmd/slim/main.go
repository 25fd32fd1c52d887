package main

import (
	"context"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"slim/recipes"
)

// gcPercent is GOGC where the environment has none. Most of a build's memory are buffers that it uses again, so that
// collecting earlier costs next to nothing and takes a quarter off the peak.
const gcPercent = 50

// gcFirst is GOGC until the first collection. By the collector's minimal heap of 4 MB it puts that at 12 MB, which most
// commands and a build of which everything is known never reach: a collection costs them a tenth of their time.
const gcFirst = 300

// ballast is a part of the heap that nobody touches, so that it costs address space and no memory. The collector counts
// it and runs when there is as much to collect as is worth it: without it that is at every half more of a few megabytes,
// a dozen times before a build has begun.
var ballast strings.Builder

const ballastSize = 16 << 20

// tuneCollector sets when the garbage collector runs.
func tuneCollector() {
	debug.SetGCPercent(gcFirst)
	// The first collection takes this value, and the second one is planned with the ballast.
	runtime.AddCleanup(new([64]byte), func(struct{}) {
		ballast.Grow(ballastSize) // which, unlike make, touches nothing
		debug.SetGCPercent(gcPercent)
	}, struct{}{})
}

func main() {
	if os.Getenv("GOGC") == "" {
		tuneCollector()
	}
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as nohup has it
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), signals...)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], processEnvironment()))
}

// environment is everything that a command takes from outside its arguments, so that a test can replace it.
type environment struct {
	stdout   io.Writer
	stderr   io.Writer
	getenv   func(string) string
	home     string     // the user's home directory, "" when there is none
	terminal bool       // stderr is one
	width    func() int // of the terminal, in columns
	now      func() time.Time
	builtin  fs.FS // the built-in recipes; nil for none

	progressMode string // --progress
}

func processEnvironment() *environment {
	home, _ := os.UserHomeDir() // a process need not have one
	fd := int(os.Stderr.Fd())
	return &environment{
		stdout:   os.Stdout,
		stderr:   os.Stderr,
		getenv:   os.Getenv,
		home:     home,
		terminal: term.IsTerminal(fd),
		width: func() int {
			w, _, err := term.GetSize(fd)
			if err != nil {
				return 80
			}
			return w
		},
		now:     time.Now,
		builtin: recipes.Files,
	}
}
