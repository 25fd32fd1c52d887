// Package recipes holds the shipped recipes, by distribution: DIRECTORY/NAME.yaml, with the vendor's keys beside them. It
// is data only; package builder reads them, and a recipe names one as builtin:DIRECTORY/NAME.
package recipes

import "embed"

// Files are the recipes and their keys. Paths inside them are relative to this directory in the source tree.
//
//go:embed alma amazonlinux azurelinux centos-stream fedora opensuse rocky ubi10 ubi8 ubi9
var Files embed.FS
