// Package rpmtest makes RPM packages and repositories for tests, in process and from text, so that a test shows on one
// screen what it installs.
//
// A Package becomes a file of RPM's version 4 form: a lead of 96 bytes, a signature header padded to 8 bytes, a header
// and a compressed cpio archive ("newc", names beginning with "./"), as described in rpm's docs/manual/format_v4.md.
// Header entries stand in the order of their tags inside one immutable region; files in the order of their paths; of a
// set of hard links the last member carries the content; ghosts are in the header and not in the archive. Repo adds
// repomd.xml, primary.xml and filelists.xml as createrepo_c lays them out.
//
// Packages and metadata are what rpm, dnf and createrepo_c accept, and the tests of this package ask them. What it
// leaves out: dependency generators and the interpreters of scriptlets (a test names what it requires), triggers on
// packages, changelogs, other.xml and SQLite metadata, source packages, bzip2 (there is no compressor for it here;
// testdata/repo holds such a package).
//
// It shares no code with the packages it helps to test, so that both cannot be wrong in the same way, and so that
// tests inside those packages may import it.
package rpmtest
