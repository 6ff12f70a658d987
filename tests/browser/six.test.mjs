// A browser opens six connections per host over HTTP/1.1, and an open stream takes one for good.
// Pages beyond that say so, instead of waiting in silence.

import assert from "node:assert/strict";

import { Hub } from "../support/hub.mjs";
import { browserTest, localhost } from "./harness.mjs";

const CONNECTIONS_MAX = 6;

browserTest("six tabs of the demo warn, the seventh says why it waits", async (tools) => {
  const hub = await tools.use(Hub.start({ command: "demo" }));
  const tabs = [];
  for (let tab = 1; tab <= CONNECTIONS_MAX; tab += 1) {
    tabs.push(await tools.open(localhost(hub)));
    await tabs.at(-1).page.locator("#state[data-state=live]").waitFor();
  }
  for (const { page } of tabs) {
    await page
      .locator("#tabs", { hasText: `${CONNECTIONS_MAX} tabs of this page are open` })
      .waitFor();
  }
  // What these six ask for besides their streams has no connection left.
  await tabs[0].page.click("#form [type=submit]");
  await tabs[0].page.locator("#answer[data-outcome=bad]", { hasText: "too many tabs" }).waitFor();

  const seventh = await openFromCache(tools, hub, "/");
  await seventh.page.locator("#notice", { hasText: "six connections" }).waitFor();
  assert.notEqual(await seventh.page.locator("#state").getAttribute("data-state"), "live");

  await tabs[5].page.close();
  await seventh.page.locator("#state[data-state=live]").waitFor();
  await seventh.page.locator("#notice").waitFor({ state: "hidden" });
  assert.deepEqual(
    [...tabs, seventh].flatMap((tab) => tab.faults),
    [],
  );
});

browserTest("the seventh tab with the page of a topic says what is the matter", async (tools) => {
  const hub = await tools.use(Hub.start());
  const tabs = [];
  for (let tab = 1; tab <= CONNECTIONS_MAX; tab += 1) {
    tabs.push(await tools.open(`${localhost(hub)}/topics/numbers`));
    await tabs.at(-1).page.locator("#state[data-state=live]").waitFor();
  }
  const seventh = await openFromCache(tools, hub, "/topics/numbers");
  await seventh.page.locator("#notice", { hasText: "six connections" }).waitFor();

  await tabs[0].page.close();
  await seventh.page.locator("#state[data-state=live]").waitFor();
  await seventh.page.locator("#notice").waitFor({ state: "hidden" });
  assert.deepEqual(seventh.faults, []);
});

// The seventh tab can't even load its page, unless the browser has it: from a cache, or because
// tabs were opened together. So its files come without a connection; what it asks for does not.
async function openFromCache(tools, hub, path) {
  const tab = await tools.open();
  const isFile = (url) => url.pathname === path || /\.(css|js|svg)$/.test(url.pathname);
  await tab.page.route(isFile, async (route) => {
    if (route.request().resourceType() === "fetch") return route.fallback();
    const { status, headers, body } = await load(hub.url + new URL(route.request().url()).pathname);
    await route.fulfill({ status, headers, body });
  });
  await tab.page.goto(localhost(hub) + path);
  return tab;
}

async function load(url) {
  const response = await fetch(url, { headers: { Accept: "text/html, */*;q=0.8" } });
  const headers = Object.fromEntries(response.headers);
  return { status: response.status, headers, body: Buffer.from(await response.arrayBuffer()) };
}
