package rpmdb

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"slim/internal/rpm"
)

// index is one of a database's indexes: which tag it repeats, under which name.
type index struct {
	name  string
	tag   rpm.Tag
	bytes bool // keys are bytes, not text
	array bool // the tag has a value per file, dependency or trigger: there is an index by package too
}

const (
	tagGroup            rpm.Tag = 1016
	tagProvideName      rpm.Tag = 1047
	tagRequireFlags     rpm.Tag = 1048
	tagRequireName      rpm.Tag = 1049
	tagConflictName     rpm.Tag = 1054
	tagTriggerName      rpm.Tag = 1066
	tagObsoleteName     rpm.Tag = 1090
	tagRecommendName    rpm.Tag = 5046
	tagSuggestName      rpm.Tag = 5049
	tagSupplementName   rpm.Tag = 5052
	tagEnhanceName      rpm.Tag = 5055
	tagFileTriggerName  rpm.Tag = 5069
	tagFileTriggerIndex rpm.Tag = 5070
	tagTransTriggerName rpm.Tag = 5079
	tagTransTriggerIdx  rpm.Tag = 5080
)

// indexes are all of them in rpm's order (dbiTags in lib/rpmdb.c).
var indexes = [...]index{
	{name: "Name", tag: rpm.TagName},
	{name: "Basenames", tag: rpm.TagBaseNames, array: true},
	{name: "Group", tag: tagGroup},
	{name: "Requirename", tag: tagRequireName, array: true},
	{name: "Providename", tag: tagProvideName, array: true},
	{name: "Conflictname", tag: tagConflictName, array: true},
	{name: "Obsoletename", tag: tagObsoleteName, array: true},
	{name: "Triggername", tag: tagTriggerName, array: true},
	{name: "Dirnames", tag: rpm.TagDirNames, array: true},
	{name: "Installtid", tag: tagInstallTID, bytes: true},
	{name: "Sigmd5", tag: tagSigMD5, bytes: true},
	{name: "Sha1header", tag: tagSHA1Header},
	{name: "Filetriggername", tag: tagFileTriggerName, array: true},
	{name: "Transfiletriggername", tag: tagTransTriggerName, array: true},
	{name: "Recommendname", tag: tagRecommendName, array: true},
	{name: "Suggestname", tag: tagSuggestName, array: true},
	{name: "Supplementname", tag: tagSupplementName, array: true},
	{name: "Enhancename", tag: tagEnhanceName, array: true},
}

// row is one entry of an index: key is found in package num, at element idx of the tag.
type row struct {
	key string
	num uint32
	idx uint32
}

// rows appends what package num has in the index, by the rules of tag2index in lib/rpmdb.c.
func (x *index) rows(out []row, h *rpm.Header, num uint32) ([]row, error) {
	keys := x.keys(h)
	skip := x.skipped(h, keys)
	positions, err := x.positions(h, len(keys))
	if err != nil {
		return nil, err
	}
	for i, key := range keys {
		if skip != nil && skip[i] {
			continue
		}
		idx := uint32(i)
		if positions != nil {
			idx = positions[i]
		}
		out = append(out, row{key, num, idx})
		if x.hasRich() && strings.HasPrefix(key, "(") {
			for _, name := range richNames(key) {
				out = append(out, row{name, num, idx})
			}
		}
	}
	return out, nil
}

func (x *index) keys(h *rpm.Header) []string {
	e, ok := h.Entry(x.tag)
	switch {
	case !ok && x.tag == tagGroup:
		return []string{"Unknown"}
	case !ok:
		return nil
	case e.Type == rpm.TypeBin:
		return []string{string(e.Data)}
	case e.Type == rpm.TypeI18NString:
		return []string{h.Text(x.tag)}
	case e.Type == rpm.TypeInt32:
		var keys []string
		for _, v := range h.Uint32s(x.tag) { // in the byte order of the machine that reads it: s390x, alone, has another
			keys = append(keys, string(binary.LittleEndian.AppendUint32(nil, v)))
		}
		return keys
	}
	return e.Strings()
}

