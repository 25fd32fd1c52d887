// Package image makes OCI layers and images, and reads an image back as a tree.
//
// A layer is a tar (POSIX.1-2001 pax, ustar where it suffices) cut into segments: runs of entries that were written
// without regard to what stands before or after them, so that each can be packed alone, on any core, and kept on a Shelf
// under a name of all that its bytes depend on. The layer is the segments in order and the two zero blocks of the end; it
// is read from the shelf, and what was joined once is known by the list of its segments.
//
// Packed with gzip (RFC 1952) a layer is one member. Each chunk of at most 1 MiB of a segment is deflated (RFC 1951)
// without a look back and ends in a sync flush, which aligns it to a byte, so chunks may stand one after the other; an
// empty final block ends the stream, and the CRC-32 of the whole is computed from those of the chunks. Readers that
// stop after a first member therefore read all of it. Packed with zstd (RFC 8878) each chunk, of at most 8 MiB, is a
// frame of its own.
//
// Images and indexes follow the OCI image specification 1.1. Reading applies the layers in order with whiteouts and
// opaque directories (image-spec layer.md), checks each against its diff ID, and refuses what climbs out of the root.
//
// Left out: encrypted and foreign layers, extended attributes other than security.capability, Docker's schema 1.
package image
