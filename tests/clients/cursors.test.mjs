// Where a stream begins: all spellings of a cursor, times and numbers, and what is told where
// something is gone. A test is named by its row in protocol/sse.md.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Hub } from "../support/hub.mjs";
import { until } from "../support/wait.mjs";
import { events, Wire } from "./wire.mjs";

const SPELLINGS = [
  "last_event_id",
  "lastEventId",
  "lastEventID",
  "Last-Event-ID",
  "evs_last_event_id",
];

let hub;
let ids;
before(async () => {
  hub = await Hub.start();
  ids = [];
  for (const data of ["one", "two", "three", "four"]) {
    ids.push(await hub.publish("t", data, data === "three" ? { id: "größe/3 ✓" } : {}));
    await hub.publish("another topic", data);
  }
});
after(() => hub.stop());

test("S10: the cursor from the header, and from every parameter that clients send", async () => {
  await check({ headers: [["Last-Event-ID", ids[0]]] }, "resumed", ["two", "three", "four"]);
  await check({ headers: [["last-event-id", ids[3]]] }, "resumed", []);
  for (const name of SPELLINGS) {
    await check({ query: `${name}=${ids[1]}` }, "resumed", ["three", "four"]);
  }
});

test("S10: the cursor is UTF-8 bytes in the header, and percent-encoded in the query", async () => {
  await check({ headers: [["Last-Event-ID", Buffer.from(ids[2])]] }, "resumed", ["four"]);
  for (const name of SPELLINGS) {
    await check({ query: `${name}=${encodeURIComponent(ids[2])}` }, "resumed", ["four"]);
  }
});

test("S10: the header wins over the query, and a cursor over since and last", async () => {
  const header = ["Last-Event-ID", ids[2]];
  await check({ headers: [header], query: `last_event_id=${ids[0]}` }, "resumed", ["four"]);
  await check({ headers: [header], query: "since=earliest" }, "resumed", ["four"]);
  await check({ query: `last=4&lastEventId=${ids[1]}` }, "resumed", ["three", "four"]);
});

test("S10: an empty cursor is none", async () => {
  await check({ headers: [["Last-Event-ID", ""]] }, "live", []);
  await check({ headers: [["Last-Event-ID", "  "]] }, "live", []);
  for (const name of SPELLINGS) await check({ query: `${name}=` }, "live", []);
  await check({ headers: [["Last-Event-ID", ""]], query: `last_event_id=${ids[1]}` }, "resumed", [
    "three",
    "four",
  ]);
  await check({ query: "last_event_id=&last=1" }, "resumed", ["four"]);
});

test("S10: a polyfill that appends its cursor anew at each reconnect is understood", async () => {
  await check({ query: `lastEventId=${ids[0]}&lastEventId=${ids[1]}` }, "resumed", [
    "three",
    "four",
  ]);
});

test("since and last: a time span, a time, the beginning, a number", async () => {
  const all = ["one", "two", "three", "four"];
  await check({ query: "since=earliest" }, "resumed", all);
  await check({ query: "since=10m" }, "resumed", all);
  await check({ query: `since=${new Date(Date.now() - 600_000).toISOString()}` }, "resumed", all);
  await check({ query: `since=${new Date(Date.now() + 600_000).toISOString()}` }, "resumed", []);
  await check({ query: "last=2" }, "resumed", ["three", "four"]);
  await check({ query: "last=1000" }, "resumed", all);
  await check({ query: "last=0" }, "resumed", []);
  await check({}, "live", []);
});

test("what can't be understood is refused with a sentence", async () => {
  for (const [query, detail] of [
    ["since=yesterday", /since is earliest/i],
    ["since=", /since is earliest/i],
    ["last=-1", /last is a number/i],
    ["last=1001", /at most 1000/],
    ["last=1&since=1m", /exclude each other/],
  ]) {
    const wire = await Wire.request(hub, "GET", `/topics/t?${query}`);
    assert.equal((await wire.head()).status, 400, query);
    assert.match((await wire.json()).detail, detail);
    wire.close();
  }
});

