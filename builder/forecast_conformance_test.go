package builder

import (
	"context"
	"slices"
	"testing"

	"slim/internal/rpm"
	"slim/internal/scriptlet"
)

// TestConformanceForecast compares what is foretold of the scriptlets of a distribution by headers alone with what came of
// them.
func TestConformanceForecast(t *testing.T) {
	r := sharedRecipe(t, everyday, "")
	o := Options{CacheDir: t.TempDir(), WorkDir: t.TempDir()}
	ctx := context.Background()
	lock, err := Resolve(ctx, r, o)
	if err != nil {
		t.Fatal(err)
	}
	forecasts, err := ForecastScriptlets(ctx, r, lock, o)
	if err != nil {
		t.Fatal(err)
	}
	client, done, err := o.client()
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	keys, err := loadKeys(ctx, client, r.Repository, r.Platforms[0], o)
	if err != nil {
		t.Fatal(err)
	}
	set, err := fetchPackages(ctx, client, lock.platform(r.Platforms[0]), keys, false, o)
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	contents := newContents(t.TempDir(), nil)
	defer contents.close()
	root, err := newRoot(set.packages, 0, contents, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	if err := root.fill(ctx, r, r.Platforms[0]); err != nil {
		t.Fatal(err)
	}

	type slot struct {
		pkg  rpm.NEVRA
		name string
	}
	told := map[slot][]string{}
	for _, f := range forecasts[0] {
		if f.What == ForecastAcknowledge {
			t.Errorf("%s %%%s: %s, and it was evaluated", f.Package, f.Slot, f.Why)
		}
		told[slot{f.Package, f.Slot}] = append(told[slot{f.Package, f.Slot}], f.What)
	}
	if len(root.outcomes) < 30 {
		t.Errorf("only %d scriptlets ran", len(root.outcomes))
	}
	for _, came := range root.outcomes {
		may := []string{ForecastEvaluated}
		switch came.What {
		case scriptlet.Nothing:
			may = append(may, ForecastNoOp, ForecastNothing)
		case scriptlet.NoOp:
			may = append(may, ForecastNoOp)
		}
		if !slices.ContainsFunc(told[slot{came.Package, came.Slot}], func(what string) bool { return slices.Contains(may, what) }) {
			t.Errorf("%s %%%s was foretold to be %q and came to %s: %q", came.Package, came.Slot, told[slot{came.Package, came.Slot}], came.What, came.Commands)
		}
	}
}
