// Clients that other people wrote, unmodified: each gets the same events, and goes on where it was
// when its connection or the hub dies.

import assert from "node:assert/strict";
import { before, test } from "node:test";

import { Hub } from "../support/hub.mjs";
import { Proxy } from "../support/proxy.mjs";
import { until } from "../support/wait.mjs";
import { buildRust, CLIENTS, Driver } from "./clients.mjs";
import { EVENTS, reported, TYPES } from "./events.mjs";

const TOPIC = "a topic/ü";

before(() => buildRust((text) => console.error(text)));

for (const client of CLIENTS) {
  test(`${client.name}: every event, as it was published`, (t) => everyEvent(t, client));
  test(`${client.name}: cut within events, it goes on without loss or repeat`, (t) =>
    cuts(t, client));
  test(`${client.name}: kill -9 of the hub, it goes on without loss or repeat`, (t) =>
    kills(t, client));
}

async function everyEvent(t, client) {
  const scene = await Scene.set(t, client, { heartbeat: "200ms" });
  const kept = EVENTS.slice(0, EVENTS.length / 2);
  const live = EVENTS.slice(kept.length);
  await scene.publish(kept);
  const driver = scene.listen(scene.hub.url);
  await driver.reaches(kept.length);
  await heartbeats(scene.hub, 3);
  await scene.publish(live);
  await heartbeats(scene.hub, 3);
  await scene.publish([{ data: "end" }]);
  await scene.check(driver);
}

// Where a connection ends: between these two pieces of an event. `idTaken`: the line with the id
// was whole.
const CUTS = [
  {
    name: "in a long text",
    event: { data: `${long("a")}CUT1HERE${long("b")}` },
    at: ["CUT1", "HERE"],
    idTaken: true,
  },
  {
    name: "in a long text, by a reset",
    event: { data: `${long("a")}CUT2HERE${long("b")}` },
    at: ["CUT2", "HERE"],
    reset: true,
    idTaken: true,
  },
  {
    name: "in the id",
    event: { id: "cut3-within", data: "c" },
    at: ["id: cut3", "-within"],
    idTaken: false,
  },
  {
    name: "after the id",
    event: { id: "cut4", event: "alerte", data: "d" },
    at: ["id: cut4\n", "event"],
    idTaken: true,
  },
  { name: "in a line's end", event: { data: "é\ncut5" }, at: ["data: cut5", "\n"], idTaken: true },
  {
    name: "before the blank line",
    event: { data: "e\ncut6" },
    at: ["data: cut6\n", "\n"],
    idTaken: true,
  },
];

function long(letter) {
  return letter.repeat(100_000);
}

async function cuts(t, client) {
  const scene = await Scene.set(t, client, {});
  const proxy = await Proxy.start(scene.hub);
  t.after(() => proxy.stop());
  await scene.publish([{ data: "first" }]);
  const driver = scene.listen(proxy.url);
  await driver.reaches(1);
  for (const { name, event, at, reset, idTaken } of CUTS) {
    proxy.cutBetween(...at, { reset });
    await scene.publish([event]);
    await until(`the connection is cut ${name}`, () => proxy.cutsLeft === 0);
    if (idTaken && client.deviations.loses === "P20") scene.expected.pop();
    await scene.publish([{ data: `after a cut ${name}` }]);
    await driver.reaches(scene.expected.length);
  }
  await scene.publish([{ data: "end" }]);
  await scene.check(driver);
}

async function kills(t, client) {
  const scene = await Scene.set(t, client, { log: "disk" });
  const driver = scene.listen(scene.hub.url);
  for (const round of [1, 2, 3]) {
    await scene.publish([
      { data: `${round}` },
      { event: "alerte", data: "two\nlines" },
      { data: "" },
    ]);
    await driver.reaches(scene.expected.length);
    await scene.hub.kill();
    await scene.hub.restart();
  }
  await scene.publish([{ data: "end" }]);
  await scene.check(driver);
}

// A hub, a client, and what the client is to report.
class Scene {
  expected = [];

  static async set(t, client, { log = "memory", heartbeat = "15s" }) {
    const scene = new Scene();
    scene.client = client;
    scene.hub = await Hub.start({ log, flags: ["--retry", "100ms", "--heartbeat", heartbeat] });
    scene.after = (stop) => t.after(stop);
    scene.after(() => scene.hub.stop());
    return scene;
  }

  async publish(events) {
    for (const event of events) {
      const { data, row, ...fields } = event;
      const id = await this.hub.publish(TOPIC, data, fields);
      this.expected.push(reported(event, id, this.client));
    }
  }

  // Begins with what is kept. A client that comes back goes on from its cursor instead.
  listen(url) {
    const address = `${url}/topics/${encodeURIComponent(TOPIC)}?since=earliest`;
    const driver = new Driver(this.client, address, TYPES);
    this.after(() => driver.stop());
    return driver;
  }

  // The client has reported what was expected, in this order, and nothing else: neither twice nor
  // out of heartbeats.
  async check(driver) {
    await driver.reaches(this.expected.length);
    const brief = (events) =>
      events.map(({ id, event, data }) => `${id} ${event} ${data.slice(0, 40)}`);
    assert.deepEqual(brief(driver.events), brief(this.expected));
    for (const [at, event] of driver.events.entries()) {
      // Not shown as a difference: it would be a megabyte of it.
      const { id, data } = this.expected[at];
      assert.ok(event.data === data, `${id}: ${event.data.length} characters, not ${data.length}`);
    }
  }
}

async function heartbeats(hub, count) {
  const before = await hub.metric("tidings_heartbeats_total");
  await until(
    "heartbeats were sent",
    async () => (await hub.metric("tidings_heartbeats_total")) >= before + count,
  );
}
