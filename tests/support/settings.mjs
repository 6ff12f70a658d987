// What the suites are told by their environment. A setting that is missing fails the suite with a
// sentence: a test that is passed over in silence proves nothing.

import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));

const WHAT = {
  TIDINGS_BIN: "the program to test (target/release/tidings after `cargo build --release`)",
  CHROMIUM: "a Chromium to drive (Debian: the package chromium, /usr/bin/chromium)",
  PYTHON: "a Python with the packages of tests/clients/requirements.txt",
};

export function setting(name) {
  const path = process.env[name];
  if (!path) {
    throw new Error(`Set ${name} to ${WHAT[name]}, or run \`cargo xtask test\`, which does so.`);
  }
  if (!existsSync(path)) throw new Error(`${name} names ${path}, and no such file is there.`);
  return path;
}
