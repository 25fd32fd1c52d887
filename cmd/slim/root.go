package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// The groups of commands in the help.
const (
	groupBuild = "build"
	groupLook  = "look"
	groupOther = "other"
)

// commands are the constructors of all commands, in the order of the help.
func commands() []func(*environment) *cobra.Command {
	return []func(*environment) *cobra.Command{
		newBuildCommand,
		newPlanCommand,
		newLockCommand,
		newUpdateCommand,
		newVendorCommand,
		newInspectCommand,
		newVerifyCommand,
		newDiffCommand,
		newWhyCommand,
		newPathCommand,
		newSBOMCommand,
		newFleetCommand,
		newReportCommand,
		newInitCommand,
		newCacheCommand,
		newSchemaCommand,
		newCompletionCommand,
		newVersionCommand,
	}
}

// run executes the command line args and returns the exit code.
func run(ctx context.Context, args []string, env *environment) int {
	root := newRootCommand(env)
	root.SetArgs(args)
	started := false
	markStarted(root, &started)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	if ctx.Err() != nil {
		err = &exitError{code: exitFailed, err: errors.New("interrupted")}
	} else if !started {
		err = asUsage(root, args, err)
	}
	env.printError(err)
	return exitCode(err)
}

func newRootCommand(env *environment) *cobra.Command {
	root := &cobra.Command{
		Use:   "slim",
		Short: "Small container images of a standard distribution's RPM packages",
		Long: `slim makes small container images of the RPM packages of one Linux distribution:
only those a recipe names and what they need, unchanged, without documentation
and locales. No root, no Docker, no dnf, no rpm.

It is not the slim of SlimToolkit, which cuts finished images down.`,
		Example: `  slim init ubi9                # a first recipe.yaml
  slim build recipe.yaml        # an image of it`,
		Args:          knownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			return env.checkProgress()
		},
		SuggestionsMinimumDistance: 2,
		CompletionOptions:          cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.SetOut(env.stdout)
	root.SetErr(env.stderr)
	root.SetUsageTemplate(usageTemplate)
	root.AddGroup(
		&cobra.Group{ID: groupBuild, Title: "Making images:"},
		&cobra.Group{ID: groupLook, Title: "Looking into images:"},
		&cobra.Group{ID: groupOther, Title: "Other:"},
	)
	root.SetHelpCommand(newHelpCommand())
	root.PersistentFlags().StringVar(&env.progressMode, "progress", "auto", "auto, plain or none")
	for _, newCommand := range commands() {
		root.AddCommand(newCommand(env))
	}
	return root
}

// knownCommand refuses what is not a command; cobra comes here with it as an argument of the root.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := "slim --help lists the commands"
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = "did you mean " + strings.Join(near, " or ") + "?"
	}
	return &exitError{code: exitUsage, err: fmt.Errorf("unknown command %q", args[0]), hint: hint}
}

// newHelpCommand is "slim help COMMAND", which the help does not list: --help says the same.
func newHelpCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "help [COMMAND]",
		Short:  "Show the help of a command",
		Hidden: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err == nil && len(rest) > 0 {
				err = usageError("slim --help lists the commands", "unknown command %q", strings.Join(args, " "))
			}
			if err != nil {
				return err
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
	}
}

// markStarted notes in started when the work of a command begins: errors before that are about the command line.
func markStarted(cmd *cobra.Command, started *bool) {
	if work := cmd.RunE; work != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			*started = true
			return work(cmd, args)
		}
	}
	for _, c := range cmd.Commands() {
		markStarted(c, started)
	}
}

// asUsage makes an error about the command line of one that cobra found.
func asUsage(root *cobra.Command, args []string, err error) error {
	var known *exitError
	if errors.As(err, &known) {
		return err
	}
	path := root.Name()
	if cmd, _, findErr := root.Find(args); findErr == nil {
		path = cmd.CommandPath()
	}
	return &exitError{code: exitUsage, err: err, hint: path + " --help shows what it takes"}
}

// usageError is a wrong command line that a command finds by itself.
func usageError(hint, format string, args ...any) error {
	return &exitError{code: exitUsage, err: fmt.Errorf(format, args...), hint: hint}
}

func (env *environment) checkProgress() error {
	if modes := []string{"auto", "plain", "none"}; !slices.Contains(modes, env.progressMode) {
		return usageError("", "--progress is %s, not %q", strings.Join(modes, ", "), env.progressMode)
	}
	return nil
}

const usageTemplate = `Usage:
  {{if .HasAvailableSubCommands}}{{.CommandPath}} COMMAND{{else}}{{.UseLine}}{{end}}
{{- if .HasExample}}

Example:
{{.Example}}{{end}}
{{- if .HasAvailableSubCommands}}{{$cmds := .Commands}}
{{- if .Groups}}{{range $group := .Groups}}{{$any := false}}
{{- range $cmds}}{{if and (eq .GroupID $group.ID) .IsAvailableCommand}}{{if not $any}}{{$any = true}}

{{$group.Title}}{{end}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}
{{- else}}

Commands:{{range $cmds}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}{{end}}
{{- if .HasAvailableLocalFlags}}

Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}
{{- if .HasAvailableInheritedFlags}}

Flags of all commands:
{{.InheritedFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}
{{- if .HasAvailableSubCommands}}

{{.CommandPath}} COMMAND --help says more of a command.{{end}}
`
