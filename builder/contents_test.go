package builder

import (
	"strings"
	"testing"
)

// TestContentReader has a reader that is used again read what was written after it had read ahead.
func TestContentReader(t *testing.T) {
	c := newContents(t.TempDir(), nil)
	defer c.close()
	if _, err := c.reserve(nil); err != nil {
		t.Fatal(err)
	}
	if err := c.file.Truncate(8); err != nil {
		t.Fatal(err)
	}
	for i, text := range []string{"this", "that"} {
		at := int64(4 * i)
		if _, err := c.file.WriteAt([]byte(text), at); err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		r := c.reader()
		if err := r.copy(&got, section{at, 4}); err != nil {
			t.Fatal(err)
		}
		c.readers.Put(r)
		if got.String() != text {
			t.Errorf("read %q, written was %q", got.String(), text)
		}
	}
}
