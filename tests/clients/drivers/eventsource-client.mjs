// npm eventsource-client.

import { createEventSource } from "eventsource-client";

import { report, url } from "./report.mjs";

createEventSource({
  url,
  onMessage: ({ id, event = "message", data }) => report({ id, event, data }),
});
