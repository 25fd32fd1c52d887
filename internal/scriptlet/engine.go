package scriptlet

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"slim/internal/rootfs"
	"slim/internal/rpm"
)

// scriptPath is the PATH that rpm gives to scriptlets (lib/rpmscript.c).
const scriptPath = "/sbin:/bin:/usr/sbin:/usr/bin:/usr/X11R6/bin"

// Package is what the engine needs of one package.
type Package struct {
	NEVRA      rpm.NEVRA
	Files      []rpm.File
	Scriptlets []rpm.Scriptlet
	Provides   []rpm.Capability
	Prefixes   []string // of a relocatable package
	RPMVersion string   // of the rpm that built the package, "" when it is not known
}

// Rules acknowledge scriptlets by package name and slot, so that they are not run; the slot "" stands for all.
type Rules map[string]map[string]bool

// Skips reports whether a slot of a package is acknowledged.
func (r Rules) Skips(name, slot string) bool { return r[name][""] || r[name][slot] }

// Options say in what surroundings scriptlets run.
type Options struct {
	Rules   Rules
	Host    Host
	Content Content // reads the files of packages; required when scriptlets read any
	Now     int64   // seconds since 1970: the one moment at which everything happens

	// Toolbox lets commands be there though their files are not in the tree: packages that only scriptlets require
	// may be left out then.
	Toolbox bool
	// Warn is told what rpm would print as a warning; nil tells nobody.
	Warn func(message string)
}

// What a scriptlet came to.
type What string

const (
	Nothing   What = "nothing"   // it ran, and called no command
	NoOp      What = "no-op"     // it ran, and called only commands that do nothing to a root that is not running
	Evaluated What = "evaluated" // it ran
	Skipped   What = "skipped"   // the recipe acknowledges it
	Failed    What = "failed"    // it ran and failed, which rpm makes a warning of
)

// Outcome says what one scriptlet came to.
type Outcome struct {
	Package     rpm.NEVRA
	Slot        string
	Interpreter string
	What        What
	Commands    []string // those called, in the order of their first call
	Warning     string   // of Failed
}

// Error is a scriptlet that cannot be evaluated, or whose failure keeps its package from being installed.
type Error struct {
	Package rpm.NEVRA
	Slot    string
	Line    int // of the scriptlet, 0 when it is not known
	Err     error
}

func (e *Error) Error() string {
	at := ""
	if e.Line > 0 {
		at = fmt.Sprintf(", line %d", e.Line)
	}
	return fmt.Sprintf("scriptlet %%%s of %s%s: %v\n  to leave its work undone: scriptlets: {%s: {%s: skip}}", e.Slot, e.Package, at, e.Err, e.Package.Name, e.Slot)
}

func (e *Error) Unwrap() error { return e.Err }

// Engine runs the scriptlets and triggers of packages that are installed into an empty root, at the moments at which
// rpm runs them (rpmtsRun in lib/transaction.cc, rpmPackageInstall in lib/psm.cc). Who lays the packages' files into the
// tree calls it in between: PreTrans, then for each package in install order BeforeUnpack and AfterUnpack, then PostTrans.
// It is not safe for concurrent use.
type Engine struct {
	tree      *rootfs.Tree
	fs        *FS
	packages  []Package
	o         Options
	commands  map[string]Command
	noop      map[string]bool
	builtins  map[string]builtin
	installed int // how many are in the rpmdb
	outcomes  []Outcome
}

// New makes an engine for packages in install order.
func New(tree *rootfs.Tree, packages []Package, o Options) *Engine {
	if o.Content == nil {
		o.Content = noContent
	}
	e := &Engine{
		tree: tree, fs: NewFS(tree, o.Content, o.Now), packages: packages, o: o, commands: Commands(), noop: doesNothing(),
		builtins: builtins(),
	}
	return e
}

var errNoContent = errors.New("the content of packages cannot be read")

func noContent(*rootfs.Node) (r readCloser, err error) { return nil, errNoContent }

