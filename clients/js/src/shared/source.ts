// A source whose connection is one of all tabs: in a SharedWorker where there is one and it can
// be told how to open the stream, else in one of the tabs, the longest open.
// Knows how to get there; how members agree is in `member.ts`.

import { type ConnectionOptions, connect } from "../connection.js";
import { type AnyEvents, EventSource } from "../event-source.js";
import type { Port } from "../port.js";
import { join, type Membership } from "./member.js";

/** How a shared stream is opened. */
export interface SharedOptions extends ConnectionOptions {
  /** Who may share: the user's name, where two tabs can belong to two users. */
  scope?: string;
  /** `false` leaves the connection to a tab. */
  worker?: boolean;
}

/** A worker that has not answered by then is not waited for. */
const WORKER_MS_MAX = 1_000;

/**
 * As `createEventSource`, with a connection that all tabs of the origin share which agree in URL,
 * method, body, headers (where these are no function), last event id and scope. Where a browser
 * can't (it takes Web Locks, so HTTPS or localhost), the source has its own.
 *
 * @throws DOMException `SyntaxError` when the URL can't be parsed.
 */
export function createSharedEventSource<M extends object = AnyEvents>(
  url: string | URL,
  options?: SharedOptions,
): EventSource<M> {
  return new EventSource<M>(url, { fatal: false, ...options }, share);
}

function share(url: string, options: SharedOptions, port: Port, ended: AbortSignal): () => void {
  if (!globalThis.navigator?.locks) return connect(url, options, port, ended);
  const { parse, signal, scope, worker, ...rest } = options;
  const { headers, method, body, lastEventId, withCredentials } = rest;
  const agreed = [url, scope, headers, method, body, lastEventId, withCredentials];
  const group = `tidings ${JSON.stringify(agreed)}`;
  let visit: AbortController;
  let member: Membership | undefined;

  function enter(): void {
    visit = new AbortController();
    const appointed = worker === false ? undefined : appoint(group, url, rest, visit.signal);
    member = join(group, url, rest, port, visit.signal, member?.place(), appointed);
  }

  const on = (type: string, act: () => void) =>
    addEventListener(type, (event) => (event as PageTransitionEvent).persisted && act(), {
      signal: ended,
    });
  // A page that is put aside must not lead.
  on("pagehide", () => visit.abort());
  on("pageshow", enter);
  ended.addEventListener("abort", () => visit.abort());
  enter();

  return () => member?.reconnect();
}

/**
 * Asks the worker to be a member too, for as long as this tab is one, and to stand for the lead
 * before it: nobody closes a worker by mistake. Settles when the worker does, or won't.
 */
function appoint(
  group: string,
  url: string,
  options: ConnectionOptions,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((settled) => {
    // The worker learns by this lock when the tab is gone, however it goes.
    const tab = `${group} ${Math.random()}`;
    void navigator.locks.request(tab, () => {
      try {
        const worker = new SharedWorker(new URL("./worker.js", import.meta.url), {
          type: "module",
        });
        worker.onerror = worker.port.onmessage = () => settled();
        setTimeout(settled, WORKER_MS_MAX);
        worker.port.postMessage({ group, url, options, tab });
      } catch {
        // There may be none, a page's policy may refuse it, and functions can't be sent to it.
        return settled();
      }
      return new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    });
  });
}
