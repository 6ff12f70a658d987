// Reads `text/event-stream` as the standard has it (WHATWG HTML, section 9.2.6).
// Knows nothing of connections and reconnecting.

/** Takes one event. `type` is `"message"` where the stream did not say. */
export type OnEvent = (type: string, data: string, lastEventId: string) => void;

/** What a parser may be told. */
export interface ParserOptions {
  /** The id that a stream goes on after; events have it until one brings its own. */
  lastEventId?: string;
  /** Takes the reconnection time that the stream asks for, in milliseconds. */
  onRetry?: (milliseconds: number) => void;
  /** How many characters an event may have, its unfinished line included. */
  bufferLimit?: number;
}

/** Takes a stream in pieces of any size. */
export interface Parser {
  /**
   * Takes the next piece: bytes, which are UTF-8 whatever they were said to be, or text that
   * was decoded already, without its byte order mark.
   *
   * @throws RangeError when an event outgrows `bufferLimit`. The parser is of no more use then.
   */
  feed(piece: string | Uint8Array): void;
  /** What a reconnect has to send as `Last-Event-ID`; empty where there is nothing to send. */
  readonly lastEventId: string;
}

/** Far more than anybody should send as one event, far less than what hurts a browser. */
const BUFFER_LIMIT = 16 * 1024 * 1024;

const LF = 10;
const SPACE = 32;

/** A parser for one connection. Its work is linear in the length of the stream. */
export function createParser(
  onEvent: OnEvent,
  { lastEventId = "", onRetry, bufferLimit = BUFFER_LIMIT }: ParserOptions = {},
): Parser {
  // Removes one byte order mark, and puts U+FFFD where bytes are no UTF-8.
  let decoder: TextDecoder | undefined;
  // The beginning of a line whose end has not come. Only what comes new is searched for an end;
  // engines join the pieces when the line is read, once.
  let pending = "";
  // The last piece ended with a CR: an LF right after it belongs to it.
  let afterCr = false;
  let data: string | undefined;
  let type = "";
  // Counts once the block ends: one that is cut off must not move the place to resume at.
  let id = lastEventId;

  function dispatch(): void {
    const ofType = type || "message";
    const whole = data;
    type = "";
    data = undefined;
    lastEventId = id;
    if (whole !== undefined) onEvent(ofType, whole, id);
  }

  function add(value: string): void {
    data = data === undefined ? value : `${data}\n${value}`;
  }

  function setId(value: string): void {
    if (!value.includes("\0")) id = value;
  }

  function line(whole: string): void {
    if (!whole) return dispatch();
    const colon = whole.indexOf(":");
    // A name alone has an empty value.
    const name = colon < 0 ? whole : whole.slice(0, colon);
    const value = colon < 0 ? "" : whole.slice(whole[colon + 1] === " " ? colon + 2 : colon + 1);
    if (name === "data") add(value);
    if (name === "event") type = value;
    if (name === "id") setId(value);
    if (name === "retry" && /^\d+$/.test(value)) onRetry?.(+value);
  }

  return {
    feed(piece) {
      const text =
        typeof piece === "string"
          ? piece
          : (decoder ??= new TextDecoder()).decode(piece, { stream: true });
      if (!text) return;
      let start = afterCr && text.charCodeAt(0) === LF ? 1 : 0;
      afterCr = false;
      let lf = text.indexOf("\n", start);
      let cr = text.indexOf("\r", start);
      while (lf >= 0 || cr >= 0) {
        // Nearly all lines are data or ids and end with LF: a short way, without taking them apart,
        // makes the parser much faster. Engines compare three letters at most without a call.
        const isData = text.startsWith("dat", start) && text.startsWith("a:", start + 3);
        if (cr < 0 && !pending && (isData || text.startsWith("id:", start))) {
          const colon = start + (isData ? 4 : 2);
          const value = text.slice(text.charCodeAt(colon + 1) === SPACE ? colon + 2 : colon + 1, lf);
          start = lf + 1;
          if (!isData) setId(value);
          else {
            add(value);
            if (text.charCodeAt(start) === LF) {
              start += 1;
              dispatch();
            }
          }
          lf = text.indexOf("\n", start);
          continue;
        }
        const endsWithCr = cr >= 0 && (lf < 0 || cr < lf);
        const end = endsWithCr ? cr : lf;
        line(pending + text.slice(start, end));
        pending = "";
        start = end + 1;
        if (endsWithCr) {
          // The line counts now, not when it is known whether an LF follows.
          afterCr = start === text.length;
          if (lf === start) start += 1;
          cr = text.indexOf("\r", start);
        }
        if (lf < start) {
          // A blank line is soon found.
          if (text.charCodeAt(start) === LF) lf = start;
          else if (lf >= 0) lf = text.indexOf("\n", start);
        }
      }
      pending += text.slice(start);
      if (pending.length + (data?.length ?? 0) > bufferLimit) {
        throw new RangeError(`An event has over ${bufferLimit} characters.`);
      }
    },
    get lastEventId() {
      return lastEventId;
    },
  };
}
