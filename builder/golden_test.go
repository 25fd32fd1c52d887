package builder

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDemoDiffIDs pins the layers of the demo as they are before compression, for both architectures: a change of them is
// a change of every image that anyone has.
func TestDemoDiffIDs(t *testing.T) {
	r, err := ReadRecipe("../recipes/demo/hello.yaml", RecipeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, p := range buildRecipe(t, r, Options{}).Platforms {
		config, err := p.Image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range config.RootFS.DiffIDs {
			fmt.Fprintln(&got, p.Platform, id)
		}
	}
	want, err := os.ReadFile("testdata/demo.diffids")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got.String()); d != "" {
		t.Errorf("testdata/demo.diffids (-want +got)\n%s", d)
	}
}
