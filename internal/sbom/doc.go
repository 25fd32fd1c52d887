// Package sbom writes bills of materials of RPM images: SPDX 2.3 and CycloneDX 1.6 as JSON, with the package URLs that
// syft and other scanners write. A document depends on what is described alone: its identifiers are digests, and its time
// is given.
//
// The checksum of a package's file and where it is to be had are known of images that slim has just built, not of those
// that are read back: of the file only the header is in the image. It leaves out who concluded which licence. The licence
// is what the header says, which need not be an SPDX expression.
package sbom
