package rpm

import "crypto/sha256"

// SHA256 is the SHA-256 of the header's region with the magic before it, in hex: what SHA256HEADER says, and the same in
// a package file and in an rpmdb.
func (h *Header) SHA256() string { return hexSum(sha256.New(), digestInput(h)) }
