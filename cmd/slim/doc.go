// Slim makes small container images of the RPM packages of one Linux distribution.
//
// It reads a recipe, a YAML file that names packages and the repository they come from, and writes an OCI image that
// holds these packages and what they need, byte for byte, without documentation and locales, and with the package
// database that says so. It needs neither root nor Docker, dnf or rpm. (It has nothing to do with SlimToolkit, whose
// program is also called slim.)
//
// What a command answers goes to standard output; progress, warnings and errors go to standard error, each line
// beginning with "slim: ". The exit code says what went wrong:
//
//	0  nothing
//	1  the command failed, or was interrupted
//	2  the command line or a recipe is wrong
//	3  a gate is closed: images differ, the lock is stale, a limit of the fleet is passed
//	4  the packages that are asked for cannot be had together
//	5  a signature, a digest or a proof does not hold
//	6  the network, a registry or its credentials
//
// This package is the program only: flags, files, environment, terminal and exit codes, one file a command. What it
// does is in package builder.
package main
