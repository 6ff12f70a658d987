// Tabs that share one connection: it survives whoever had it, and nobody misses an event or gets
// one twice.

import assert from "node:assert/strict";

import { Hub } from "../support/hub.mjs";
import { Proxy } from "../support/proxy.mjs";
import { until } from "../support/wait.mjs";
import { browserTest, localhost } from "./harness.mjs";
import { Numbers } from "./numbers.mjs";
import { servePackage } from "./package.mjs";

// Twice what a browser has connections for.
const TABS = 12;

for (const [by, query] of [
  ["a worker", "?shared"],
  ["the oldest tab", "?shared=tab"],
]) {
  browserTest(`12 tabs have one connection, led by ${by}`, async (tools) => {
    const { hub, numbers, open } = await start(tools, query);
    const tabs = [];
    for (let tab = 0; tab < TABS; tab += 1) tabs.push(await open());
    await subscribersAre(hub, 1);
    await numbers.publishMany(100);
    for (const tab of tabs) await numbers.checkAll(tab);
    assert.deepEqual(
      tabs.flatMap((tab) => tab.faults),
      [],
    );
  });

  browserTest(`what ${by} leads goes on when tabs are closed`, async (tools) => {
    const { hub, numbers, open } = await start(tools, query);
    const tabs = [];
    for (let tab = 0; tab < TABS; tab += 1) tabs.push(await open());
    await numbers.publish("first");
    for (const tab of tabs) await numbers.checkAll(tab);
    // Publishing does not wait for anybody, so there is always something on its way.
    let publishing = true;
    let late;
    const publisher = (async () => {
      while (publishing) await numbers.publish("more");
    })();
    while (tabs.length > 2) {
      const count = numbers.events.length;
      await until("some are published", () => numbers.events.length > count + 5);
      // With and without a word.
      await tabs.shift().page.close({ runBeforeUnload: tabs.length % 2 === 0 });
      if (!late && tabs.length === 6) tabs.push((late = await open()));
    }
    publishing = false;
    await publisher;
    await numbers.publish("last");
    // One of them was there from the start.
    await numbers.checkAll(tabs[0]);
    await checkTail(tabs[1], numbers);
    await subscribersAre(hub, 1);
    await tabs[0].evaluate(() => window.source.close());
    await numbers.publish("for one");
    await checkTail(tabs[1], numbers);
    await tabs[1].evaluate(() => window.source.close());
    await subscribersAre(hub, 0);
  });

  browserTest(`a hub that is away and back, led by ${by}`, async (tools) => {
    const { proxy, numbers, open } = await start(tools, query);
    const tabs = [await open(), await open(), await open()];
    await numbers.publish("first");
    for (const tab of tabs) await numbers.checkAll(tab);
    proxy.goAway();
    for (const tab of tabs) {
      await tab.until("the page knows", () => window.errors.length > 0);
      assert.notEqual(await tab.evaluate(() => window.source.readyState), 2);
    }
    await numbers.publishMany(20);
    // Who leads goes while there is no connection.
    await tabs.shift().page.close();
    await numbers.publishMany(20);
    proxy.comeBack();
    for (const tab of tabs) await numbers.checkAll(tab);
  });
}

browserTest("tabs of two users don't share", async (tools) => {
  const { hub, server } = await start(tools, "?shared");
  const tab = await tools.open(`${server.url}/empty.html`);
  await tab.evaluate(async (url) => {
    const { createSharedEventSource } = await import("/tidings/shared/index.js");
    window.sources = ["a", "b", "b"].map((scope) => createSharedEventSource(url, { scope }));
  }, `${localhost(hub)}/topics/numbers`);
  await tab.until("all are open", () => window.sources.every(({ readyState }) => readyState === 1));
  await subscribersAre(hub, 2);
});

browserTest("what ends for good ends for all tabs", async (tools) => {
  const { hub, server } = await start(tools, "?shared");
  const tabs = [];
  for (let tab = 0; tab < 3; tab += 1) tabs.push(await tools.open(`${server.url}/empty.html`));
  for (const tab of tabs) {
    await tab.evaluate(async (url) => {
      const { createSharedEventSource } = await import("/tidings/shared/index.js");
      window.source = createSharedEventSource(url);
      window.source.onerror = ({ error }) => (window.error = error);
    }, `${localhost(hub)}/topics/a?last=many`);
    await tab.until("it has ended", () => window.source.readyState === 2);
    assert.equal(await tab.evaluate(() => window.error.status), 400);
  }
});

browserTest("a request that a function makes is made by a tab", async (tools) => {
  const { hub, server } = await start(tools, "?shared");
  const tabs = [];
  for (let tab = 0; tab < 2; tab += 1) {
    tabs.push(await tools.open(`${server.url}/empty.html`));
    await tabs.at(-1).evaluate(async (url) => {
      const { createSharedEventSource } = await import("/tidings/shared/index.js");
      window.asked = 0;
      const headers = () => ({ "X-Asked": `${(window.asked += 1)}` });
      window.source = createSharedEventSource(url, { headers });
    }, `${localhost(hub)}/topics/numbers`);
    await tabs.at(-1).until("it is open", () => window.source.readyState === 1);
  }
  assert.deepEqual(
    [await tabs[0].evaluate(() => window.asked), await tabs[1].evaluate(() => window.asked)],
    [1, 0],
  );
  await subscribersAre(hub, 1);
});

async function start(tools, query) {
  const hub = await tools.use(Hub.start({ flags: ["--retry", "100ms"] }));
  const proxy = await tools.use(Proxy.start(hub));
  const server = await tools.use(servePackage(`http://localhost:${proxy.port}`));
  const open = async () => {
    const tab = await tools.open(`${server.url}/client.html${query}`);
    await tab.until("it is open", () => window.source?.readyState === 1);
    return tab;
  };
  return { hub, proxy, server, open, numbers: new Numbers(hub) };
}

// Sooner or later: a tab that is closed with a word is closed some time after, and a new leader
// opens its connection when the old one's may still be open.
function subscribersAre(hub, count) {
  return until(
    `the hub has ${count} subscribers`,
    async () => (await hub.metric("tidings_subscribers")) === count,
  );
}

function gotOf(tab) {
  return tab.evaluate(() => window.got);
}

function firstOf(numbers, got) {
  return numbers.events.findIndex(({ id }) => id === got[0].id);
}

// A tab that came later has all from its first event on.
async function checkTail(tab, numbers) {
  await tab.until("an event came", () => window.got.length > 0);
  await numbers.checkAll(tab, firstOf(numbers, await gotOf(tab)));
}
