// Tokens for hubs of these tests, made by hand, so that there is nothing in them but what RFC 7519
// says.

import { createHmac } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const SECRET = "a-secret-for-tests-of-more-than-32-bytes";

// `tidings` says what it covers; other claims as they are given.
export function token(tidings, claims = {}) {
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const exp = Math.floor(Date.now() / 1000) + 3600;
  const message = `${encode({ alg: "HS256" })}.${encode({ exp, tidings, ...claims })}`;
  return `${message}.${createHmac("sha256", SECRET).update(message).digest("base64url")}`;
}

// The flags of a hub that takes these tokens, and lets nobody listen without one.
export function tokenFlags(tools) {
  const directory = mkdtempSync(join(tmpdir(), "tidings-test-"));
  void tools.use({ stop: async () => rmSync(directory, { recursive: true, force: true }) });
  writeFileSync(join(directory, "secret"), SECRET);
  return ["--jwt-key", join(directory, "secret"), "--anonymous-subscribe", "false"];
}
