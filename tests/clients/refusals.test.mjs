// What the hub does not do: pass injected fields on, let one more in than there is room for, or
// let pages of other origins publish. A test is named by its row in protocol/sse.md.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Hub } from "../support/hub.mjs";
import { until } from "../support/wait.mjs";
import { events, Wire } from "./wire.mjs";

let hub;
before(async () => (hub = await Hub.start()));
after(() => hub.stop());

// What would become a line, a field or an event of its own, if it got through.
const BREAKS = ["\n", "\r", "\r\n", "\n\n", "\u0000"];

test("S11: line breaks in topic, type, id and retry are refused in query and path", async () => {
  for (const text of BREAKS) {
    const forged = encodeURIComponent(`a${text}data: forged${text}`);
    for (const target of [
      `/topics/${forged}`,
      `/topics/t?event=${forged}`,
      `/topics/t?id=${forged}`,
      `/topics/t?retry=1${forged}`,
      `/topics/t?id=a${encodeURIComponent(text)}`,
    ]) {
      await refused(await Wire.request(hub, "POST", target, { body: "x" }), target);
    }
  }
});

test("S11: and in headers, where a line break would be a header of its own", async () => {
  for (const name of ["Tidings-Event", "Tidings-Id", "Tidings-Retry", "Idempotency-Key"]) {
    for (const text of ["\r", "\u0000", "\n "]) {
      const headers = [[name, `a${text}data: forged`]];
      await refused(
        await Wire.request(hub, "POST", "/topics/t", { headers, body: "x" }),
        `${name} ${JSON.stringify(text)}`,
      );
    }
  }
  for (const value of [
    Buffer.from([0x61, 0xff]),
    Buffer.from("a\u0001b"),
    Buffer.from("a\u0085b"),
  ]) {
    const headers = [["Tidings-Event", value]];
    await refused(
      await Wire.request(hub, "POST", "/topics/t", { headers, body: "x" }),
      `${value.inspect()}`,
    );
  }
});

test("S11: and in JSON, where the whole batch is refused", async () => {
  for (const text of BREAKS) {
    for (const event of [
      { topic: `a${text}b`, data: "x" },
      { topic: "t", event: `a${text}data: forged`, data: "x" },
      { topic: "t", id: `a${text}b`, data: "x" },
      { topic: "t", retry: `1${text}`, data: "x" },
    ]) {
      const body = JSON.stringify([{ topic: "t", data: "good" }, event]);
      const headers = [["Content-Type", "application/json"]];
      await refused(await Wire.request(hub, "POST", "/events", { headers, body }), body);
    }
  }
});

test("S11: and in a cursor, which is told back in the event tidings.reset", async () => {
  for (const text of BREAKS) {
    const forged = `a${text}data: forged${text}`;
    const target = `/topics/nothing?last_event_id=${encodeURIComponent(forged)}`;
    const wire = await Wire.request(hub, "GET", target);
    assert.equal((await wire.head()).status, 200);
    const [reset] = events(await wire.bodyWith("\n\n"));
    assert.equal(reset.event, "tidings.reset");
    assert.equal(JSON.parse(reset.data).from, forged);
    wire.close();
  }
});

test("S11: data that is not UTF-8 is refused, whole characters pass", async () => {
  for (const bytes of [[0xff], [0xc3], [0xed, 0xa0, 0x80], [0xc0, 0x8a]]) {
    await refused(
      await Wire.request(hub, "POST", "/topics/t", { body: Buffer.from(bytes) }),
      `${bytes}`,
    );
  }
});

// Last of S11, for all that was refused above.
test("S11: nothing of what was refused is kept", async () => {
  assert.equal(await hub.metric("tidings_events_published_total"), 0);
  assert.deepEqual(await hub.history("*"), []);
});

test("S11: a bare LF ends a header: what follows is not the event's", async () => {
  const wire = await Wire.request(hub, "GET", "/topics/lf");
  await wire.bodyWith(":\n");
  const headers = [["Tidings-Event", "a\ndata: forged\nid: 9"]];
  const publish = await Wire.request(hub, "POST", "/topics/lf", { headers, body: "x" });
  const { id } = await publish.json();
  assert.deepEqual(events(await wire.bodyWith("\n\n")), [
    { id, event: "a", retry: undefined, data: "x" },
  ]);
  for (const used of [wire, publish]) used.close();
});

