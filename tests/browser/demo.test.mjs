// The page of `tidings demo`, used as a person uses it.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { promisify } from "node:util";

import { Hub } from "../support/hub.mjs";
import { until } from "../support/wait.mjs";
import { browserTest, localhost } from "./harness.mjs";

const run = promisify(execFile);

browserTest("the demo's page shows what comes", async (tools) => {
  const { tab } = await openDemo(tools);
  assert.equal(await tab.text("#state"), "Live");
  await until("three numbers of users are in the chart", async () => {
    const path = (await tab.page.locator("#chart-line").getAttribute("d")) ?? "";
    return path.split("L").length >= 3;
  });
  assert.match(await tab.text("#counter"), /^Counter: \d+$/);
  assert.ok((await tab.number("#users")) >= 0);
  assert.match(
    await tab.page.locator("#chart").getAttribute("aria-label"),
    /^Users online: \d+ now/,
  );
  await tab.page.locator("#alert").waitFor({ state: "visible" });
  assert.match(await tab.text("#alert"), /\(level \d+\)$/);
  assert.equal((await tab.page.locator("#tape > .live").count()) > 0, true);
  assert.equal((await tab.page.locator("#events > li").count()) > 4, true);
  await checkWhole(tab);
  assert.deepEqual(tab.complaints, []);
});

browserTest("publishing from the demo's page: an id, and a toast on every page", async (tools) => {
  const { hub, tab } = await openDemo(tools);
  const other = await tools.open(localhost(hub));
  await tab.page.locator("#state[data-state=live]").waitFor();
  await other.page.locator("#state[data-state=live]").waitFor();

  await tab.page.fill("#data", "The kettle has boiled");
  await tab.page.click("#form [type=submit]");
  await tab.page.locator("#answer[data-outcome=good]").waitFor();
  const [, id] = /^Kept as (\S+)$/.exec(await tab.text("#answer"));
  for (const { page } of [tab, other]) {
    await page.locator("#toasts .text", { hasText: "The kettle has boiled" }).waitFor();
    await page.locator("#notifications", { hasText: "The kettle has boiled" }).waitFor();
  }
  const [kept] = await hub.history("demo/notifications");
  assert.deepEqual([kept.id, kept.data], [id, "The kettle has boiled"]);

  await tab.page.click("#notify");
  await other.page.locator("#toasts strong", { hasText: "Hello, everybody" }).waitFor();

  // A type that nobody listened to before, and what the hub refuses, with its reason.
  await tab.page.fill("#type", "colour");
  await tab.page.fill("#data", "green");
  await tab.page.click("#form [type=submit]");
  await tab.page.locator('#events .type[data-type="colour"]').waitFor();
  await tab.page.fill("#type", "tidings.reset");
  await tab.page.click("#form [type=submit]");
  await tab.page.locator("#answer[data-outcome=bad]", { hasText: "the hub's own" }).waitFor();
  await checkWhole(tab);
  // That the browser reports the refused request as an error is its own business.
  assert.deepEqual(
    tab.complaints.filter((text) => !/status of 400/.test(text)),
    [],
  );
});

browserTest("published HTML is text, and the line for the shell is right", async (tools) => {
  const { hub, tab } = await openDemo(tools);
  for (const data of [
    "Tea's ready",
    `It's "$HOME" and \`id\` \\ $(id) !! <b>%41</b> é 🦀`,
    "@/etc/hostname",
    "-x two\nlines",
    `<img src="/nowhere" onerror="window.executed = true">`,
  ]) {
    await tab.page.fill("#data", data);
    const { stdout } = await run("sh", [
      "-c",
      await tab.page.locator("#publish-line").textContent(),
    ]);
    const { id } = JSON.parse(stdout);
    const events = await hub.history("demo/notifications");
    assert.deepEqual({ id: events.at(-1).id, data: events.at(-1).data }, { id, data });
    await tab.page.locator(`#events .id[title="${id}"]`).waitFor();
    const shown = tab.page.locator("#events > li", {
      has: tab.page.locator(`.id[title="${id}"]`),
    });
    assert.equal(await shown.locator(".data").textContent(), data);
  }
  assert.equal(await tab.evaluate(() => window.executed), undefined);
  assert.equal(await tab.page.locator("#events img, #toasts img, #notifications img").count(), 0);

  const topic = "quotes'/and %41 spaces/é";
  await tab.page.fill("#topic", topic);
  await tab.page.fill("#type", "it's");
  await tab.page.fill("#data", "hi");
  await run("sh", ["-c", await tab.page.locator("#publish-line").textContent()]);
  const [kept] = await hub.history(topic);
  assert.deepEqual([kept.topics, kept.event, kept.data], [[topic], "it's", "hi"]);
  await checkWhole(tab);
  assert.deepEqual(tab.complaints, []);
});

