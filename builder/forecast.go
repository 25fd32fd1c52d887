package builder

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"slim/internal/rpm"
	"slim/internal/scriptlet"
)

// The words of a forecast.
const (
	ForecastNothing     = "nothing"             // it calls no command, and writes no file
	ForecastNoOp        = "no-op"               // it calls only what does nothing to a root that is not running
	ForecastEvaluated   = "evaluated"           // slim does its work
	ForecastSkipped     = "skipped"             // the recipe acknowledges it
	ForecastAcknowledge = "needs acknowledging" // it names what slim cannot do: the build fails if it comes to that
)

// Forecast says what will be done with one scriptlet or trigger, as far as its text and the packages' headers tell. What
// decides whether it is run at all, and on which path, is known when the image is built.
type Forecast struct {
	Package     rpm.NEVRA
	Slot        string
	Interpreter string
	What        string   // one of the words above
	Commands    []string // that it names and that slim does, the scripts of packages among them, in the order of their writing
	Missing     []string // that it names and that no package has: a shell would not find them either
	Why         string   // of what needs acknowledging
}

// Acknowledgement is the line of a recipe that leaves the scriptlet's work undone.
func (f *Forecast) Acknowledgement() string {
	return fmt.Sprintf("scriptlets: {%s: {%s: skip}}", f.Package.Name, f.Slot)
}

// ForecastScriptlets says for each platform of a lock what will be done with the scriptlets and triggers of its packages
// that an installation runs, by package, then in the order of the slots. It reads headers; no package is fetched whole
// where its header is enough.
func ForecastScriptlets(ctx context.Context, r *Recipe, lock *Lock, o Options) ([][]Forecast, error) {
	client, done, err := o.client()
	if err != nil {
		return nil, err
	}
	defer done()
	var out [][]Forecast
	for i := range lock.Platforms {
		l := &lock.Platforms[i]
		keys := &rpm.Keyring{}
		if r.Repository.GPGCheck {
			if keys, err = loadKeys(ctx, client, r.Repository, l.Platform, o); err != nil {
				return nil, err
			}
		}
		headers, err := readHeaders(ctx, client, l, keys, !r.Repository.GPGCheck, o)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", l.Platform, err)
		}
		list, err := forecast(r, headers)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", l.Platform, err)
		}
		out = append(out, list)
	}
	return out, nil
}

func forecast(r *Recipe, headers []*header) ([]Forecast, error) {
	programs, err := programsOf(headers)
	if err != nil {
		return nil, err
	}
	rules, list := r.scriptletRules(), []Forecast{}
	for _, h := range headers {
		scriptlets, err := h.Scriptlets()
		if err != nil {
			return nil, fmt.Errorf("package %s: %w", h.NEVRA(), err)
		}
		for _, s := range scriptlets {
			if !scriptlet.IsInstallSlot(s.Slot) {
				continue
			}
			f := Forecast{Package: h.NEVRA(), Slot: s.Slot, Interpreter: strings.Join(s.Interpreter, " "), What: ForecastSkipped}
			if !rules.Skips(f.Package.Name, s.Slot) {
				f.read(scriptlet.Classify(s), programs)
			}
			list = append(list, f)
		}
	}
	return list, nil
}

// read puts what a scriptlet's text says together with what its unknown commands are.
func (f *Forecast) read(text scriptlet.Reading, programs *programs) {
	f.Commands = slices.Clone(text.Commands)
	var cannot []string
	for _, name := range text.Unknown {
		switch kind := programs.kind(name); {
		case strings.Contains(kind, "shell script"):
			f.Commands = append(f.Commands, path.Base(name))
		case kind != "":
			cannot = append(cannot, name)
		default:
			f.Missing = append(f.Missing, name)
		}
	}
	switch {
	case text.Why != "":
		f.What, f.Why = ForecastAcknowledge, text.Why
	case len(cannot) > 0:
		f.What, f.Why = ForecastAcknowledge, "slim does not know "+strings.Join(cannot, ", ")
	case text.Class == scriptlet.ClassNothing:
		f.What = ForecastNothing
	case text.Class == scriptlet.ClassNoOp:
		f.What = ForecastNoOp
	default:
		f.What = ForecastEvaluated
	}
}

// programs says of the files of packages that can be run what they are.
type programs struct {
	kinds map[string]string // by path, in the words of libmagic
	links map[string]string // by path
}

func programsOf(headers []*header) (*programs, error) {
	p := &programs{kinds: map[string]string{}, links: map[string]string{}}
	for _, h := range headers {
		files, err := h.Files()
		if err != nil {
			return nil, fmt.Errorf("package %s: %w", h.NEVRA(), err)
		}
		classes, index := h.Strings(rpm.TagClassDict), h.Uint32s(rpm.TagFileClass)
		for i, file := range files {
			at := mergedPath(path.Clean(file.Path))
			switch {
			case file.Link != "" && path.IsAbs(file.Link):
				p.links[at] = mergedPath(path.Clean(file.Link))
			case file.Link != "":
				p.links[at] = mergedPath(path.Join(path.Dir(at), file.Link))
			case file.IsRegular() && file.Mode&0o111 != 0:
				p.kinds[at] = "a file"
				if i < len(index) && int64(index[i]) < int64(len(classes)) {
					p.kinds[at] = cmp.Or(classes[index[i]], p.kinds[at])
				}
			}
		}
	}
	return p, nil
}

// maxLinks is how many links lead to a program.
const maxLinks = 8

// kind is what a command is; "" when no package has it.
func (p *programs) kind(name string) string {
	paths := []string{"/usr/sbin/" + name, "/usr/bin/" + name}
	if path.IsAbs(name) {
		paths = []string{mergedPath(path.Clean(name))}
	}
	for _, at := range paths {
		for range maxLinks {
			if p.links[at] == "" {
				break
			}
			at = p.links[at]
		}
		if kind := p.kinds[at]; kind != "" {
			return kind
		}
	}
	return ""
}

// mergedPath is a path as it is where /bin and /sbin are links into /usr.
func mergedPath(p string) string {
	if strings.HasPrefix(p, "/bin/") || strings.HasPrefix(p, "/sbin/") {
		return "/usr" + p
	}
	return p
}
