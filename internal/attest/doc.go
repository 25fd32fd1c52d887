// Package attest makes what is said about images into documents that others verify: in-toto statements (version 1), SLSA
// provenance (version 1), and signatures by a key as sigstore bundles (version 0.3) that cosign reads.
//
// A bundle has a DSSE envelope around a statement. That an image is signed is a statement too, without anything to say
// (cosign's predicate type SignedImage). There is no certificate and no entry of a transparency log: who verifies has the
// public key. Signatures are deterministic (RFC 6979 for ECDSA), so that the same statement is the same bundle.
//
// Keys are those that `cosign generate-key-pair` writes, and plain PEM: ECDSA over P-256, and Ed25519.
package attest
