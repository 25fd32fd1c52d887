package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"slim/builder"
)

// prepare reads what the flags name.
func (r *pathRun) prepare() error {
	if !r.quality && (len(r.by.Keys) > 0 || r.recipe != "") {
		return usageError("", "--key and --recipe are for --quality")
	}
	opts, err := r.flags.options(r.env)
	if err != nil {
		return err
	}
	r.opts.Platforms = opts.Platforms
	r.opts.WorkDir, r.opts.CacheDir, r.opts.Builtin = r.env.getenv("TMPDIR"), r.env.cacheDir(), r.env.builtin
	if !r.quality {
		return nil
	}
	r.now = time.Now()
	if s := r.env.getenv("SOURCE_DATE_EPOCH"); s != "" {
		seconds, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return usageError("unset it, or give seconds since 1970", "SOURCE_DATE_EPOCH is %q", s)
		}
		r.now = time.Unix(seconds, 0)
	}
	r.opts.Quality = &r.by
	if r.recipe != "" {
		opts.Platforms = nil
		r.by.Recipe, err = builder.ReadRecipe(r.recipe, opts)
	}
	return err
}

func (r *pathRun) ageDays(q *builder.Quality) int {
	return max(0, int(r.now.Sub(q.Built)/(24*time.Hour)))
}

func (r *pathRun) qualityJSON(q *builder.Quality) *qualityJSON {
	j := &qualityJSON{
		Signers: append([]string{}, q.Signers...), Verified: q.Verified, Fault: q.Fault, Built: q.Built.Format(time.RFC3339),
		AgeDays: r.ageDays(q), Pending: []advisoryJSON{}, Programs: []hardenedJSON{},
	}
	for _, a := range q.Pending {
		j.Pending = append(j.Pending, advisoryJSON{a.ID, a.Type, a.Severity, a.Title, filled(a.CVEs)})
	}
	for _, p := range q.Programs {
		h := p.Hardening
		j.Programs = append(j.Programs, hardenedJSON{p.Path, string(p.Tier), h.PIE, h.RELRO, h.NX, h.StackProtector, h.Fortify, h.ControlFlow})
	}
	return j
}

// printQuality prints a line for each package on the path, then the pending advisories in the same order.
func (r *pathRun) printQuality(out *lines, i *builder.ImagePath) {
	out.printf("\nquality of what is direct or loadable: files that have it, of those it is a question of\n")
	out.printf("  %-8s  %-22s %8s  %-16s %6s %6s %6s %6s %7s %6s\n", "", "", "built", "signed by", "PIE", "RELRO", "NX", "stack", "fortify", "CET")
	for _, p := range i.Packages {
		q := p.Quality
		if q == nil {
			continue
		}
		has := func(get func(builder.Hardening) (yes, asked bool)) string {
			n, of := 0, 0
			for _, f := range q.Programs {
				if yes, asked := get(f.Hardening); asked {
					if of++; yes {
						n++
					}
				}
			}
			if of == 0 {
				return "-"
			}
			return fmt.Sprintf("%d/%d", n, of)
		}
		out.printf("  %-8s  %-22s %7dd  %-16s %6s %6s %6s %6s %7s %6s\n", p.Tier, printable(p.Name), r.ageDays(q), printable(signerText(q)),
			has(func(h builder.Hardening) (bool, bool) { return h.PIE == "yes", h.PIE != "" }),
			has(func(h builder.Hardening) (bool, bool) { return h.RELRO == "full", true }),
			has(func(h builder.Hardening) (bool, bool) { return h.NX == "yes", true }),
			has(func(h builder.Hardening) (bool, bool) { return h.StackProtector == "yes", h.StackProtector != "" }),
			has(func(h builder.Hardening) (bool, bool) {
				return h.Fortify == "full" || h.Fortify == "partial", h.Fortify != ""
			}),
			has(func(h builder.Hardening) (bool, bool) {
				return strings.Contains(h.ControlFlow, ","), h.ControlFlow != ""
			}))
	}
	r.printPending(out, i)
}

// signerText is the id of the key, with a mark where the signature was not verified or did not.
func signerText(q *builder.Quality) string {
	if len(q.Signers) == 0 {
		return "nobody"
	}
	id := q.Signers[0]
	if len(id) > 16 {
		id = id[len(id)-16:]
	}
	switch {
	case q.Fault != "":
		return id + "!"
	case !q.Verified:
		return id + "?"
	}
	return id
}

func (r *pathRun) printPending(out *lines, i *builder.ImagePath) {
	notVerified := func(q *builder.Quality) bool { return q != nil && !q.Verified }
	if slices.ContainsFunc(i.Packages, func(p builder.PathPackage) bool { return notVerified(p.Quality) }) {
		out.printf("  ? not verified: --key or --recipe gives the keys; ! does not verify\n")
	}
	if r.by.Recipe == nil {
		return
	}
	n := 0
	for _, p := range i.Packages {
		if p.Quality == nil {
			continue
		}
		for _, a := range p.Quality.Pending {
			if n++; n == 1 {
				out.printf("\npending advisories, those of what is direct first\n")
			}
			out.printf("  %-8s  %-22s %s\n", p.Tier, printable(p.Name), printable(strings.Join(append([]string{a.ID, a.Type, a.Severity}, a.CVEs...), " ")))
		}
	}
	if n == 0 {
		out.printf("\nno advisory is pending for what is direct or loadable\n")
	}
}
