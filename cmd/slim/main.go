package main

import (
	"context"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"

	"slim/internal/memory"
	"slim/recipes"
)

func main() {
	memory.Tune()
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
