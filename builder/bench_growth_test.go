package builder

import (
	"fmt"
	"strings"
)

// point is one image of the growth.
type point struct {
	packages int
	bytes    int64 // installed
	seconds  float64
}

// The size of each of the two charts, and of the space around it.
const (
	chartWidth, chartHeight = 420.0, 300.0
	chartMargin             = 60.0
)

// growthPicture draws seconds against packages and against bytes, each with its straight line of least squares, as SVG.
func growthPicture(points []point) string {
	var s strings.Builder
	fmt.Fprintf(&s, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" font-family="sans-serif" font-size="12">`+"\n"+
		`<rect width="100%%" height="100%%" fill="white"/>`+"\n", 2*chartWidth+4*chartMargin, chartHeight+2*chartMargin)
	xs, ys := make([]float64, len(points)), make([]float64, len(points))
	for i, p := range points {
		xs[i], ys[i] = float64(p.packages), p.seconds
	}
	chart(&s, chartMargin, "packages", xs, ys)
	for i, p := range points {
		xs[i] = float64(p.bytes) / 1e6
	}
	chart(&s, chartWidth+3*chartMargin, "MB installed", xs, ys)
	s.WriteString("</svg>\n")
	return s.String()
}

// chart draws one chart whose left edge is at left.
func chart(s *strings.Builder, left float64, what string, xs, ys []float64) {
	var xMax, yMax float64
	for i := range xs {
		xMax, yMax = max(xMax, xs[i]), max(yMax, ys[i])
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
	slope, start := straight(xs, ys)
	fmt.Fprintf(s, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="#c33"/>`+"\n", x(0), y(max(start, 0)), x(xMax), y(min(start+slope*xMax, yMax)))
	for i := range xs {
		fmt.Fprintf(s, `<circle cx="%.1f" cy="%.1f" r="4" fill="#236"/>`+"\n", x(xs[i]), y(ys[i]))
	}
	fmt.Fprintf(s, `<text x="%.1f" y="%.1f" text-anchor="middle">%s</text><text x="%.1f" y="%.1f">seconds: %.2f + %.4f a unit</text>`+"\n",
		left+chartWidth/2, chartMargin+chartHeight+36, what, left, chartMargin-10, start, slope)
}

// straight is the line of least squares.
func straight(xs, ys []float64) (slope, start float64) {
	var sx, sy, sxx, sxy float64
	n := float64(len(xs))
	for i := range xs {
		sx, sy, sxx, sxy = sx+xs[i], sy+ys[i], sxx+xs[i]*xs[i], sxy+xs[i]*ys[i]
	}
	slope = (n*sxy - sx*sy) / (n*sxx - sx*sx)
	return slope, (sy - slope*sx) / n
}
