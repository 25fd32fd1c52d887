// Package repomd reads the metadata of an RPM repository: repomd.xml, primary, filelists and updateinfo, and what leads
// to it: metalinks, mirror lists and .repo files. It takes readers and returns values; it opens nothing.
//
// The format has no specification but its writers and readers: createrepo_c (src/xml_dump_*.c, src/xml_parser_*.c),
// librepo (librepo/metalink.c, mirrorlist.c, repomd.c) and libsolv (ext/repo_rpmmd.c). Its rules, as far as they matter:
//
//   - repodata/repomd.xml names every other file by type, location, size and checksum, of the file as it is stored and
//     ("open") of what is in it. Locations are relative to the directory above repodata.
//   - primary.xml has one <package> for each package. Versions in it are split in attributes (epoch, ver, rel), comparisons
//     are LT, LE, EQ, GE, GT; pre="1" marks what scriptlets need; of the files only those in bin directories and /etc.
//   - filelists.xml has all files, by the package's checksum (pkgid).
//   - Unknown elements and attributes are allowed anywhere and mean nothing.
//
// Everything read is hostile until its checksum has been compared: sizes, counts and depths are limited, and places that
// climb out of the repository are refused. XML is read by a parser of our own (scanner), because encoding/xml takes
// several times as long, which for a large distribution is most of a minute. It accepts less than XML: UTF-8 only, no document type, no entities of its own,
// ASCII names; namespaces are not resolved, elements are known by their local names.
//
// Left out: the sqlite databases, zchunk, deltas, groups (comps), module documents (YAML, which is builder's), changelogs.
package repomd

// Limits. What exceeds one is refused, with an error that says which.
const (
	MaxOpenSize   = 4 << 30  // bytes of a metadata file, decompressed
	MaxIndexSize  = 4 << 20  // bytes of repomd.xml, of a metalink, mirror list or .repo file
	MaxPackages   = 1 << 20  // packages in a primary or filelists, advisories in an updateinfo
	MaxString     = 64 << 10 // bytes of a name, version, path or summary
	MaxList       = 1 << 18  // dependencies of a kind in one package, packages or references of an advisory
	MaxFiles      = 4 << 20  // files of a package
	MaxFileBytes  = 1 << 30  // bytes of all paths of a package
	MaxDepth      = 32       // elements in each other
	MaxAttributes = 64       // attributes of an element
	maxToken      = 1 << 20  // bytes of a tag with its attributes, of a comment, of the text between two tags
	maxInterned   = 1 << 16  // strings of which there is one copy
)
