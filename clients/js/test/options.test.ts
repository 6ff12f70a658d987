// What the options do, against a server that follows a script.

import { describe, expect, expectTypeOf, test, vi } from "vitest";
import { createEventSource, EventSource } from "../src/index.js";
import { Record } from "./support/record.js";
import { ending, reset, Scripted, status, stream } from "./support/server.js";

const SOON = { retry: 1, maxDelay: 1 };

describe("the request", () => {
  test("headers as an object", async () => {
    const server = await Scripted.start(stream());
    new Record(createEventSource(server.url, { headers: { "X-A": "1", Accept: "text/*" } }));
    const { headers } = await server.request(1);
    expect([headers["x-a"], headers.accept]).toEqual(["1", "text/*"]);
  });

  test("headers of a function, asked at every attempt", async () => {
    const server = await Scripted.start(status(503), ending(""), stream());
    let token = 0;
    const headers = async () => ({ Authorization: `Bearer ${(token += 1)}` });
    new Record(createEventSource(server.url, { ...SOON, headers }));
    await server.request(3);
    expect(server.requests.map(({ headers }) => headers.authorization)).toEqual([
      "Bearer 1",
      "Bearer 2",
      "Bearer 3",
    ]);
  });

  test("headers that fail are tried again, and said", async () => {
    const server = await Scripted.start(stream("data: a\n\n"));
    const headers = vi.fn(() => ({}));
    headers.mockImplementationOnce(() => {
      throw new Error("no token yet");
    });
    const record = new Record(createEventSource(server.url, { ...SOON, headers }));
    await record.until("message");
    expect(record.errors[0]?.message).toBe("no token yet");
    expect(record.steps).toEqual(["error 0", "open 1", "message"]);
  });

  test("method and body, at every attempt", async () => {
    const server = await Scripted.start(ending("data: a\n\n"), stream());
    new Record(createEventSource(server.url, { ...SOON, method: "POST", body: "question" }));
    await server.request(2);
    expect(server.requests.map(({ method, body }) => [method, body])).toEqual([
      ["POST", "question"],
      ["POST", "question"],
    ]);
  });

  test("a fetch of one's own", async () => {
    const asked: [string, RequestInit][] = [];
    const fetch = async (url: string, init: RequestInit) => {
      asked.push([url, init]);
      return new Response("id: 1\ndata: a\n\n", {
        headers: { "Content-Type": "text/event-stream" },
      });
    };
    const source = createEventSource("https://a.example/x", {
      ...SOON,
      fetch,
      withCredentials: true,
    });
    const record = new Record(source);
    await record.until("message", 2);
    source.close();
    expect(asked[0]?.[0]).toBe("https://a.example/x");
    expect(asked[0]?.[1]).toMatchObject({ credentials: "include", cache: "no-store" });
    expect(record.events[0]?.origin).toBe("https://a.example");
    expect((asked[1]?.[1].headers as Headers).get("Last-Event-ID")).toBe("1");
  });
});

test("C15 a stream that is there already is read to its end", async () => {
  const stream = new Blob(["id: 1\ndata: a\n\ndata: b\n\ndata: cut"]).stream();
  const source = createEventSource("about:event-stream", {
    fetch: async () => new Response(stream, { headers: { "Content-Type": "text/event-stream" } }),
    maxRetries: 0,
  });
  const record = new Record(source);
  await record.until("error 2");
  expect(record.steps).toEqual(["open 1", "message", "message", "error 2"]);
  expect(record.events.map(({ data, lastEventId, origin }) => [data, lastEventId, origin])).toEqual([
    ["a", "1", "null"],
    ["b", "1", "null"],
  ]);
});

