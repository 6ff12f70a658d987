// What the package costs a page: each part bundled, minified and compressed, against its limit.
// Build first: `npm run build && npm run sizes`.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "vite";

const DIST = new URL("../dist/", import.meta.url);
const KB = 1_024;

// The text itself: imported, it would be left out, as it exports nothing.
const WORKER = readFileSync(new URL("shared/worker.js", DIST), "utf8").replace(
  "./member.js",
  "./shared/member.js",
);

// Limits in bytes after gzip, as issue 6 has them.
const PARTS = [
  { name: "parser", limit: 1.2 * KB, source: `export { createParser } from "./index.js"` },
  {
    name: "core",
    limit: 2.5 * KB,
    source: `export { createEventSource, EventSource } from "./index.js"`,
  },
  {
    // What a page loads and what its SharedWorker is made of, each module once.
    name: "everything but React",
    limit: 4.5 * KB,
    source: `export * from "./index.js"; export * from "./shared/index.js"; ${WORKER}`,
  },
  {
    // A browser loads it once, for all tabs.
    name: "the worker by itself",
    limit: 3 * KB,
    source: WORKER,
  },
  {
    name: "what React adds",
    limit: 1 * KB,
    source: `export * from "./react/index.js"; export * from "./index.js"`,
    without: `export * from "./index.js"`,
  },
];

let failed = false;
for (const { name, limit, source, without } of PARTS) {
  const base = without ? await gzipped(without) : 0;
  const size = (await gzipped(source)) - base;
  const fits = size <= limit;
  failed ||= !fits;
  const verdict = fits ? "" : "  TOO BIG: make it smaller, or argue for another limit";
  console.log(`${name.padEnd(24)}${size} of ${Math.floor(limit)} bytes${verdict}`);
}
process.exitCode = failed ? 1 : 0;

async function gzipped(source) {
  const entry = "virtual:entry";
  const [{ output }] = await build({
    configFile: false,
    logLevel: "error",
    root: fileURLToPath(DIST),
    plugins: [
      {
        name: "entry",
        resolveId: (id, importer) =>
          id === entry
            ? id
            : importer === entry
              ? fileURLToPath(new URL(id, DIST))
              : undefined,
        load: (id) => (id === entry ? source : undefined),
      },
    ],
    build: {
      write: false,
      minify: true,
      target: "es2022",
      rollupOptions: {
        input: entry,
        preserveEntrySignatures: "strict",
        external: ["react"],
      },
    },
  }).then((result) => [result].flat());
  const { code } = output.find(({ isEntry }) => isEntry);
  return gzipSync(code, { level: 9 }).length;
}
