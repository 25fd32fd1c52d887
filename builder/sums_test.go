package builder

import (
	"bytes"
	"slices"
	"testing"
)

// FuzzSums: what is read is what is written of it again.
func FuzzSums(f *testing.F) {
	some := make([]fileSums, 3)
	some[2][0], some[0][51] = 1, 2
	f.Add(sumsText(some), 3)
	f.Add(sumsText(some), 1)
	f.Add(sumsText(some)[:100], 3)
	f.Fuzz(func(t *testing.T, b []byte, files int) {
		all := make([]fileSums, min(max(files, 0), 1000))
		parseSums(b, all)
		again := make([]fileSums, len(all))
		text := sumsText(all)
		parseSums(text, again)
		if !slices.Equal(all, again) {
			t.Errorf("%x is read as %x", text, again)
		}
		if len(all) == 3 && bytes.Equal(b, sumsText(some)) && !slices.Equal(all, some) {
			t.Errorf("read as %x", all)
		}
	})
}