describe("coming back", () => {
  test("retry of the stream counts, at its line", async () => {
    const server = await Scripted.start(ending("retry: 1\ndata: cut"), stream());
    // Only what the stream says makes this end in time.
    new Record(createEventSource(server.url, { retry: 1e6, maxDelay: 1 }));
    await server.request(2);
  });

  test("waits grow, with full jitter after the cap", async () => {
    const waits = await waitsOf({ retry: 100, maxDelay: 1_000 }, 8, 0.5);
    expect(waits).toEqual([225, 350, 600, 600, 600, 600, 600, 600]);
  });

  test("the least wait is what was asked for, whatever chance says", async () => {
    expect(await waitsOf({ retry: 100 }, 3, 0)).toEqual([100, 100, 100]);
  });

  test("Retry-After is honoured", async () => {
    const waits = await waitsOf(SOON, 2, 0.5, () => new Response("", RETRY_AFTER));
    expect(waits).toEqual([7_000, 7_000]);
  });

  test("a wait that no timer can wait for is not none", async () => {
    const body = `retry: ${"9".repeat(400)}\n`;
    const waits = await waitsOf(SOON, 1, 0.5, () => new Response(body, STREAM));
    expect(waits).toEqual([1e9]);
  });

  test("maxRetries: so many in a row, then it ends", async () => {
    const server = await Scripted.start(reset, reset, stream("data: a\n\n"), reset);
    const source = createEventSource(server.url, { ...SOON, maxRetries: 2 });
    const record = new Record(source);
    await record.until("message");
    server.requests[2]?.response.end();
    await record.until("error 2");
    expect(server.requests).toHaveLength(5);
    expect(record.steps).toEqual([
      ...["error 0", "error 0", "open 1", "message"],
      ...["error 0", "error 0", "error 2"],
    ]);
  });

  test("none at all", async () => {
    const server = await Scripted.start(ending("data: a\n\n"));
    const record = new Record(createEventSource(server.url, { ...SOON, maxRetries: 0 }));
    await record.until("error 2");
    expect(record.steps).toEqual(["open 1", "message", "error 2"]);
  });

  test("fatal as you say", async () => {
    const server = await Scripted.start(status(404), status(500));
    const fatal = (code: number) => code === 500;
    const record = new Record(createEventSource(server.url, { ...SOON, fatal }));
    await record.until("error 2");
    expect(record.errors.map((error) => error?.status)).toEqual([404, 500]);
  });

  test("reconnect goes on at once, without an error, where the stream is", async () => {
    const server = await Scripted.start(stream("id: 1\ndata: a\n\n"), stream("data: b\n\n"));
    const source = createEventSource(server.url, { retry: 1e6 });
    const record = new Record(source);
    await record.until("message");
    source.reconnect();
    await server.requests[0]?.gone;
    await record.until("message", 2);
    expect(server.requests[1]?.headers["last-event-id"]).toBe("1");
    expect(record.steps).toEqual(["open 1", "message", "open 1", "message"]);
  });

  test("within a listener, it leaves the rest of the piece to the next connection", async () => {
    const server = await Scripted.start(
      stream("id: 1\ndata: a\n\nid: 2\ndata: b\n\n"),
      stream("id: 2\ndata: b again\n\n"),
    );
    const source = createEventSource(server.url);
    source.addEventListener("message", () => source.reconnect(), { once: true });
    const record = new Record(source);
    await record.until("message", 2);
    expect(server.requests[1]?.headers["last-event-id"]).toBe("1");
    expect(record.data).toEqual(["a", "b again"]);
  });
});

describe("silence", () => {
  test("for longer than heartbeatTimeout is the end", async () => {
    const server = await Scripted.start(stream("data: a\n\n"), stream("data: b\n\n"));
    const record = new Record(createEventSource(server.url, { ...SOON, heartbeatTimeout: 50 }));
    await record.until("message", 2);
    await server.requests[0]?.gone;
    expect(record.errors[0]?.message).toBe("Silent for 50 ms.");
  });

  test("before the answer, too", async () => {
    const server = await Scripted.start(() => {}, stream("data: a\n\n"));
    const record = new Record(createEventSource(server.url, { ...SOON, heartbeatTimeout: 50 }));
    await record.until("message");
    expect(record.steps).toEqual(["error 0", "open 1", "message"]);
  });

  test("of the time that the server announces", async () => {
    const server = await Scripted.start(stream("", { "Tidings-Heartbeat": "0.02" }), stream());
    const record = new Record(createEventSource(server.url, SOON));
    await record.until("error 0");
    expect(record.errors[0]?.message).toBe("Silent for 50 ms.");
  });

  test("heartbeats are signs of life", async () => {
    let sent = 0;
    const server = await Scripted.start((request, at) => {
      stream()(request, at);
      const timer = setInterval(() => {
        sent += 1;
        request.response.write(":\n");
        if (sent === 40) request.response.write("data: a\n\n");
      }, 10);
      void request.gone.then(() => clearInterval(timer));
    });
    const record = new Record(createEventSource(server.url, { ...SOON, heartbeatTimeout: 2_000 }));
    await record.until("message");
    expect(record.steps).toEqual(["open 1", "message"]);
  });
});

