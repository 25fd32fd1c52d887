package solve

import (
	"fmt"
	"path/filepath"
	"testing"

	"slim/internal/rpm"
	"slim/internal/tooltest"
)

func BenchmarkStream9(b *testing.B) {
	packages := readRepository(b, filepath.Join(tooltest.Shared(b), "rpms/osbuild+images/test/data/testrepo"), false)
	for _, install := range [][]string{{"bash"}, {"systemd", "NetworkManager", "dnf"}} {
		r := Request{Packages: packages, Arch: "x86_64"}
		for _, s := range install {
			r.Install = append(r.Install, Item{s})
		}
		b.Run(fmt.Sprint(install), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Solve(r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkLarge solves among 70 000 packages: the real ones, many times over under other names.
func BenchmarkLarge(b *testing.B) {
	packages := readRepository(b, filepath.Join(tooltest.Shared(b), "rpms/osbuild+images/test/data/testrepo"), false)
	large := largeRepository(packages, 70_000)
	r := Request{Packages: large, Arch: "x86_64", Install: []Item{{"systemd"}, {"NetworkManager"}, {"dnf"}}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Solve(r); err != nil {
			b.Fatal(err)
		}
	}
}

func largeRepository(packages []*rpm.Metadata, n int) []*rpm.Metadata {
	large := packages[:len(packages):len(packages)]
	for i := 0; len(large) < n; i++ {
		suffix := fmt.Sprintf("-copy%d", i)
		rename := func(list []rpm.Capability) []rpm.Capability {
			out := make([]rpm.Capability, len(list))
			for k, c := range list {
				if !c.IsPath() && !c.IsRich() {
					c.Name += suffix
				}
				out[k] = c
			}
			return out
		}
		for _, m := range packages {
			c := *m
			c.Name, c.Location = m.Name+suffix, suffix+m.FileName()
			c.Provides, c.Conflicts, c.Obsoletes = rename(m.Provides), rename(m.Conflicts), rename(m.Obsoletes)
			large = append(large, &c)
		}
	}
	return large
}
