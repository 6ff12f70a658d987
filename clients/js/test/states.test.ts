// The state machine, C1 to C15, against a server that follows a script.

import { describe, expect, test } from "vitest";
import { createEventSource, EventSource } from "../src/index.js";
import { Record } from "./support/record.js";
import { ending, reset, Scripted, status, stream } from "./support/server.js";

/** No test waits for longer than it must. */
const SOON = { retry: 1, maxDelay: 1 };

describe("C1 states and URLs", () => {
  test("a source goes from connecting to open to closed", async () => {
    const server = await Scripted.start(stream());
    const source = new EventSource(server.url);
    expect(source.readyState).toBe(source.CONNECTING);
    const record = new Record(source);
    await record.until("open 1");
    expect(source.readyState).toBe(EventSource.OPEN);
    source.close();
    expect(source.readyState).toBe(EventSource.CLOSED);
    expect(record.steps).toEqual(["open 1"]);
    expect([source.url, source.withCredentials]).toEqual([server.url, false]);
  });

  test.each(["http://", "http://[", "/relative/without/base"])("%s is no URL", (url) => {
    expect(() => new EventSource(url)).toThrow(
      expect.objectContaining({ name: "SyntaxError", constructor: DOMException }),
    );
  });

  test("the URL is made absolute and text", async () => {
    const server = await Scripted.start(stream());
    const source = new EventSource(new URL("./a/../b?x#y", server.origin));
    expect(source.url).toBe(`${server.origin}/b?x#y`);
    source.close();
  });

  test("the constants are those of the standard", () => {
    expect([EventSource.CONNECTING, EventSource.OPEN, EventSource.CLOSED]).toEqual([0, 1, 2]);
  });
});

test("C2 the request", async () => {
  const server = await Scripted.start(stream());
  new Record(new EventSource(server.url));
  const { method, headers } = await server.request(1);
  expect(method).toBe("GET");
  expect(headers.accept).toBe("text/event-stream");
  expect(headers["cache-control"]).toBe("no-cache");
  expect(headers).not.toHaveProperty("last-event-id");
});

describe("C3 the answer's type", () => {
  test.each([
    "text/event-stream",
    "Text/Event-Stream",
    "text/event-stream;charset=utf-8",
    "text/event-stream;",
    "text/event-stream ; charset=latin1",
  ])("%s is right", async (type) => {
    const server = await Scripted.start(stream("data: ü\n\n", { "Content-Type": type }));
    const record = new Record(new EventSource(server.url));
    await record.until("message");
    expect(record.data).toEqual(["ü"]);
  });

  test.each(["text/event-streamx", "text/plain", "text/event-stream-x", "text/event"])(
    "%s ends it",
    async (type) => {
      const server = await Scripted.start(stream("data: a\n\n", { "Content-Type": type }));
      const record = new Record(createEventSource(server.url, SOON));
      await record.until("error 2");
      expect(record.steps).toEqual(["error 2"]);
      expect(record.errors[0]?.message).toContain(type);
      // A body that nobody reads is not kept open.
      await server.requests[0]?.gone;
    },
  );

  test("open is a plain event", async () => {
    const server = await Scripted.start(stream());
    const source = new EventSource(server.url);
    const event = await new Promise<Event>((resolve) => (source.onopen = resolve));
    source.close();
    expect([event.type, event.bubbles, event.cancelable]).toEqual(["open", false, false]);
    expect(event).not.toHaveProperty("data");
  });
});

describe("C4 and C7 other statuses", () => {
  test.each([201, 202, 204, 205, 210, 299, 304, 400, 404, 410, 425, 429, 500, 503])(
    "%i ends the standard's source",
    async (code) => {
      const server = await Scripted.start(status(code), stream("data: no\n\n"));
      const record = new Record(new EventSource(server.url, SOON));
      await record.until("error 2");
      expect(record.steps).toEqual(["error 2"]);
      expect(record.errors[0]?.status).toBe(code);
      expect(server.requests).toHaveLength(1);
    },
  );

  test.each([204, 205, 400, 401, 403, 404, 410, 422])("%i ends any source", async (code) => {
    const server = await Scripted.start(status(code));
    const record = new Record(createEventSource(server.url, SOON));
    await record.until("error 2");
    expect(server.requests).toHaveLength(1);
  });

  test.each([408, 425, 429, 500, 502, 503, 504])("%i passes", async (code) => {
    const server = await Scripted.start(status(code), stream("data: a\n\n"));
    const record = new Record(createEventSource(server.url, SOON));
    await record.until("message");
    expect(record.steps).toEqual(["error 0", "open 1", "message"]);
    expect(record.errors[0]?.status).toBe(code);
  });
});

describe("C5 broken connections", () => {
  test("no answer", async () => {
    const server = await Scripted.start(reset, reset, stream("data: a\n\n"));
    const record = new Record(new EventSource(server.url, SOON));
    await record.until("message");
    expect(record.steps).toEqual(["error 0", "error 0", "open 1", "message"]);
  });

  test("an end", async () => {
    const server = await Scripted.start(ending("data: a\n\n"), stream("data: b\n\n"));
    const record = new Record(new EventSource(server.url, SOON));
    await record.until("message", 2);
    expect(record.steps).toEqual(["open 1", "message", "error 0", "open 1", "message"]);
  });

  test("an end in the middle", async () => {
    const server = await Scripted.start((request, at) => {
      stream("data: a\n\ndata: b")(request, at);
      setImmediate(() => request.response.destroy());
    }, stream("data: c\n\n"));
    const record = new Record(new EventSource(server.url, SOON));
    await record.until("message", 2);
    expect(record.data).toEqual(["a", "c"]);
  });

  test.each(["ftp://a.example/", "about:blank", "mailto:a@b.example", "javascript:1"])(
    "%s is futile",
    async (url) => {
      const record = new Record(createEventSource(url, SOON));
      await record.until("error 2");
      expect(record.steps).toEqual(["error 2"]);
    },
  );
});

