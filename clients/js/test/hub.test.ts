// What a hub offers beyond a stream, against a server that follows a script. Against a real hub:
// tests/browser.

import { expect, test, vi } from "vitest";
import { createHub } from "../src/index.js";
import { Record } from "./support/record.js";
import { type Answer, Scripted, status, stream } from "./support/server.js";

const SOON = { retry: 1, maxDelay: 1 };

test("publish: topic, fields and data", async () => {
  const server = await Scripted.start(json(200, { id: "k-1" }));
  const hub = createHub(`${server.origin}/`, { token: "t" });
  const id = await hub.publish(
    "orders/4 2/ü",
    { total: 12 },
    { event: "updated", id: "mine", retry: 5, private: true },
  );
  expect(id).toBe("k-1");
  const { method, path, headers, body } = await server.request(1);
  expect([method, path, body]).toEqual([
    "POST",
    "/topics/orders/4%202/%C3%BC?event=updated&id=mine&retry=5&private=true",
    '{"total":12}',
  ]);
  expect(headers.authorization).toBe("Bearer t");
  await hub.publish("a", "plain text");
  expect(server.requests[1]?.body).toBe("plain text");
});

test("publish sends again what fails on the way, under the same key", async () => {
  vi.spyOn(Math, "random").mockReturnValue(0.001);
  const server = await Scripted.start(
    ({ response }) => response.destroy(),
    json(503, {}),
    json(429, {}),
    json(200, { id: "k-1" }),
  );
  await createHub(server.origin).publish("a", "x");
  vi.restoreAllMocks();
  const keys = server.requests.map(({ headers }) => headers["idempotency-key"]);
  expect(keys).toHaveLength(4);
  expect(new Set(keys).size).toBe(1);
});

test("a refusal is told in the hub's words", async () => {
  const server = await Scripted.start(
    json(413, { detail: "data has over 1 MiB", limit: "data_bytes_max" }),
  );
  await expect(createHub(server.origin).publish("a", "x")).rejects.toMatchObject({
    message: "data has over 1 MiB",
    status: 413,
    limit: "data_bytes_max",
  });
  expect(server.requests).toHaveLength(1);
});

test("a publish that is aborted is not sent again", async () => {
  const server = await Scripted.start(() => {});
  const life = new AbortController();
  const published = createHub(server.origin).publish("a", "x", { signal: life.signal });
  await server.request(1);
  life.abort();
  await expect(published).rejects.toThrow(/abort/i);
});

test("many at once", async () => {
  const server = await Scripted.start(json(200, { ids: ["1", "2"] }));
  const events = [{ topic: "a", data: 1 }, { topics: ["a", "b"], data: "x", event: "y" }];
  expect(await createHub(server.origin).publishMany(events)).toEqual(["1", "2"]);
  expect([server.requests[0]?.path, JSON.parse(server.requests[0]?.body ?? "")]).toEqual([
    "/events",
    events,
  ]);
});

test("subscribe: one topic, several, and where to begin", async () => {
  const server = await Scripted.start(stream());
  const hub = createHub(server.origin);
  for (const source of [
    hub.subscribe("orders/{id}"),
    hub.subscribe(["a"], { last: 5 }),
    hub.subscribe(["a", "b/*"], { since: "10m" }),
  ]) {
    const count = server.requests.length + 1;
    new Record(source);
    await server.request(count);
  }
  expect(server.requests.map(({ path }) => path).sort()).toEqual([
    "/events?since=10m&topic=a&topic=b%2F*",
    "/topics/a?last=5",
    "/topics/orders/%7Bid%7D",
  ]);
});

test("a token that is refused is asked for anew, once", async () => {
  const server = await Scripted.start(status(401), stream("data: a\n\n"));
  const token = vi.fn((refused: boolean) => (refused ? "new" : "old"));
  const record = new Record(createHub(server.origin, { token }).subscribe("a"));
  await record.until("message");
  expect(server.requests.map(({ headers }) => headers.authorization)).toEqual([
    "Bearer old",
    "Bearer new",
  ]);
  const closed = await Scripted.start(status(401));
  const refused = new Record(createHub(closed.origin, { token }).subscribe("a"));
  await refused.until("error 2");
  expect(closed.requests).toHaveLength(2);
});

test("a ticket for every attempt", async () => {
  let tickets = 0;
  const server = await Scripted.start(({ path, response }) => {
    if (path === "/tickets") {
      response.end(JSON.stringify({ ticket: `t${(tickets += 1)}`, expires: "…" }));
    } else response.writeHead(200, { "Content-Type": "text/event-stream" }).end("data: a\n\n");
  });
  const hub = createHub(server.origin, { token: "secret" });
  const source = hub.subscribe("a", { ...SOON, ticket: true });
  const record = new Record(source);
  await record.until("message", 2);
  source.close();
  const [first, second, third] = server.requests;
  expect([first?.method, first?.path, first?.headers.authorization]).toEqual([
    "POST",
    "/tickets",
    "Bearer secret",
  ]);
  expect([second?.path, second?.headers.authorization]).toEqual(["/topics/a?ticket=t1", undefined]);
  expect(third?.path).toBe("/tickets");
  // The ticket is no part of what a page or a log sees of the source.
  expect(source.url).not.toContain("ticket");
  expect(await hub.ticket()).toMatch(/^t\d+$/);
});

test("a token that is none the newer is no reason to come back at once", async () => {
  const renew = 'id: k-1\nevent: tidings.renew\ndata: {"expires_in":60}\n\n';
  const server = await Scripted.start(stream(renew));
  const timers = vi.spyOn(globalThis, "setTimeout");
  const hub = createHub(server.origin, { token: () => "the same" });
  const record = new Record(hub.subscribe("a"), "tidings.renew");
  await record.until("tidings.renew");
  const delays = timers.mock.calls.map(([, delay]) => delay as number);
  timers.mockRestore();
  expect(delays.filter((delay) => delay > 0 && delay <= 30_500)).not.toEqual([]);
  expect(server.requests).toHaveLength(1);
});

test("tidings.reset and tidings.renew are told", async () => {
  vi.spyOn(Math, "random").mockReturnValue(0.0001);
  const server = await Scripted.start(
    stream(
      'id: k-41\nevent: tidings.reset\ndata: {"from":"k-3","oldest":"k-42","missed":38}\n\n' +
        'id: k-41\nevent: tidings.renew\ndata: {"expires_in":60}\n\n',
    ),
    stream("id: k-42\ndata: a\n\n"),
  );
  const onReset = vi.fn();
  const onRenew = vi.fn();
  const hub = createHub(server.origin, { token: () => "t" });
  const record = new Record(hub.subscribe("a", { onReset, onRenew, parse: JSON.parse }));
  await server.request(2);
  vi.restoreAllMocks();
  expect(onReset.mock.calls).toEqual([[{ from: "k-3", oldest: "k-42", missed: 38 }]]);
  expect(onRenew.mock.calls).toEqual([[{ expires_in: 60 }]]);
  // It comes back with a new token at once, where it was.
  expect(server.requests[1]?.headers["last-event-id"]).toBe("k-41");
  expect(record.steps).not.toContain("error 0");
});

function json(code: number, body: object): Answer {
  return ({ response }) =>
    response.writeHead(code, { "Content-Type": "application/json" }).end(JSON.stringify(body));
}
