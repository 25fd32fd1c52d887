package rpm

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slim/internal/tooltest"
)

// The query format separates packages, fields and values by control characters that no header holds.
const (
	recordSep = "\x1e"
	fieldSep  = "\x1d"
	valueSep  = "\x1f"
	partSep   = "\x1c"
)

// queryFields are what is compared, each with a query format; one in brackets gives a value per element.
func queryFields() (names []string, format string) {
	type field struct{ name, format string }
	fields := []field{
		{"name", "%{NAME}"},
		{"epoch", "%{EPOCHNUM}"},
		{"version", "%{VERSION}"},
		{"release", "%{RELEASE}"},
		{"arch", "%{ARCH}"},
		{"sourcerpm", "%|SOURCERPM?{%{SOURCERPM}}|"},
	}
	for _, d := range []string{"PROVIDE", "REQUIRE", "CONFLICT", "OBSOLETE", "RECOMMEND", "SUGGEST", "SUPPLEMENT", "ENHANCE"} {
		fields = append(fields, field{strings.ToLower(d), each(d+"NAME", d+"FLAGS", d+"VERSION")})
	}
	fields = append(fields, field{"files", each("FILENAMES", "FILEMODES", "LONGFILESIZES", "FILEMTIMES", "FILEUSERNAME", "FILEGROUPNAME",
		"FILEDIGESTS", "FILELINKTOS", "FILEFLAGS", "FILERDEVS", "FILEDEVICES", "FILEINODES", "FILELANGS", "FILECAPS", "FILECOLORS")})
	for _, s := range []string{"PRETRANS", "PREIN", "POSTIN", "PREUN", "POSTUN", "POSTTRANS", "VERIFYSCRIPT"} {
		fields = append(fields,
			field{strings.ToLower(s), "%|" + s + "?{%{" + s + "}}|" + partSep + "%|" + s + "FLAGS?{%{" + s + "FLAGS}}:{0}|"},
			field{strings.ToLower(s) + "prog", each(s + "PROG")})
	}
	for _, s := range []string{"TRIGGER", "FILETRIGGER", "TRANSFILETRIGGER"} {
		fields = append(fields,
			field{strings.ToLower(s) + "scripts", each(s+"SCRIPTS", s+"SCRIPTPROG")},
			field{strings.ToLower(s) + "conditions", each(s+"NAME", s+"FLAGS", s+"VERSION", s+"INDEX")})
	}
	for _, f := range fields {
		names = append(names, f.name)
		format += f.format + fieldSep
	}
	return names, format + recordSep
}

func each(tags ...string) string {
	return "[%{" + strings.Join(tags, "}"+partSep+"%{") + "}" + valueSep + "]"
}

// ours are the same fields of a header of ours.
func ours(h *Header) (map[string]string, error) {
	n := h.NEVRA()
	out := map[string]string{
		"name": n.Name, "epoch": strconv.Itoa(int(n.Epoch)), "version": n.Version, "release": n.Release,
		"arch": h.Text(TagArch), "sourcerpm": h.Text(TagSourceRPM),
	}
	for name, get := range map[string]func() ([]Dependency, error){
		"provide": h.Provides, "require": h.Requires, "conflict": h.Conflicts,
		"obsolete": h.Obsoletes, "recommend": h.Recommends, "suggest": h.Suggests, "supplement": h.Supplements, "enhance": h.Enhances,
	} {
		deps, err := get()
		if err != nil {
			return nil, err
		}
		out[name] = ""
		for _, d := range deps {
			out[name] += fmt.Sprint(d.Name, partSep, d.Flags, partSep, d.Version, valueSep)
		}
	}
	files, err := h.Files()
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	for _, f := range files {
		fmt.Fprint(&b, f.Path, partSep, f.Mode, partSep, f.Size, partSep, f.MTime, partSep, f.User, partSep, f.Group, partSep, f.Digest, partSep,
			f.Link, partSep, uint32(f.Flags), partSep, f.RDev, partSep, f.Dev, partSep, f.Inode, partSep, f.Lang, partSep, f.Caps, partSep, f.Color, valueSep)
	}
	out["files"] = b.String()
	return out, oursScripts(h, out)
}

