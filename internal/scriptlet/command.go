package scriptlet

import (
	"context"
	"io"
)

// Call is one call of a command by a scriptlet: what a process would have been handed. Nothing else of the machine that
// slim runs on is to be reached: no file, no environment, no clock, no user database, no randomness.
type Call struct {
	Args   []string            // Args[0] is the name it was called by
	Env    func(string) string // "" for what is not set
	Dir    string              // working directory, absolute
	Umask  uint32
	Stdin  io.Reader // never nil
	Stdout io.Writer
	Stderr io.Writer
	FS     *FS
	Host   *Host
	Warn   func(message string) // is told what is left out of what the program would have done; nil tells nobody

	// LeftOut says that the command's own file is not in the tree (see Options.Toolbox): the directories that its package
	// brings need not be there either.
	LeftOut bool

	// Run calls another command as this one's child (find -exec, xargs, env, sh -c): args[0] is looked up as the shell
	// does it. It returns the child's exit status.
	Run func(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) (int, error)
}

// Host is what commands may know of the machine: the same on every machine.
type Host struct {
	Arch   string            // rpm's name of the image's architecture, what uname -m says
	Macros map[string]string // rpm macros that scriptlets may expand at install time
}

// Command does the work of a program of the distribution, natively. It returns the exit status the program would. The
// error is for what must stop the build whatever the script makes of the status: an option that is not known here
// (*Unsupported), randomness, a limit. Its text for the user goes to c.Stderr as the program's would.
type Command func(ctx context.Context, c *Call) (status int, err error)

// Unsupported says that a command was asked for something that is not known here. No `|| :` swallows it.
type Unsupported struct {
	Command string // name and arguments
	Why     string
}

func (u *Unsupported) Error() string { return u.Command + ": " + u.Why }
