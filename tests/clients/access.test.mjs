// Who may publish and listen, by tokens that another library (jose) has made: every algorithm, keys
// that change, tokens that lie, private events live and replayed, tickets, cookies and origins.

import assert from "node:assert/strict";
import { createHmac, generateKeyPairSync, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { EventSource } from "eventsource";
import * as jose from "jose";

import { Hub } from "../support/hub.mjs";
import { until } from "../support/wait.mjs";

const RSA = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];
const EVERYTHING = { publish: ["*"], subscribe: ["*"] };

const directory = mkdtempSync(join(tmpdir(), "tidings-test-"));
const path = (name) => join(directory, name);
// The text counts: 48 characters are enough for HS384, 64 for HS512.
const secret = randomBytes(36).toString("base64url");
const longer = randomBytes(48).toString("base64url");

// Keys for all algorithms; the hub has the public ones, and the secret.
const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const pairs = {
  ES256: generateKeyPairSync("ec", { namedCurve: "P-256" }),
  ES384: generateKeyPairSync("ec", { namedCurve: "P-384" }),
  EdDSA: generateKeyPairSync("ed25519"),
  ...Object.fromEntries(RSA.map((alg) => [alg, rsa])),
};
const pem = (key) => key.export({ format: "pem", type: "spki" });

let hub;
before(async () => {
  const files = { secret, longer, "rsa.pem": pem(rsa.publicKey) };
  for (const alg of ["ES256", "ES384", "EdDSA"]) files[`${alg}.pem`] = pem(pairs[alg].publicKey);
  for (const [name, text] of Object.entries(files)) writeFileSync(path(name), text);
  const keys = Object.keys(files).flatMap((name) => ["--jwt-key", path(name)]);
  const names = ["--jwt-audience", "hub", "--jwt-issuer", "https://id.example"];
  const origins = ["--cors-origins", "https://app.example"];
  hub = await Hub.start({ flags: [...keys, ...names, ...origins] });
});
after(async () => {
  await hub?.stop();
  rmSync(directory, { recursive: true, force: true });
});

// A token that counts, but for what `claims` and `header` say otherwise.
function token({ alg = "ES256", key, tidings = EVERYTHING, claims = {}, header = {} } = {}) {
  const now = Math.floor(Date.now() / 1000);
  const common = { aud: "hub", iss: "https://id.example", exp: now + 3600, sub: "alice" };
  const all = Object.entries({ ...common, tidings, ...claims });
  const given = Object.fromEntries(all.filter(([, value]) => value !== undefined));
  const text = alg === "HS512" ? longer : secret;
  const signing = key ?? pairs[alg]?.privateKey ?? new TextEncoder().encode(text);
  return new jose.SignJWT(given).setProtectedHeader({ alg, ...header }).sign(signing);
}

const bearer = (token) => ({ Authorization: `Bearer ${token}` });

async function publish(to, headers, topic = "t", query = "", data = "x") {
  const url = `${to.url}/topics/${topic}${query}`;
  const response = await fetch(url, { method: "POST", headers, body: data });
  const answer = await response.json();
  const challenge = response.headers.get("www-authenticate");
  return { status: response.status, detail: answer.detail, challenge };
}

async function refused(headers, status, said) {
  const answer = await publish(hub, headers);
  assert.equal(answer.status, status, answer.detail);
  assert.match(answer.detail, said);
  const error = status === 401 ? "invalid_token" : "insufficient_scope";
  assert.match(answer.challenge, new RegExp(`^Bearer realm="tidings", error="${error}"`));
}

for (const alg of [...Object.keys(pairs), "HS256", "HS384", "HS512"]) {
  test(`${alg}: a token of jose counts, and not one that was changed`, async () => {
    const good = await token({ alg });
    assert.equal((await publish(hub, bearer(good))).status, 200);
    const [header, payload, signature] = good.split(".");
    const claims = JSON.parse(Buffer.from(payload, "base64url"));
    const more = Buffer.from(JSON.stringify({ ...claims, sub: "root" })).toString("base64url");
    await refused(bearer(`${header}.${more}.${signature}`), 401, /signature is wrong/);
    await refused(bearer(`${header}.${payload}.`), 401, /signature is wrong/);
  });
}