browserTest("a cut connection: the page comes back without gap or repeat", async (tools) => {
  const { tab } = await openDemo(tools);
  for (const reconnects of [1, 2]) {
    await tab.page.click("#cut");
    await tab.page.locator("#cut-outcome[data-outcome=good]", { hasText: "Back after" }).waitFor();
    assert.match(await tab.text("#cut-outcome"), /none missed/);
    assert.equal(await tab.number("#reconnects"), reconnects);
    const before = await tab.number("#received");
    await until("more events came", async () => (await tab.number("#received")) > before + 1);
  }
  assert.equal(await tab.text("#state"), "Live");
  assert.equal(await tab.page.locator("#tape > .cut").count(), 2);
  await checkWhole(tab);
  assert.deepEqual(tab.faults, []);
});

browserTest("three nodes: each is cut in turn, and the page misses nothing", async (tools) => {
  const { hub, tab } = await openDemo(tools, { log: null, flags: ["--nodes", "3"] });
  const nodes = tab.page.locator("#nodes > li");
  await nodes.nth(2).waitFor();
  assert.equal(await nodes.count(), 3);
  assert.match(await tab.text("#proof-title"), /^Cut the node\./);
  const seen = new Set();
  for (const reconnects of [1, 2, 3]) {
    const mine = tab.page.locator("#nodes > .yours");
    await mine.waitFor();
    const name = await mine.getAttribute("data-node");
    const process = await processOf(hub, name);
    await tab.page.click("#cut");
    await tab.page.locator("#cut-outcome[data-outcome=good]", { hasText: "Back on" }).waitFor();
    assert.match(await tab.text("#cut-outcome"), /none missed/);
    assert.equal(await tab.number("#reconnects"), reconnects);
    await until("it is back as another process", async () => {
      return ![null, process].includes(await processOf(hub, name));
    });
    await tab.page.locator(`#nodes > :not(.away)[data-node=${name}]`).waitFor();
    seen.add(await mine.getAttribute("data-node"));
    const before = await tab.number("#received");
    await until("more events came", async () => (await tab.number("#received")) > before + 1);
  }
  assert.ok(seen.size > 1, `the front hands streams round: ${[...seen]}`);

  // What is published by any node comes to this page, on whatever node it is.
  for (const text of ["first", "second", "third"]) {
    await tab.page.fill("#data", text);
    await tab.page.click("#form [type=submit]");
    await tab.page.locator("#notifications .text", { hasText: text }).waitFor();
  }
  await tab.page.click("#start");
  await percentAtLeast(tab, 5);
  await checkWhole(tab);
  assert.deepEqual(tab.faults, []);
});

async function processOf(hub, name) {
  const { nodes } = await (await fetch(`${hub.url}/demo/nodes`)).json();
  return nodes.find((node) => node.name === name).process;
}

browserTest("a reload during the long task shows its true progress at once", async (tools) => {
  const { tab } = await openDemo(tools);
  await tab.page.addInitScript(recordProgress);
  await tab.page.click("#start");
  await percentAtLeast(tab, 15);
  const before = await tab.number("#percent");
  await tab.page.reload();
  await percentAtLeast(tab, before);
  const shown = await tab.evaluate(() => window.shownPercents);
  assert.ok(
    shown.every((percent) => percent >= before),
    `after ${before} %: ${shown}`,
  );
  assert.equal(await tab.page.locator("#start").isDisabled(), true);
  await percentAtLeast(tab, 100);
  assert.equal(await tab.text("#step"), "Finished");
  assert.equal(await tab.page.locator("#start").isEnabled(), true);
  // Whoever comes after the end sees that as well.
  await tab.page.reload();
  await percentAtLeast(tab, 100);
  assert.deepEqual(tab.faults, []);
});

// Runs in the page, before its own script: notes every percentage that it shows.
function recordProgress() {
  window.shownPercents = [];
  document.addEventListener("DOMContentLoaded", () => {
    const note = () => window.shownPercents.push(parseInt(percent.textContent));
    const percent = document.getElementById("percent");
    new MutationObserver(note).observe(percent, {
      childList: true,
      characterData: true,
      subtree: true,
    });
  });
}

async function percentAtLeast(tab, percent) {
  await until(`the task is at ${percent} %`, async () => {
    const text = await tab.text("#percent");
    return text !== "" && parseInt(text) >= percent;
  });
}

async function openDemo(tools, options = {}) {
  const hub = await tools.use(Hub.start({ command: "demo", ...options }));
  const tab = await tools.open(localhost(hub));
  await tab.page.locator("#state[data-state=live]").waitFor();
  return { hub, tab };
}

async function checkWhole(tab) {
  assert.ok((await tab.number("#received")) > 0);
  assert.deepEqual([await tab.text("#gaps"), await tab.text("#repeats")], ["0", "0"]);
}
