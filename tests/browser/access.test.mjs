// Tokens in a real browser: a ticket and a cookie for EventSource, from a page of a listed origin and
// from the hub's own, and nothing for pages of others.

import assert from "node:assert/strict";

import { Hub } from "../support/hub.mjs";
import { token, tokenFlags } from "../support/token.mjs";
import { browserTest, localhost, serveFolder } from "./harness.mjs";

const PRIVATE = "users/alice/mail";

const ALICE = token({ subscribe: ["users/alice/*"], publish: ["users/alice/*"] });
const SERVER = { Authorization: `Bearer ${token({ publish: ["*"] })}` };

// A hub that asks everybody, a page of an origin that it lists, and one of another.
async function scene(tools) {
  const [app, other] = [await tools.use(serveFolder("")), await tools.use(serveFolder(""))];
  const flags = [...tokenFlags(tools), "--cors-origins", app.url];
  const hub = await tools.use(Hub.start({ flags }));
  await hub.publish(PRIVATE, "for alice", { private: true, headers: SERVER });
  const url = `${localhost(hub)}/topics/${PRIVATE}?since=earliest`;
  return { hub, url, app: `${app.url}/empty.html`, other: `${other.url}/empty.html` };
}

// Run in the page: the first event of a stream, or that there is none.
function first({ url, withCredentials }) {
  const source = new EventSource(url, { withCredentials });
  return new Promise((done) => {
    source.onmessage = ({ data }) => done(data);
    source.onerror = () => done("refused");
  }).finally(() => source.close());
}

function ask({ url, options }) {
  return fetch(url, { method: "POST", ...options }).then(
    // A page is shown nothing of an answer that it may not read.
    async (response) =>
      response.type === "opaque" ? ["opaque"] : [response.status, await response.json()],
    () => ["refused"],
  );
}

browserTest("a page of a listed origin gets a ticket, and with it one stream", async (tools) => {
  const { hub, url, app, other } = await scene(tools);
  const tickets = `${localhost(hub)}/tickets`;
  const options = { headers: { Authorization: `Bearer ${ALICE}` } };
  const tab = await tools.open(app);
  const [status, { ticket }] = await tab.evaluate(ask, { url: tickets, options });
  assert.equal(status, 200);
  const stream = { url: `${url}&ticket=${ticket}` };
  assert.equal(await tab.evaluate(first, stream), "for alice");
  assert.equal(await tab.evaluate(first, stream), "refused", "it was used");
  assert.equal(await tab.evaluate(first, { url }), "refused", "without a ticket");
  const stranger = await tools.open(other);
  assert.deepEqual(await stranger.evaluate(ask, { url: tickets, options }), ["refused"]);
});

browserTest("a cookie is for pages of the hub's origin and of listed ones", async (tools) => {
  const { hub, url, app, other } = await scene(tools);
  const cookie = { name: "tidings_token", value: ALICE, sameSite: "Lax", httpOnly: true };
  await tools.context.addCookies([{ ...cookie, url: localhost(hub) }]);
  const stream = { url, withCredentials: true };
  const publish = {
    url: `${localhost(hub)}/topics/users/alice/out`,
    options: { credentials: "include", body: "x", headers: { "Tidings-Event": "x" } },
  };
  // The page of the topic is the hub's own.
  const own = await tools.open(`${localhost(hub)}/topics/${PRIVATE}`);
  await own.page.locator("#events", { hasText: "for alice" }).waitFor();
  for (const tab of [own, await tools.open(app)]) {
    assert.equal(await tab.evaluate(first, stream), "for alice");
    assert.equal((await tab.evaluate(ask, publish))[0], 200);
  }
  const stranger = await tools.open(other);
  assert.equal(await stranger.evaluate(first, stream), "refused");
  const simple = { credentials: "include", mode: "no-cors", body: "x" };
  const unseen = { ...publish, options: simple };
  assert.deepEqual(await stranger.evaluate(ask, unseen), ["opaque"]);
  assert.deepEqual(await stranger.evaluate(ask, publish), ["refused"]);
  assert.equal(await hub.metric("tidings_events_published_total"), 3);
});