describe("reading", () => {
  test("parse makes data", async () => {
    const server = await Scripted.start(stream('data: {"a": 1}\n\ndata: {\n\ndata: 2\n\n'));
    const source = createEventSource(server.url, { parse: JSON.parse });
    const record = new Record(source);
    await record.until("message", 2);
    expect(record.data).toEqual([{ a: 1 }, 2]);
    // What can't be read is said, and the stream goes on.
    expect(record.steps).toEqual(["open 1", "message", "error 1", "message"]);
    expect(record.errors[0]).toBeInstanceOf(SyntaxError);
  });

  test("an event that is too long ends the stream, as it would come again", async () => {
    const server = await Scripted.start(stream(`data: ${"x".repeat(2_000)}`));
    const record = new Record(createEventSource(server.url, { ...SOON, bufferLimit: 1_000 }));
    await record.until("error 2");
    expect(record.errors[0]).toBeInstanceOf(RangeError);
  });

  test("a signal closes", async () => {
    const server = await Scripted.start(stream());
    const life = new AbortController();
    const source = createEventSource(server.url, { signal: life.signal });
    await new Record(source).until("open 1");
    life.abort();
    expect(source.readyState).toBe(2);
    await server.requests[0]?.gone;
    expect(createEventSource(server.url, { signal: life.signal }).readyState).toBe(2);
    expect(server.requests).toHaveLength(1);
  });
});

describe("iteration", () => {
  test("gives events of all types, and leaving it closes", async () => {
    const server = await Scripted.start(stream("data: a\n\nevent: x\ndata: b\n\ndata: c\n\n"));
    const source = createEventSource(server.url);
    const got: string[] = [];
    for await (const { type, data } of source) {
      got.push(`${type} ${data}`);
      if (got.length === 2) break;
    }
    expect(got).toEqual(["message a", "x b"]);
    expect(source.readyState).toBe(2);
    await server.requests[0]?.gone;
  });

  test("goes on over connections and ends with close", async () => {
    const server = await Scripted.start(ending("data: a\n\n"), stream("data: b\n\n"));
    const source = createEventSource(server.url, SOON);
    const got: string[] = [];
    for await (const { data } of source) {
      got.push(data);
      if (data === "b") source.close();
    }
    expect(got).toEqual(["a", "b"]);
  });

  test("throws what ended the stream, after what had come", async () => {
    const server = await Scripted.start(ending("data: a\n\n"), status(204));
    const got: string[] = [];
    const all = (async () => {
      for await (const { data } of createEventSource(server.url, SOON)) got.push(data);
    })();
    await expect(all).rejects.toMatchObject({ status: 204 });
    expect(got).toEqual(["a"]);
  });

  test("that is behind is not overrun: the stream is not read on", async () => {
    const events = 20_000;
    let written = 0;
    const server = await Scripted.start(async (request, at) => {
      stream()(request, at);
      while (written < events) {
        written += 1;
        const room = request.response.write(`data: ${written} ${"x".repeat(1_000)}\n\n`);
        if (!room) await new Promise((resolve) => request.response.once("drain", resolve));
      }
    });
    const iterator = createEventSource(server.url)[Symbol.asyncIterator]();
    await iterator.next();
    // Until nothing goes any more: what sockets hold, and no more than that.
    for (let before = -1; before !== written; ) {
      before = written;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    expect(written).toBeLessThan(events);
    let last = 1;
    while (last < events) last = Number.parseInt((await iterator.next()).value?.data, 10);
    await iterator.return();
    expect(written).toBe(events);
  });
});

test("types of events", () => {
  type Events = { message: string; alert: { message: string } };
  const source = null as unknown as EventSource<Events>;
  const use = () => {
    source.addEventListener("alert", ({ data }) => expectTypeOf(data).toEqualTypeOf<{ message: string }>());
    source.addEventListener("open", (event) => expectTypeOf(event).toEqualTypeOf<Event>());
    source.addEventListener("other", ({ data }) => expectTypeOf(data).toEqualTypeOf<unknown>());
    source.onmessage = ({ data }) => expectTypeOf(data).toEqualTypeOf<string>();
    new EventSource("/").addEventListener("any", ({ data }) => expectTypeOf(data).toBeAny());
  };
  expect(use).toBeTypeOf("function");
});

const STREAM = { headers: { "Content-Type": "text/event-stream" } };
const RETRY_AFTER = { status: 503, headers: { "Retry-After": "7" } };

/** How long a source waits before each attempt after the first, by its timers. */
async function waitsOf(
  options: object,
  count: number,
  chance: number,
  answer?: () => Response,
): Promise<unknown[]> {
  vi.spyOn(Math, "random").mockReturnValue(chance);
  const waits: unknown[] = [];
  const timers = vi.spyOn(globalThis, "setTimeout").mockImplementation(((act: () => void, ms: number) => {
    waits.push(ms);
    queueMicrotask(act);
    return 0;
  }) as typeof setTimeout);
  try {
    const source = createEventSource("http://a.example/", {
      ...options,
      maxRetries: count,
      fetch: async () => {
        if (!answer) throw new TypeError("no network");
        return answer();
      },
    });
    await new Promise<void>((resolve) => {
      source.onerror = () => (source.readyState === 2 || waits.length >= count) && resolve();
    });
    source.close();
    return waits.slice(0, count);
  } finally {
    vi.restoreAllMocks();
    timers.mockRestore();
  }
}
