// Package scriptlet does to a tree what the scriptlets and triggers of packages would do when rpm installs them: it
// interprets their shell and Lua and does the work of the commands they call, on the tree alone.
//
// Nothing of the machine that slim runs on can be reached: no file, no environment, no user database, no clock, no
// randomness. What cannot be done this way is an error that names package, slot, line and command.
//
// The tree is the one that dnf leaves in an install root, path by path, but for this:
//
//   - /dev/null is not made. Scriptlets that write to it make a regular file in a root without devices; whoever runs the
//     image has the device.
//   - /etc/machine-id is empty where systemd writes a random one, so that every machine gets its own (machine-id(5)).
//   - /etc/.pwd.lock, /var/cache/ldconfig/aux-cache and /var/log/alternatives.log are not made: a lock, a cache of inode
//     numbers and times, a log with times.
//   - /var/lib/systemd/catalog/database, which explains messages to who reads a journal, is not made.
//   - What is written gets one time, that of the image. So it is in the last change in /etc/shadow and in Java's keystore,
//     which the programs themselves take from SOURCE_DATE_EPOCH.
//
// What a program refuses in an install root, which has no /proc, stays undone as under dnf: systemd-tmpfiles from systemd
// 252 on ends there with status 1 and makes nothing, and who boots or starts the image makes it then.
package scriptlet
