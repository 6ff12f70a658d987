// The vectors in testdata/sse, which the Rust decoder reads too.

import { readdirSync, readFileSync } from "node:fs";

type Part = string | { hex: string } | { repeat: string; times: number };

interface Written {
  row: string;
  name: string;
  stream: string | Part[];
  after?: string;
  events: { type: string; id: string; data: string | Part[] }[];
  lastEventId: string;
  retry: number | null;
}

export interface Vector {
  title: string;
  stream: Buffer;
  after: string;
  events: { type: string; id: string; data: string }[];
  lastEventId: string;
  retry: number | null;
}

const FOLDER = new URL("../../../../testdata/sse/", import.meta.url);

export const VECTORS: Vector[] = readdirSync(FOLDER)
  .filter((name) => name.endsWith(".json"))
  .flatMap((name) => JSON.parse(readFileSync(new URL(name, FOLDER), "utf8")) as Written[])
  .map(({ row, name, stream, after = "", events, ...rest }) => ({
    title: `${row} ${name}`,
    stream: bytes(stream),
    after,
    events: events.map(({ data, ...event }) => ({ ...event, data: bytes(data).toString() })),
    ...rest,
  }));

function bytes(parts: string | Part[]): Buffer {
  return Buffer.concat(
    (typeof parts === "string" ? [parts] : parts).map((part) => {
      if (typeof part === "string") return Buffer.from(part);
      return "hex" in part
        ? Buffer.from(part.hex, "hex")
        : Buffer.from(part.repeat.repeat(part.times));
    }),
  );
}
