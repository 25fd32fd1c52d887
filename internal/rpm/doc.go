// Package rpm is slim's vocabulary and the RPM file format: versions and their order, names, capabilities, headers,
// payloads and signatures. It takes bytes and readers and returns values; it opens nothing.
package rpm
