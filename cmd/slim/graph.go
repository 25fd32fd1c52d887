package main

import (
	"fmt"
	"strings"

	"slim/builder"
)

// graphFormats are the values of --graph.
func graphFormats() []string { return []string{"dot", "mermaid", "svg"} }

// printGraph writes who requires whom: in Graphviz's language, in Mermaid's, or drawn.
func printGraph(out *lines, format, title string, g *builder.PackageGraph) {
	switch format {
	case "dot":
		printDot(out, title, g)
	case "mermaid":
		printMermaid(out, g)
	default:
		printSVG(out, title, g)
	}
}

// printDot writes the DOT language (graphviz.org/doc/info/lang.html).
func printDot(out *lines, title string, g *builder.PackageGraph) {
	out.printf("digraph %s {\n  rankdir=LR\n  node [shape=box, style=rounded, fontname=\"sans-serif\"]\n  edge [fontname=\"sans-serif\", fontsize=9]\n", dotString(title))
	roots := rootNames(g)
	for _, n := range g.Packages {
		bold := ""
		if roots[n.String()] {
			bold = ", penwidth=3"
		}
		out.printf("  %s [label=%s%s]\n", dotString(n.String()), dotString(n.Name), bold)
	}
	for _, e := range g.Edges {
		dashed := ""
		if e.Scriptlet {
			dashed = ", style=dashed"
		}
		out.printf("  %s -> %s [label=%s%s]\n", dotString(e.From.String()), dotString(e.To.String()), dotString(e.Capability), dashed)
	}
	out.printf("}\n")
}

func dotString(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(printable(s)) + `"`
}

// printMermaid writes a flowchart (mermaid.js.org/syntax/flowchart.html).
func printMermaid(out *lines, g *builder.PackageGraph) {
	out.printf("flowchart LR\n")
	number := map[string]int{}
	roots := rootNames(g)
	for i, n := range g.Packages {
		number[n.String()] = i
		form := "  p%d[\"%s\"]\n"
		if roots[n.String()] {
			form = "  p%d([\"%s\"])\n"
		}
		out.printf(form, i, mermaidText(n.Name))
	}
	for _, e := range g.Edges {
		arrow := "-->"
		if e.Scriptlet {
			arrow = "-.->"
		}
		out.printf("  p%d %s|\"%s\"| p%d\n", number[e.From.String()], arrow, mermaidText(e.Capability), number[e.To.String()])
	}
}

// mermaidText writes what Mermaid would read as markup by its numbers.
func mermaidText(s string) string {
	var b strings.Builder
	for _, r := range printable(s) {
		if strings.ContainsRune(`"#;<>&`, r) {
			fmt.Fprintf(&b, "#%d;", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func rootNames(g *builder.PackageGraph) map[string]bool {
	out := map[string]bool{}
	for _, n := range g.Roots {
		out[n.String()] = true
	}
	return out
}
