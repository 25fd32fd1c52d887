package main

import (
	"errors"
	"fmt"
	"strings"

	"slim/builder"
)

// The exit codes; the package comment says what they mean.
const (
	exitDone = iota
	exitFailed
	exitUsage
	exitGate
	exitResolution
	exitVerification
	exitNetwork
)

// exitError is an error whose exit code is decided, with what to do about it.
type exitError struct {
	code int
	err  error
	hint string // may be empty
}

func (e *exitError) Error() string { return e.err.Error() }

func (e *exitError) Unwrap() error { return e.err }

// exitCode maps an error to the program's exit code. What is decided nearest to the command wins.
func exitCode(err error) int {
	var (
		decided *exitError
		recipe  *builder.RecipeError
		read    *builder.ReadError
		distro  *builder.UnknownDistributionError
	)
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &decided):
		return decided.code
	case errors.As(err, &recipe), errors.As(err, &read), errors.As(err, &distro):
		return exitUsage
	}
	switch builder.KindOf(err) {
	case builder.FailedResolution:
		return exitResolution
	case builder.FailedVerification:
		return exitVerification
	case builder.FailedNetwork:
		return exitNetwork
	case builder.FailedGate:
		return exitGate
	case builder.FailedUsage:
		return exitUsage
	}
	return exitFailed
}

// printError says err on stderr, its hints on lines of their own.
func (env *environment) printError(err error) {
	var recipe *builder.RecipeError
	if errors.As(err, &recipe) {
		for _, f := range recipe.Faults {
			env.say("%s", f)
			env.hint(f.Hint)
		}
		return
	}
	env.say("%s", err)
	var decided *exitError
	var distro *builder.UnknownDistributionError
	switch {
	case errors.As(err, &decided):
		env.hint(decided.hint)
	case errors.As(err, &distro):
		env.hint("known are " + strings.Join(distro.Known, ", "))
	default:
		env.hint(builder.HintOf(err))
	}
}

// say writes a message to stderr, each of its lines with the program's name.
func (env *environment) say(format string, args ...any) {
	for line := range strings.Lines(fmt.Sprintf(format, args...)) {
		fmt.Fprintf(env.stderr, "slim: %s\n", printable(strings.TrimRight(line, "\n")))
	}
}

func (env *environment) hint(text string) {
	if text != "" {
		env.say("hint: %s", text)
	}
}

// printable replaces control characters, which a file or a server may have sent, so that they do not reach the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && (r < ' ' || 0x7f <= r && r < 0xa0) {
			return '\uFFFD'
		}
		return r
	}, s)
}
