// What a Tidings hub offers beyond a stream: topics, publishing, tokens, tickets, and being told
// when something is missing. Knows nothing of how a stream is opened.

import type { ConnectionOptions } from "./connection.js";
import { type StreamError, streamError } from "./error.js";
import { type AnyEvents, createEventSource, type EventSource } from "./event-source.js";

/** What all calls to a hub share. */
export interface HubOptions {
  /** A token, or how to get one: asked at every request, with `true` when the last was refused. */
  token?: string | ((refused: boolean) => string | Promise<string>);
  /** Instead of the global `fetch`. */
  fetch?: (url: string, init: RequestInit) => Promise<Response>;
}

/** An event `tidings.reset`: something between two events of the stream is gone. */
export interface Gap {
  /** What this client had. */
  from: string;
  /** The event that follows. */
  oldest: string;
  /** How many positions of the log lie between, of all topics, if that is known. */
  missed?: number;
}

/** An event `tidings.renew`: the hub will close the stream. */
export interface Renewal {
  /** In so many seconds. */
  expires_in: number;
}

/** How to listen to topics. */
export interface SubscribeOptions extends Omit<ConnectionOptions, "headers" | "fetch"> {
  /** Where to begin without a last event id: `"earliest"`, `"10m"`, a time as RFC 3339 has it. */
  since?: string;
  /** Begin with this many events of the past. */
  last?: number;
  /** Sends a one-time ticket in the URL instead of the token in a header. */
  ticket?: boolean;
  /** Something is gone: load what the events were to keep up to date. */
  onReset?: (gap: Gap) => void;
  /** The token ends soon. A token that is a function is asked for anew in any case. */
  onRenew?: (renewal: Renewal) => void;
}

/** What an event may have beside its data. */
export interface PublishOptions {
  event?: string;
  id?: string;
  /** Milliseconds that subscribers are to wait before they reconnect. */
  retry?: number;
  /** Only for subscribers with the right to see it. */
  private?: boolean;
  /** The same key within ten minutes is stored once. Without one each call makes its own. */
  idempotencyKey?: string;
  signal?: AbortSignal;
}

/** One of many events. */
export interface PublishedEvent extends Omit<PublishOptions, "idempotencyKey" | "signal"> {
  topic?: string;
  topics?: string[];
  data: unknown;
}

/** What a hub answered when it did not do what it was asked for: its own words. */
export interface HubError extends Error {
  status: number;
  /** The limit that was hit, by its name. */
  limit?: string;
}

/** A hub by its address. */
export interface Hub {
  /** Listens to topics and patterns: `"orders/42"`, `["orders/{id}", "news/*"]`. */
  subscribe<M extends object = AnyEvents>(
    topics: string | readonly string[],
    options?: SubscribeOptions,
  ): EventSource<M>;
  /**
   * Publishes an event and gives its id. Data that is no text goes as its JSON. What fails on
   * the way is sent again, and stored once.
   *
   * @throws HubError when the hub refuses; TypeError when it can't be reached.
   */
  publish(topic: string, data: unknown, options?: PublishOptions): Promise<string>;
  /** Publishes many events in one step and gives their ids. Throws as `publish` does. */
  publishMany(
    events: readonly PublishedEvent[],
    options?: Pick<PublishOptions, "idempotencyKey" | "signal">,
  ): Promise<string[]>;
  /** A one-time ticket, for a `?ticket=` in a URL of your own. Throws as `publish` does. */
  ticket(signal?: AbortSignal): Promise<string>;
}

const ATTEMPTS_MAX = 4;
const ATTEMPT_MS = 500;

