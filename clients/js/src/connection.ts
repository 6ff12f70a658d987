// Opens a stream, reads it, and opens it again where it was: the standard's state machine, and
// what it leaves open. Knows nothing of who listens.

import { type StreamError, streamError } from "./error.js";
import { createParser } from "./parser.js";
import type { Port } from "./port.js";

/** How a stream is opened, and what is done when it breaks. */
export interface ConnectionOptions {
  /** Sends cookies to other origins too. */
  withCredentials?: boolean;
  /** Makes `event.data` of the text that came: `JSON.parse`. */
  parse?: (text: string) => unknown;
  /** Closes the source when it is aborted. */
  signal?: AbortSignal;
  /** Headers of the request; a function is asked at every attempt, so that tokens stay fresh. */
  headers?: HeadersInit | (() => HeadersInit | Promise<HeadersInit>);
  method?: string;
  /** A body that can be sent again: text or bytes, no stream. */
  body?: string | Blob | ArrayBuffer | ArrayBufferView<ArrayBuffer> | FormData | URLSearchParams;
  /** Instead of the global `fetch`. */
  fetch?: (url: string, init: RequestInit) => Promise<Response>;
  /** The event to go on after. */
  lastEventId?: string;
  /**
   * Milliseconds of silence after which a stream is dead. Without it, two and a half times the
   * interval that the server announces (`Tidings-Heartbeat`, in seconds), if it does. 0 is never.
   */
  heartbeatTimeout?: number;
  /** Milliseconds before a stream that broke is opened again, until the server says otherwise. */
  retry?: number;
  /** Milliseconds that backoff adds at most. */
  maxDelay?: number;
  /** How many attempts in a row may fail before the stream is given up. */
  maxRetries?: number;
  /**
   * Which answers that are no stream end it for good: as you say by the status, which is 200 where
   * the answer is of another type; `false` for those that will not pass by themselves (not 408,
   * 425, 429, 500 and more). Without it, all: that is the standard.
   */
  fatal?: false | ((status: number) => boolean);
  /** Characters that an event may have. */
  bufferLimit?: number;
}

const RETRY_MS = 1_000;
/** Backoff starts here even where the server wants clients back at once. */
const BACKOFF_MS_MIN = 250;
const MAX_DELAY_MS = 30_000;
/** Late by one heartbeat and a half is late enough. */
const HEARTBEATS = 2.5;
/** How often it is looked whether those who are behind have caught up. */
const BEHIND_MS = 20;
/** Timers can't wait for much longer, and don't wait at all then. */
const TIMER_MS_MAX = 1e9;

/** All but what passes: being too early or too many, and what servers suffer from. */
const isLasting = (status: number): boolean => status < 500 && ![408, 425, 429].includes(status);

