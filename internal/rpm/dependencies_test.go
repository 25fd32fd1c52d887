package rpm

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDependencies(t *testing.T) {
	h := mustParse(t, blob(0, []entry{
		{TagRequireFlags, []uint32{uint32(Greater | Equal), SenseInterp | SenseScriptPost, SenseRPMLib | uint32(Less|Equal), uint32(Equal), 0}},
		{TagRequireName, []string{"a", "/bin/sh", "rpmlib(X)", "b", "(c if d)"}},
		{TagRequireVersion, []string{"1:2-3", "", "4.0-1", "", "9"}},
		{TagObsoleteName, []string{"old"}},
	}))
	got, err := h.Requires()
	if err != nil {
		t.Fatal(err)
	}
	want := []Dependency{
		{Capability{"a", Greater | Equal, EVR{1, "2", "3"}}, 12, "1:2-3"},
		{Capability{Name: "/bin/sh"}, SenseInterp | SenseScriptPost, ""},
		{Capability{"rpmlib(X)", Less | Equal, EVR{0, "4.0", "1"}}, SenseRPMLib | 10, "4.0-1"},
		{Capability{Name: "b"}, 8, ""},
		{Capability{Name: "(c if d)"}, 0, "9"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got, err := h.Provides(); got != nil || err != nil {
		t.Errorf("none: %v, %v", got, err)
	}
	if got, err := h.Obsoletes(); len(got) != 1 || err != nil || got[0].String() != "old" {
		t.Errorf("names alone: %v, %v", got, err)
	}
}

func TestDependenciesFaults(t *testing.T) {
	for name, es := range map[string][]entry{
		"fewer flags":    {{TagProvideName, []string{"a", "b"}}, {TagProvideFlags, []uint32{0}}, {TagProvideVersion, []string{"", ""}}},
		"fewer versions": {{TagProvideName, []string{"a", "b"}}, {TagProvideFlags, []uint32{0, 0}}, {TagProvideVersion, []string{""}}},
		"no names":       {{TagProvideFlags, []uint32{0}}, {TagProvideVersion, []string{""}}},
		"no versions":    {{TagProvideName, []string{"a"}}, {TagProvideFlags, []uint32{0}}},
	} {
		if got, err := mustParse(t, blob(0, es)).Provides(); !errors.Is(err, ErrHeader) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestDependencyIsScriptletOnly(t *testing.T) {
	for _, test := range []struct {
		name  string
		flags uint32
		want  bool
	}{
		{"a", 0, false},
		{"a", uint32(Equal), false},
		{"a", SenseScriptPre, true},
		{"a", SenseScriptPost | uint32(Equal), true},
		{"a", SensePretrans, true},
		{"a", SensePosttrans, true},
		{"a", SenseScriptPreun, true},
		{"a", SensePostuntrans, true},
		{"a", SenseScriptVerify, true},
		{"a", SenseScriptPre | SenseScriptPostun, true},
		{"/bin/sh", SenseScriptPost | SenseInterp, true},
		{"/bin/sh", SenseInterp, true}, // of a trigger
		{"/bin/sh", SenseFindRequires, false},
		{"a", SensePrereq, false}, // which createrepo_c marks as it does the others
		{"a", SenseScriptPre | SenseMeta, false},
		{"a", SenseConfig | uint32(Equal), false},
		{"user(a)", SenseScriptPre, false},
		{"group(a)", SenseScriptPre, false},
		{"users", SenseScriptPre, true},
	} {
		if got := (Dependency{Capability: Capability{Name: test.name}, Flags: test.flags}).IsScriptletOnly(); got != test.want {
			t.Errorf("%s %#x: %v", test.name, test.flags, got)
		}
	}
}

func scriptletEntries() []entry {
	return []entry{
		{1023, "echo pre"},
		{1085, "/bin/sh"},
		{5020, []uint32{ScriptExpand}},
		{1086, []string{"/sbin/ldconfig", "-X"}},
		{1079, "true"},
		{5103, "bye"},
		{5105, "<lua>"},
		{5104, "gone"},
		{1065, []string{"in", "out"}},
		{1092, []string{"/bin/sh", "<lua>"}},
		{1066, []string{"x", "y", "z"}},
		{1067, []string{"", "1", ""}},
		{1068, []uint32{SenseTriggerIn, SenseTriggerPostun | uint32(Less), SenseTriggerIn}},
		{1069, []uint32{0, 1, 0}},
		{5066, []string{"f"}},
		{5067, []string{"/bin/sh"}},
		{5069, []string{"/usr/lib", "/usr/lib64"}},
		{5070, []uint32{0, 0}},
		{5071, []string{"", ""}},
		{5072, []uint32{SenseTriggerUn, SenseTriggerUn}},
		{5084, []uint32{7}},
		{5076, []string{"t"}},
		{5077, []string{"/bin/sh"}},
		{5079, []string{"/usr/share"}},
		{5080, []uint32{0}},
		{5081, []string{""}},
		{5082, []uint32{SenseTriggerIn}},
	}
}

func TestScriptlets(t *testing.T) {
	got, err := mustParse(t, blob(0, scriptletEntries())).Scriptlets()
	if err != nil {
		t.Fatal(err)
	}
	sh := []string{"/bin/sh"}
	path := func(name string, flags uint32) Dependency {
		return Dependency{Capability: Capability{Name: name}, Flags: flags}
	}
	want := []Scriptlet{
		{Slot: "pre", Interpreter: sh, Body: "echo pre", Flags: ScriptExpand},
		{Slot: "post", Interpreter: []string{"/sbin/ldconfig", "-X"}},
		{Slot: "preuntrans", Interpreter: []string{"<lua>"}, Body: "bye"},
		{Slot: "postuntrans", Interpreter: sh, Body: "gone"},
		{Slot: "verify", Interpreter: sh, Body: "true"},
		{Slot: "triggerin", Interpreter: sh, Body: "in", Triggers: []Dependency{path("x", SenseTriggerIn), path("z", SenseTriggerIn)}},
		{
			Slot: "triggerpostun", Interpreter: []string{"<lua>"}, Body: "out",
			Triggers: []Dependency{{Capability{"y", Less, EVR{Version: "1"}}, SenseTriggerPostun | 2, "1"}},
		},
		{Slot: "filetriggerun", Interpreter: sh, Body: "f", Priority: 7, Triggers: []Dependency{path("/usr/lib", SenseTriggerUn), path("/usr/lib64", SenseTriggerUn)}},
		{Slot: "transfiletriggerin", Interpreter: sh, Body: "t", Priority: DefaultTriggerPriority, Triggers: []Dependency{path("/usr/share", SenseTriggerIn)}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got, err := mustParse(t, blob(0, fileEntries())).Scriptlets(); got != nil || err != nil {
		t.Errorf("none: %v, %v", got, err)
	}
}

// rpmbuild makes such headers of triggers of one name with several versions.
func TestTriggerWithoutCondition(t *testing.T) {
	es := scriptletEntries()
	for _, tag := range []Tag{1066, 1067, 1068, 1069} {
		es = replace(es, tag, nil)
	}
	got, err := mustParse(t, blob(0, es)).Scriptlets()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range got {
		if s.Slot == "" || strings.HasPrefix(s.Slot, "trigger") {
			t.Errorf("%+v", s)
		}
	}
}

func TestScriptletFaults(t *testing.T) {
	es := scriptletEntries()
	for _, test := range []struct {
		name    string
		entries []entry
	}{
		{"fewer programs", replace(es, 1092, []string{"/bin/sh"})},
		{"programs alone", replace(es, 1065, nil)},
		{"conditions alone", replace(replace(es, 1065, nil), 1092, nil)},
		{"fewer indexes", replace(es, 1069, []uint32{0, 1})},
		{"index too high", replace(es, 1069, []uint32{0, 2, 0})},
		{"script without condition", replace(es, 1069, []uint32{0, 0, 0})},
		{"two kinds", replace(es, 1068, []uint32{SenseTriggerIn, SenseTriggerIn, SenseTriggerUn})},
		{"more priorities", replace(es, 5084, []uint32{1, 2})},
		{"more flags", append(replace(es, 9999, nil), entry{5078, []uint32{1, 2}})},
	} {
		if got, err := mustParse(t, blob(0, test.entries)).Scriptlets(); !errors.Is(err, ErrHeader) {
			t.Errorf("%s: %v, %v", test.name, got, err)
		}
	}
}
