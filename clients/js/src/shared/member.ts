// Members of a group share one stream: whoever holds the group's lock leads, that is, has the
// connection and tells the others what comes. When it is gone, the next one goes on where the
// last who got least has stopped, and nobody gets an event twice.
// Knows nothing of tabs and workers; both are members.

import { type ConnectionOptions, connect } from "../connection.js";
import { type StreamError, streamError } from "../error.js";
import type { Port, State } from "../port.js";

/** What members tell each other. */
type Message =
  /** The leader begins to number after `n`. */
  | { kind: "start"; epoch: string; n: number }
  /** To a member that has no place yet: where the stream is. */
  | { kind: "place"; to: string; place: Place; state: State }
  /** A member asks for its place, or says where it is when that is not where the leader is. */
  | { kind: "here"; from: string; place: Place | undefined }
  | { kind: "event"; epoch: string; n: number; event: [string, string, string, string] }
  | { kind: "state"; state: State; why?: { message: string; status?: number } }
  | { kind: "reconnect" };

/** How far a member has got. */
export interface Place {
  /** Which numbering this is: a new one starts where nobody knows an old one. */
  epoch: string;
  /** The number of the last event. */
  n: number;
  /** The last event with an id of its own, to go on after. */
  resume: { n: number; id: string };
  /** What the last events were, by number, to know them again. */
  recent: Map<number, string>;
}

/** Events that a member remembers: more than one who follows can be ahead of the next leader. */
const RECENT_MAX = 500;

/** A member's own end. */
export interface Membership {
  /** Has the leader open the stream anew. */
  reconnect(): void;
  /** How far it has got: to go on there after a break. */
  place(): Place | undefined;
}

/**
 * Joins a group until the signal is aborted, to go on at a place; the port is told what comes.
 * Stands for the lead only `after` something, if that is given.
 */
export function join(
  group: string,
  url: string,
  options: ConnectionOptions,
  port: Port,
  ended: AbortSignal,
  place?: Place,
  after?: Promise<void>,
): Membership {
  const name = `${Math.random()}`;
  const channel = new BroadcastChannel(group);
  let state: State = 0;
  /** The leader has been told that something is missing here. */
  let asked = false;
  /** The connection, of the leader. */
  let stream: AbortController | undefined;
  let reconnect: (() => void) | undefined;

  function post(message: Message): void {
    channel.postMessage(message);
    receive(message);
  }

  function receive(message: Message): void {
    if (ended.aborted) return;
    switch (message.kind) {
      case "start":
        change(0);
        asked = false;
        if (place?.epoch !== message.epoch || place.n < message.n) return here();
        place.n = message.n;
        return;
      case "place":
        if (message.to !== name || place?.epoch === message.place.epoch) return;
        place = message.place;
        return change(message.state);
      case "here":
        return answer(message);
      case "event":
        return event(message);
      case "state": {
        const { why } = message;
        return change(message.state, why && streamError(why.message, why.status));
      }
      case "reconnect":
        reconnect?.();
    }
  }

  function change(to: State, error?: Error): void {
    if (state === to && !error) return;
    state = to;
    port.state(to, error);
  }

  /** Passes on what comes next here, and nothing twice. */
  function event({ epoch, n, event }: Message & { kind: "event" }): void {
    const [type, data, id] = event;
    // Without a place, it came before this member did.
    if (!place || place.epoch !== epoch) return;
    if (n !== place.n + 1) {
      if (n > place.n && !asked) here();
      return;
    }
    place.n = n;
    const key = `${id} ${type} ${data.length}`;
    const { recent, resume } = place;
    if (id && recent.get(n) === key) return;
    // The server did not give again what came before: what was numbered beyond is something else.
    for (let later = n; recent.delete(later); ) later += 1;
    recent.set(n, key);
    recent.delete(n - RECENT_MAX);
    if (id !== resume.id) place.resume = { n, id };
    port.event(...event);
  }

  function here(): void {
    asked = true;
    channel.postMessage({ kind: "here", from: name, place });
  }

  /** The leader's: gives a place to those who have none, and goes back for those who are behind. */
  function answer({ from: to, place: theirs }: Message & { kind: "here" }): void {
    if (!stream || !place) return;
    const isOurs = theirs?.epoch === place.epoch;
    const isNew = !place.n && !place.resume.id;
    if (theirs && (isOurs ? theirs.n < place.n : isNew)) begin(theirs);
    // Of another numbering nobody can tell what it has missed.
    else if (!isOurs) channel.postMessage({ kind: "place", to, place, state });
  }

  /** The leader's: opens the stream at a place. */
  function begin(at: Place): void {
    stream?.abort();
    // Without an id there is no going back.
    const { n, id } = at.resume.id ? at.resume : { n: at.n, id: options.lastEventId };
    place = place?.epoch === at.epoch ? place : at;
    place.n = n;
    const { epoch } = place;
    let last = n;
    stream = new AbortController();
    reconnect = connect(
      url,
      { ...options, lastEventId: id },
      {
        state(state, error?: StreamError) {
          post({ kind: "state", state, why: error && { ...error, message: error.message } });
        },
        event: (...event) => {
          last += 1;
          post({ kind: "event", epoch, n: last, event });
        },
        isFull: () => false,
      },
      stream.signal,
    );
    post({ kind: "start", epoch, n });
  }

  async function stand(): Promise<void> {
    await after;
    await navigator.locks.request(group, { signal: ended }, () => {
      begin(place ?? { epoch: name, n: 0, resume: { n: 0, id: "" }, recent: new Map() });
      return new Promise<void>((resolve) => ended.addEventListener("abort", () => resolve()));
    });
  }

  ended.addEventListener("abort", () => {
    stream?.abort();
    channel.close();
  });
  channel.onmessage = ({ data }) => receive(data);
  here();
  // It may end while it waits for the lock.
  stand().catch(() => {});

  return {
    reconnect: () => post({ kind: "reconnect" }),
    place: () => place,
  };
}
