// The contract-test service does what its protocol asks for.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { ending, Scripted, stream } from "./support/server.js";

const SERVICE = fileURLToPath(new URL("contract/service.mjs", import.meta.url));

test("a stream is opened, told of, restarted and closed", async () => {
  const service = await start();
  const told = await Scripted.start(({ response }) => response.end());
  const source = await Scripted.start(
    stream("id: 1\nevent: put\ndata: a\n\n"),
    ending("data: b\n\n"),
    stream("data: c\n\n"),
  );
  expect(await (await fetch(service)).json()).toMatchObject({
    capabilities: expect.arrayContaining(["headers", "last-event-id", "post", "restart"]),
  });
  const created = await fetch(service, {
    method: "POST",
    body: JSON.stringify({
      streamUrl: source.url,
      callbackUrl: told.origin,
      initialDelayMs: 1,
      lastEventId: "0",
      headers: { "x-a": "1" },
      method: "REPORT",
      body: "question",
    }),
  });
  expect(created.status).toBe(201);
  const path = new URL(created.headers.get("Location") as string, service);
  const { method, headers, body } = await source.request(1);
  expect([method, headers["x-a"], headers["last-event-id"], body]).toEqual([
    "REPORT",
    "1",
    "0",
    "question",
  ]);
  await told.request(1);
  const restarted = await fetch(path, { method: "POST", body: '{"command":"restart"}' });
  expect(restarted.status).toBe(202);
  await told.request(4);
  expect(told.requests.map(({ body }) => JSON.parse(body))).toEqual([
    { kind: "event", event: { type: "put", data: "a", id: "1" } },
    { kind: "event", event: { type: "message", data: "b", id: "1" } },
    { kind: "error", comment: "The stream ended." },
    { kind: "event", event: { type: "message", data: "c", id: "1" } },
  ]);
  expect((await fetch(path, { method: "POST", body: '{"command":"?"}' })).status).toBe(400);
  expect((await fetch(path, { method: "DELETE" })).status).toBe(204);
  await source.requests[2]?.gone;
  expect((await fetch(path, { method: "DELETE" })).status).toBe(404);
  expect((await fetch(service, { method: "POST", body: "{" })).status).toBe(400);
});

async function start(): Promise<string> {
  const child: ChildProcess = spawn(process.execPath, [SERVICE, "0"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exit = once(child, "exit");
  const lines = createInterface(child.stdout as NodeJS.ReadableStream);
  const [line] = (await once(lines, "line")) as [string];
  const url = line.replace("listening on ", "");
  onTestFinished(async () => {
    await fetch(url, { method: "DELETE" });
    await exit;
  });
  return url;
}
