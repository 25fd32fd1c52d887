// Package rpm is slim's vocabulary and the RPM file format: versions and their order, names, capabilities, headers,
// payloads and signatures. It takes bytes and readers and returns values; it opens nothing.
//
// # Packages
//
// A package file is a lead, a signature header, padding to 8 bytes, a header and a compressed cpio archive, the payload
// (rpm's docs/manual/format_v4.md, format_v6.md; lib/package.c). A header is an index of typed entries over a block of
// data; ParseHeader checks it by the rules of lib/header.c before anything reads it. OpenPackage gives a PackageFile, of
// which nothing is proven; PackageFile.Verify alone makes a Package, and Package.Payload alone a Payload.
//
// # What a signature must be
//
// A package is accepted when a key of the keyring signed its header and the header has a SHA-2 or SHA3-256 digest of the
// payload, or when a key signed header and payload together, as before payload digests. Then, or with AllowUnsigned:
//
//   - Signatures are OpenPGP's of version 3 (RFC 4880), 4 and 6 (RFC 9580), with RSA, DSA, ECDSA, EdDSA, Ed25519, Ed448
//     and the post-quantum algorithms of RFC 9980; exactly one packet, of a binary document.
//   - MD5 is refused everywhere. SHA-1 is taken in signatures of versions 3 and 4, as rpm does up to 4.18 and as packages
//     of the time of Enterprise Linux 5 need, but a SHA-1 digest alone proves nothing.
//   - RSA keys of less than 1024 bits are refused, by Go's crypto/rsa.
//   - Of several signatures of a header (RHEL 10 has classic and post-quantum ones) one must be good, and none by a known
//     key may be bad; those by unknown keys or of unknown kinds count for nothing. rpm 6 passes over the tags of version 4
//     where there are OPENPGP ones, and rpm 4 over OPENPGP; this package checks all.
//   - A key must have been in force when it signed, by the signature's own time, for there is no clock here: made before,
//     not expired, not revoked unless softly (superseded, retired) and later. rpm with its own OpenPGP parser (up to
//     4.18, and some builds after) looks at neither; rpm with Sequoia does as this package. A signature's own expiry is
//     not looked at.
//   - A primary key needs no self-signature that can be verified: whoever gives a keyring answers for it. A subkey needs a
//     binding that makes it a signing key and that it signed back.
//
// Sizes, and every digest of header and payload that is there, must agree, with two exceptions: the MD5 of header and
// payload, and digests of the uncompressed payload (ALT), which stronger ones make needless. An old signature of header
// and payload is looked at only where others leave something unsigned.
//
// # Beside go-rpmutils
//
// From github.com/sassoftware/go-rpmutils come the numbers of the tags. The rest of it (v0.4.0) is not used:
//
//   - its header reader panics on offsets that are out of range, allocates what a count claims, keeps entries in a map,
//     so that order and duplicates are lost, and gives no access to the bytes that signatures cover;
//   - Verify says nothing of unsigned packages, knows no signatures of version 3, no packages of format 6, no SHA-3;
//   - its cpio reader does not pad after the head of a stripped entry, which shifts the content of packages of format 6
//     and of files from 4 GiB on, allocates what it skips, and compares nothing with the header;
//   - Vercmp has no caret.
//
// # Left out
//
// Packages of rpm 3 (no sealed header, file names in one list), source packages beyond their headers, delta packages,
// signatures of single files (IMA, fsverity), writing.
package rpm
