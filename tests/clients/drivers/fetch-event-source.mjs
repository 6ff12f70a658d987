// npm @microsoft/fetch-event-source, with as much of a browser as it asks for.

globalThis.window = globalThis;
globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} };

const { fetchEventSource } = await import("@microsoft/fetch-event-source");
const { report, url } = await import("./report.mjs");

// As its README has it: an end that was not asked for is thrown, and what `onerror` does not throw
// again is tried again.
class RetriableError extends Error {}

await fetchEventSource(url, {
  onmessage: ({ id, event, data }) => report({ id, event: event || "message", data }),
  onclose() {
    throw new RetriableError();
  },
  onerror() {},
});
