// The pages of a first tutorial on Server-Sent Events, word for word, against `tidings demo`.

import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import { Hub } from "../support/hub.mjs";
import { until } from "../support/wait.mjs";
import { browserTest, localhost, pageText, serveFolder } from "./harness.mjs";

browserTest("the plain page from another origin: the counter goes up by one", async (tools) => {
  const tab = await openOver("http", "plain.html", tools);
  const messages = await messagesUntil(tab, "#messages > div", 4);
  const texts = messages.map((text) => text.slice("Message: ".length));
  assert.ok(
    messages.every((text) => text.startsWith("Message: ")),
    messages.join("\n"),
  );
  checkCounters(texts);
  assert.deepEqual(tab.complaints, []);
});

browserTest("the advanced page from another origin: alerts are shown in red", async (tools) => {
  await advancedPage("http", tools);
});

browserTest("the advanced page as a file: alerts are shown in red", async (tools) => {
  await advancedPage("file", tools);
});

async function advancedPage(scheme, tools) {
  const tab = await openOver(scheme, "advanced.html", tools);
  await until(
    "two alerts are there",
    async () => (await tab.page.locator("#alerts > p").count()) >= 2,
  );
  const alerts = await tab.page.locator("#alerts > p").evaluateAll((elements) =>
    elements.map((element) => ({
      text: element.textContent,
      color: getComputedStyle(element).color,
    })),
  );
  for (const alert of alerts) {
    assert.equal(alert.color, "rgb(255, 0, 0)");
    assert.ok(alert.text.length > 5, alert.text);
  }
  const messages = await tab.page.locator("#messages > p").allTextContents();
  checkUsers(messages);
  const counters = checkCounters(messages);
  // Every fifth tick is an alert and no message, so these numbers are not among the counters.
  assert.deepEqual(
    counters.filter((number) => number % 5 === 0),
    [],
  );
  assert.deepEqual(tab.complaints, []);
}

async function openOver(scheme, name, tools) {
  const hub = await tools.use(Hub.start({ command: "demo" }));
  if (scheme === "http") {
    const server = await tools.use(serveFolder(localhost(hub)));
    return tools.open(`${server.url}/${name}`);
  }
  const directory = await mkdtemp(join(tmpdir(), "tidings-page-"));
  await tools.use({ stop: () => rm(directory, { recursive: true }) });
  const path = join(directory, name);
  await writeFile(path, await pageText(name, localhost(hub)));
  return tools.open(pathToFileURL(path).href);
}

// The texts of the messages, once so many counters are among them.
async function messagesUntil(tab, selector, counters) {
  return until(`${counters} counters are there`, async () => {
    const texts = await tab.page.locator(selector).allTextContents();
    return texts.filter((text) => /Counter: \d/.test(text)).length >= counters && texts;
  });
}

// A number goes up by one from tick to tick; only where an alert took the fifth's place, by two.
function checkCounters(texts) {
  const numbers = texts
    .filter((text) => text.startsWith("Counter:"))
    .map((text) => Number(/^Counter: (\d+)$/.exec(text)[1]));
  for (const [at, number] of numbers.entries()) {
    if (at === 0) continue;
    const step = number % 5 === 1 ? 2 : 1;
    assert.equal(number - numbers[at - 1], step, `after ${numbers[at - 1]} came ${number}`);
  }
  return numbers;
}

function checkUsers(texts) {
  const users = texts.filter((text) => text.startsWith("{")).map((text) => JSON.parse(text));
  assert.ok(users.length >= 2, `counts of users: ${users.length}`);
  for (const count of users) {
    assert.deepEqual(Object.keys(count), ["users", "timestamp"]);
    assert.ok(Number.isInteger(count.users) && count.users >= 0, `${count.users} users`);
    assert.equal(new Date(count.timestamp).toISOString(), count.timestamp);
  }
}
