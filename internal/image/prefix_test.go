package image

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

// countingShelf counts how often entries are opened.
type countingShelf struct {
	MemoryShelf
	mu     sync.Mutex
	opened map[string]int
}

func (c *countingShelf) Open(kind, key string) (Entry, error) {
	c.mu.Lock()
	c.opened[key]++
	c.mu.Unlock()
	return c.MemoryShelf.Open(kind, key)
}

// TestPrefixes makes a layer again in which one segment is another: what stands before it is not unpacked, what follows
// is, and the layer is what it is without anything known.
func TestPrefixes(t *testing.T) {
	for _, compression := range []string{"gzip", "zstd"} {
		t.Run(compression, func(t *testing.T) {
			var segments []Segment
			add := func(i int, content string) Segment {
				s := segment(fmt.Sprint(i), regular(fmt.Sprintf("/f%d", i), []byte(content)))
				s.ID = hexSum(fmt.Sprint(i), content)
				return s
			}
			for i := range 6 {
				segments = append(segments, add(i, strings.Repeat("content", 1000*i)))
			}
			shelf := &countingShelf{opened: map[string]int{}}
			o := PackOptions{Compression: compression}
			writeTo(t, shelf, segments, o)
			again := func(want ...int) {
				t.Helper()
				clear(shelf.opened)
				l := writeTo(t, shelf, segments, o)
				if plain := write(t, segments, o); l.facts != plain.facts {
					t.Errorf("the layer is %+v, and %+v without anything known", l.facts, plain.facts)
				}
				var unpacked []int
				for i, key := range l.keys {
					if shelf.opened[key] > 1 { // once for the digest of the packed layer
						unpacked = append(unpacked, i)
					}
				}
				if !slices.Equal(unpacked, want) {
					t.Errorf("unpacked segments %v, not %v", unpacked, want)
				}
			}
			segments[3] = add(3, "changed")
			again(4, 5)
			segments = append(segments, add(6, "one more"))
			again()
			segments[1] = add(1, "changed, which the prefixes are named by")
			again(0, 2, 3, 4, 5, 6)
			segments = slices.Delete(segments, 4, 5)
			again(4, 5)

			for key, b := range shelf.entries {
				if !strings.HasPrefix(key, KindPrefix) {
					continue
				}
				var p prefixes
				if err := json.Unmarshal(b, &p); err != nil {
					t.Fatal(err)
				}
				for i := range p.States {
					p.States[i].CRC ^= 1
				}
				b, err := json.Marshal(p)
				if err != nil {
					t.Fatal(err)
				}
				shelf.entries[key] = bytes.Clone(b)
			}
			segments[5] = add(6, "after states that are wrong")
			again(0, 1, 2, 3, 4)
		})
	}
}

func FuzzPrefixes(f *testing.F) {
	l := &Layer{keys: []string{"a", "b", "c"}, codec: &codec{id: "x"}}
	f.Add([]byte(`{"keys":["a","b"],"states":[{"sha256":"","size":1},{"size":-1}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		shelf := &MemoryShelf{}
		if err := putEntry(shelf, KindPrefix, l.prefixName(), b); err != nil {
			t.Fatal(err)
		}
		l := *l
		l.shelf = shelf
		if r := l.resume(); len(r.states) > len(l.keys) || r.resumed != (r.Hash != nil) {
			t.Errorf("%+v", r)
		}
	})
}
