// A service that lets the suite `sse-contract-tests` drive this client: it is told which streams to
// open and calls back with what comes. Build first, then `node test/contract/service.mjs [port]`, and
// `sse-contract-tests --url http://localhost:8000`.

import { createServer } from "node:http";
import { createEventSource } from "../../dist/index.js";

const CAPABILITIES = [
  "204",
  "bom",
  "headers",
  "last-event-id",
  "payload-size-stress-testable",
  "post",
  "read-timeout",
  "report",
  "restart",
];

const streams = new Map();
let created = 0;

const server = createServer(async (request, response) => {
  try {
    const { status = 200, headers, body } = await answer(request);
    response.writeHead(status, { "Content-Type": "application/json", ...headers });
    response.end(body && JSON.stringify(body));
  } catch (error) {
    response.writeHead(400).end(`${error.message}\n`);
  }
});

server.listen(Number(process.argv[2] ?? 8000), "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});

async function answer(request) {
  const stream = streams.get(request.url);
  if (request.url === "/") {
    if (request.method === "GET") return { body: { capabilities: CAPABILITIES } };
    if (request.method === "POST") return open(await json(request));
    if (request.method === "DELETE") return end();
    return { status: 405 };
  }
  if (!stream) return { status: 404 };
  if (request.method === "DELETE") {
    stream.source.close();
    streams.delete(request.url);
    return { status: 204 };
  }
  return command(stream, await json(request));
}

function open(order) {
  // What is null is not said.
  const said = Object.entries(order).filter(([, value]) => value !== null);
  const { streamUrl, callbackUrl, initialDelayMs, readTimeoutMs, ...rest } =
    Object.fromEntries(said);
  const { lastEventId, headers, method, body } = rest;
  const source = createEventSource(streamUrl, {
    heartbeatTimeout: readTimeoutMs,
    retry: initialDelayMs,
    maxDelay: initialDelayMs,
    lastEventId,
    headers,
    method,
    body,
  });
  const path = `/streams/${(created += 1)}`;
  streams.set(path, { source });
  let sent = Promise.resolve();
  let count = 0;
  // One after the other: the suite goes by the order in which they come.
  const tell = (message) => {
    const url = `${callbackUrl}/${(count += 1)}`;
    sent = sent
      .then(() => fetch(url, { method: "POST", body: JSON.stringify(message) }))
      // The suite may have ended meanwhile.
      .catch(() => {});
  };
  source.addEventListener("error", ({ error }) => tell({ kind: "error", comment: error.message }));
  // Events of all types, whatever they are.
  void (async () => {
    for await (const { type, data, lastEventId } of source) {
      tell({ kind: "event", event: { type, data, id: lastEventId } });
    }
  })().catch(() => {});
  return { status: 201, headers: { Location: path } };
}

function command({ source }, { command }) {
  if (command === "listen") return { status: 202 };
  if (command !== "restart") return { status: 400 };
  source.reconnect();
  return { status: 202 };
}

function end() {
  setImmediate(() => {
    for (const { source } of streams.values()) source.close();
    server.close();
    server.closeAllConnections();
  });
  return { status: 204 };
}

async function json(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return JSON.parse(Buffer.concat(parts).toString());
}