/** A hub at a base URL such as `https://hub.example`; `""` is the page's own origin. */
export function createHub(
  base: string | URL,
  { token, fetch: plain = fetch }: HubOptions = {},
): Hub {
  const root = `${base}`.replace(/\/+$/, "");

  /** As `fetch`, with the token; a refused one is replaced once. */
  async function send(url: string, init: RequestInit, refused = false): Promise<Response> {
    const isAsked = typeof token === "function";
    const bearer = isAsked ? await token(refused) : token;
    const headers = new Headers(init.headers);
    if (bearer) headers.set("Authorization", `Bearer ${bearer}`);
    const response = await plain(url, { ...init, headers });
    return isAsked && !refused && response.status === 401 ? send(url, init, true) : response;
  }

  /** Sends until there is an answer that is not "later". */
  async function post(
    path: string,
    body: string | undefined,
    { idempotencyKey, signal }: PublishOptions,
  ): Promise<{ [name: string]: unknown }> {
    // Pages that came without TLS have no `randomUUID`; this need not be a secret.
    const key = idempotencyKey ?? `${Date.now()}-${Math.random()}`;
    const headers = { "Idempotency-Key": key };
    for (let attempt = 1; ; attempt += 1) {
      try {
        const response = await send(root + path, { method: "POST", body, headers, signal });
        const { ok, status } = response;
        const answer = await response.json().catch(() => ({}));
        if (ok) return answer;
        const after = +(response.headers.get("Retry-After") as string) * 1_000;
        const error = streamError(answer.detail ?? `${status}`, status, after);
        throw Object.assign(error, { limit: answer.limit });
      } catch (reason) {
        const { status = 503, retryAfter } = reason as StreamError;
        if ((status !== 503 && status !== 429) || attempt === ATTEMPTS_MAX) throw reason;
        const delay = retryAfter || ATTEMPT_MS * attempt * Math.random();
        await new Promise((resolve) => setTimeout(resolve, delay));
        signal?.throwIfAborted();
      }
    }
  }

  const ticket = async (signal?: AbortSignal) =>
    (await post("/tickets", undefined, { signal })).ticket as string;

  return {
    subscribe(topics, { since, last, ticket: byTicket, onReset, onRenew, ...rest } = {}) {
      const many = [topics].flat() as string[];
      const query = queryOf({ since, last });
      let path = topicPath(many[0] as string);
      if (many[1]) {
        path = "/events";
        for (const topic of many) query.append("topic", topic);
      }
      const source = createEventSource(`${root}${path}?${query}`, {
        ...rest,
        async fetch(url, init) {
          if (!byTicket) return send(url, init);
          const address = new URL(url);
          address.searchParams.set("ticket", await ticket());
          return plain(address.href, init);
        },
      });
      const told = ({ data }: MessageEvent) => (typeof data === "string" ? JSON.parse(data) : data);
      source.addEventListener("tidings.reset", (event) => onReset?.(told(event)));
      source.addEventListener("tidings.renew", (event) => {
        const renewal: Renewal = told(event);
        onRenew?.(renewal);
        // Some time in the first half of what is left: a crowd comes back spread out, and a token
        // that is none the newer does not make a client come back at once, again and again.
        const delay = (renewal.expires_in + 1) * 500 * Math.random();
        setTimeout(() => source.reconnect(), delay);
      });
      // biome-ignore lint/suspicious/noExplicitAny: what a topic carries is the caller's to know.
      return source as EventSource<any>;
    },

    async publish(topic, data, { event, id, retry, private: hidden, ...rest } = {}) {
      const query = queryOf({ event, id, retry, private: hidden });
      const body = typeof data === "string" ? data : JSON.stringify(data);
      return (await post(`${topicPath(topic)}?${query}`, body, rest)).id as string;
    },

    async publishMany(events, options = {}) {
      return (await post("/events", JSON.stringify(events), options)).ids as string[];
    },

    ticket,
  };
}

/** The address of a topic, whose slashes stay slashes. */
function topicPath(topic: string): string {
  return `/topics/${topic.split("/").map(encodeURIComponent).join("/")}`;
}

function queryOf(fields: object): URLSearchParams {
  return new URLSearchParams(Object.entries(fields).filter(([, value]) => value !== undefined));
}
