// What a page of another origin may do with a hub: read, without credentials, and nothing else.

import assert from "node:assert/strict";

import { Hub } from "../support/hub.mjs";
import { browserTest, localhost, serveFolder } from "./harness.mjs";

browserTest("a page of another origin may read: stream, history and problems", async (tools) => {
  const { hub, tab } = await elsewhere(tools);
  const id = await hub.publish("t", "hello");
  const url = `${localhost(hub)}/topics/t`;

  const history = await tab.evaluate(async (url) => {
    const response = await fetch(`${url}?last=1`, { headers: { Accept: "application/json" } });
    return { resume: response.headers.get("Tidings-Resume"), page: await response.json() };
  }, url);
  assert.equal(history.resume, "resumed");
  assert.deepEqual(
    history.page.events.map(({ id, data }) => [id, data]),
    [[id, "hello"]],
  );

  const problem = await tab.evaluate(async (url) => {
    const response = await fetch(`${url}?last=many`, { headers: { Accept: "application/json" } });
    return [response.status, (await response.json()).detail];
  }, url);
  assert.equal(problem[0], 400);
  assert.match(problem[1], /last is a number/i);

  // A client made of fetch sends the cursor in a header, which a browser asks about first.
  const stream = await tab.evaluate(async (url) => {
    const headers = {
      "Last-Event-ID": "unknown",
      "Cache-Control": "no-cache",
      Authorization: "Bearer x",
    };
    const response = await fetch(url, { headers: { Accept: "text/event-stream", ...headers } });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    while (!text.includes("hello\n\n")) text += (await reader.read()).value;
    await reader.cancel();
    return { resume: response.headers.get("Tidings-Resume"), text };
  }, url);
  assert.equal(stream.resume, "reset");
  assert.match(stream.text, new RegExp(`id: ${id}\ndata: hello\n\n$`));
  assert.deepEqual(
    tab.complaints.filter((text) => !/status of 400/.test(text)),
    [],
  );
});

browserTest("a page of another origin can't publish, whatever it sends", async (tools) => {
  const { hub, tab } = await elsewhere(tools);
  const json = { "Content-Type": "application/json" };
  for (const [path, options] of [
    ["/topics/t", { body: "forged" }],
    ["/topics/t", { body: "forged", mode: "no-cors" }],
    ["/topics/t", { body: "forged", credentials: "include" }],
    ["/topics/t", { body: "{}", headers: json }],
    ["/topics/t", { body: "forged", headers: { "Tidings-Event": "x" } }],
    ["/topics/t?event=x", { body: "forged", mode: "no-cors", keepalive: true }],
    ["/events", { body: '{"topic":"t","data":"forged"}', mode: "no-cors" }],
    ["/events", { body: '[{"topic":"t","data":"forged"}]', headers: json }],
    [
      "/events",
      {
        body: '{"topic":"t","data":"forged"}\n',
        headers: { "Content-Type": "application/x-ndjson" },
      },
    ],
  ]) {
    const outcome = await tab.evaluate(tryToPublish, { url: localhost(hub) + path, options });
    assert.ok(
      ["403", "opaque", "refused"].includes(outcome),
      `${path} ${JSON.stringify(options)}: ${outcome}`,
    );
  }
  await submitForm(tab, `${localhost(hub)}/topics/t`);
  await tab.evaluate((url) => navigator.sendBeacon(url, "forged"), `${localhost(hub)}/topics/t`);
  // When this one is there, all before it have been answered.
  await tab.evaluate((url) => fetch(`${url}/healthz`, { mode: "no-cors" }), localhost(hub));
  await tools.context.close();
  assert.deepEqual(await hub.history("t"), []);
  assert.equal(await hub.metric("tidings_events_published_total"), 0);
});

browserTest("credentials are not granted to a page of another origin", async (tools) => {
  const { hub, tab } = await elsewhere(tools);
  const url = `${localhost(hub)}/topics/t`;
  const outcome = await tab.evaluate(async (url) => {
    const options = { credentials: "include", headers: { Accept: "application/json" } };
    const fetched = await fetch(url, options).then(
      () => "read",
      () => "refused",
    );
    const source = new EventSource(url, { withCredentials: true });
    const streamed = await new Promise((done) => {
      source.onopen = () => done("read");
      source.onerror = () => done(source.readyState === EventSource.CLOSED ? "refused" : "again");
    });
    return [fetched, streamed];
  }, url);
  assert.deepEqual(outcome, ["refused", "refused"]);
});

browserTest("a page of the hub's own origin may publish", async (tools) => {
  const { hub, tab } = await elsewhere(tools);
  await tab.page.goto(`${localhost(hub)}/topics/t`);
  const outcome = await tab.evaluate(tryToPublish, {
    url: `${localhost(hub)}/topics/t`,
    options: { body: "mine", headers: { "Tidings-Event": "x" } },
  });
  assert.equal(outcome, "200");
  assert.deepEqual(
    (await hub.history("t")).map(({ data }) => data),
    ["mine"],
  );
});

async function elsewhere(tools) {
  const hub = await tools.use(Hub.start());
  const server = await tools.use(serveFolder(localhost(hub)));
  return { hub, tab: await tools.open(`${server.url}/empty.html`) };
}

// Runs in the page.
async function tryToPublish({ url, options }) {
  try {
    const response = await fetch(url, { method: "POST", ...options });
    return response.type === "opaque" ? "opaque" : `${response.status}`;
  } catch {
    return "refused";
  }
}

// What a page could always do: send a form, as plain text that can be any text.
async function submitForm(tab, action) {
  const [response] = await Promise.all([
    tab.page.context().waitForEvent("response", (response) => response.url() === action),
    tab.evaluate((action) => {
      const form = document.createElement("form");
      Object.assign(form, { action, method: "post", enctype: "text/plain", target: "frame" });
      const frame = Object.assign(document.createElement("iframe"), { name: "frame" });
      form.append(Object.assign(document.createElement("input"), { name: "forged", value: "1" }));
      document.body.append(frame, form);
      form.submit();
    }, action),
  ]);
  assert.equal(response.status(), 403);
}
