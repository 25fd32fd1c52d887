package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"slim/builder"
)

// attachFlags are the flags of what is attached to an image.
type attachFlags struct {
	attach []string
}

const attachHelp = `To an image in a registry its bill of materials is attached (SPDX), as an OCI
artifact that refers to it: by the referrers API or, where a registry has none,
the tag sha256-DIGEST. The image does not change by it. --attach chooses what,
also for an oci:DIR: any of spdx, cyclonedx; or none.`

func (f *attachFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&f.attach, "attach", nil, "attach `WHAT` to the image: spdx, cyclonedx, none (default: spdx in a registry)")
}

// attachRequest is what is attached, and where.
type attachRequest struct {
	builder.AttachOptions
	asked bool // by a flag: then at every destination, otherwise in registries
}

// at reports whether something is attached at one of the destinations.
func (r *attachRequest) at(destinations ...string) bool {
	return slices.ContainsFunc(destinations, func(d string) bool {
		_, registry := builder.TakesAttachments(d)
		return r.asked || registry
	})
}

// readAttach is what the flags ask for.
func (b *build) readAttach(f *attachFlags) error {
	r := &b.attach
	words := f.attach
	if r.asked = len(words) > 0; !r.asked {
		words = []string{"spdx"}
	}
	for _, w := range words {
		switch w {
		case "spdx":
			r.SBOMs = append(r.SBOMs, builder.SPDX)
		case "cyclonedx":
			r.SBOMs = append(r.SBOMs, builder.CycloneDX)
		case "none":
			if len(words) > 1 {
				return usageError("", "--attach none goes with nothing else")
			}
			r.asked = false
		default:
			return usageError("", "--attach is spdx, cyclonedx or none, not %q", w)
		}
	}
	slices.Sort(r.SBOMs)
	r.SBOMs = slices.Compact(r.SBOMs)
	return nil
}

// attachedTexts say what is attached, each kind once.
func attachedTexts(all []builder.Attachment) []string {
	counts := map[string]int{}
	var kinds []string
	for _, a := range all {
		if counts[a.Kind]++; counts[a.Kind] == 1 {
			kinds = append(kinds, a.Kind)
		}
	}
	var out []string
	for _, k := range kinds {
		out = append(out, fmt.Sprintf("%s to %s", k, count(counts[k], "image")))
	}
	return out
}
