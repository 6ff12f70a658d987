// A page whose token ends again and again: the client fetches tickets or sends tokens by itself, and
// changes the stream for one of a newer token in time, without a gap and without repeats.

import assert from "node:assert/strict";

import { Hub } from "../support/hub.mjs";
import { token, tokenFlags } from "../support/token.mjs";
import { until } from "../support/wait.mjs";
import { browserTest, localhost } from "./harness.mjs";
import { Numbers } from "./numbers.mjs";
import { servePackage } from "./package.mjs";

// A token's end is told when a second of it has gone; the rest is for machines that are slow.
const TOKEN_SECONDS = 25;
const RENEW_BEFORE = `${TOKEN_SECONDS - 1}s`;
const RENEWALS = 3;

const SERVER = { Authorization: `Bearer ${token({ publish: ["*"] })}` };

for (const [by, ticket] of [
  ["tickets", true],
  ["a header", false],
]) {
  browserTest(`a stream by ${by} outlives its tokens`, async (tools) => {
    const { hub, tab, numbers, issued } = await scene(tools);
    const asked = requests(tab, hub);
    await tab.evaluate(listen, { hub: localhost(hub), ticket });
    await tab.until("the page listens", () => window.source.readyState === 1);
    while ((await tab.evaluate(() => window.renewals)) < RENEWALS) await numbers.publish("more");
    await until("the stream is that of the last token", () => asked.streams.length > RENEWALS);
    await numbers.publish("last");
    await numbers.checkAll(tab);

    assert.deepEqual(await tab.evaluate(() => window.errors), [], "each change was in time");
    assert.equal(await hub.metric('tidings_streams_ended_total{reason="expired"}'), 0);
    assert.ok((await hub.metric("tidings_renewals_total")) >= RENEWALS);
    // Each attempt had a token of its own, in the order in which they were made.
    assert.deepEqual(asked.tokens, issued.slice(0, asked.tokens.length));
    assert.equal(asked.tokens.length, asked.streams.length);
    assert.equal(asked.streams.every((url) => url.searchParams.has("ticket")), ticket);
    if (ticket) {
      // What stands in a history or a log is of no use to anybody.
      for (const { href } of asked.streams) assert.equal((await fetch(href)).status, 401);
    }
    assert.deepEqual(tab.faults, []);
  });
}

// A hub, and a page whose server gives it tokens that soon end.
async function scene(tools) {
  const issued = [];
  const server = await tools.use(
    servePackage("", (request, response) => {
      const exp = Math.floor(Date.now() / 1000) + TOKEN_SECONDS;
      issued.push(token({ subscribe: ["numbers"] }, { exp, jti: `${issued.length}` }));
      response.end(issued.at(-1));
    }),
  );
  const times = ["--renew-before", RENEW_BEFORE, "--jwt-skew", "0s"];
  const flags = [...tokenFlags(tools), ...times, "--cors-origins", server.url];
  const hub = await tools.use(Hub.start({ flags }));
  const tab = await tools.open(`${server.url}/empty.html`);
  return { hub, tab, issued, numbers: new Numbers(hub, SERVER) };
}

// The tokens and the streams that the page asks the hub with and for.
function requests(tab, hub) {
  const asked = { tokens: [], streams: [] };
  tab.page.on("request", (request) => {
    const url = new URL(request.url());
    if (url.host !== `localhost:${hub.port}` || request.method() === "OPTIONS") return;
    const { authorization } = request.headers();
    if (authorization) asked.tokens.push(authorization.replace("Bearer ", ""));
    if (request.method() === "GET") asked.streams.push(url);
  });
  return asked;
}

// Runs in the page.
async function listen({ hub, ticket }) {
  const { createHub } = await import("/tidings/index.js");
  Object.assign(window, { got: [], errors: [], renewals: 0 });
  // The client comes back some time in the first half of what is left. For this test, early.
  const { random } = Math;
  Math.random = () => random() / 20;
  const token = async () => (await fetch("/token")).text();
  window.source = createHub(hub, { token }).subscribe("numbers", {
    ticket,
    onRenew: () => (window.renewals += 1),
  });
  window.source.onmessage = ({ lastEventId, type, data }) =>
    window.got.push({ id: lastEventId, type, data });
  window.source.onerror = ({ error }) => window.errors.push(error.message);
}
