package trim

import (
	"fmt"
	"path"
	"strings"
)

// pattern is a path pattern cut at its slashes.
type pattern []string

func compile(p string) pattern { return strings.Split(strings.Trim(p, "/"), "/") }

// maxAnyDepth bounds the ** of a pattern, and with it the time to match one.
const maxAnyDepth = 4

// CheckPattern refuses a pattern that is not absolute, is malformed, or names the root.
func CheckPattern(p string) error {
	if !strings.HasPrefix(p, "/") {
		return fmt.Errorf("pattern %q is not absolute", p)
	}
	if strings.Trim(p, "/") == "" {
		return fmt.Errorf("pattern %q names the whole root", p)
	}
	if strings.Count(p, "**") > maxAnyDepth {
		return fmt.Errorf("pattern %q: more than %d times **", p, maxAnyDepth)
	}
	for _, part := range compile(p) {
		if _, err := path.Match(part, ""); err != nil {
			return fmt.Errorf("pattern %q: %w", p, err)
		}
		if part == ".." {
			return fmt.Errorf("pattern %q climbs", p)
		}
	}
	return nil
}

// Match reports whether an absolute path matches a pattern: *, ? and [...] match within one name as in path.Match,
// ** matches any number of whole names, none included, and a pattern that names a directory takes what is below it.
func Match(p, name string) bool {
	return compile(p).match(strings.Split(strings.Trim(name, "/"), "/"))
}

func (p pattern) match(names []string) bool {
	for i, part := range p {
		if part == "**" {
			for skip := 0; skip <= len(names); skip++ {
				if p[i+1:].match(names[skip:]) {
					return true
				}
			}
			return false
		}
		if len(names) == 0 {
			return false
		}
		if ok, err := path.Match(part, names[0]); err != nil || !ok {
			return false
		}
		names = names[1:]
	}
	return true
}

func matchAny(patterns []pattern, f *File) bool {
	if len(patterns) == 0 {
		return false
	}
	names := strings.Split(strings.Trim(f.Path, "/"), "/")
	for _, p := range patterns {
		if p.match(names) {
			return true
		}
	}
	return false
}
