package builder

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slim/internal/rpmtest"
)

// point is one image of the growth.
type point struct {
	run
	packages int
	bytes    int64 // installed
}

// growth builds images of more and more packages of the test distribution, and of more and more bytes in big packages,
// draws the time they take, and says how straight that is.
func (b *bench) growth(t *testing.T) {
	real, made := b.growDistribution(t), b.growBytes(t)
	charts := []chart{
		{title: "packages of the test distribution", unit: "package"},
		{title: "MB installed of the test distribution", unit: "MB"},
		{title: "MB installed, packages of 64 MB", unit: "MB"},
	}
	for _, p := range real {
		charts[0].add(float64(p.packages), p.run)
		charts[1].add(float64(p.bytes)/1e6, p.run)
	}
	for _, p := range made {
		charts[2].add(float64(p.bytes)/1e6, p.run)
	}
	writeFile(t, filepath.Join(b.out, "growth.svg"), drawCharts(charts))
	for _, c := range charts {
		b.straight = append(b.straight, c.title+": time "+fit(c.xs, c.wall).String(c.unit)+"; CPU "+fit(c.xs, c.cpu).String(c.unit))
	}
	quarter := made[2]
	for _, p := range made[3:] {
		b.row(fmt.Sprintf("a root of %d MB", p.bytes>>20), p.run, quarter.run, fmt.Sprintf("one of %d MB (peak %d MB)", quarter.bytes>>20, quarter.peak>>20))
	}
}

// growDistribution builds images of ever more packages, the smaller ones part of the larger.
func (b *bench) growDistribution(t *testing.T) []point {
	names := compatible(t, distributionNames(t))
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(names), func(i, k int) { names[i], names[k] = names[k], names[i] })
	var points []point
	for _, n := range []int{1, 4, 10, 20, 40, 80, 120, len(names)} {
		recipe := sharedRecipe(t, names[:n], "")
		points = append(points, b.point(t, recipe))
	}
	return points
}

// growBytes builds roots of up to 2 GB.
func (b *bench) growBytes(t *testing.T) []point {
	const packageSize, files = 64 << 20, 8
	text := words(1, 16<<20)
	repo := t.TempDir()
	var packages []*rpmtest.Package
	var names []string
	for i := range 32 {
		p := &rpmtest.Package{Name: fmt.Sprintf("big%d", i)}
		for k := range files {
			at := (i*files + k) << 14
			p.Files = append(p.Files, rpmtest.File{Path: fmt.Sprintf("/opt/big%d/%d", i, k), Content: text[at : at+packageSize/files]})
		}
		packages, names = append(packages, p), append(names, p.Name)
	}
	if err := rpmtest.Repo(repo, rpmtest.RepoOptions{Key: rpmtest.TestKey(t)}, packages...); err != nil {
		t.Fatal(err)
	}
	var points []point
	for _, n := range []int{1, 2, 4, 8, 16, 32} {
		recipe := testRecipe(t, repo, "packages: ["+strings.Join(names[:n], ", ")+"]")
		points = append(points, b.point(t, recipe))
	}
	return points
}

