// Package sbom writes bills of materials of RPM images: SPDX 2.3 and CycloneDX 1.6 as JSON, with the package URLs that
// syft and other scanners write. A document depends on what is described alone: its identifiers are digests, and its time
// is given.
//
// It leaves out what an image does not say: the checksum of a package's file, of which only the header is in the image,
// and who concluded which licence. The licence is what the header says, which need not be an SPDX expression.
package sbom
