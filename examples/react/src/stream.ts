// The one stream of this page, and the hub to publish to.

import { createHub } from "tidings";

/** All topics of the page in one stream: hooks with the same URL share a connection. */
export const STREAM = "/events?topic=notifications&topic=numbers&topic=tasks/{id}";

export const hub = createHub("");