// point builds an image from nothing.
func (b *bench) point(t *testing.T, recipe *Recipe) point {
	t.Helper()
	var runs []run
	for range benchPairsLarge {
		dir := t.TempDir()
		runs = append(runs, b.build(t, dir, recipe.File, "oci:"+dir+"/oci"))
		os.RemoveAll(dir)
	}
	lock, err := Resolve(t.Context(), recipe, Options{CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	p := point{run: middle(runs), packages: len(lock.Platforms[0].Packages)}
	for _, pkg := range lock.Platforms[0].Packages {
		p.bytes += pkg.InstalledSize
	}
	return p
}

// line is a straight line of least squares through points.
type line struct {
	slope, start float64
	correlation  float64
	farthest     float64 // the largest deviation of a point from it
	share        float64 // which is so much of the largest value
}

func fit(xs, ys []float64) line {
	var sx, sy, sxx, sxy, syy, top float64
	n := float64(len(xs))
	for i, x := range xs {
		y := ys[i]
		sx, sy, sxx, sxy, syy, top = sx+x, sy+y, sxx+x*x, sxy+x*y, syy+y*y, max(top, y)
	}
	var l line
	l.slope = (n*sxy - sx*sy) / (n*sxx - sx*sx)
	l.start = (sy - l.slope*sx) / n
	l.correlation = (n*sxy - sx*sy) / math.Sqrt((n*sxx-sx*sx)*(n*syy-sy*sy))
	for i, x := range xs {
		l.farthest = max(l.farthest, math.Abs(ys[i]-l.start-l.slope*x))
	}
	l.share = l.farthest / top
	return l
}

// String says it of values in seconds.
func (l line) String(unit string) string {
	return fmt.Sprintf("%.2f s + %.2f ms a %s, correlation %.4f, largest deviation %.2f s (%.0f %% of the largest)",
		l.start, 1000*l.slope, unit, l.correlation, l.farthest, 100*l.share)
}

// chart are seconds against something.
type chart struct {
	title, unit   string
	xs, wall, cpu []float64
}

func (c *chart) add(x float64, r run) {
	c.xs, c.wall, c.cpu = append(c.xs, x), append(c.wall, r.wall), append(c.cpu, r.cpu)
}

// The size of a chart, and of the space around it.
const (
	chartWidth, chartHeight = 420.0, 300.0
	chartMargin             = 60.0
)

// drawCharts draws charts beside each other as SVG: time as dots, CPU time as circles, each with its straight line.
func drawCharts(charts []chart) string {
	var s strings.Builder
	fmt.Fprintf(&s, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" font-family="sans-serif" font-size="12">`+"\n"+
		`<rect width="100%%" height="100%%" fill="white"/>`+"\n", float64(len(charts))*(chartWidth+2*chartMargin), chartHeight+2*chartMargin)
	for i := range charts {
		charts[i].draw(&s, chartMargin+float64(i)*(chartWidth+2*chartMargin))
	}
	s.WriteString("</svg>\n")
	return s.String()
}

// draw draws one chart whose left edge is at left.
func (c *chart) draw(s *strings.Builder, left float64) {
	var xMax, yMax float64
	for i := range c.xs {
		xMax, yMax = max(xMax, c.xs[i]), max(yMax, c.wall[i], c.cpu[i])
	}
	xMax, yMax = 1.1*xMax, 1.1*yMax
	x := func(v float64) float64 { return left + v/xMax*chartWidth }
	y := func(v float64) float64 { return chartMargin + chartHeight - v/yMax*chartHeight }
	fmt.Fprintf(s, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="none" stroke="#999"/>`+"\n", left, chartMargin, chartWidth, chartHeight)
	for i := range 6 {
		f := float64(i) / 5
		fmt.Fprintf(s, `<text x="%.1f" y="%.1f" text-anchor="middle">%.0f</text><text x="%.1f" y="%.1f" text-anchor="end">%.1f</text>`+"\n",
			x(f*xMax), chartMargin+chartHeight+16, f*xMax, left-6, y(f*yMax)+4, f*yMax)
	}
	for i, set := range []struct {
		name, colour, fill string
		ys                 []float64
	}{{"time", "#236", "#236", c.wall}, {"CPU", "#a60", "none", c.cpu}} {
		l := fit(c.xs, set.ys)
		fmt.Fprintf(s, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-dasharray="4 3"/>`+"\n",
			x(0), y(max(l.start, 0)), x(xMax), y(min(l.start+l.slope*xMax, yMax)), set.colour)
		for k := range c.xs {
			fmt.Fprintf(s, `<circle cx="%.1f" cy="%.1f" r="4" fill="%s" stroke="%s"/>`+"\n", x(c.xs[k]), y(set.ys[k]), set.fill, set.colour)
		}
		fmt.Fprintf(s, `<text x="%.1f" y="%.1f" fill="%s">%s, s: %.2f + %.2f ms a %s, r %.4f</text>`+"\n",
			left, chartMargin-26+16*float64(i), set.colour, set.name, l.start, 1000*l.slope, c.unit, l.correlation)
	}
	fmt.Fprintf(s, `<text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`+"\n", left+chartWidth/2, chartMargin+chartHeight+36, c.title)
}
