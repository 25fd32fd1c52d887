#!/bin/sh
# Makes d3.min.js anew from charts.js, in a scratch directory, with npm and esbuild.
set -eu
here=$(cd "$(dirname "$0")" && pwd); scratch=$(mktemp -d); trap 'rm -rf "$scratch"' EXIT
cp "$here/charts.js" "$scratch"; cd "$scratch"; npm init -y >/dev/null
npm install --no-audit --no-fund d3-hierarchy@3.1.3 d3-sankey@0.12.3 d3-selection@3.0.1 d3-scale@4.0.3 esbuild@0.28.2
./node_modules/.bin/esbuild charts.js --bundle --minify --format=iife --global-name=d3 --charset=ascii --legal-comments=none --outfile="$here/d3.min.js"