test("S12: beyond connections-max the next is refused, and nobody is evicted", async (t) => {
  const full = await Hub.start({ flags: ["--connections-max", "3"] });
  t.after(() => full.stop());
  const streams = [];
  for (const _ of [1, 2]) {
    const wire = await Wire.request(full, "GET", "/topics/t");
    await wire.bodyWith(":\n");
    streams.push(wire);
  }
  // The third is a publisher's, which keeps its connection.
  const publisher = await Wire.open(full);
  const publish = async (body) => {
    publisher.forget();
    publisher.send("POST", "/topics/t", { body });
    assert.equal((await publisher.head()).status, 200);
  };
  await publish("before");
  for (let attempt = 0; attempt < 20; attempt += 1) {
    const wire = await Wire.request(full, "GET", "/topics/t");
    const { status, headers } = await wire.head();
    assert.equal(status, 503);
    assert.match(headers["retry-after"], /^[1-9]\d*$/);
    assert.equal(headers["content-type"], "application/problem+json");
    assert.match((await wire.json()).detail, /connections_max/);
    wire.close();
  }
  await publish("after");
  for (const wire of streams) {
    const got = events(await wire.bodyWith("after\n\n")).map(({ data }) => data);
    assert.deepEqual(got, ["before", "after"]);
    assert.equal(wire.closed, false);
  }
  streams[0].close();
  await until("there is room again", async () => {
    const wire = await Wire.request(full, "GET", "/topics/t");
    const { status } = await wire.head();
    wire.close();
    return status === 200;
  });
  for (const wire of [...streams, publisher]) wire.close();
});

test("S13, C12: the preflight of a fetch-based client is answered", async () => {
  for (const [target, method] of [
    ["/topics/t", "GET"],
    ["/events?topic=t", "GET"],
    ["/topics/t", "HEAD"],
  ]) {
    const headers = [
      ["Origin", "https://app.example"],
      ["Access-Control-Request-Method", method],
      ["Access-Control-Request-Headers", "authorization,cache-control,last-event-id"],
    ];
    const answer = await head("OPTIONS", target, headers);
    assert.equal(answer.status, 204);
    assert.equal(answer.headers["access-control-allow-origin"], "*");
    assert.ok(list(answer, "methods").includes(method.toLowerCase()));
    for (const name of ["last-event-id", "authorization", "cache-control"]) {
      assert.ok(list(answer, "headers").includes(name), name);
    }
    assert.equal(answer.headers["access-control-allow-credentials"], undefined);
    assert.ok(Number(answer.headers["access-control-max-age"]) > 0);
  }
});

test("S13: pages of any origin may read, without credentials, and may not publish", async () => {
  const origin = ["Origin", "https://app.example"];
  const stream = await head("GET", "/topics/t", [origin]);
  assert.equal(stream.headers["access-control-allow-origin"], "*");
  assert.equal(stream.headers["access-control-allow-credentials"], undefined);
  assert.match(stream.headers["access-control-expose-headers"], /Tidings-Resume/);

  const preflight = await head("OPTIONS", "/topics/t", [
    origin,
    ["Access-Control-Request-Method", "POST"],
  ]);
  assert.equal(preflight.status, 403);
  assert.equal(preflight.headers["access-control-allow-methods"], undefined);
  for (const headers of [
    [origin],
    [["Origin", "null"]],
    [["Sec-Fetch-Site", "cross-site"]],
    [["Sec-Fetch-Site", "same-site"]],
  ]) {
    const wire = await Wire.request(hub, "POST", "/topics/t", { headers, body: "forged" });
    assert.equal((await wire.head()).status, 403, `${headers}`);
    wire.close();
  }
  assert.deepEqual(await hub.history("t"), []);
});

// A refusal says why, with a status that says whose mistake it is.
async function refused(wire, what) {
  const { status, headers } = await wire.head();
  assert.equal(status, 400, what);
  // What is no HTTP at all is refused before there is anything to explain it.
  if (headers["content-type"]) {
    assert.equal(headers["content-type"], "application/problem+json", what);
    assert.match((await wire.json()).detail, /\.$/);
  }
  wire.close();
}

async function head(method, target, headers) {
  const wire = await Wire.request(hub, method, target, { headers });
  try {
    return await wire.head();
  } finally {
    wire.close();
  }
}

function list(answer, what) {
  return answer.headers[`access-control-allow-${what}`].toLowerCase().split(", ");
}
