// Package recipes holds the shipped recipes, by distribution: DIRECTORY/NAME.yaml. It is data only; package builder
// reads them, and a recipe names one as builtin:DIRECTORY/NAME.
package recipes

import "embed"

// Files are the recipes. Paths inside them are relative to this directory in the source tree.
//
//go:embed */*.yaml
var Files embed.FS
