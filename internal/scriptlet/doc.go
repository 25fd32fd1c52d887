// Package scriptlet does to a tree what the scriptlets and triggers of packages would do when rpm installs them: it
// interprets their shell and Lua and does the work of the commands they call, on the tree alone.
//
// Nothing of the machine that slim runs on can be reached: no file, no environment, no user database, no clock, no
// randomness. What cannot be done this way is an error that names package, slot, line and command.
package scriptlet
