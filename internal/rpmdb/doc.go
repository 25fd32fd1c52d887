// Package rpmdb writes the database of installed packages that rpm keeps, and reads one back.
//
// A database is a numbered list of headers and, beside it, indexes that repeat some of their tags. The form of a header
// (lib/header.c, lib/package.c and lib/psm.c of rpm) is the same in every database format: two big-endian counts, the
// package's immutable region untouched, and after it, sorted by tag, what the installation added ("dribbles"): the tags
// of the signature header under their database numbers, the states of the files, the time, the transaction and the
// color. The region is never edited: rpm checks its digests and signatures whenever it reads the header, and hides the
// package when they do not match.
//
// Three formats hold these headers:
//
//   - sqlite (rpm 4.16 and later; lib/backend/sqlite.c): rpmdb.sqlite with the table Packages(hnum, blob) and eighteen
//     index tables. Here it is written by a b-tree writer of our own, which follows https://www.sqlite.org/fileformat2.html
//     and fills pages in order, so that the same packages give the same bytes. The file is in rollback mode: one in WAL
//     mode, as rpm leaves behind, cannot be opened on a read-only file system or by an unprivileged user.
//   - ndb (SUSE; lib/backend/ndb): Packages.db and Index.db.
//   - bdb (rpm before 4.16; Berkeley DB's hash access method, version 9): Packages. Its indexes are left out: rpm makes
//     them anew when they are missing.
//
// Read takes any of the three. A database in WAL mode is read as its main file stands: what is only in a -wal file beside
// it cannot be seen. Berkeley DB's btree method, which rpm could use for Packages but does not by default, and UTF-16
// SQLite databases are refused.
//
// The package does not create public key pseudo-packages (gpg-pubkey), and relocates nothing.
package rpmdb
