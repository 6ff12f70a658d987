// Pages that sleep: frozen in the background, without a network, or left behind. What happened
// meanwhile is there when they wake.

import assert from "node:assert/strict";

import { Hub } from "../support/hub.mjs";
import { Proxy } from "../support/proxy.mjs";
import { BareBrowser } from "./bare.mjs";
import { browserFlags, browserTest, localhost, serveFolder } from "./harness.mjs";

// Far more than the sockets between hub and page hold, so that the hub has to stop and go on.
const EVENTS_ASLEEP = 600;
const EVENT_BYTES = 8_000;

browserTest("a page that was frozen and woken has missed nothing", async (tools) => {
  const hub = await tools.use(startHub());
  const server = await tools.use(serveFolder(localhost(hub)));
  const browser = await tools.use(BareBrowser.start(browserFlags()));
  const page = await browser.open(`${server.url}/numbers.html`);
  const publisher = await listen(hub, page);
  await page.evaluate(() => {
    window.frozen = 0;
    document.addEventListener("freeze", () => (window.frozen += 1));
  });
  await publisher.publish("awake");
  await page.until("it came", () => window.got.length === 1);
  await page.send("Page.setWebLifecycleState", { state: "frozen" });
  await publisher.publishMany();
  await page.send("Page.setWebLifecycleState", { state: "active" });
  await publisher.publish("awake again");
  await checkAll(page, publisher);
  assert.equal(await page.evaluate(() => window.frozen), 1, "the page was frozen");
});

browserTest("a page that was offline has missed nothing", async (tools) => {
  const hub = await tools.use(startHub());
  const proxy = await tools.use(Proxy.start(hub));
  const server = await tools.use(serveFolder(`http://localhost:${proxy.port}`));
  const tab = await tools.open(`${server.url}/numbers.html`);
  const publisher = await listen(hub, tab);
  await publisher.publish("online");
  // Only with an event does a page have a place to go on from.
  await tab.until("it came", () => window.got.length === 1);
  // The browser knows that it is offline; that the stream breaks is left to the network.
  await tools.context.setOffline(true);
  proxy.goAway();
  await tab.until("the page knows", () => window.errors > 2 && !navigator.onLine);
  await publisher.publishMany();
  proxy.comeBack();
  await tools.context.setOffline(false);
  await publisher.publish("online again");
  await checkAll(tab, publisher);
  assert.deepEqual(tab.faults, []);
});

browserTest("a page that was left and gone back to goes on", async (tools) => {
  const hub = await tools.use(startHub());
  const server = await tools.use(serveFolder(localhost(hub)));
  const tab = await tools.open(`${server.url}/numbers.html`);
  const publisher = await listen(hub, tab);
  await publisher.publish("here");
  await tab.until("it came", () => window.got.length === 1);
  await tab.evaluate(() => (window.kept = true));
  await tab.page.goto(`${server.url}/empty.html`);
  await publisher.publish("away");
  await tab.page.goBack();
  await tab.until("the page listens", () => window.source.readyState === EventSource.OPEN);
  await publisher.publish("back");
  // The browser may have kept the page with what it had; one that begins anew has what is new.
  const kept = await tab.evaluate(() => window.kept === true);
  if (!kept) publisher.events.splice(0, 2);
  await checkAll(tab, publisher);
});

function startHub() {
  return Hub.start({ flags: ["--retry", "100ms"] });
}

async function listen(hub, page) {
  await page.until("the page listens", () => window.source.readyState === EventSource.OPEN);
  return new Publisher(hub);
}

// Remembers what it has published, as the page notes what it gets.
class Publisher {
  events = [];
  #hub;

  constructor(hub) {
    this.#hub = hub;
  }

  async publish(data) {
    const id = await this.#hub.publish("numbers", data);
    this.events.push({ id, type: "message", data });
  }

  async publishMany() {
    const batch = Array.from({ length: EVENTS_ASLEEP }, (_, at) =>
      `${at} `.padEnd(EVENT_BYTES, "."),
    );
    const response = await fetch(`${this.#hub.url}/events`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(batch.map((data) => ({ topic: "numbers", data }))),
    });
    const { ids } = await response.json();
    this.events.push(...batch.map((data, at) => ({ id: ids[at], type: "message", data })));
  }
}

async function checkAll(page, { events }) {
  const last = events.at(-1).id;
  await page.until("the last event came", (last) => window.got.at(-1)?.id === last, last);
  const got = await page.evaluate(() => window.got);
  // First what is short to read where it differs.
  assert.deepEqual(
    got.map(({ id }) => id),
    events.map(({ id }) => id),
  );
  assert.deepEqual(got, events);
}
