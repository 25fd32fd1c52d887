package report

import (
	"bytes"
	"strings"
	"testing"
)

const hostile = `/usr/bin/</script><img src=x onerror="document.title='owned'">`

func sample() *Document {
	one := Image{
		Name: hostile, Command: []string{hostile}, Tiers: map[string]Sum{"direct": {1, 2, 4321}, "loadable": {}, "data": {}, "idle": {}},
		Packages: []Installed{{
			NEVRA: "a-1-1.x86_64", Name: hostile, EVR: "1-1", SourceRPM: hostile, Tier: "direct",
			Bytes: map[string]int64{"direct": 4321, "loadable": 0, "data": 0, "idle": 0}, LeftOut: []LeftOut{{"docs", 2, 777}},
			Chain: []Step{{hostile, 0, "entrypoint", hostile}}, Chains: [][]int{{0}}, Root: true, Advisories: []Advisory{{hostile, hostile, hostile, hostile, []string{hostile}}},
		}},
		Areas: []Area{{0, hostile, "direct", 2, 4321}}, Requires: []Requirement{{0, 0, hostile, hostile, true, 1}}, LeftOut: []LeftOut{{"docs", 2, 777}},
		Layers: []Layer{{"sha256:aa", 99, []int{0, 1}}}, Notes: []string{hostile}, Advised: true,
		Proof: &Proof{Packages: 1, Keys: []Key{{hostile, hostile, 1}}, Findings: []Finding{{hostile, true}, {hostile, false}}},
	}
	two := one
	two.Name = "two"
	return &Document{Version: 1, Images: []Image{one, two}, Fleet: Fleet{
		Core: []string{hostile}, Standards: []Standard{{[]string{hostile}, []int{0, 1}}},
		Packages: []Package{{hostile, 2, []Build{{hostile, hostile, hostile, 0, []int{0}}, {hostile, hostile, hostile, 1, []int{1}}}}},
	}}
}

func TestForeignTextStaysText(t *testing.T) {
	var a, b bytes.Buffer
	if err := Write(&a, sample()); err != nil {
		t.Fatal(err)
	}
	if err := Write(&b, sample()); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("two pages of one document differ")
	}
	if strings.Contains(a.String(), "<img") || strings.Count(a.String(), "</script>") != 2 {
		t.Error("text of an image became markup")
	}
}
