package scriptlet

import (
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits of update-desktop-database.
const (
	maxDesktopFile  = 1 << 20
	maxDesktopDepth = 16 // directories within each other, links followed
	maxDesktopFiles = 1 << 16
)

// desktopTypes says by MIME type which .desktop files name it.
type desktopTypes map[string][]string

// updateDesktopDatabase writes mimeinfo.cache, by which programs find who opens what
// (update-desktop-database(1) of desktop-file-utils; the Desktop Entry Specification).
func updateDesktopDatabase(r *toolRun) error {
	dirs := r.args
	if len(dirs) == 0 {
		dirs = []string{"/usr/local/share/applications", "/usr/share/applications"}
	}
	updated := false
	for _, dir := range dirs {
		if !r.isDir(dir) {
			continue
		}
		types := desktopTypes{}
		files := 0
		if err := r.readDesktopFiles(dir, "", types, 0, &files); err != nil {
			return err
		}
		names := make([]string, 0, len(types))
		for name := range types {
			names = append(names, name)
		}
		slices.Sort(names)
		b := []byte("[MIME Cache]\n")
		for _, name := range names {
			slices.Sort(types[name])
			b = append(b, name+"="+strings.Join(slices.Compact(types[name]), ";")+";\n"...)
		}
		if err := r.FS.WriteFile(r.Dir, path.Join(dir, "mimeinfo.cache"), b, 0o644); err != nil {
			return err
		}
		updated = true
	}
	if !updated {
		r.status = 1
		if !r.has("quiet") {
			return r.die(1, "The databases in [%s] could not be updated.", strings.Join(dirs, ", "))
		}
	}
	return nil
}

// readDesktopFiles adds the files of a directory; those of directories in it have their names before their own.
func (r *toolRun) readDesktopFiles(dir, prefix string, types desktopTypes, depth int, files *int) error {
	if depth > maxDesktopDepth {
		return r.unsupported("more than %d directories within each other", maxDesktopDepth)
	}
	entries, err := r.FS.ReadDir(r.Dir, dir)
	if err != nil {
		return err
	}
	for _, name := range entries {
		if *files++; *files > maxDesktopFiles {
			return r.unsupported("more than %d files", maxDesktopFiles)
		}
		p := path.Join(dir, name)
		n, err := r.FS.Stat(r.Dir, p)
		switch {
		case err != nil:
			continue
		case n.IsDir():
			if err := r.readDesktopFiles(p, prefix+name+"-", types, depth+1, files); err != nil {
				return err
			}
			continue
		case !n.IsRegular() || !strings.HasSuffix(name, ".desktop") || n.Size > maxDesktopFile:
			continue
		}
		b, err := r.FS.ReadFile(r.Dir, p)
		if err != nil {
			return err
		}
		for _, t := range mimeTypesOf(string(b)) {
			types[t] = append(types[t], prefix+name)
		}
	}
	return nil
}

// mimeTypesOf are the valid types that a .desktop file names, none of one that is hidden or no key file of glib's.
func mimeTypesOf(text string) []string {
	const group = "Desktop Entry"
	keys, at, seen := map[string]string{}, "", false
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimLeft(strings.TrimSuffix(line, "\r"), " \t\r\f\v")
		switch name, value, isKey := strings.Cut(line, "="); {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			end := strings.IndexByte(line, ']')
			if end < 0 || strings.TrimSpace(line[end+1:]) != "" {
				return nil
			}
			at = line[1:end]
			seen = seen || at == group
		case !isKey || strings.TrimRight(name, " \t") == "" || at == "":
			return nil
		case at == group:
			keys[strings.TrimRight(name, " \t")] = strings.TrimLeft(value, " \t")
		}
	}
	hidden := strings.TrimRight(keys["Hidden"], " \t")
	if !seen || hidden == "true" || hidden == "1" || !utf8.ValidString(keys["MimeType"]) {
		return nil
	}
	list, ok := splitKeyList(keys["MimeType"])
	if !ok {
		return nil
	}
	var out []string
	for _, t := range list {
		if isMimeType(t) {
			out = append(out, t)
		}
	}
	return out
}

// splitKeyList splits a list of a key file at its semicolons; a backslash stands before what is meant otherwise.
func splitKeyList(text string) (list []string, ok bool) {
	var one strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == ';':
			list = append(list, one.String())
			one.Reset()
		case c != '\\':
			one.WriteByte(c)
		default:
			if i++; i == len(text) {
				return nil, false
			}
			k := strings.IndexByte(`sntr\;`, text[i])
			if k < 0 {
				return nil, false
			}
			one.WriteByte(" \n\t\r\\;"[k])
		}
	}
	if one.Len() > 0 {
		list = append(list, one.String())
	}
	for i, s := range list { // blanks at the end do not count
		list[i] = strings.TrimRight(s, " \t\n\r\f\v")
	}
	return list, true
}

// isMimeType tells types whose first half is registered or begins with x-, and whose second has no special character.
func isMimeType(t string) bool {
	media, sub, ok := strings.Cut(t, "/")
	if !ok || sub == "" {
		return false
	}
	if strings.ContainsFunc(sub, func(c rune) bool { return c <= ' ' || c == 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?=`, c) }) {
		return false
	}
	if strings.HasPrefix(media, "x-") || strings.HasPrefix(media, "X-") {
		return true
	}
	return slices.Contains([]string{"application", "audio", "chemical", "font", "image", "inode", "message", "model", "multipart", "text", "video"}, media)
}
