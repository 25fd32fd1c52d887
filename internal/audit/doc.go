// Package audit compares a root file system with the signed headers of its packages, with another set of packages, and
// with another root. Values go in, findings come out: what they mean for a build or a gate is decided elsewhere.
//
// # Proof
//
// Check says of every path where it comes from. What a package installed has to be what the package's header says, as
// far as a signature covers the header: kind, content, permissions, owner and group by name through the root's own
// passwd and group files, link target, capabilities, device number. The rules are those of rpm -V (lib/verify.c,
// rpmfilesVerify) where it has any:
//
//   - ghosts need not exist, nor files marked missingok; the content of a ghost is open, its permissions are not;
//   - content of a %config file may differ: that is told apart, as "c" in rpm's column;
//   - a symbolic link to a directory may stand for a directory, and links have no permissions;
//   - an owner that passwd or group does not know is root.
//
// The states of files (RPMTAG_FILESTATES) stand outside of what is signed, so they excuse nothing but absence:
//
//   - not installed: nothing may be there, but for a directory that something else needs;
//   - net shared: nothing need be there, but what is there is compared;
//   - replaced and wrong colour: another package must bring the path, and is compared.
//
// Where rpm says nothing Check goes on: every path that no package brings is on the list of Rules, or in the caller's
// list of extra files, or it is foreign. A rule names what rpm, a scriptlet, a container tool or slim makes, and takes no
// executable, no world-writable file, no device and no capability; its links have to lead to what a package brings.
//
// Left out: modification times, which image tools change and which prove nothing, extended attributes other than
// capabilities, and what a changed configuration file means.
package audit
