package attest

import "strings"

// The types of a statement's predicate.
const (
	SignedImage = "https://sigstore.dev/cosign/sign/v1"
	Provenance  = "https://slsa.dev/provenance/v1"
	SPDX        = "https://spdx.dev/Document"
	CycloneDX   = "https://cyclonedx.org/bom"
)

// Media types.
const (
	StatementType = "application/vnd.in-toto+json"
	BundleType    = "application/vnd.dev.sigstore.bundle.v0.3+json"
)

// Statement is an in-toto statement, for encoding/json.
type Statement struct {
	Type          string    `json:"_type"`
	Subject       []Subject `json:"subject"`
	PredicateType string    `json:"predicateType"`
	Predicate     any       `json:"predicate"`
}

// Subject is what a statement is about.
type Subject struct {
	Name   string `json:"name,omitempty"`
	Digest Digest `json:"digest"`
}

// Digest is hex by algorithm.
type Digest map[string]string

// DigestOf is the digest ALGORITHM:HEX.
func DigestOf(s string) Digest {
	algorithm, hex, _ := strings.Cut(s, ":")
	return Digest{algorithm: hex}
}

// NewStatement is one about a manifest: digest is ALGORITHM:HEX.
func NewStatement(name, digest, predicateType string, predicate any) *Statement {
	return &Statement{
		Type: "https://in-toto.io/Statement/v1", Subject: []Subject{{name, DigestOf(digest)}}, PredicateType: predicateType, Predicate: predicate,
	}
}

// Build is the predicate of Provenance: how an image came to be. Parameters are what encoding/json takes.
type Build struct {
	Definition BuildDefinition `json:"buildDefinition"`
	Details    RunDetails      `json:"runDetails"`
}

// BuildDefinition is all that the result depends on.
type BuildDefinition struct {
	Type         string     `json:"buildType"`
	External     any        `json:"externalParameters"` // what the user chose
	Internal     any        `json:"internalParameters"` // what the program chose
	Dependencies []Resource `json:"resolvedDependencies"`
}

// Resource is something that was read.
type Resource struct {
	Name     string `json:"name,omitempty"`
	URI      string `json:"uri,omitempty"`
	Digest   Digest `json:"digest,omitempty"`
	Download string `json:"downloadLocation,omitempty"`
}

// RunDetails say who built. When is left out: it is the same at any time.
type RunDetails struct {
	Builder Builder `json:"builder"`
}

// Builder is a program that builds, and its version by name.
type Builder struct {
	ID      string            `json:"id"`
	Version map[string]string `json:"version,omitempty"`
}