describe("C8 redirects", () => {
  test.each([301, 302, 303, 307, 308])("%i: reconnects go to the first URL", async (code) => {
    const target = await Scripted.start(ending("data: a\n\n"), stream("data: b\n\n"));
    const server = await Scripted.start(status(code, { Location: target.url }));
    const source = new EventSource(server.url, SOON);
    const record = new Record(source);
    await record.until("message", 2);
    expect(server.requests).toHaveLength(2);
    expect(source.url).toBe(server.url);
    expect(record.events.map(({ origin }) => origin)).toEqual([target.origin, target.origin]);
  });
});

describe("C9, C10 the last event id", () => {
  test.each(["k3f9x2ab-17", "…", "ü", "日本", "a b", "\ufffd"])("%s comes back", async (id) => {
    const server = await Scripted.start(ending(`id: ${id}\ndata: a\n\n`), stream());
    new Record(new EventSource(server.url, SOON));
    const { headers } = await server.request(2);
    expect(Buffer.from(headers["last-event-id"] as string, "latin1").toString()).toBe(id);
  });

  test("it stays over connections, and goes when it is taken back", async () => {
    const server = await Scripted.start(
      ending("id: 1\ndata: a\n\n"),
      ending("data: b\n\n"),
      ending("id: 2\n\nid: 3\ndata: cut"),
      ending("id\n\n"),
      stream(),
    );
    const record = new Record(new EventSource(server.url, SOON));
    await server.request(5);
    expect(server.requests.map(({ headers }) => headers["last-event-id"])).toEqual([
      undefined,
      "1",
      "1",
      "2",
      undefined,
    ]);
    expect(record.ids).toEqual(["1", "1"]);
  });

  test("a stream that breaks before its first event comes back where it began", async () => {
    const server = await Scripted.start(
      ending("", { "Tidings-Cursor": "k-1" }),
      ending("", { "Tidings-Cursor": "k-2" }),
      ending("id: k-3\ndata: a\n\n", { "Tidings-Cursor": "k-1" }),
      stream(),
    );
    new Record(new EventSource(server.url, SOON));
    await server.request(4);
    expect(server.requests.map(({ headers }) => headers["last-event-id"])).toEqual([
      undefined,
      "k-1",
      "k-1",
      "k-3",
    ]);
  });

  test("one can begin with an id", async () => {
    const server = await Scripted.start(stream("data: a\n\n"));
    const record = new Record(createEventSource(server.url, { lastEventId: "7" }));
    await record.until("message");
    expect(server.requests[0]?.headers["last-event-id"]).toBe("7");
    expect(record.ids).toEqual(["7"]);
  });
});

describe("C11 close", () => {
  test("within a listener, nothing of the same piece comes", async () => {
    const server = await Scripted.start(stream("data: a\n\ndata: b\n\ndata: c\n\n"));
    const source = new EventSource(server.url, SOON);
    const record = new Record(source);
    source.addEventListener("message", () => {
      source.close();
      source.close();
    });
    await record.until("message");
    await server.requests[0]?.gone;
    expect(record.data).toEqual(["a"]);
    expect(record.steps).toEqual(["open 1", "message"]);
  });

  test("before the answer, and while it waits", async () => {
    const server = await Scripted.start(() => {});
    const source = new EventSource(server.url);
    const record = new Record(source);
    await server.request(1);
    source.close();
    await server.requests[0]?.gone;
    const broken = await Scripted.start(reset);
    const waiting = new EventSource(broken.url, { retry: 10 });
    waiting.onerror = () => waiting.close();
    await new Promise<void>((resolve) => waiting.addEventListener("error", () => resolve()));
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(broken.requests).toHaveLength(1);
    expect(record.steps).toEqual([]);
  });

  test("in the listener that hears of it at once", async () => {
    const server = await Scripted.start(stream());
    const source = new EventSource(server.url);
    source.close();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(server.requests).toHaveLength(0);
  });
});

describe("C13 events", () => {
  test("have data, type, origin and id", async () => {
    const server = await Scripted.start(stream("id: 1\nevent: x\ndata: a\ndata: b\n\n"));
    const record = new Record(new EventSource(server.url), "x");
    await record.until("x");
    const event = record.events[0] as MessageEvent;
    expect(event).toBeInstanceOf(MessageEvent);
    expect([event.type, event.data, event.origin, event.lastEventId]).toEqual([
      "x",
      "a\nb",
      server.origin,
      "1",
    ]);
  });

  test("handlers are as in the standard", async () => {
    const server = await Scripted.start(stream("data: a\n\n"));
    const source = new EventSource(server.url);
    const order: string[] = [];
    expect([source.onopen, source.onmessage, source.onerror]).toEqual([null, null, null]);
    source.onmessage = () => order.push("replaced");
    source.addEventListener("message", () => order.push("listener"));
    const handler = function (this: unknown) {
      order.push("handler");
      expect(this).toBe(source);
    };
    source.onmessage = handler;
    expect(source.onmessage).toBe(handler);
    source.onopen = () => order.push("removed");
    source.onopen = null;
    source.onopen = "text" as unknown as null;
    expect(source.onopen).toBeNull();
    const record = new Record(source);
    await record.until("message");
    expect(order).toEqual(["handler", "listener"]);
  });

  test("P24 types are any text", async () => {
    const server = await Scripted.start(stream("event: __proto__\ndata: a\n\n"));
    const record = new Record(new EventSource(server.url), "__proto__");
    await record.until("__proto__");
    expect(record.data).toEqual(["a"]);
  });
});
