package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"slim/builder"
)

// attachFlags are the flags of what is attached to an image.
type attachFlags struct {
	attach  []string
	signKey string
}

const attachHelp = `To an image in a registry are attached its bill of materials (SPDX) and its SLSA
provenance, as OCI artifacts that refer to it: by the referrers API or, where a
registry has none, the tag sha256-DIGEST. The image does not change by it, and is
tagged after it. --attach chooses what, also for an oci:DIR. An image that was pushed
before and is still tagged is not asked about again, unless --attach or --sign-key is
given.

--sign-key signs the image and statements of what is attached as cosign does, for
cosign verify --key and cosign verify-attestation --key. It takes a key of
cosign's, whose password is in COSIGN_PASSWORD, or a plain one in PEM (ECDSA over
P-256, Ed25519). Nothing is sent to a transparency log.`

func (f *attachFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&f.attach, "attach", nil, "attach `WHAT`: spdx, cyclonedx, provenance, or none (default for registries: spdx,provenance)")
	cmd.Flags().StringVar(&f.signKey, "sign-key", "", "sign the image and what is attached with the private key in `F`")
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
	if len(words) == 0 {
		words = []string{"spdx", "provenance"}
	}
	for _, w := range words {
		switch w {
		case "spdx":
			r.SBOMs = append(r.SBOMs, builder.SPDX)
		case "cyclonedx":
			r.SBOMs = append(r.SBOMs, builder.CycloneDX)
		case "provenance":
			r.Provenance = true
		case "none":
			if len(words) > 1 {
				return usageError("", "--attach none goes with nothing else")
			}
		default:
			return usageError("", "--attach is spdx, cyclonedx, provenance or none, not %q", w)
		}
	}
	slices.Sort(r.SBOMs)
	r.SBOMs = slices.Compact(r.SBOMs)
	r.asked = f.signKey != "" || len(f.attach) > 0 && words[0] != "none"
	r.Check = r.asked // what somebody asks for is looked for
	if f.signKey == "" {
		return nil
	}
	var err error
	r.Key, err = builder.ReadPrivateKey(f.signKey, b.env.getenv("COSIGN_PASSWORD"))
	var key *builder.PrivateKeyError
	if errors.As(err, &key) {
		hint := ""
		if key.Password {
			hint = "the password of the key is taken from COSIGN_PASSWORD"
		}
		return &exitError{code: exitUsage, err: err, hint: hint}
	}
	return err
}

// attachedTexts say what is attached, each kind once.
func attachedTexts(all []builder.Attached) []string {
	counts := map[string]int{}
	var kinds []string
	for _, a := range all {
		if counts[a.Kind]++; counts[a.Kind] == 1 {
			kinds = append(kinds, a.Kind)
		}
	}
	var out []string
	for _, k := range kinds {
		if n := counts[k]; n > 1 {
			k += fmt.Sprintf(" (%d)", n)
		}
		out = append(out, k)
	}
	return out
}