/** The driver of a connection of one's own: see `Drive`. */
export function connect(
  url: string,
  options: ConnectionOptions,
  port: Port,
  ended: AbortSignal,
): () => void {
  const { headers: given, withCredentials, fatal = () => true, maxDelay = MAX_DELAY_MS } = options;
  let { lastEventId = "", retry = RETRY_MS } = options;
  let attempt = new AbortController();
  /** Attempts that failed since the stream was last open. */
  let failures = 0;
  /** When it last gave a sign of life. */
  let seen: number;
  let timeout: number | undefined;
  let timer: ReturnType<typeof setInterval> | undefined;
  /** Ends a wait. */
  let wake: (() => void) | undefined;

  async function run(): Promise<void> {
    await null;
    while (!ended.aborted) {
      attempt = new AbortController();
      const { signal } = attempt;
      watch(options.heartbeatTimeout);
      try {
        const response = await request(signal);
        const { status } = response;
        const header = (name: string) => response.headers.get(name) as string;
        const type = header("Content-Type");
        if (status !== 200 || !/^text\/event-stream\s*(;|$)/i.test(type)) {
          throw streamError(`${status} ${type}`, status, +header("Retry-After") * 1_000);
        }
        watch(timeout ?? +header("Tidings-Heartbeat") * 1_000 * HEARTBEATS);
        failures = 0;
        // Where the stream begins: to come back there if it breaks before its first event.
        lastEventId ||= header("Tidings-Cursor") ?? "";
        port.state(1);
        await read(response, signal);
        throw streamError("The stream ended.");
      } catch (reason) {
        const error: StreamError | null = signal.aborted ? signal.reason : reason;
        watch();
        // An answer that was refused has a body that nobody reads.
        attempt.abort();
        if (ended.aborted) return;
        // Without an error somebody wants to reconnect.
        if (!error) port.state(0);
        else if (
          (error.status && (fatal || isLasting)(error.status)) ||
          error instanceof RangeError ||
          // Anything else can't be fetched, however often.
          !/^(http|blob|data)/.test(url) ||
          // Nothing is greater than what is not defined.
          failures >= (options.maxRetries as number)
        ) {
          return port.state(2, error);
        } else {
          // The jitter comes after the cap: a crowd that waits for long comes back spread out.
          const spread = Math.max(retry, BACKOFF_MS_MIN) * 2 ** failures++;
          const jitter = Math.random() * Math.min(maxDelay, spread);
          port.state(0, error);
          await sleep(Math.max(error.retryAfter || 0, retry + jitter));
        }
      }
    }
  }

  async function request(signal: AbortSignal): Promise<Response> {
    const headers = new Headers(typeof given === "function" ? await given() : given);
    if (!headers.has("Accept")) headers.set("Accept", "text/event-stream");
    // As UTF-8: a header's text is a character per byte. What is old here is in all engines.
    if (lastEventId) headers.set("Last-Event-ID", unescape(encodeURIComponent(lastEventId)));
    return (options.fetch ?? fetch)(url, {
      // Method and body; what else there is, `fetch` does not know.
      ...options,
      headers,
      signal,
      cache: "no-store",
      // Some runtimes know no credentials and refuse even their default.
      credentials: withCredentials ? "include" : undefined,
    });
  }

  async function read(response: Response, signal: AbortSignal): Promise<void> {
    const { origin } = new URL(response.url || url);
    const parser = createParser(
      (type, data, id) => {
        // Somebody who got an event before this one has closed the source.
        if (signal.aborted) return;
        lastEventId = id;
        port.event(type, data, id, origin);
      },
      {
        ...options,
        lastEventId,
        onRetry(milliseconds) {
          retry = milliseconds;
        },
      },
    );
    // Without a body the answer is broken as well.
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      parser.feed(value);
      signal.throwIfAborted();
      lastEventId = parser.lastEventId;
      do seen = Date.now();
      // While it is not read on, the silence is ours.
      while (port.isFull() && !signal.aborted && (await sleep(BEHIND_MS), true));
    }
  }

  function sleep(milliseconds: number): Promise<void> | undefined {
    if (ended.aborted) return undefined;
    return new Promise((resolve) => {
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(wake, Math.min(milliseconds, TIMER_MS_MAX));
    });
  }

  /** Looks, several times in the time that a stream may be silent. */
  function watch(milliseconds?: number): void {
    timeout = milliseconds;
    seen = Date.now();
    clearInterval(timer);
    if (timeout) timer = setInterval(check, timeout / 4);
  }

  /** Breaks a connection off that has been silent for too long. */
  function check(): void {
    if (timeout && Date.now() - seen >= timeout) {
      attempt.abort(streamError(`Silent for ${timeout} ms.`));
    }
  }

  /** The network or the page is back: what waits need not, and what slept may be dead. */
  function rouse(): void {
    failures = 0;
    check();
    wake?.();
  }

  function again(): void {
    attempt.abort(null);
    wake?.();
  }

  // Captured, as what happens to a document does not always bubble.
  for (const [type, act] of Object.entries({
    // What a frozen page had open may bring nothing any more, and not say so.
    resume: again,
    online: rouse,
    pageshow: rouse,
    visibilitychange: rouse,
    pagehide(event: Event) {
      // In the browser's back/forward cache nothing may be open.
      if ((event as PageTransitionEvent).persisted) attempt.abort(streamError("Paused."));
    },
  })) {
    globalThis.addEventListener?.(type, act, { signal: ended, capture: true });
  }
  ended.addEventListener("abort", again);
  void run();

  return again;
}