// Flags of a requirement (include/rpm/rpmds.h) that say who needs it, and when.
const (
	flagPreTrans     = 1 << 5
	flagPostTrans    = 1 << 7
	flagScriptPre    = 1 << 9
	flagScriptPost   = 1 << 10
	flagScriptPreUn  = 1 << 11
	flagScriptPostUn = 1 << 12
	flagRPMLib       = 1 << 24
	flagKeyring      = 1 << 26
	flagMeta         = 1 << 29

	flagsInstall = flagPreTrans | flagPostTrans | flagScriptPre | flagScriptPost | flagRPMLib | flagKeyring
	flagsErase   = flagScriptPreUn | flagScriptPostUn
)

// skipped marks the keys that are not indexed: requirements of the installation alone, repeated trigger names.
func (x *index) skipped(h *rpm.Header, keys []string) []bool {
	skip := make([]bool, len(keys))
	switch x.tag {
	case tagRequireName:
		for i, f := range h.Uint32s(tagRequireFlags) {
			if i < len(skip) {
				skip[i] = f&flagsInstall != 0 && f&flagsErase == 0 && f&flagMeta == 0
			}
		}
		return skip
	case tagTriggerName:
		seen := make(map[string]bool, len(keys))
		for i, key := range keys {
			skip[i] = seen[key]
			seen[key] = true
		}
		return skip
	}
	return nil
}

// positions are the idx values of keys where they are not the elements' numbers: a file trigger's row names the trigger.
func (x *index) positions(h *rpm.Header, n int) ([]uint32, error) {
	var tag rpm.Tag
	switch x.tag {
	case tagFileTriggerName:
		tag = tagFileTriggerIndex
	case tagTransTriggerName:
		tag = tagTransTriggerIdx
	default:
		return nil, nil
	}
	v := h.Uint32s(tag)
	if len(v) != n {
		return nil, fmt.Errorf("%w: tag %d has %d values, not %d", ErrPackage, tag, len(v), n)
	}
	return v, nil
}

func (x *index) hasRich() bool {
	switch x.tag {
	case tagRequireName, tagConflictName, tagSuggestName, tagSupplementName, tagRecommendName, tagEnhanceName:
		return true
	}
	return false
}

// richNames are the further keys of a rich dependency (updateRichDep in lib/rpmdb.c): the names in it, each once, those
// of conditions with "!" before them. None when it cannot be parsed.
func richNames(text string) []string {
	r, err := rpm.ParseRich(text)
	if err != nil {
		return nil
	}
	names := richWalk(nil, r, false)
	slices.SortFunc(names, func(a, b richName) int { return strings.Compare(a.key(), b.key()) })
	var out []string
	for _, n := range slices.Compact(names) {
		out = append(out, strings.TrimPrefix(n.key(), " "))
	}
	return out
}

type richName struct {
	name    string
	negated bool
}

// key sorts as rpm sorts them: plain names first.
func (n richName) key() string {
	if n.negated {
		return "!" + n.name
	}
	return " " + n.name
}

// richWalk appends the names of r. A condition is negated; with an else it counts both ways, and what follows else as the
// rest does.
func richWalk(out []richName, r *rpm.Rich, negated bool) []richName {
	if r.Op == "" {
		if !strings.HasPrefix(r.Name, "rpmlib(") {
			out = append(out, richName{r.Name, negated})
		}
		return out
	}
	conditional := r.Op == rpm.RichIf || r.Op == rpm.RichUnless
	for i, o := range r.Operands {
		if i != 1 || !conditional {
			out = richWalk(out, o, negated)
			continue
		}
		start := len(out)
		out = richWalk(out, o, !negated)
		if len(r.Operands) > 2 {
			for _, n := range out[start:] {
				out = append(out, richName{n.name, !n.negated})
			}
		}
	}
	return out
}
