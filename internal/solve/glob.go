package solve

import (
	"slices"
	"strings"
)

func isGlob(s string) bool { return strings.ContainsAny(s, "*?[") }

// globMatch is fnmatch(3) without flags: *, ?, [...] and [!...] with ranges, a backslash takes the next character as
// it is, and a slash is a character like any other.
func globMatch(pattern, s string) bool {
	// Where to go on after a mismatch: behind the last star, one character further.
	star, retry := -1, 0
	p, i := 0, 0
	for i < len(s) || p < len(pattern) {
		if p < len(pattern) && pattern[p] == '*' {
			star, retry = p, i
			p++
			continue
		}
		if i < len(s) && p < len(pattern) {
			if n, ok := matchOne(pattern[p:], s[i]); ok {
				p += n
				i++
				continue
			}
		}
		if star < 0 || retry >= len(s) {
			return false
		}
		retry++
		p, i = star+1, retry
	}
	return true
}

// matchOne matches one character and says how much of the pattern that took.
func matchOne(pattern string, c byte) (int, bool) {
	switch pattern[0] {
	case '?':
		return 1, true
	case '\\':
		if len(pattern) > 1 {
			return 2, pattern[1] == c
		}
	case '[':
		if n, ok, closed := matchSet(pattern, c); closed {
			return n, ok
		}
	}
	return 1, pattern[0] == c
}

func matchSet(pattern string, c byte) (n int, ok, closed bool) {
	i := 1
	negated := i < len(pattern) && (pattern[i] == '!' || pattern[i] == '^')
	if negated {
		i++
	}
	found := false
	for first := true; i < len(pattern); first = false {
		lo := pattern[i]
		if lo == ']' && !first {
			return i + 1, found != negated, true
		}
		hi := lo
		i++
		if i+1 < len(pattern) && pattern[i] == '-' && pattern[i+1] != ']' {
			hi = pattern[i+1]
			i += 2
		}
		found = found || lo <= c && c <= hi
	}
	return 0, false, false
}

// MatchAny reports whether one of the globs among patterns matches a string; it is nil when there is no glob among them.
func MatchAny(patterns []string) func(string) bool {
	var globs []string
	for _, p := range patterns {
		if isGlob(p) {
			globs = append(globs, p)
		}
	}
	if globs == nil {
		return nil
	}
	return func(s string) bool {
		return slices.ContainsFunc(globs, func(g string) bool { return globMatch(g, s) })
	}
}
