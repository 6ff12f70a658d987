// The page of a topic, which a browser shows for the topic's own address.

import assert from "node:assert/strict";

import { Hub } from "../support/hub.mjs";
import { until } from "../support/wait.mjs";
import { browserTest, localhost } from "./harness.mjs";

// Each would run a script, if anything took it for HTML.
const HOSTILE = [
  `<img src=x onerror="window.executed = 'img'">`,
  `<script>window.executed = 'script'</script>`,
  `<svg onload="window.executed = 'svg'">`,
  `"><iframe srcdoc="<script>parent.executed = 'iframe'</script>">`,
  `javascript:window.executed='url'`,
];

browserTest("a topic's address shows its history and what comes", async (tools) => {
  const hub = await tools.use(Hub.start());
  const before = await hub.publish("news/today", "before", { event: "colour" });
  const tab = await tools.open(`${localhost(hub)}/topics/news/today`);
  await tab.page.locator("#state[data-state=live]").waitFor();
  const live = await hub.publish("news/today", "two\nlines");
  await hub.publish("news/yesterday", "not for this page");
  const last = await hub.publish("news/today", "");
  await until("all are there", async () => (await rows(tab)).length >= 3);
  assert.deepEqual(await rows(tab), [
    { id: last, type: "message", data: "" },
    { id: live, type: "message", data: "two\nlines" },
    { id: before, type: "colour", data: "before" },
  ]);
  assert.equal(await tab.text("#count"), "3 events");
  assert.equal(await tab.text("#topic"), "news/today");
  assert.deepEqual(tab.complaints, []);
});

browserTest("published HTML is text to the page of a topic, its name too", async (tools) => {
  const hub = await tools.use(Hub.start());
  const topic = `<img src=x onerror="window.executed = 'topic'">`;
  await hub.publish(topic, HOSTILE[0], { event: HOSTILE[1] });
  const tab = await tools.open(`${localhost(hub)}/topics/${encodeURIComponent(topic)}`);
  await tab.page.locator("#state[data-state=live]").waitFor();
  for (const text of HOSTILE) {
    const id = await hub.publish(topic, text, { event: text, id: `${text} ${text.length}` });
    await tab.page.locator("#events .id", { hasText: id }).waitFor();
  }
  assert.deepEqual((await rows(tab)).map(({ data }) => data).reverse(), [HOSTILE[0], ...HOSTILE]);
  assert.equal(await tab.text("#topic"), topic);
  assert.equal(await tab.page.locator("main :is(img, script, svg, iframe)").count(), 0);
  assert.equal(await tab.evaluate(() => window.executed), undefined);
  // The policy kept nothing from running, because nothing tried to.
  assert.deepEqual(tab.complaints, []);
});

browserTest("the page of a topic outlives its hub", async (tools) => {
  const hub = await tools.use(Hub.start({ log: "disk", flags: ["--retry", "100ms"] }));
  await hub.publish("t", "one");
  const tab = await tools.open(`${localhost(hub)}/topics/t`);
  await tab.page.locator("#state[data-state=live]").waitFor();
  await hub.kill();
  await tab.page.locator("#state[data-state=connecting]").waitFor();
  await hub.restart();
  await hub.publish("t", "two");
  await until("both are there", async () => (await rows(tab)).length >= 2);
  await tab.page.locator("#state[data-state=live]").waitFor();
  assert.deepEqual(
    (await rows(tab)).map(({ data }) => data),
    ["two", "one"],
  );
  assert.deepEqual(tab.faults, []);
});

browserTest("what can't be a topic gets a page with the reason or none at all", async (tools) => {
  const hub = await tools.use(Hub.start());
  const tab = await tools.open();
  const response = await tab.page.goto(`${localhost(hub)}/topics/a%00b`);
  assert.equal(response.status(), 400);
  assert.match(await tab.text("body"), /control characters/);
});

// What the page shows, newest first.
function rows(tab) {
  return tab.page
    .locator("#events > li:not(.empty)")
    .evaluateAll((elements) =>
      elements.map((row) =>
        Object.fromEntries(
          ["id", "type", "data"].map((name) => [name, row.querySelector(`.${name}`).textContent]),
        ),
      ),
    );
}
