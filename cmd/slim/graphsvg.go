package main

import (
	"cmp"
	"html"
	"slices"
	"unicode/utf8"

	"slim/builder"
)

// Measures of a drawing, in SVG's user units.
const (
	boxHeight    = 22
	boxGap       = 8
	columnGap    = 110
	letterWidth  = 7.2 // of 12 units monospace text
	boxPadding   = 8
	drawingSpace = 16
	sweeps       = 8 // over the columns, to bring neighbours near each other
)

// graphBox is a package in a drawing.
type graphBox struct {
	name    string // NEVRA
	label   string
	root    bool
	column  int
	x, y    float64
	width   float64
	outward []int // edges by box
	inward  []int
}

// printSVG draws a graph in columns: what the recipe asks for on the left, and each package one column to the right of
// the nearest that requires it. Requirements of scriptlets alone are dashed. Pointing at a line names the capability.
func printSVG(out *lines, title string, g *builder.PackageGraph) {
	boxes := graphBoxes(g)
	width, height := arrange(boxes)
	out.printf(`<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f" role="img">
<title>%s</title>
<style>
svg { background: #fff; font: 12px monospace }
rect { fill: #f4f6f8; stroke: #57606a } .root rect { stroke-width: 3 } text { fill: #1f2328 }
path { fill: none; stroke: #0969da; stroke-opacity: .35 } path:hover { stroke-opacity: 1; stroke-width: 3 } .scriptlet { stroke-dasharray: 5 4; stroke: #bc4c00 }
@media (prefers-color-scheme: dark) { svg { background: #0d1117 } rect { fill: #161b22; stroke: #8b949e } text { fill: #e6edf3 } path { stroke: #58a6ff } .scriptlet { stroke: #f0883e } }
</style>
`, width, height, width, height, html.EscapeString(printable(title)))
	at := map[string]*graphBox{}
	for _, b := range boxes {
		at[b.name] = b
	}
	for _, e := range g.Edges {
		from, to := at[e.From.String()], at[e.To.String()]
		class := ""
		if e.Scriptlet {
			class = ` class="scriptlet"`
		}
		x1, y1, x2, y2 := from.x+from.width, from.y+boxHeight/2, to.x, to.y+boxHeight/2
		out.printf(`<path%s d="M%.1f %.1fC%.1f %.1f %.1f %.1f %.1f %.1f"><title>%s needs %s of %s</title></path>`+"\n", class,
			x1, y1, x1+columnGap/2, y1, x2-columnGap/2, y2, x2, y2,
			html.EscapeString(printable(e.From.Name)), html.EscapeString(printable(e.Capability)), html.EscapeString(printable(e.To.Name)))
	}
	for _, b := range boxes {
		class := ""
		if b.root {
			class = ` class="root"`
		}
		out.printf(`<g%s><title>%s</title><rect x="%.1f" y="%.1f" width="%.1f" height="%d" rx="5"/><text x="%.1f" y="%.1f">%s</text></g>`+"\n", class,
			html.EscapeString(printable(b.name)), b.x, b.y, b.width, boxHeight, b.x+boxPadding, b.y+15, html.EscapeString(printable(b.label)))
	}
	out.printf("</svg>\n")
}

func graphBoxes(g *builder.PackageGraph) []*graphBox {
	boxes := make([]*graphBox, len(g.Packages))
	number := map[string]int{}
	roots := rootNames(g)
	for i, n := range g.Packages {
		number[n.String()] = i
		boxes[i] = &graphBox{
			name: n.String(), label: n.Name, root: roots[n.String()], column: -1,
			width: 2*boxPadding + letterWidth*float64(utf8.RuneCountInString(n.Name)),
		}
	}
	for _, e := range g.Edges {
		from, to := number[e.From.String()], number[e.To.String()]
		boxes[from].outward = append(boxes[from].outward, to)
		boxes[to].inward = append(boxes[to].inward, from)
	}
	return boxes
}

// arrange gives each box its place, and returns the size of the whole.
func arrange(boxes []*graphBox) (width, height float64) {
	columns := graphColumns(boxes)
	for range sweeps {
		for _, column := range columns {
			pull(boxes, column, func(b *graphBox) []int { return b.inward })
		}
		for k := len(columns) - 1; k >= 0; k-- {
			pull(boxes, columns[k], func(b *graphBox) []int { return b.outward })
		}
	}
	x, top := float64(drawingSpace), 0.0
	for _, column := range columns {
		widest := 0.0
		for _, i := range column {
			boxes[i].x = x
			widest = max(widest, boxes[i].width)
			top = min(top, boxes[i].y)
		}
		x += widest + columnGap
	}
	for _, b := range boxes {
		b.y += drawingSpace - top
	}
	return x - columnGap + drawingSpace, boxHeight - 2*top + 2*drawingSpace
}

// graphColumns sorts the boxes into columns by the length of the shortest chain from a root. What no chain reaches is in
// the first.
func graphColumns(boxes []*graphBox) [][]int {
	var reached []int
	for i, b := range boxes {
		if b.root {
			b.column = 0
			reached = append(reached, i)
		}
	}
	for k := 0; k < len(reached); k++ {
		for _, next := range boxes[reached[k]].outward {
			if boxes[next].column < 0 {
				boxes[next].column = boxes[reached[k]].column + 1
				reached = append(reached, next)
			}
		}
	}
	var columns [][]int
	for i, b := range boxes {
		b.column = max(b.column, 0)
		for len(columns) <= b.column {
			columns = append(columns, nil)
		}
		columns[b.column] = append(columns[b.column], i)
	}
	for _, column := range columns {
		stack(boxes, column)
	}
	return columns
}

// pull sorts a column by the mean height of what its boxes are tied to.
func pull(boxes []*graphBox, column []int, tied func(*graphBox) []int) {
	wish := map[int]float64{}
	for _, i := range column {
		wish[i] = boxes[i].y
		if others := tied(boxes[i]); len(others) > 0 {
			sum := 0.0
			for _, o := range others {
				sum += boxes[o].y
			}
			wish[i] = sum / float64(len(others))
		}
	}
	slices.SortStableFunc(column, func(a, b int) int { return cmp.Compare(wish[a], wish[b]) })
	stack(boxes, column)
}

// stack gives the boxes of a column their heights, its middle at 0.
func stack(boxes []*graphBox, column []int) {
	for k, i := range column {
		boxes[i].y = (float64(k) - float64(len(column)-1)/2) * (boxHeight + boxGap)
	}
}
