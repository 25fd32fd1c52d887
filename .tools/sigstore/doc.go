// Package sigstore has no code: its test verifies what slim signs with the library of the sigstore project. It is a module of
// its own because that library has hundreds of dependencies.
package sigstore
