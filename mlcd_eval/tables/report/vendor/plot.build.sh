#!/bin/sh
# Builds plot.js and plot.licences.txt in this folder from the packages that README.md names; needs Node and a registry.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
cp "$here/plot.entry.js" "$work"
cd "$work"
npm install --silent --no-save --no-package-lock @observablehq/plot@0.6.17 esbuild@0.28.2
npx esbuild plot.entry.js --bundle --minify --format=iife --global-name=Plot --metafile=parts.json --outfile=plot.js
node -e '
const { readFileSync } = require("fs");
const read = (name, file) => readFileSync(`node_modules/${name}/${file}`, "utf8");
const inputs = Object.entries(Object.values(JSON.parse(readFileSync("parts.json")).outputs)[0].inputs);
const used = inputs.flatMap(([path, part]) => part.bytesInOutput && path.match(/^node_modules\/((?:@[^/]+\/)?[^/]+)/)?.[1] || []);
// a package may come with what it depends on built in
const within = used.flatMap(name => Object.keys(JSON.parse(read(name, "package.json")).dependencies ?? {}));
for (const name of [...new Set([...used, ...within])].sort()) {
  const { version, license } = JSON.parse(read(name, "package.json"));
  console.log(`${name} ${version} (${license})\n\n${read(name, "LICENSE").trim()}\n\n`);
}' > plot.licences.txt
mv plot.js plot.licences.txt "$here"
rm -r "$work"