test("S15: where retention passed the cursor, the stream says so before it goes on", async (t) => {
  const small = await Hub.start({ flags: ["--keep-bytes", "20KiB"] });
  t.after(() => small.stop());
  const first = await small.publish("t", "first");
  let last;
  for (let event = 0; event < 100; event += 1) last = await small.publish("t", "x".repeat(1000));
  const kept = await until("retention passed the first event", async () => {
    const kept = await small.history("t");
    return kept[0].data !== "first" && kept;
  });

  const wire = await Wire.request(small, "GET", "/topics/t", {
    headers: [["Last-Event-ID", first]],
  });
  assert.equal((await wire.head()).headers["tidings-resume"], "reset");
  const [reset, ...replayed] = events(
    await wire.bodyWith(`id: ${last}\n`).then(() => wire.bodyWith("x\n\n")),
  );
  assert.equal(reset.event, "tidings.reset");
  const { from, oldest, missed } = JSON.parse(reset.data);
  assert.equal(from, first);
  assert.match(reset.id, /^[A-Za-z0-9._~-]{1,128}$/);
  assert.equal(replayed[0].id, oldest);
  const position = (id) => Number(id.split("-").at(-1));
  assert.equal(missed, position(oldest) - position(first) - 1);
  assert.equal(position(kept[0].id) <= position(oldest), true);
  assert.deepEqual(
    replayed.map(({ id }) => position(id)),
    replayed.map((_, at) => position(oldest) + at),
    "no more gaps",
  );
  wire.close();

  // Whoever comes back with the id of the reset itself goes on right behind it.
  const again = await Wire.request(small, "GET", "/topics/t", {
    headers: [["Last-Event-ID", reset.id]],
  });
  assert.equal((await again.head()).headers["tidings-resume"], "resumed");
  again.close();
});

test("S15: an unknown id, and a cursor of another log, are told as well", async (t) => {
  // Nobody's id: all that is kept may be what the client missed.
  const unknown = await open("/topics/t?last_event_id=nobody%27s%20id", t);
  assert.equal((await unknown.head()).headers["tidings-resume"], "reset");
  const [reset, ...replayed] = events(await unknown.bodyWith("four\n\n"));
  assert.equal(reset.event, "tidings.reset");
  assert.equal(JSON.parse(reset.data).from, "nobody's id");
  assert.deepEqual(
    replayed.map(({ data }) => data),
    ["one", "two", "three", "four"],
  );

  // A cursor of a log that is gone: what is new comes.
  const foreign = await open("/topics/t2?last_event_id=aaaaaaaa-7", t);
  assert.equal((await foreign.head()).headers["tidings-resume"], "reset");
  await foreign.bodyWith("tidings.reset");
  await hub.publish("t2", "new");
  const told = events(await foreign.bodyWith("new\n\n"));
  assert.deepEqual(
    told.map(({ event, data }) => event ?? data),
    ["tidings.reset", "new"],
  );
});

test("history: a page of JSON, from whose end a stream goes on without a gap", async (t) => {
  const page = await history("/topics/t?since=earliest&limit=3");
  assert.equal(page.headers["content-type"], "application/json");
  assert.equal(page.headers["cache-control"], "no-store");
  assert.equal(page.headers["tidings-resume"], "resumed");
  assert.deepEqual(
    page.body.events.map(({ id, topics, data }) => ({ id, topics, data })),
    [
      { id: ids[0], topics: ["t"], data: "one" },
      { id: ids[1], topics: ["t"], data: "two" },
      { id: ids[2], topics: ["t"], data: "three" },
    ],
  );
  for (const { time } of page.body.events) assert.equal(new Date(time).toISOString(), time);

  const rest = await history(`/topics/t?last_event_id=${page.body.next}`);
  assert.deepEqual(
    rest.body.events.map(({ data }) => data),
    ["four"],
  );
  const wire = await open(`/topics/t?last_event_id=${rest.body.next}`, t);
  assert.equal((await wire.head()).headers["tidings-resume"], "resumed");
  await wire.bodyWith("retry");
  assert.deepEqual(events(wire.body), []);

  const last = await history("/topics/t?last=2");
  assert.deepEqual(
    last.body.events.map(({ data }) => data),
    ["three", "four"],
  );
  const none = await history("/topics/nothing");
  assert.deepEqual(none.body.events, []);
});

let ends = 0;

// A stream's verdict, and what of the four events is in it. An event that is published then, to
// another topic of the same subscription, shows where the replay ends.
async function check({ headers = [], query = "" }, verdict, expected) {
  const end = `end-${(ends += 1)}`;
  const target = `/events?topic=t&topic=${end}&${query}`;
  const wire = await Wire.request(hub, "GET", target, { headers });
  try {
    const { status, headers: answer } = await wire.head();
    assert.equal(status, 200, target);
    assert.equal(answer["tidings-resume"], verdict, target);
    await hub.publish(end, end);
    const got = events(await wire.bodyWith(`data: ${end}\n\n`));
    assert.deepEqual(
      got.map(({ data }) => data),
      [...expected, end],
      target,
    );
  } finally {
    wire.close();
  }
}

async function open(target, t) {
  const wire = await Wire.request(hub, "GET", target);
  t.after(() => wire.close());
  return wire;
}

async function history(target) {
  const wire = await Wire.request(hub, "GET", target, {
    headers: [["Accept", "application/json"]],
  });
  try {
    return { ...(await wire.head()), body: await wire.json() };
  } finally {
    wire.close();
  }
}
