// The example in examples/react, built and served as its README says, with a real hub.

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";

import { Hub } from "../support/hub.mjs";
import { until } from "../support/wait.mjs";
import { browserTest } from "./harness.mjs";

const EXAMPLE = new URL("../../examples/react/", import.meta.url);

browserTest("the React example: notifications, dashboard and task in two tabs", async (tools) => {
  const hub = await tools.use(Hub.start({ flags: ["--retry", "100ms"] }));
  const url = await preview(tools, hub);
  const tabs = [await tools.open(url), await tools.open(url)];
  for (const { page } of tabs) await page.locator("#status[data-status=open]").waitFor();
  // Six hooks under StrictMode, in two tabs.
  await until("one stream is open", async () => (await hub.metric("tidings_subscribers")) === 1);

  await tabs[0].page.fill("[name=text]", "lunch");
  await tabs[0].page.click("form button");
  for (const { page } of tabs) {
    await page.locator("#notifications li", { hasText: "lunch" }).waitFor();
    assert.equal(await page.locator("#notifications li").count(), 1);
  }

  const changes = 500;
  await publishMany(hub, changes);
  for (const { page } of tabs) {
    await page.locator(`#numbers dd[data-changes="${changes}"]`).waitFor();
    assert.equal(await page.locator("#numbers dd").innerText(), `${changes - 1}`);
  }

  await tabs[1].page.click("#run");
  for (const { page } of tabs) await page.locator("#percent", { hasText: "100 %" }).waitFor();
  assert.deepEqual(
    tabs.flatMap((tab) => tab.complaints),
    [],
  );
});

async function preview(tools, hub) {
  const { preview } = await import(new URL("node_modules/vite/dist/node/index.js", EXAMPLE));
  process.env.HUB = hub.url;
  const server = await preview({
    root: fileURLToPath(EXAMPLE),
    logLevel: "silent",
    preview: { port: 0, host: "localhost" },
  });
  await tools.use({ close: () => server.close() });
  return server.resolvedUrls.local[0];
}

async function publishMany(hub, count) {
  const events = Array.from({ length: count }, (_, value) => ({
    topic: "numbers",
    event: "number",
    data: { name: "visitors", value },
  }));
  const response = await fetch(`${hub.url}/events`, {
    method: "POST",
    body: JSON.stringify(events),
  });
  assert.equal(response.status, 200);
}
