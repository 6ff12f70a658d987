// Tokens and keys of `tidings token` and `tidings keygen`, against another library (jose) and keys
// that Node's OpenSSL makes: each side reads what the other has made.

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";

import * as jose from "jose";

import { setting } from "../support/settings.mjs";

const BIN = setting("TIDINGS_BIN");
const directory = mkdtempSync(join(tmpdir(), "tidings-test-"));
after(() => rmSync(directory, { recursive: true, force: true }));

const SECRETS = ["HS256", "HS384", "HS512"];
const RSA = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];
const ALGORITHMS = ["ES256", "ES384", "EdDSA", ...SECRETS, ...RSA];

const path = (name) => join(directory, name);
const read = (name) => readFileSync(path(name), "utf8");

function tidings(args, input) {
  const stdio = ["pipe", "pipe", "ignore"];
  return execFileSync(BIN, args, { cwd: directory, input, stdio, encoding: "utf8" }).trim();
}

// What `explain` says of a token, whatever it says.
function explained(token, key) {
  const args = ["token", "explain", "--json", "--key", key];
  return JSON.parse(spawnSync(BIN, args, { cwd: directory, input: token }).stdout);
}

const made = new Set();

// A key for this algorithm, made once. RSA keys take their time, and one is good for all.
function key(alg) {
  const name = RSA.includes(alg) ? "rsa" : alg;
  if (!made.has(name)) {
    tidings(["keygen", "--alg", alg, "--out", `${name}.pem`]);
    made.add(name);
  }
  const secret = SECRETS.includes(alg);
  return { private: `${name}.pem`, public: secret ? `${name}.pem` : `${name}.pub.pem` };
}
for (const alg of ALGORITHMS) {
  const imported = (name, how) =>
    SECRETS.includes(alg) ? new TextEncoder().encode(read(name).trim()) : how(read(name), alg);

  test(`${alg}: jose accepts what tidings has signed`, async () => {
    const { private: signs, public: checks } = key(alg);
    const flags = ["--key", signs, "--alg", alg.toLowerCase(), "--kid", "k"];
    const rights = ["--publish", "orders/*", "--subscribe", "users/{id}", "--payload", '{"n":1}'];
    const about = ["--subject", "7", "--audience", "hub", "--issuer", "shop"];
    const token = tidings(["token", ...flags, ...rights, ...about]);
    const { payload, protectedHeader } = await jose.jwtVerify(
      token,
      await imported(checks, jose.importSPKI),
      { algorithms: [alg], audience: "hub", issuer: "shop", requiredClaims: ["exp", "iat"] },
    );
    assert.deepEqual(protectedHeader, { typ: "JWT", alg, kid: "k" });
    assert.equal(payload.sub, "7");
    assert.equal(payload.exp - payload.iat, 3600);
    assert.deepEqual(payload.tidings, {
      publish: ["orders/*"],
      subscribe: ["users/{id}"],
      payload: { n: 1 },
    });
  });

  test(`${alg}: tidings accepts what jose has signed, and nothing that was changed`, async () => {
    const { private: signs, public: checks } = key(alg);
    const token = await new jose.SignJWT({ tidings: { publish: ["a", "b/*"] } })
      .setProtectedHeader({ alg })
      .setExpirationTime("1h")
      .sign(await imported(signs, jose.importPKCS8));
    const right = explained(token, checks);
    assert.equal(right.signature, "right");
    assert.deepEqual(right.publish, ["a", "b/*"]);
    assert.deepEqual(right.warnings, []);
    const [header, , signature] = token.split(".");
    const more = Buffer.from('{"tidings":{"publish":["*"]}}').toString("base64url");
    assert.ok(explained(`${header}.${more}.${signature}`, checks).signature.wrong);
  });
}

test("the JWK of keygen is the key, and its kid the key's thumbprint", async () => {
  for (const alg of ["ES384", "EdDSA", "HS256"]) {
    const out = `jwk-${alg}.pem`;
    tidings(["keygen", "--alg", alg.toLowerCase(), "--out", out, "--jwk"]);
    const file = SECRETS.includes(alg) ? `${out}.jwk.json` : `jwk-${alg}.jwk.json`;
    const jwk = JSON.parse(read(file));
    assert.equal(jwk.kid, await jose.calculateJwkThumbprint(jwk));
    const token = tidings(["token", "--key", out, "--publish", "a"]);
    await jose.jwtVerify(token, await jose.importJWK(jwk), { algorithms: [alg] });
    // In a set, beside keys that nobody here knows.
    const set = { keys: [{ kty: "OKP", crv: "X448", x: "AA" }, jwk] };
    writeFileSync(path("jwks.json"), JSON.stringify(set));
    assert.equal(explained(token, "jwks.json").signature, "right");
  }
});

test("keys that OpenSSL has made are as good", async () => {
  const kinds = [
    ["ES256", "ec", { namedCurve: "P-256" }],
    ["ES384", "ec", { namedCurve: "P-384" }],
    ["EdDSA", "ed25519", {}],
    ["RS256", "rsa", { modulusLength: 2048 }],
  ];
  for (const [alg, kind, options] of kinds) {
    const { privateKey, publicKey } = generateKeyPairSync(kind, options);
    for (const type of kind === "rsa" ? ["pkcs8", "pkcs1"] : ["pkcs8"]) {
      writeFileSync(path("foreign.pem"), privateKey.export({ format: "pem", type }));
      const token = tidings(["token", "--key", "foreign.pem", "--publish", "a"]);
      await jose.jwtVerify(token, publicKey, { algorithms: [alg] });
      const spki = type === "pkcs1" ? "pkcs1" : "spki";
      writeFileSync(path("foreign.pub.pem"), publicKey.export({ format: "pem", type: spki }));
      assert.equal(explained(token, "foreign.pub.pem").signature, "right", `${alg} ${spki}`);
    }
  }
  const weak = generateKeyPairSync("rsa", { modulusLength: 1024 }).privateKey;
  const old = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
  for (const [text, said] of [
    [weak.export({ format: "pem", type: "pkcs8" }), /RSA from 2048 bits/],
    [old.export({ format: "pem", type: "sec1" }), /openssl pkcs8 -topk8/],
    [
      old.export({ format: "pem", type: "pkcs8", cipher: "aes-256-cbc", passphrase: "x" }),
      /is encrypted/,
    ],
  ]) {
    writeFileSync(path("refused.pem"), text);
    const args = ["token", "--key", "refused.pem", "--publish", "a"];
    const { status, stderr } = spawnSync(BIN, args, { cwd: directory, encoding: "utf8" });
    assert.equal(status, 1);
    assert.match(stderr, said);
  }
});

test("OpenSSL reads the keys of keygen, and they belong together", () => {
  const kinds = { ES256: "ec", ES384: "ec", EdDSA: "ed25519", RS256: "rsa" };
  for (const [alg, kind] of Object.entries(kinds)) {
    const names = key(alg);
    const signs = createPrivateKey(read(names.private));
    assert.equal(signs.asymmetricKeyType, kind);
    const spki = (from) => createPublicKey(from).export({ format: "pem", type: "spki" });
    assert.equal(spki(signs), spki(read(names.public)));
  }
});

test("the hash of an API key is the SHA-256 of its text", () => {
  const made = tidings(["keygen", "--api-key", "x", "--publish", "a", "--file", "keys.toml"]);
  const hash = createHash("sha256").update(made).digest("hex");
  assert.match(read("keys.toml"), new RegExp(`^hash = "sha256:${hash}"$`, "m"));
});
