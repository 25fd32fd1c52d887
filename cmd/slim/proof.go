package main

import (
	"fmt"
	"strings"

	"slim/builder"
)

func (v *verify) print(found *builder.Verification) error {
	if v.json {
		return writeJSON(v.env.stdout, v.answer(found))
	}
	if v.statement {
		if found.Failed(v.strict) {
			out := &lines{w: v.env.stderr}
			v.printFindings(out, found)
			return out.err
		}
		statement, err := found.Statement(v.opts.Against, readBuildVersion().Version)
		if err != nil {
			return err
		}
		return writeJSON(v.env.stdout, statement)
	}
	out := &lines{w: v.env.stdout}
	for _, i := range found.Images {
		if len(found.Images) > 1 && !v.brief {
			out.printf("%s for %s\n", printable(found.Reference), i.Platform)
		}
		if !v.brief {
			printProof(out, i)
		}
	}
	v.printFindings(out, found)
	for _, i := range found.Images {
		name := printable(found.Reference)
		if len(found.Images) > 1 {
			name += " for " + i.Platform.String()
		}
		out.printf("%s: %s\n", name, v.summary(i))
		if i.Against != nil {
			out.printf("%s: %s\n", name, v.againstSummary(i))
		}
	}
	return out.err
}

// printProof is the table of packages, and what no package brings by the rule that explains it.
func printProof(out *lines, i *builder.VerifiedImage) {
	width := len("package")
	for k := range i.Packages {
		width = max(width, len(i.Packages[k].NEVRA.String()))
	}
	if len(i.Packages) > 0 {
		out.printf("%-*s  %-16s  %s\n", width, "package", "signed by", "files")
	}
	for k := range i.Packages {
		p := &i.Packages[k]
		text := fmt.Sprintf("%-*s  %-16s", width, printable(p.NEVRA.String()), shortKey(p.Key))
		if i.Report.Each != nil {
			text += fmt.Sprintf("  %d of %d match", p.Matching, p.Files)
		}
		if p.NotInstalled > 0 {
			text += fmt.Sprintf(", %d not installed", p.NotInstalled)
		}
		if i.Against != nil {
			text += fmt.Sprintf("  %s", i.Against.Packages[k].Verdict)
		}
		out.printf("%s\n", text)
	}
	printGenerated(out, i)
}

// shortKey is the id of a key by its fingerprint.
func shortKey(fingerprint string) string {
	if fingerprint == "" {
		return "nobody known"
	}
	return fingerprint[max(0, len(fingerprint)-16):]
}

// maxGenerated paths are named of a rule; the document has all.
const maxGenerated = 12

func printGenerated(out *lines, i *builder.VerifiedImage) {
	var rules []string
	paths := map[string][]string{}
	for _, g := range i.Report.Generated {
		if paths[g.Rule] == nil {
			rules = append(rules, g.Rule)
		}
		paths[g.Rule] = append(paths[g.Rule], g.Path)
	}
	for k, rule := range rules {
		if k == 0 {
			out.printf("generated, by rule\n")
		}
		out.printf("  %s: %s\n", rule, builder.RuleReason(rule))
		all := paths[rule]
		for _, p := range all[:min(len(all), maxGenerated)] {
			out.printf("    %s\n", printable(p))
		}
		if more := len(all) - maxGenerated; more > 0 {
			out.printf("    and %d more: --json has all\n", more)
		}
	}
}

func (v *verify) printFindings(out *lines, found *builder.Verification) {
	for _, i := range found.Images {
		prefix := ""
		if len(found.Images) > 1 {
			prefix = i.Platform.String() + " "
		}
		for _, f := range i.Report.Findings {
			out.printf("%s%s\n", prefix, printable(f.String()))
		}
		if i.Against == nil {
			continue
		}
		for _, p := range i.Against.Packages {
			if p.Verdict != "identical" {
				out.printf("%s%s: %s%s\n", prefix, p.Verdict, printable(p.NEVRA.String()), printable(comparedText(p)))
			}
		}
	}
}

func comparedText(p builder.ComparedPackage) string {
	if len(p.Reference) == 0 {
		return " is not in the reference"
	}
	var have []string
	for _, r := range p.Reference {
		text := r.String()
		if r == p.NEVRA {
			text = "another build of it"
		}
		have = append(have, text)
	}
	return ", where the reference has " + strings.Join(have, ", ")
}

// summary is one line.
func (v *verify) summary(i *builder.VerifiedImage) string {
	r := &i.Report
	var signers []string
	for _, k := range i.Keys {
		if len(i.Keys) > 1 {
			signers = append(signers, fmt.Sprintf("%s (%d)", k.ID, k.Packages))
		} else {
			signers = append(signers, k.ID)
		}
	}
	text := fmt.Sprintf("%d of %d packages signed", r.Signed, r.Packages)
	if len(signers) > 0 {
		text += " by " + strings.Join(signers, ", ")
	}
	if v.database != "" {
		return text + "; no file was compared"
	}
	text += fmt.Sprintf("; %d of %d files match", r.Matching, r.Files)
	if r.NotInstalled > 0 {
		text += fmt.Sprintf("; %d not installed", r.NotInstalled)
	}
	return text + fmt.Sprintf("; %d generated; %d foreign", len(r.Generated), r.Foreign)
}

func (v *verify) againstSummary(i *builder.VerifiedImage) string {
	a := i.Against
	text := fmt.Sprintf("%d of %d identical to %s", a.Count["identical"], len(a.Packages), printable(v.opts.Against))
	for _, verdict := range builder.Verdicts()[1:] {
		if n := a.Count[verdict]; n > 0 {
			text += fmt.Sprintf("; %d %s", n, verdict)
		}
	}
	if len(a.Absent) > 0 {
		text += fmt.Sprintf("; %d of its packages not here", len(a.Absent))
	}
	return text
}
