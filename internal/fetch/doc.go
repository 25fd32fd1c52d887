// Package fetch turns http, https and file URLs into verified files, and keeps what has a digest in a content-addressed
// cache.
//
// A request names one file by all addresses it has and, where it is known, by its digest and size. What Get hands out has
// been compared with them on this very use, from the cache too. A download that breaks is resumed (RFC 9110, section 14),
// what a server says about itself (lengths, ranges, encodings) is checked and never trusted.
//
// Of a file whose beginning alone is wanted, Beginning asks for no more.
//
// The cache is a directory of files named by their digests:
//
//	CACHEDIR.TAG              says to backup programs what this is
//	sha256/ab/ab12...         a whole, verified file
//	tmp/sha256-ab12....part   what has come of one so far; whoever downloads it holds a lock on it (flock)
//	tmp/private-...           a part of somebody who could not get the lock
//	kept/KIND/ab/ab12...      what was computed from such files, named by a digest of all that went into it, with a
//	                          checksum at its end: it saves work and is made anew when it is damaged or gone
//	tmp/kept-...              what has come of one so far
//
// Behind the kept files there may be others, in another place, that are brought here when they are asked for.
//
// A file gets its final name by rename, after its digest has been compared. So nothing half-written is ever seen
// under a final name, whenever a process is killed. Locks only save work: that two processes do not load the same
// file, that Prune leaves alone what is in use. Where there are none (some network file systems) everything is still right.
//
// Left out: other transports than http and files, authentication beyond what a URL and a http.Client carry, unpacking.
package fetch
