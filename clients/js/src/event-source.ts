// What a page sees of a stream: the interface of the standard's `EventSource`, and an iterator.
// Knows nothing of how events come; that is the driver's.

import { type ConnectionOptions, connect } from "./connection.js";
import type { StreamError } from "./error.js";
import type { Drive, Port } from "./port.js";

/** Without a map of events, data is whatever was sent. */
// biome-ignore lint/suspicious/noExplicitAny: as in the standard's MessageEvent.
export type AnyEvents = { [type: string]: any };

/** What data of this type of event is. */
export type DataOf<M extends object, K extends string> = K extends keyof M
  ? M[K]
  : string extends keyof M
    ? M[keyof M]
    : unknown;

/** Why a stream broke (`readyState` 0, it is being opened again) or ended (2). */
export interface StreamErrorEvent extends Event {
  readonly error: StreamError;
}

/** Events that an iteration may be behind before the stream is not read on. */
const BEHIND_MAX = 256;

export interface EventSource<M extends object = AnyEvents> {
  onopen: ((this: this, event: Event) => unknown) | null;
  onmessage: ((this: this, event: MessageEvent<DataOf<M, "message">>) => unknown) | null;
  onerror: ((this: this, event: StreamErrorEvent) => unknown) | null;

  addEventListener(
    type: "open",
    listener: (this: this, event: Event) => unknown,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: "error",
    listener: (this: this, event: StreamErrorEvent) => unknown,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener<K extends string>(
    type: K,
    listener: (this: this, event: MessageEvent<DataOf<M, K>>) => unknown,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
}

/**
 * The standard's `EventSource`, with options. Without them it does what the standard says: any
 * status but 200 ends it for good.
 */
export class EventSource<M extends object = AnyEvents> extends EventTarget {
  static readonly CONNECTING = 0;
  static readonly OPEN = 1;
  static readonly CLOSED = 2;
  readonly CONNECTING = 0;
  readonly OPEN = 1;
  readonly CLOSED = 2;

  /** The absolute URL of the stream. */
  declare readonly url: string;
  declare readonly withCredentials: boolean;

  #state: 0 | 1 | 2 = 0;
  #error: Error | undefined;
  #reconnect: () => void;
  #handlers: { [type: string]: Handler } = {};
  #readers = new Set<Reader>();
  /** Aborted when the source is closed, so that nothing goes on. */
  #life = new AbortController();

  static {
    for (const type of ["open", "message", "error"]) {
      Object.defineProperty(this.prototype, `on${type}`, {
        get(this: EventSource) {
          return this.#handlers[type]?.act ?? null;
        },
        set(this: EventSource, act: unknown) {
          const handler: Handler = (this.#handlers[type] ??= (event) =>
            handler.act?.call(this, event));
          handler.act = typeof act === "function" ? (act as Handler["act"]) : null;
          // Adding it once more changes nothing: it keeps its place among those who listen.
          if (handler.act) this.addEventListener(type, handler);
          else this.removeEventListener(type, handler);
        },
      });
    }
  }

  /**
   * `drive` opens the stream; whoever only has options leaves it out.
   *
   * @throws DOMException `SyntaxError` when the URL can't be parsed.
   */
  constructor(url: string | URL, options: ConnectionOptions = {}, drive: Drive = connect) {
    super();
    const { parse = (text) => text, signal, withCredentials = false } = options;
    const { document, location } = globalThis as Partial<typeof globalThis>;
    try {
      this.url = new URL(url, document?.baseURI ?? location?.href).href;
    } catch {
      throw new DOMException(`No URL: ${url}`, "SyntaxError");
    }
    this.withCredentials = withCredentials;
    const close = () => this.close();
    const port: Port = {
      state: (state, error) => {
        this.#state = state;
        if (state === 2) {
          this.#error = error;
          close();
        }
        if (error || state) {
          this.dispatchEvent(Object.assign(new Event(error ? "error" : "open"), { error }));
        }
      },
      event: (type, text, lastEventId, origin) => {
        let data: unknown;
        try {
          data = parse(text);
        } catch (error) {
          // One bad event is no reason to end a stream.
          return port.state(this.#state, error as Error);
        }
        const event = new MessageEvent(type, { data, lastEventId, origin });
        this.dispatchEvent(event);
        for (const reader of this.#readers) {
          reader.push(event);
          reader.wake?.();
        }
      },
      isFull: () => [...this.#readers].some(({ length }) => length > BEHIND_MAX),
    };
    this.#reconnect = drive(this.url, options, port, this.#life.signal);
    if (signal?.aborted) close();
    signal?.addEventListener("abort", close, { signal: this.#life.signal });
  }

  /** 0 while it is being opened, 1 while it is open, 2 when it is closed for good. */
  get readyState(): 0 | 1 | 2 {
    return this.#state;
  }

  /** Closes the stream. Listeners get nothing any more, not even what has arrived already. */
  close(): void {
    this.#state = 2;
    this.#life.abort();
    for (const reader of this.#readers) reader.wake?.();
  }

  /** Opens the stream anew, at once, where it is: with what headers are by now. */
  reconnect(): void {
    this.#reconnect();
  }

  /**
   * The events of all types, from the first `next` on. Leaving the loop closes the source; while
   * the loop is behind, the stream is not read on.
   *
   * @throws StreamError in the loop, when the stream ends for good by itself.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<MessageEvent<M[keyof M]>, void, undefined> {
    const reader: Reader = [];
    this.#readers.add(reader);
    try {
      for (;;) {
        const event = reader.shift();
        if (event) yield event;
        else if (this.#error) throw this.#error;
        else if (this.#state === 2) return;
        else
          await new Promise<void>((resolve) => {
            reader.wake = resolve;
          });
      }
    } finally {
      this.#readers.delete(reader);
      this.close();
    }
  }
}

/** What an iteration has not taken yet, and how it is told of more. */
type Reader = MessageEvent[] & { wake?: () => void };

interface Handler extends EventListener {
  act?: ((event: Event) => unknown) | null;
}

/**
 * An `EventSource` that keeps on: statuses that pass (408, 425, 429, 500 and more) don't end it.
 *
 * @throws DOMException `SyntaxError` when the URL can't be parsed.
 */
export function createEventSource<M extends object = AnyEvents>(
  url: string | URL,
  options?: ConnectionOptions,
): EventSource<M> {
  return new EventSource<M>(url, { fatal: false, ...options });
}
