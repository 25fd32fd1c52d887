package rpm

import (
	"fmt"
	"slices"
)

// Scriptlet is one scriptlet or trigger of a header.
type Scriptlet struct {
	// Slot says when it runs: pretrans, pre, post, preun, postun, posttrans, preuntrans, postuntrans, verify; for
	// triggers triggerprein, triggerin, triggerun, triggerpostun, and the last three with file or transfile before them.
	Slot        string
	Interpreter []string // program and arguments; "<lua>" is rpm's own interpreter
	Body        string   // "" when the interpreter alone is run
	Flags       uint32   // RPMSCRIPT_FLAG_*
	// Triggers are the packages a trigger waits for, or, for file triggers, the path prefixes (Name alone).
	Triggers []Dependency
	Priority uint32 // of file triggers: higher ones run first
}

// The flags of a scriptlet (RPMSCRIPT_FLAG_*, lib/rpmscript.h).
const (
	ScriptExpand   uint32 = 1 << 0 // macros of the body are expanded at install time
	ScriptQFormat  uint32 = 1 << 1 // the body is a query format of the package's header
	ScriptCritical uint32 = 1 << 2 // its failure fails the transaction element
)

// DefaultTriggerPriority is the priority of file triggers that name none.
const DefaultTriggerPriority = 1000000

// Scriptlets are the header's scriptlets in the order pretrans, pre, post, preun, postun, posttrans, preuntrans,
// postuntrans, verify, then its package triggers, file triggers and transaction file triggers in the header's order.
func (h *Header) Scriptlets() ([]Scriptlet, error) {
	var out []Scriptlet
	for _, s := range []struct {
		slot              string
		body, prog, flags Tag
	}{
		{"pretrans", 1151, 1153, 5024},
		{"pre", 1023, 1085, 5020},
		{"post", 1024, 1086, 5021},
		{"preun", 1025, 1087, 5022},
		{"postun", 1026, 1088, 5023},
		{"posttrans", 1152, 1154, 5025},
		{"preuntrans", 5103, 5105, 5107},
		{"postuntrans", 5104, 5106, 5108},
		{"verify", 1079, 1091, 5026},
	} {
		if !h.Has(s.body) && !h.Has(s.prog) {
			continue
		}
		flags, _ := h.Uint64(s.flags)
		out = append(out, Scriptlet{Slot: s.slot, Interpreter: interpreter(h.Strings(s.prog)), Body: h.Text(s.body), Flags: uint32(flags)})
	}
	for _, t := range []triggerTags{
		{prefix: "trigger", body: 1065, prog: 1092, flags: 5027, name: 1066, version: 1067, sense: 1068, index: 1069},
		{prefix: "filetrigger", body: 5066, prog: 5067, flags: 5068, name: 5069, version: 5071, sense: 5072, index: 5070, priority: 5084},
		{prefix: "transfiletrigger", body: 5076, prog: 5077, flags: 5078, name: 5079, version: 5081, sense: 5082, index: 5080, priority: 5085},
	} {
		triggers, err := h.triggers(t)
		if err != nil {
			return nil, err
		}
		out = append(out, triggers...)
	}
	return out, nil
}

// interpreter is the program of a scriptlet; one without runs in the shell (rpmScriptFromTag in lib/rpmscript.c).
func interpreter(prog []string) []string {
	if len(prog) == 0 {
		return []string{"/bin/sh"}
	}
	return prog
}

// triggerTags are the parallel arrays of one kind of trigger: scripts, and conditions that point to them by index.
type triggerTags struct {
	prefix                                                   string
	body, prog, flags, name, version, sense, index, priority Tag
}

func (h *Header) triggers(t triggerTags) ([]Scriptlet, error) {
	bodies, progs := h.Strings(t.body), h.Strings(t.prog)
	conditions, err := h.dependencies(t.prefix+"s", t.name, t.sense, t.version)
	if err != nil {
		return nil, err
	}
	n := max(len(bodies), len(progs))
	index, flags, priorities := h.Uint32s(t.index), h.Uint32s(t.flags), h.Uint32s(t.priority)
	if len(index) != len(conditions) || len(bodies) != n || len(progs) != n && progs != nil ||
		flags != nil && len(flags) != n || priorities != nil && len(priorities) != n {
		return nil, fmt.Errorf("%w: %ss: %d scripts, %d programs, %d flags, %d priorities, %d conditions, %d indexes", ErrHeader,
			t.prefix, len(bodies), len(progs), len(flags), len(priorities), len(conditions), len(index))
	}
	out := make([]Scriptlet, n)
	for i := range out {
		out[i] = Scriptlet{Interpreter: []string{"/bin/sh"}, Body: bodies[i]}
		if progs != nil {
			out[i].Interpreter = []string{progs[i]}
		}
		if flags != nil {
			out[i].Flags = flags[i]
		}
		if t.priority != 0 {
			out[i].Priority = DefaultTriggerPriority
		}
		if priorities != nil {
			out[i].Priority = priorities[i]
		}
	}
	for i, c := range conditions {
		if int64(index[i]) >= int64(n) {
			return nil, fmt.Errorf("%w: %s %q is of script %d of %d", ErrHeader, t.prefix, c.Name, index[i], n)
		}
		s := &out[index[i]]
		slot := t.prefix + triggerKind(c.Flags)
		if s.Slot != "" && s.Slot != slot {
			return nil, fmt.Errorf("%w: script %d is both a %%%s and a %%%s", ErrHeader, index[i], s.Slot, slot)
		}
		s.Slot = slot
		s.Triggers = append(s.Triggers, c)
	}
	// rpmbuild merges conditions of one name, and may leave a script without any: it never runs.
	return slices.DeleteFunc(out, func(s Scriptlet) bool { return s.Slot == "" }), nil
}

func triggerKind(flags uint32) string {
	switch {
	case flags&SenseTriggerPrein != 0:
		return "prein"
	case flags&SenseTriggerIn != 0:
		return "in"
	case flags&SenseTriggerUn != 0:
		return "un"
	}
	return "postun"
}