func oursScripts(h *Header, out map[string]string) error {
	scripts, err := h.Scriptlets()
	if err != nil {
		return err
	}
	tags := map[string]string{
		"pretrans": "pretrans", "pre": "prein", "post": "postin", "preun": "preun", "postun": "postun",
		"posttrans": "posttrans", "verify": "verifyscript",
	}
	for _, name := range tags {
		out[name], out[name+"prog"] = partSep+"0", ""
	}
	for _, kind := range []string{"trigger", "filetrigger", "transfiletrigger"} {
		out[kind+"scripts"], out[kind+"conditions"] = "", ""
	}
	for _, s := range scripts {
		if name, ok := tags[s.Slot]; ok {
			out[name] = fmt.Sprint(s.Body, partSep, s.Flags)
			for _, p := range s.Interpreter {
				out[name+"prog"] += p + valueSep
			}
			continue
		}
		kind := s.Slot[:strings.Index(s.Slot, "trigger")+len("trigger")]
		i := strings.Count(out[kind+"scripts"], valueSep)
		out[kind+"scripts"] += s.Body + partSep + s.Interpreter[0] + valueSep
		for _, d := range s.Triggers {
			out[kind+"conditions"] += fmt.Sprint(d.Name, partSep, d.Flags, partSep, d.Version, partSep, i, valueSep)
		}
	}
	// Conditions of several scripts may be mixed in the header.
	for _, kind := range []string{"trigger", "filetrigger", "transfiletrigger"} {
		out[kind+"conditions"] = sortedValues(out[kind+"conditions"])
	}
	return nil
}

func sortedValues(s string) string {
	v := strings.SplitAfter(s, valueSep)
	slices.Sort(v)
	return strings.Join(v, "")
}

// normal takes rpm's "(none)" for a value of an array that is missing: "" for a text, 0 for a number.
func normal(name, value string) string {
	values := strings.SplitAfter(value, valueSep)
	for i, v := range values {
		parts := strings.Split(strings.TrimSuffix(v, valueSep), partSep)
		for j := range parts {
			if parts[j] == "(none)" {
				parts[j] = ""
				if name == "files" && (j >= 8 && j <= 11 || j == 14) {
					parts[j] = "0"
				}
			}
		}
		values[i] = strings.Join(parts, partSep)
		if strings.HasSuffix(v, valueSep) {
			values[i] += valueSep
		}
	}
	if strings.HasSuffix(name, "conditions") {
		slices.Sort(values)
	}
	return strings.Join(values, "")
}

// rpmQuery asks rpm for all fields of packages it can read.
func rpmQuery(t *testing.T, root string, paths []string) map[string]map[string]string {
	t.Helper()
	names, format := queryFields()
	// The path of the file is not a field of a package: rpm is asked for each on its own in one list of arguments, and
	// says what it could not read on lines of their own.
	out := map[string]map[string]string{}
	batches(paths, 100, func(some []string) {
		text, faults := rpmOutput(t, root, "rpm", append([]string{"-qp", "--nosignature", "--nodigest", "--qf", format}, some...)...)
		records := strings.Split(text, recordSep)
		good := some
		for line := range strings.Lines(faults) {
			good = slices.DeleteFunc(slices.Clone(good), func(p string) bool { return strings.HasPrefix(line, "error: "+p+": ") })
		}
		if len(records)-1 != len(good) {
			t.Fatalf("rpm -qp: %d records for %d packages: %s", len(records)-1, len(good), faults)
		}
		for i, p := range good {
			fields := strings.Split(records[i], fieldSep)
			if len(fields) != len(names)+1 {
				t.Fatalf("rpm -qp %s: %d fields, not %d: %q", p, len(fields), len(names)+1, records[i])
			}
			out[p] = map[string]string{}
			for j, name := range names {
				out[p][name] = normal(name, fields[j])
			}
		}
	})
	return out
}

func TestHeadersAgreeWithRPM(t *testing.T) {
	root, paths := sharedPackages(t)
	tooltest.Need(t, "rpm")
	theirs := rpmQuery(t, root, paths)
	compared := 0
	for _, p := range paths {
		want, ok := theirs[p]
		f, err := open(t, filepath.Join(root, p))
		if !ok {
			if err == nil {
				_, err = f.Verify(nil, VerifyOptions{AllowUnsigned: true})
			}
			if err == nil {
				t.Errorf("%s: rpm cannot read it, we can", p)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: rpm can read it: %v", p, err)
			continue
		}
		if f.Header().IsSource() {
			if _, err := f.Header().Files(); err == nil {
				t.Errorf("%s: a source package with absolute paths", p)
			}
			continue
		}
		got, err := ours(f.Header())
		if err != nil {
			t.Errorf("%s: %v", p, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: rpm (-), ours (+):\n%s", p, diff)
		}
		compared++
	}
	t.Logf("%d packages compared", compared)
}
