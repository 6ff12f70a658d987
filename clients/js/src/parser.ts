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
  let data = "";
  let lines = 0;
  let type = "";
  // Counts once the block ends: one that is cut off must not move the place to resume at.
  let id = lastEventId;

  function dispatch(): void {
    const ofType = type || "message";
    const whole = data;
    type = data = "";
    lastEventId = id;
    if (lines) {
      lines = 0;
      onEvent(ofType, whole, id);
    }
  }

  function take(name: string, value: string): void {
    if (name === "data") data = lines++ ? `${data}\n${value}` : value;
    if (name === "event") type = value;
    if (name === "id" && !value.includes("\0")) id = value;
    if (name === "retry" && /^\d+$/.test(value)) onRetry?.(+value);
  }

  function line(whole: string): void {
    if (!whole) return dispatch();
    const colon = whole.indexOf(":");
    // A name alone has an empty value.
    if (colon < 0) take(whole, "");
    else take(whole.slice(0, colon), valueOf(whole, colon));
  }

  return {
    feed(piece) {
      let text =
        typeof piece === "string"
          ? piece
          : (decoder ??= new TextDecoder()).decode(piece, { stream: true });
      if (!text) return;
      if (afterCr && text[0] === "\n") text = text.slice(1);
      // A line that ends with CR counts now, not when it is known whether an LF follows.
      afterCr = text.endsWith("\r");
      if (text.includes("\r")) text = text.replaceAll("\r\n", "\n").replaceAll("\r", "\n");
      let start = 0;
      let lf = text.indexOf("\n");
      for (; lf >= 0; lf = text.indexOf("\n", start)) {
        // Nearly all lines are data, ids, types or blank. A short way for these, without a call for
        // each, makes the parser twice as fast; engines compare with three letters at most without a
        // call.
        if (pending) {
          line(pending + text.slice(0, lf));
          pending = "";
        } else if (text.startsWith("dat", start) && text.startsWith("a:", start + 3)) {
          const value = valueOf(text, start + 4, lf);
          if (!lines && text.charCodeAt(lf + 1) === LF) {
            lf += 1;
            const ofType = type || "message";
            type = "";
            lastEventId = id;
            onEvent(ofType, value, id);
          } else data = lines++ ? `${data}\n${value}` : value;
        } else if (lf === start) dispatch();
        else if (text.startsWith("id:", start)) take("id", valueOf(text, start + 2, lf));
        else if (text.startsWith("eve", start) && text.startsWith("nt:", start + 3)) {
          type = valueOf(text, start + 5, lf);
        } else line(text.slice(start, lf));
        start = lf + 1;
      }
      pending += text.slice(start);
      if (pending.length + data.length > bufferLimit) {
        throw new RangeError(`Event over ${bufferLimit} characters.`);
      }
    },
    get lastEventId() {
      return lastEventId;
    },
  };
}

/** What stands after the colon, up to the end of the line. */
function valueOf(text: string, colon: number, end?: number): string {
  return text.slice(text.charCodeAt(colon + 1) === SPACE ? colon + 2 : colon + 1, end);
}
