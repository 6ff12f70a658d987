// The contract-test service does what its protocol asks for, and the client what the suite does.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Answer, ending, Scripted, stream } from "./support/server.js";

const SERVICE = fileURLToPath(new URL("contract/service.mjs", import.meta.url));

interface Case {
  name: string;
  order?: object;
  answers: { status?: number; headers?: Record<string, string>; body?: string; ends?: boolean }[];
  restartAfter?: number;
  requests: { method: string; body: string; headers: Record<string, string | null> }[];
  messages: ("error" | { type: string; data: string; id: string })[];
}

/** Where the service is: one for all tests. */
let service: string;
let exit: Promise<unknown>;

beforeAll(async () => {
  const child: ChildProcess = spawn(process.execPath, [SERVICE, "0"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  exit = once(child, "exit");
  const lines = createInterface(child.stdout as NodeJS.ReadableStream);
  const [line] = (await once(lines, "line")) as [string];
  service = line.replace("listening on ", "");
}, 30_000);

afterAll(async () => {
  await fetch(service, { method: "DELETE" });
  await exit;
});

const CASES = new URL("../../../testdata/contract/cases.json", import.meta.url);

test.each(JSON.parse(readFileSync(CASES, "utf8")) as Case[])("$name", async (wanted) => {
  const told = await Scripted.start(({ response }) => response.end());
  const source = await Scripted.start(...wanted.answers.map(answer));
  const urls = { streamUrl: source.url, callbackUrl: told.origin, initialDelayMs: 1 };
  const body = JSON.stringify({ ...urls, ...wanted.order });
  const created = await fetch(service, { method: "POST", body });
  expect(created.status).toBe(201);
  const path = new URL(created.headers.get("Location") as string, service);
  for (const at of wanted.messages.keys()) {
    if (at === wanted.restartAfter) {
      await fetch(path, { method: "POST", body: '{"command":"restart"}' });
    }
    await told.request(at + 1);
  }
  const messages = told.requests
    .map(({ body }) => JSON.parse(body))
    .map(({ kind, event }) => (kind === "event" ? event : kind));
  await fetch(path, { method: "DELETE" });
  // A server that never says anything else makes for more errors.
  expect(messages.slice(0, wanted.messages.length)).toEqual(wanted.messages);
  for (const [at, { method, headers, body }] of wanted.requests.entries()) {
    const request = await source.request(at + 1);
    expect([request.method, request.body]).toEqual([method, body]);
    for (const [name, value] of Object.entries(headers)) {
      expect([name, request.headers[name] ?? null]).toEqual([name, value]);
    }
  }
});

function answer({ status, headers, body = "", ends }: Case["answers"][number]): Answer {
  if (status) return ({ response }) => response.writeHead(status, headers).end(body);
  return ends ? ending(body, headers) : stream(body, headers);
}

test("a stream is opened, told of, restarted and closed", async () => {
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
