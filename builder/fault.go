package builder

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Fault is one thing that is wrong in a recipe. Line and Column count from 1; 0 is unknown.
type Fault struct {
	File    string // as the user named it, or the option (--set repository.baseurl) that said it
	Line    int
	Column  int
	Message string
	Hint    string // what to do; may be empty
}

// String is FILE:LINE: MESSAGE, without the hint.
func (f Fault) String() string {
	if f.Line == 0 {
		return f.File + ": " + f.Message
	}
	return fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Message)
}

// RecipeError holds all faults that were found in a recipe and its parents: the parents' first, by line within a file.
// There is at least one.
type RecipeError struct {
	Faults []Fault
}

// Error has one line for a fault and one, indented, for its hint.
func (e *RecipeError) Error() string {
	var b strings.Builder
	for i, f := range e.Faults {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(f.String())
		if f.Hint != "" {
			b.WriteString("\n\thint: " + f.Hint)
		}
	}
	return b.String()
}

// faults collects what is wrong in one file.
type faults struct {
	list []Fault
}

func (f *faults) add(p place, hint, format string, args ...any) {
	if len(f.list) < maxFaults {
		f.list = append(f.list, Fault{File: p.file, Line: p.line, Column: p.column, Message: fmt.Sprintf(format, args...), Hint: hint})
	}
}

// err is nil without faults.
func (f *faults) err() error {
	if len(f.list) == 0 {
		return nil
	}
	f.sort()
	return &RecipeError{Faults: f.list}
}

func (f *faults) sort() {
	slices.SortStableFunc(f.list, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// nearest returns the word of known that s may have been meant as, or "".
func nearest(s string, known []string) string {
	best, bestAt := "", len(s)/3+2
	for _, k := range known {
		if d := distance(strings.ToLower(s), k); d < bestAt {
			best, bestAt = k, d
		}
	}
	return best
}

// distance counts the insertions, deletions, replacements and swaps of neighbours that turn a into b.
func distance(a, b string) int {
	if len(a) > maxWord || len(b) > maxWord {
		return maxWord
	}
	var before, prev []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, prev, row = prev, row, make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
