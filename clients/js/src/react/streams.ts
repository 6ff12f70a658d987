// Sources by URL, each open as long as somebody uses it. Knows nothing of React.

import type { ConnectionOptions } from "../connection.js";
import { createEventSource, type EventSource } from "../event-source.js";

/** How a source is made: `createEventSource`, `createSharedEventSource`, or one of your own. */
export type Create = (url: string, options?: ConnectionOptions) => EventSource;

/** Gives the source of a URL, to be released when it is no longer used. */
export type Streams = (
  url: string,
  options?: ConnectionOptions,
) => { source: EventSource; release: () => void };

/** A component that is mounted again at once, as StrictMode does it, finds its source open. */
const LINGER_MS = 50;

export function createStreams(create: Create = createEventSource, common?: ConnectionOptions): Streams {
  const open = new Map<string, { source: EventSource; users: number }>();
  return (url, options) => {
    let entry = open.get(url);
    // What has ended for good gets another chance by whoever comes next.
    if (entry?.source.readyState === 2) entry = undefined;
    const used = entry ?? { source: create(url, { ...common, ...options }), users: 0 };
    open.set(url, used);
    used.users += 1;
    return {
      source: used.source,
      release() {
        used.users -= 1;
        setTimeout(() => {
          if (used.users) return;
          used.source.close();
          if (open.get(url) === used) open.delete(url);
        }, LINGER_MS);
      },
    };
  };
}
