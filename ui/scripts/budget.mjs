// Fails the build when the page has become too heavy, in bytes as they travel (gzip): what is loaded at first, any part
// that is loaded later, and all of it together.
import { readFileSync, readdirSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { join } from 'node:path';

const most = { first: 60_000, part: 110_000, all: 400_000, packages: 30 };
const dist = new URL('../dist/', import.meta.url).pathname;
const manifest = JSON.parse(readFileSync(join(dist, 'manifest.json'), 'utf8'));
const weigh = (file) => gzipSync(readFileSync(join(dist, file)), { level: 9 }).length;

const first = new Set(['index.html']);
const take = (key) => {
  const chunk = manifest[key];
  if (!chunk || first.has(chunk.file)) return;
  first.add(chunk.file);
  for (const css of chunk.css ?? []) first.add(css);
  for (const below of chunk.imports ?? []) take(below);
};
take('index.html');

const files = readdirSync(dist, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && entry.name !== 'manifest.json')
  .map((entry) => join(entry.parentPath, entry.name).slice(dist.length));
const weights = new Map(files.map((file) => [file, weigh(file)]));
const sum = (names) => names.reduce((total, name) => total + weights.get(name), 0);
const packages = Object.keys(JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).dependencies).length;

const problems = [];
const say = (what, bytes, limit) => {
  console.log(`${what}: ${(bytes / 1000).toFixed(1)} of ${limit / 1000} kB`);
  if (bytes > limit) problems.push(what);
};
say('first load', sum([...first]), most.first);
for (const [file, bytes] of weights) {
  if (first.has(file)) continue;
  if (bytes > most.part) say(`part ${file}`, bytes, most.part);
}
say('all', sum(files), most.all);
if (packages > most.packages) problems.push(`${packages} packages`);
if (problems.length) {
  console.error(`too heavy: ${problems.join(', ')}`);
  process.exit(1);
}
