import { describe, expect, test } from "vitest";
import { createParser, type ParserOptions } from "../src/parser.js";
import { VECTORS } from "./support/vectors.js";

describe.each(VECTORS)("$title", ({ stream, after, events, lastEventId, retry }) => {
  test.each([
    ["whole", [stream.length]],
    ["byte by byte", [1]],
    ["in random pieces", random(7)],
    ["in other random pieces", random(40)],
  ])("%s", (_, sizes) => {
    expect(read(pieces(stream, sizes), { lastEventId: after })).toEqual({
      events,
      lastEventId,
      retry,
    });
  });
});

test("every row has a vector", () => {
  const rows = new Set(VECTORS.map(({ title }) => title.split(" ")[0]));
  expect([...rows].sort()).toEqual(Array.from({ length: 25 }, (_, row) => `P${row + 1}`).sort());
});

test("text that was decoded already is taken too", () => {
  expect(read(["data: ", "ü\r", "\n", "", "\r", "\n"]).events).toEqual([
    { type: "message", id: "", data: "ü" },
  ]);
});

test("P25 one line in very many pieces takes time in proportion", () => {
  // The quadratic way takes minutes for what takes a second.
  const piece = "x".repeat(16);
  let length = 0;
  const parser = createParser((_type, data) => {
    length = data.length;
  });
  parser.feed("data:");
  for (let at = 0; at < 1_000_000; at += 1) parser.feed(piece);
  parser.feed("\n\n");
  expect(length).toBe(16_000_000);
});

test.each([
  ["a line", "data: ", "x"],
  ["lines", "", "data: x\n"],
  ["a comment", ":", "x"],
  ["an unknown name", "", "x"],
])("P25 %s without an end is refused", (_, start, piece) => {
  const parser = createParser(() => {}, { bufferLimit: 1_000 });
  parser.feed(start);
  expect(() => {
    for (let at = 0; at < 1_001; at += 1) parser.feed(piece);
  }).toThrow(/over 1000 characters/);
});

test("the bound is for one event, not for the stream", () => {
  const parser = createParser(() => {}, { bufferLimit: 1_000 });
  for (let at = 0; at < 1_000; at += 1) parser.feed("data: 0123456789\n\n");
});

function read(stream: (string | Uint8Array)[], options: ParserOptions = {}) {
  const events: object[] = [];
  let retry: number | null = null;
  const parser = createParser((type, data, id) => events.push({ type, id, data }), {
    ...options,
    onRetry: (milliseconds) => {
      retry = milliseconds;
    },
  });
  for (const piece of stream) parser.feed(piece);
  return { events, lastEventId: parser.lastEventId, retry };
}

function pieces(bytes: Uint8Array, sizes: number[]): Uint8Array[] {
  const cut: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const size = sizes[cut.length % sizes.length] as number;
    cut.push(bytes.subarray(at, at + size));
    at += size;
  }
  return cut;
}

/** The same on every run: sizes from a seed. */
function random(seed: number): number[] {
  let state = seed;
  return Array.from({ length: 97 }, () => {
    state = (state * 48_271) % 2_147_483_647;
    return 1 + (state % 9);
  });
}