// Outcomes are what the scriptlets came to that ran so far or were skipped, in their order.
func (e *Engine) Outcomes() []Outcome { return e.outcomes }

// PreTrans runs %pretrans of all packages. Nothing is unpacked yet.
func (e *Engine) PreTrans(ctx context.Context) error {
	for i := range e.packages {
		if err := e.slot(ctx, i, "pretrans"); err != nil {
			return err
		}
	}
	return nil
}

// BeforeUnpack makes the users that package i declares, and runs the %triggerprein that it and the packages before it
// set off in each other, and its %pre.
func (e *Engine) BeforeUnpack(ctx context.Context, i int) error {
	v := e.packages[i].RPMVersion
	old := v != "" && rpm.ParseEVR(v).Compare(rpm.EVR{Version: "4.19"}) < 0
	if !old {
		if err := e.sysusers(ctx, i); err != nil {
			return err
		}
	}
	if err := e.triggers(ctx, i, "triggerprein"); err != nil {
		return err
	}
	if err := e.slot(ctx, i, "pre"); err != nil || !old {
		return err
	}
	return e.sysusers(ctx, i)
}

// AfterUnpack runs file triggers of high priority, %post, %triggerin, and file triggers of low priority.
func (e *Engine) AfterUnpack(ctx context.Context, i int) error {
	e.installed = max(e.installed, i+1)
	if err := e.fileTriggers(ctx, i, true); err != nil {
		return err
	}
	if err := e.slot(ctx, i, "post"); err != nil {
		return err
	}
	if err := e.triggers(ctx, i, "triggerin"); err != nil {
		return err
	}
	return e.fileTriggers(ctx, i, false)
}

// PostTrans runs %posttrans of all packages, and then the transaction file triggers package by package.
func (e *Engine) PostTrans(ctx context.Context) error {
	for i := range e.packages {
		if err := e.slot(ctx, i, "posttrans"); err != nil {
			return err
		}
	}
	for i := range e.packages {
		if err := e.transactionTriggers(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// slot runs the scriptlet of a package's slot, when it has one.
func (e *Engine) slot(ctx context.Context, i int, slot string) error {
	for k := range e.packages[i].Scriptlets {
		if s := &e.packages[i].Scriptlets[k]; s.Slot == slot {
			if err := e.run(ctx, i, s, []int{1}, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// sysusers does what rpm 4.19 and later do with the lines in user() and group() provides (lib/rpmug.cc): it hands them
// to systemd-sysusers, whether or not the root has one. Packages that an older rpm built make the same users in %pre,
// with the ids that useradd chooses: for them it is done after it, so that only who is still missing is made.
func (e *Engine) sysusers(ctx context.Context, i int) error {
	p := &e.packages[i]
	var lines []string
	for _, c := range p.Provides {
		line, ok, err := rootfs.SysusersOf(c.Name, c.EVR.String())
		if err != nil {
			return &Error{Package: p.NEVRA, Slot: "sysusers", Err: err}
		}
		if ok {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 || e.o.Rules.Skips(p.NEVRA.Name, "sysusers") {
		return nil
	}
	run := e.machine()
	status, err := 127, error(&Unsupported{Command: "systemd-sysusers", Why: "it is not known"})
	if c := e.commands["systemd-sysusers"]; c != nil {
		out := &said{}
		status, err = run.native(ctx, &program{path: "/usr/bin/systemd-sysusers", native: c}, process{
			args: []string{"systemd-sysusers", "-"}, env: scriptEnvironment(nil), dir: "/", umask: 0o022,
			stdin: strings.NewReader(strings.Join(lines, "\n") + "\n"), stdout: out, stderr: out,
		})
		if err = run.failed(err); err == nil && status != 0 {
			err = fmt.Errorf("systemd-sysusers ended with status %d%s", status, out.indented())
		}
	}
	if err != nil {
		return &Error{Package: p.NEVRA, Slot: "sysusers", Err: err}
	}
	return nil
}

func (e *Engine) warn(format string, args ...any) {
	if e.o.Warn != nil {
		e.o.Warn(fmt.Sprintf(format, args...))
	}
}
