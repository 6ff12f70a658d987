// What the hub sends, byte by byte. A test is named by its row in protocol/sse.md.

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:http2";
import { after, before, test } from "node:test";

import { Hub } from "../support/hub.mjs";
import { until } from "../support/wait.mjs";
import { blocks, events, Wire } from "./wire.mjs";

const OUR_ID = /^[A-Za-z0-9._~-]{1,128}$/;

let hub;
before(async () => (hub = await Hub.start({ flags: ["--heartbeat", "60s"] })));
after(() => hub.stop());

test("S1, S2, S3: the head of a stream has exactly these headers", async (t) => {
  for (const [method, target, headers] of [
    ["GET", "/topics/t", []],
    ["GET", "/topics/t", [["Accept", "text/event-stream"]]],
    [
      "GET",
      "/events?topic=t",
      [
        ["Accept", "*/*"],
        ["Accept-Encoding", "gzip, br"],
      ],
    ],
    ["HEAD", "/topics/t", []],
  ]) {
    const wire = await open(t, hub, method, target, { headers });
    const { status, headers: answer } = await wire.head();
    assert.equal(status, 200);
    assert.equal(answer["content-type"], "text/event-stream");
    assert.equal(answer["cache-control"], "no-store, no-transform");
    assert.equal(answer["x-accel-buffering"], "no");
    assert.equal(answer["content-encoding"], undefined);
    assert.equal(answer["content-length"], undefined);
  }
});

test("S4: Connection: keep-alive over HTTP/1.1", async (t) => {
  const wire = await open(t, hub, "GET", "/topics/t");
  const { headers } = await wire.head();
  assert.equal(headers.connection, "keep-alive");
  assert.equal(headers["transfer-encoding"], "chunked");
});

test("S4: over HTTP/1.0 the stream ends with the connection", async (t) => {
  const wire = await open(t, hub, "GET", "/topics/old", { version: "1.0" });
  const { status, headers } = await wire.head();
  assert.equal(status, 200);
  assert.equal(headers["transfer-encoding"], undefined);
  const id = await hub.publish("old", "hello");
  assert.deepEqual(
    events(await wire.bodyWith("hello\n\n")).map(({ id }) => id),
    [id],
  );
});

test("S4: no Connection over HTTP/2, and the same stream", async (t) => {
  const session = connect(hub.url);
  t.after(() => session.destroy());
  const stream = session.request({ ":path": "/topics/h2" });
  let body = "";
  stream.setEncoding("utf8").on("data", (text) => (body += text));
  const [headers] = await once(stream, "response");
  assert.equal(headers[":status"], 200);
  assert.equal(headers["content-type"], "text/event-stream");
  assert.equal(headers["cache-control"], "no-store, no-transform");
  assert.equal(headers["x-accel-buffering"], "no");
  for (const name of ["connection", "keep-alive", "transfer-encoding"]) {
    assert.equal(headers[name], undefined, name);
  }
  await until("the stream has begun", () => body.startsWith(":\n"));
  const id = await hub.publish("h2", "two\nlines", { event: "e" });
  await until("the event is there", () => body.includes("lines\n\n"));
  assert.deepEqual(events(body), [{ id, event: "e", retry: undefined, data: "two\nlines" }]);
});

test("S5: the head and a comment come at once, though nothing is published", async (t) => {
  const wire = await open(t, hub, "GET", "/topics/silent");
  await wire.head();
  assert.match(await wire.bodyWith("\n"), /^:\n/);
});

test("S6: a heartbeat is a comment line without a blank line", async (t) => {
  const lively = await Hub.start({ flags: ["--heartbeat", "100ms"] });
  t.after(() => lively.stop());
  const wire = await open(t, lively, "GET", "/topics/t");
  await wire.bodyWith("\n:\n:\n:\n");
  assert.match(wire.body, /^:\nretry: \d+\n(:\n)+$/);
  await lively.publish("t", "hello");
  const body = await wire.bodyWith("hello\n\n:\n:\n");
  assert.match(body, /^:\nretry: \d+\n(:\n)+id: \S+\ndata: hello\n\n(:\n)+$/);
});

test("S7: retry stands in an event, or as a line before the first", async (t) => {
  const wire = await open(t, hub, "GET", "/topics/s7");
  assert.doesNotMatch(await wire.bodyWith("retry: "), /\n\n/);
  const id = await hub.publish("s7", "x", { retry: 1234, event: "e" });
  const body = await wire.bodyWith("data: x\n\n");
  assert.match(body, new RegExp(`^:\nretry: \\d+\nid: ${id}\nevent: e\nretry: 1234\ndata: x\n\n$`));
});

