package elf

import "strings"

// Answers that Hardening gives.
const (
	Yes     = "yes"
	No      = "no"
	Full    = "full"
	Partial = "partial"
)

// Hardening is how a file was compiled and linked, as far as the file tells. "" means that the question does not arise or
// that the file does not tell: a library is no position-independent program, a static program has no dynamic symbols.
type Hardening struct {
	PIE            string // yes or no, of programs
	RELRO          string // full, partial or no
	NX             string // yes, or no when its stack may be executed
	StackProtector string // yes or no: whether __stack_chk_fail is used
	Fortify        string // full when every call that can be is a checking one, partial, no
	ControlFlow    string // x86-64: "ibt,shstk", one of them or no; aarch64: "bti,pac", one of them or no
}

const (
	machineX8664   = 62
	machineAArch64 = 183
)

func hardening(f *File, o *Object, entries []DynamicEntry, features uint32) Hardening {
	h := Hardening{RELRO: No, NX: No}
	flags, _ := valueOf(entries, TagFlags)
	flags1, _ := valueOf(entries, TagFlags1)
	switch {
	case o.Type == TypeExec:
		h.PIE = No
	case o.Type == TypeDyn && (o.Interpreter != "" || flags1&flag1PIE != 0):
		h.PIE = Yes
	}
	if f.segmentOf(SegmentRelro) != nil {
		h.RELRO = Partial
		if _, now := valueOf(entries, TagBindNow); now || flags&flagBindNow != 0 || flags1&flag1Now != 0 || !o.Dynamic {
			h.RELRO = Full
		}
	}
	if s := f.segmentOf(SegmentStack); s != nil && s.Flags&1 == 0 {
		h.NX = Yes
	}
	if o.HasSymbols {
		h.StackProtector, h.Fortify = checkedCalls(o.Imports)
	}
	switch o.Machine {
	case machineX8664:
		h.ControlFlow = featureNames(features, "ibt", "shstk")
	case machineAArch64:
		h.ControlFlow = featureNames(features, "bti", "pac")
	}
	return h
}

func featureNames(bits uint32, names ...string) string {
	var have []string
	for i, name := range names {
		if bits&(1<<i) != 0 {
			have = append(have, name)
		}
	}
	if have == nil {
		return No
	}
	return strings.Join(have, ",")
}

// checkedCalls tells from the functions that a file calls whether the compiler guarded its stack, and how many of those
// that glibc has a checking variant of are that variant. A compiler that knows a size calls the plain one, so partial is
// what a well-fortified program looks like.
func checkedCalls(imports []string) (stack, fortify string) {
	stack = No
	checked, plain := 0, 0
	for _, name := range imports {
		switch inner, ok := strings.CutPrefix(name, "__"); {
		case name == "__stack_chk_fail" || name == "__stack_chk_guard" || name == "__stack_chk_fail_local":
			stack = Yes
		case ok && strings.HasSuffix(inner, "_chk"):
			checked++
		case isFortifiable(name):
			plain++
		}
	}
	switch {
	case checked > 0 && plain == 0:
		fortify = Full
	case checked > 0:
		fortify = Partial
	case plain > 0:
		fortify = No
	}
	return stack, fortify
}

// isFortifiable knows the functions that glibc has a checking variant of (debug/Versions).
func isFortifiable(name string) bool {
	switch name {
	case "memcpy", "memmove", "mempcpy", "memset", "explicit_bzero", "stpcpy", "strcat", "strcpy", "strncat", "strncpy", "stpncpy",
		"fprintf", "printf", "sprintf", "snprintf", "vfprintf", "vprintf", "vsprintf", "vsnprintf", "dprintf", "vdprintf",
		"asprintf", "vasprintf", "obstack_printf", "obstack_vprintf", "gets", "fgets", "fgets_unlocked", "fread", "fread_unlocked",
		"read", "pread", "pread64", "recv", "recvfrom", "readlink", "readlinkat", "getcwd", "getwd", "realpath", "confstr",
		"getgroups", "ttyname_r", "getlogin_r", "gethostname", "getdomainname", "poll", "ppoll", "syslog", "vsyslog", "longjmp",
		"wcscpy", "wcpcpy", "wcsncpy", "wcpncpy", "wcscat", "wcsncat", "wmemcpy", "wmemmove", "wmempcpy", "wmemset", "wcrtomb",
		"mbsrtowcs", "mbsnrtowcs", "wcsrtombs", "wcsnrtombs", "mbstowcs", "wcstombs", "wctomb", "swprintf", "vswprintf", "fwprintf",
		"wprintf", "vfwprintf", "vwprintf", "fgetws", "fgetws_unlocked", "strlcpy", "strlcat", "wcslcpy", "wcslcat":
		return true
	}
	return false
}
