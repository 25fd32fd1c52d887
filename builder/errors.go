package builder

import (
	"errors"

	"slim/internal/fetch"
	"slim/internal/repomd"
	"slim/internal/rootfs"
	"slim/internal/rpm"
	"slim/internal/solve"
	"slim/internal/store"
)

// FailureKind sorts errors by whose business they are.
type FailureKind int

const (
	FailedOther        FailureKind = iota
	FailedResolution               // no set of packages meets the recipe, or its packages conflict
	FailedVerification             // a signature, digest, size or name is not what it has to be
	FailedNetwork                  // a repository or registry cannot be reached, or wants other credentials
	FailedGate                     // a recipe and its lock do not fit each other
	FailedUsage                    // it was not to be asked for like that
)

// KindOf sorts an error of this package. Of joined errors the gravest counts: verification, resolution, network.
func KindOf(err error) FailureKind {
	var (
		unsolvable *solve.Error
		conflicts  *rootfs.ConflictError
		unverified *VerifyError
		pkg        *rpm.VerifyError
		metadata   *repomd.MismatchError
		transfer   *fetch.Error
		registry   *store.RegistryError
		stale      *StaleError
		usage      *LockUsageError
		layers     *LayersError
		module     *ModuleError
	)
	mismatch := errors.As(err, &transfer) && (transfer.Kind == fetch.Mismatch || transfer.Kind == fetch.TooLarge)
	switch {
	case errors.As(err, &unverified), errors.As(err, &pkg), errors.As(err, &metadata), mismatch:
		return FailedVerification
	case errors.As(err, &unsolvable), errors.As(err, &conflicts), errors.As(err, &module):
		return FailedResolution
	case errors.As(err, &stale):
		return FailedGate
	case errors.As(err, &usage), errors.As(err, &layers):
		return FailedUsage
	case errors.As(err, &registry):
		return FailedNetwork
	case transfer != nil:
		switch transfer.Kind {
		case fetch.Network, fetch.NotFound, fetch.Credentials, fetch.Offline:
			return FailedNetwork
		}
	}
	return FailedOther
}

// HintOf is what to do about an error, "" when there is nothing to say.
func HintOf(err error) string {
	var conflicts *rootfs.ConflictError
	if errors.As(err, &conflicts) {
		return "exclude one of the packages, or leave out what requires it"
	}
	var module *ModuleError
	if errors.As(err, &module) {
		return module.Hint
	}
	var stale *StaleError
	if errors.As(err, &stale) {
		return "slim lock locks what has changed and keeps the rest, slim update takes newer builds"
	}
	var usage *LockUsageError
	if errors.As(err, &usage) {
		return usage.Hint
	}
	var layers *LayersError
	if errors.As(err, &layers) {
		return "lower layers.budget of the recipes that it extends"
	}
	return ""
}
