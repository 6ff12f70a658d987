// The JavaScript client in a browser, whose fetch, events and pages are not Node's.

import assert from "node:assert/strict";

import { Hub } from "../support/hub.mjs";
import { Proxy } from "../support/proxy.mjs";
import { BareBrowser } from "./bare.mjs";
import { browserFlags, browserTest, localhost } from "./harness.mjs";
import { Numbers } from "./numbers.mjs";
import { servePackage } from "./package.mjs";

// More than the sockets between hub and page hold.
const EVENTS_ASLEEP = 600;
const EVENT_BYTES = 8_000;

browserTest("from another origin: what breaks goes on where it was", async (tools) => {
  const hub = await tools.use(Hub.start({ flags: ["--retry", "100ms"] }));
  const proxy = await tools.use(Proxy.start(hub));
  const server = await tools.use(servePackage(`http://localhost:${proxy.port}`));
  const tab = await tools.open(`${server.url}/client.html`);
  const numbers = new Numbers(hub);
  await isOpen(tab);
  await numbers.publish("first");
  await tab.until("it came", () => window.got.length === 1);
  // The browser asks about Last-Event-ID first.
  proxy.goAway();
  await tab.until("the page knows", () => window.errors.length > 1);
  await numbers.publish("away");
  proxy.comeBack();
  await numbers.publish("back");
  await numbers.checkAll(tab);
  for (const cut of ["da", "data: cut\n"]) {
    proxy.cutBetween(cut, "");
    await numbers.publish("cut");
    await tab.until("it came", (count) => window.got.length === count, numbers.events.length);
    assert.equal(proxy.cutsLeft, 0);
    await isOpen(tab);
  }
  await numbers.checkAll(tab);
  assert.deepEqual(tab.faults, []);
});

browserTest("the hub's own origin: publish, subscribe, and a refusal in its words", async (tools) => {
  const hub = await tools.use(Hub.start());
  const tab = await tools.open(`${localhost(hub)}/topics/x`);
  const server = await tools.use(servePackage(localhost(hub)));
  // Modules of another origin want leave, which the hub's pages don't give.
  await tab.page.route(`${localhost(hub)}/tidings/**`, async (route) => {
    const { pathname } = new URL(route.request().url());
    await route.fulfill({ response: await route.fetch({ url: server.url + pathname }) });
  });
  const outcome = await tab.evaluate(async () => {
    const { createHub } = await import("/tidings/index.js");
    const hub = createHub("");
    const source = hub.subscribe(["orders/{id}", "news/*"], { parse: JSON.parse });
    await new Promise((resolve) => source.addEventListener("open", resolve));
    const events = source[Symbol.asyncIterator]();
    const first = events.next();
    const ids = [
      await hub.publish("orders/4 2", { total: 12 }),
      ...(await hub.publishMany([{ topic: "news/a/b", data: [1], event: "message" }])),
    ];
    const got = [await first, await events.next()].map(({ value }) => [
      value.lastEventId,
      value.data,
    ]);
    await events.return();
    const refusal = await hub.publish("a\nb", "x").catch(({ status, message }) => [status, message]);
    return { ids, got, refusal, state: source.readyState };
  });
  assert.deepEqual(outcome.got, [
    [outcome.ids[0], { total: 12 }],
    [outcome.ids[1], [1]],
  ]);
  assert.equal(outcome.state, 2);
  assert.equal(outcome.refusal[0], 400);
  assert.match(outcome.refusal[1], /topic/);
});

browserTest("a page that was offline comes back as soon as it is online", async (tools) => {
  const hub = await tools.use(Hub.start());
  const proxy = await tools.use(Proxy.start(hub));
  const server = await tools.use(servePackage(`http://localhost:${proxy.port}`));
  const tab = await tools.open(`${server.url}/client.html`);
  const numbers = new Numbers(hub);
  await isOpen(tab);
  await numbers.publish("online");
  await tab.until("it came", () => window.got.length === 1);
  await tab.evaluate(() => {
    // From now on only `online` ends a wait in time.
    const wait = window.setTimeout;
    window.setTimeout = (act, milliseconds) => wait(act, milliseconds + 3_600_000);
  });
  await tools.context.setOffline(true);
  proxy.goAway();
  await tab.until("the page knows", () => window.errors.length > 0 && !navigator.onLine);
  await numbers.publishMany(EVENTS_ASLEEP, EVENT_BYTES);
  proxy.comeBack();
  await tools.context.setOffline(false);
  await numbers.checkAll(tab);
  assert.deepEqual(tab.faults, []);
});