test("HS512 needs a secret as long as its hash", async () => {
  const key = new TextEncoder().encode(secret);
  await refused(bearer(await token({ alg: "HS512", key })), 401, /signature is wrong/);
});

test("the algorithm is the key's: a public key is no secret, and none is none", async () => {
  const now = Math.floor(Date.now() / 1000);
  const claims = { aud: "hub", iss: "https://id.example", exp: now + 60, tidings: EVERYTHING };
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const message = (header) => `${encode(header)}.${encode(claims)}`;
  // The classic: HMAC with the text of the RSA key that everybody knows.
  for (const key of [pem(rsa.publicKey), pem(rsa.publicKey).trim()]) {
    const signed = message({ alg: "HS256", typ: "JWT" });
    const forged = createHmac("sha256", key).update(signed).digest("base64url");
    await refused(bearer(`${signed}.${forged}`), 401, /signature is wrong/);
  }
  for (const alg of ["none", "None", "NONE", "nOnE"]) {
    await refused(bearer(`${message({ alg })}.`), 401, /can't be read/);
  }
  // A key of the token's own, in all the ways there are.
  const own = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const jwk = own.publicKey.export({ format: "jwk" });
  const header = { jwk, jku: "https://evil.example/jwks", x5u: "https://evil.example/x" };
  await refused(bearer(await token({ key: own.privateKey, header })), 401, /signature is wrong/);
  // Signed rightly, by an algorithm for another kind of key.
  await refused(bearer(await token({ alg: "ES256", key: own.privateKey })), 401, /signature/);
});

test("each claim that does not hold is named", async () => {
  const now = Math.floor(Date.now() / 1000);
  for (const [claims, said] of [
    [{ exp: now - 3600 }, /the token expired at \d{4}-\d\d-\d\dT/i],
    [{ exp: undefined }, /no expiry/],
    [{ nbf: now + 3600 }, /not valid before/],
    [{ aud: "other" }, /for other, not for hub/],
    [{ aud: undefined }, /for nobody, not for hub/],
    [{ iss: "https://evil.example" }, /issued by https:\/\/evil\.example/],
    [{ iss: undefined }, /issued by nobody/],
    [{ tidings: { publish: ["a*b"] } }, /tidings\.publish/],
    [{ tidings: { publish: "a" } }, /claims can't be read/],
  ]) {
    await refused(bearer(await token({ claims })), 401, said);
  }
  // Clocks may be off a little.
  for (const claims of [{ exp: now - 5 }, { nbf: now + 5 }, { aud: ["x", "hub"] }]) {
    assert.equal((await publish(hub, bearer(await token({ claims })))).status, 200);
  }
  const tidings = { publish: ["orders/*"], subscribe: ["*"] };
  await refused(bearer(await token({ tidings })), 403, /"publish" covers orders\/\*/);
});

test("private events reach whose token covers them, live and replayed", async (t) => {
  const publisher = bearer(await token({ tidings: { publish: ["*"] } }));
  const [alice, bob] = await Promise.all(
    ["alice", "bob"].map(async (name) =>
      bearer(await token({ tidings: { subscribe: [`users/${name}/*`] } })),
    ),
  );
  const got = new Map();
  const listen = (name, headers, query) => {
    const events = [];
    got.set(name, events);
    const source = new EventSource(`${hub.url}/topics/users/*${query}`, {
      fetch: (url, init) => fetch(url, { ...init, headers: { ...init.headers, ...headers } }),
    });
    source.onmessage = ({ data }) => events.push(data);
    t.after(() => source.close());
    return once(source, "open");
  };
  for (const [name, headers] of Object.entries({ alice, bob, nobody: {} })) {
    await listen(`${name} live`, headers, "");
  }
  for (const [topic, query, data] of [
    ["users/alice/mail", "?private", "for alice"],
    ["users/bob/mail", "?private", "for bob"],
    ["users/news", "", "end"],
  ]) {
    assert.equal((await publish(hub, publisher, topic, query, data)).status, 200);
  }
  for (const [name, headers] of Object.entries({ alice, bob, nobody: {} })) {
    await listen(`${name} later`, headers, "?since=earliest");
  }
  const expected = { alice: ["for alice", "end"], bob: ["for bob", "end"], nobody: ["end"] };
  for (const [name, events] of got) {
    await until(`the last event is with ${name}`, () => events.includes("end"));
    assert.deepEqual(events, expected[name.split(" ")[0]], name);
  }
});

test("a ticket opens one stream of an EventSource, and stands in no log", async (t) => {
  const tidings = { subscribe: ["users/alice/*"] };
  const headers = bearer(await token({ tidings }));
  const response = await fetch(`${hub.url}/tickets`, { method: "POST", headers });
  const { ticket, expires } = await response.json();
  const left = Date.parse(expires) - Date.now();
  assert.ok(left > 0 && left <= 30_000, expires);
  const url = `${hub.url}/topics/users/*?since=earliest&ticket=${ticket}`;
  const events = [];
  const source = new EventSource(url);
  t.after(() => source.close());
  source.onmessage = ({ data }) => events.push(data);
  await until("the stream is there", () => events.includes("for alice"));
  const again = await fetch(url);
  assert.equal(again.status, 401);
  assert.match((await again.json()).detail, /used already/);
  for (const name of ["token", "access_token", "authorization"]) {
    const answer = await fetch(`${hub.url}/topics/t?${name}=${await token()}`);
    assert.equal(answer.status, 400);
    assert.match((await answer.json()).detail, /POST \/tickets/);
  }
  assert.ok(!hub.stderr.includes(ticket) && !hub.stderr.includes("eyJ"), hub.stderr);
});

test("a cookie counts for pages of this origin and of those that are listed", async () => {
  const cookie = { Cookie: `tidings_token=${await token()}` };
  for (const [origin, status] of [
    [hub.url, 200],
    ["https://app.example", 200],
    ["https://evil.example", 403],
    ["null", 403],
  ]) {
    const answer = await publish(hub, { ...cookie, Origin: origin });
    assert.equal(answer.status, status, `${origin}: ${answer.detail}`);
  }
  const preflight = async (origin) => {
    const asked = { Origin: origin, "Access-Control-Request-Method": "POST" };
    const answer = await fetch(`${hub.url}/tickets`, { method: "OPTIONS", headers: asked });
    return ["origin", "credentials"].map((it) => answer.headers.get(`access-control-allow-${it}`));
  };
  assert.deepEqual(await preflight("https://app.example"), ["https://app.example", "true"]);
  assert.deepEqual(await preflight("https://evil.example"), [null, null]);
});

test("keys behind an address change without a restart", async (t) => {
  let set = [];
  let asked = 0;
  const issuer = createServer((_, response) => {
    asked += 1;
    response.setHeader("content-type", "application/json").end(JSON.stringify({ keys: set }));
  });
  await once(issuer.listen(0, "127.0.0.1"), "listening");
  t.after(() => issuer.close());
  const keys = await Promise.all(
    ["one", "two"].map(async (kid) => {
      const { privateKey, publicKey } = await jose.generateKeyPair("EdDSA", { extractable: true });
      const jwk = { ...(await jose.exportJWK(publicKey)), kid, alg: "EdDSA", use: "sig" };
      return { jwk, by: { alg: "EdDSA", key: privateKey, header: { kid }, claims: { aud: undefined } } };
    }),
  );
  const url = `http://127.0.0.1:${issuer.address().port}/jwks.json`;
  set = [keys[0].jwk];
  const other = await Hub.start({ flags: ["--jwks-url", url] });
  t.after(() => other.stop());
  const status = async (by) => (await publish(other, bearer(await token(by)))).status;
  assert.equal(await status(keys[0].by), 200);
  set = keys.map(({ jwk }) => jwk);
  assert.equal(await status(keys[1].by), 200);
  assert.equal(await status(keys[0].by), 200);
  const stranger = { ...keys[0].by, header: { kid: "made up" } };
  for (let attempt = 0; attempt < 20; attempt += 1) assert.equal(await status(stranger), 401);
  assert.ok(asked <= 4, `asked ${asked} times`);
});