test("S8, S9: every event has an id; the hub's are plain ASCII, at most 128 bytes", async (t) => {
  const wire = await open(t, hub, "GET", "/topics/ids");
  await wire.head();
  for (const data of ["a", "", "b\n"]) assert.match(await hub.publish("ids", data), OUR_ID);
  await hub.publish("ids", "chosen", { id: "größe 1" });
  const batch = JSON.stringify([
    { topic: "ids", data: 1 },
    { topics: ["x", "ids"], data: "end" },
  ]);
  await fetch(`${hub.url}/events`, { method: "POST", body: batch });
  const got = events(await wire.bodyWith("end\n\n"));
  assert.deepEqual(
    got.map(({ data }) => data),
    ["a", "", "b\n", "chosen", "1", "end"],
  );
  assert.deepEqual(
    got.filter(({ id }) => !OUR_ID.test(id)).map(({ id }) => id),
    ["größe 1"],
  );
  assert.equal(new Set(got.map(({ id }) => id)).size, got.length);
});

test("S11: data is split at CRLF, CR and LF, with a colon and one space each", async (t) => {
  const wire = await open(t, hub, "GET", "/topics/s11");
  await wire.head();
  for (const [data, lines] of [
    ["", ["data: "]],
    [" a", ["data:  a"]],
    ["a\r\nb\rc\nd", ["data: a", "data: b", "data: c", "data: d"]],
    ["a\n", ["data: a", "data: "]],
    ["\r\n", ["data: ", "data: "]],
    ["\n\r", ["data: ", "data: ", "data: "]],
    [
      "x\rid: 9\rdata: y\r\rdata: z",
      ["data: x", "data: id: 9", "data: data: y", "data: ", "data: data: z"],
    ],
    ["\u2028\u0085\u0000", ["data: \u2028\u0085\u0000"]],
  ]) {
    const id = await hub.publish("s11", data);
    const body = await wire.bodyWith(`id: ${id}\n${lines.join("\n")}\n\n`);
    // Nothing was added to the block.
    assert.deepEqual(
      blocks(body)
        .at(-2)
        .filter((line) => !/^(:|retry:)/.test(line)),
      [`id: ${id}`, ...lines],
    );
  }
});

test("S16: no redirects", async () => {
  for (const target of [
    "/",
    "/topics",
    "/topics/",
    "/topics/a/",
    "/topics//",
    "/topics/a/../b",
    "/events/",
    "//events",
    "/healthz/",
  ]) {
    for (const method of ["GET", "POST", "HEAD", "PUT"]) {
      const { status, headers } = await answer(hub, method, target);
      assert.ok(status < 300 || status >= 400, `${method} ${target}: ${status}`);
      assert.equal(headers.location, undefined);
    }
  }
});

test("S17: each client gets its own time to wait, within a fifth of the setting", async (t) => {
  const clients = 30;
  const times = new Set();
  for (let client = 0; client < clients; client += 1) {
    const wire = await open(t, hub, "GET", "/topics/s17");
    times.add(Number(/^:\nretry: (\d+)\n/.exec(await wire.bodyWith("retry: "))?.[1]));
  }
  // 2 s is the default.
  for (const ms of times) assert.ok(ms >= 1600 && ms <= 2400, `${ms} ms`);
  assert.ok(times.size > clients / 2, `${clients} clients got ${[...times]}`);
});

test("a request after others on the same connection becomes a stream as well", async (t) => {
  const wire = await Wire.open(hub);
  t.after(() => wire.close());
  for (const data of ["one", "two"]) {
    wire.send("POST", "/topics/kept", { body: data });
    assert.match((await wire.json()).id, OUR_ID);
    wire.forget();
  }
  wire.send("GET", "/topics/kept?last=1");
  assert.deepEqual(
    events(await wire.bodyWith("two\n\n")).map(({ data }) => data),
    ["two"],
  );
});

// A stream that is closed when the test ends.
async function open(t, hub, method, target, options) {
  const wire = await Wire.request(hub, method, target, options);
  t.after(() => wire.close());
  return wire;
}

// Only the head of an answer, which may be a stream's.
async function answer(hub, method, target, options) {
  const wire = await Wire.request(hub, method, target, options);
  try {
    return await wire.head();
  } finally {
    wire.close();
  }
}