browserTest("window.stop() is no end: it can't be told from a network that broke", async (tools) => {
  const hub = await tools.use(Hub.start({ flags: ["--retry", "100ms"] }));
  const server = await tools.use(servePackage(localhost(hub)));
  const tab = await tools.open(`${server.url}/client.html`);
  const numbers = new Numbers(hub);
  await isOpen(tab);
  await numbers.publish("before");
  await tab.until("it came", () => window.got.length === 1);
  await tab.evaluate(() => window.stop());
  await tab.until("the page knows", () => window.errors.length > 0);
  await numbers.publish("after");
  await numbers.checkAll(tab);
});

browserTest("a page that was frozen and woken has missed nothing", async (tools) => {
  const hub = await tools.use(Hub.start({ flags: ["--retry", "100ms"] }));
  const server = await tools.use(servePackage(localhost(hub)));
  const browser = await tools.use(BareBrowser.start(browserFlags()));
  const page = await browser.open(`${server.url}/client.html`);
  const numbers = new Numbers(hub);
  await isOpen(page);
  await numbers.publish("awake");
  await page.until("it came", () => window.got.length === 1);
  await page.send("Page.setWebLifecycleState", { state: "frozen" });
  await numbers.publishMany(EVENTS_ASLEEP, EVENT_BYTES);
  await page.send("Page.setWebLifecycleState", { state: "active" });
  await numbers.publish("awake again");
  await numbers.checkAll(page);
});

browserTest("a page that was left and gone back to goes on", async (tools) => {
  const hub = await tools.use(Hub.start({ flags: ["--retry", "100ms"] }));
  const server = await tools.use(servePackage(localhost(hub)));
  const browser = await tools.use(BareBrowser.start(browserFlags()));
  const page = await browser.open(`${server.url}/client.html`);
  const numbers = new Numbers(hub);
  await isOpen(page);
  await numbers.publish("here");
  await page.until("it came", () => window.got.length === 1);
  await page.evaluate(() => {
    window.kept = true;
    window.addEventListener("pagehide", ({ persisted }) => (window.persisted = persisted));
  });
  await page.send("Page.navigate", { url: `${server.url}/empty.html` });
  await page.until("the other page is there", () => location.pathname === "/empty.html");
  await numbers.publish("away");
  await page.evaluate(() => history.back());
  await page.until("the page is back", () => location.pathname === "/client.html");
  assert.equal(await page.evaluate(() => window.kept && window.persisted), true, "it was kept");
  await numbers.publish("back");
  await numbers.checkAll(page);
});

browserTest("what a listener throws harms neither the others nor the stream", async (tools) => {
  const hub = await tools.use(Hub.start());
  const server = await tools.use(servePackage(localhost(hub)));
  const tab = await tools.open(`${server.url}/client.html`);
  const numbers = new Numbers(hub);
  await isOpen(tab);
  await tab.evaluate(() => {
    window.source.onmessage = null;
    window.source.onmessage = () => {
      throw new Error("theirs");
    };
    window.source.addEventListener("message", ({ type, data, lastEventId, origin }) => {
      window.got.push({ id: lastEventId, type, data });
      window.origin = origin;
    });
  });
  await numbers.publish("a");
  await numbers.publish("b");
  await numbers.checkAll(tab);
  assert.equal(await tab.evaluate(() => window.origin), localhost(hub));
  assert.equal(tab.complaints.length, 2);
  assert.match(tab.complaints[0], /theirs/);
});

browserTest("a source is what the browser's own is", async (tools) => {
  const server = await tools.use(servePackage(""));
  const tab = await tools.open(`${server.url}/empty.html`);
  const differences = await tab.evaluate(async () => {
    const { EventSource: Ours } = await import("/tidings/index.js");
    const look = (Source) => {
      const source = new Source("");
      const seen = {
        url: source.url,
        withCredentials: source.withCredentials,
        handlers: [source.onopen, source.onmessage, source.onerror],
        states: [source.readyState, source.CONNECTING, source.OPEN, source.CLOSED],
        constants: [Source.CONNECTING, Source.OPEN, Source.CLOSED],
        isTarget: source instanceof EventTarget,
        missing: ["close", "addEventListener", "removeEventListener", "dispatchEvent"].filter(
          (name) => typeof source[name] !== "function",
        ),
        closed: [source.close(), source.close(), source.readyState],
      };
      for (const url of ["http://[", "//"]) {
        try {
          new Source(url);
        } catch (error) {
          seen[url] = [error.name, error.code, error instanceof DOMException];
        }
      }
      for (const url of [null, 1, { toString: () => "x" }, new URL("a", location)]) {
        const source = new Source(url);
        seen[`${url}`] = source.url;
        source.close();
      }
      return JSON.stringify(seen, null, 1);
    };
    const [ours, theirs] = [look(Ours), look(EventSource)];
    return ours === theirs ? null : `${ours}\nand not\n${theirs}`;
  });
  assert.equal(differences, null);
});

function isOpen(page) {
  return page.until("the page listens", () => window.source?.readyState === EventSource.OPEN);
}
