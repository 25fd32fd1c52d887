// Package store brings images to references and back: registries, OCI layouts, archives, and plain directories.
//
// References are in the words of skopeo (containers-transports(5)): docker://REF, oci:DIR[:TAG], oci-archive:FILE[:TAG],
// docker-archive:FILE[:REF], dir:DIR; a path that ends in .tar is an archive that is both of the two kinds, and anything
// else is a reference of a registry. What is written appears whole: files are written beside and renamed, an OCI layout
// gets its index last, a registry its manifest. What is read is checked against its digests as it is read.
//
// Registries are spoken to as the OCI distribution specification 1.1 says, over https, and over http only on the
// loopback. Credentials come from where podman and docker keep them (containers-auth.json(5), docker's config.json).
//
// A Bundle is what is no image: blobs of a registry's repository under a manifest of any kind.
//
// Left out: containers-storage and the docker daemon, Docker's schema 1, compressed archives.
package store
