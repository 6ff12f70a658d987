// The hooks: what a stream has brought, as state. Nothing is opened while rendering, so a server
// and StrictMode can render as they like.

import { useCallback, useContext, useEffect, useMemo, useRef, useSyncExternalStore } from "react";
import type { ConnectionOptions } from "../connection.js";
import type { StreamErrorEvent } from "../event-source.js";
import { StreamsContext } from "./provider.js";

/** How to listen. */
export interface UseEventStreamOptions {
  /** The types of events to take; `"message"` where nothing is said. */
  event?: string | readonly string[];
  /** Makes data of the text that came: `JSON.parse`. */
  parse?: (text: string) => unknown;
  /** Renders at most once per frame, however many events come. */
  batch?: boolean;
  /** Options of the connection; those of the first hook with this URL count. */
  connection?: ConnectionOptions;
}

/** How to listen to the last event. */
export interface UseEventSourceOptions<T> extends UseEventStreamOptions {
  /** The data before the first event. */
  initial?: T;
}

/** What a hook gives. */
export interface StreamState<T> {
  /** What the last event brought, or what the reducer made of all events. */
  readonly data: T;
  readonly lastEvent: MessageEvent | undefined;
  readonly status: "connecting" | "open" | "closed";
  /** Why the stream is not open, or why its last event could not be read. */
  readonly error: Error | undefined;
}

const STATUS = ["connecting", "open", "closed"] as const;

/** The last event's data. A `url` of `null` listens to nothing. */
export function useEventSource<T = unknown>(
  url: string | null | undefined,
  options: UseEventSourceOptions<T> = {},
): StreamState<T | undefined> {
  return useEventStream<T | undefined, T>(url, (_, data) => data, options.initial, options);
}

/** What a reducer makes of all events, one after the other. It is pure, and may change. */
export function useEventStream<S, T = unknown>(
  url: string | null | undefined,
  reducer: (state: S, data: T, event: MessageEvent) => S,
  initial: S,
  options: UseEventStreamOptions = {},
): StreamState<S> {
  const streams = useContext(StreamsContext);
  const latest = useRef({ reducer, options });
  useEffect(() => {
    latest.current = { reducer, options };
  });
  // Another stream begins with nothing of the one before.
  const store = useMemo(() => {
    const first = { data: initial, lastEvent: undefined, status: STATUS[0], error: undefined };
    return { first, now: first as StreamState<S> };
  }, [streams, url]);
  const types = [options.event ?? "message"].flat().join("\n");

  const subscribe = useCallback(
    (render: () => void) => {
      if (!url) return () => {};
      const { source, release } = streams(url, latest.current.options.connection);
      const life = new AbortController();
      let frame = 0;
      const change = (news: Partial<StreamState<S>>) => {
        store.now = { ...store.now, status: STATUS[source.readyState], ...news };
        if (!latest.current.options.batch) return render();
        frame ||= requestAnimationFrame(() => {
          frame = 0;
          render();
        });
      };
      const listen = (type: string, listener: (event: Event) => void) =>
        source.addEventListener(type, listener, { signal: life.signal });
      listen("open", () => change({ error: undefined }));
      listen("error", (event) => change({ error: (event as StreamErrorEvent).error }));
      for (const type of types.split("\n")) {
        listen(type, (event) => {
          const { reducer, options } = latest.current;
          const lastEvent = event as MessageEvent;
          try {
            const data = options.parse ? options.parse(lastEvent.data) : lastEvent.data;
            change({ data: reducer(store.now.data, data as T, lastEvent), lastEvent, error: undefined });
          } catch (error) {
            change({ lastEvent, error: error as Error });
          }
        });
      }
      // Others may have opened it before.
      if (store.now.status !== STATUS[source.readyState]) change({});
      return () => {
        life.abort();
        if (frame) cancelAnimationFrame(frame);
        release();
      };
    },
    [streams, url, types, store],
  );
  return useSyncExternalStore(
    subscribe,
    () => store.now,
    () => store.first,
  );
}
