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
   * @throws RangeError when an event outgrows `bufferLimit`; and what `onEvent` throws. The parser
   * is of no more use then.
   */
  feed(piece: string | Uint8Array): void;
  /** What a reconnect has to send as `Last-Event-ID`; empty where there is nothing to send. */
  readonly lastEventId: string;
}

/** Far more than anybody should send as one event, far less than what hurts a browser. */
const BUFFER_LIMIT = 16 * 1024 * 1024;

const LF = 10;
const CR = 13;
const SPACE = 32;
const MESSAGE = "message";

/** A parser for one connection. Its work is linear in the length of the stream. */
export function createParser(
  onEvent: OnEvent,
  { lastEventId = "", onRetry, bufferLimit = BUFFER_LIMIT }: ParserOptions = {},
): Parser {
  // Removes one byte order mark, and puts U+FFFD where bytes are no UTF-8.
  const decoder = new TextDecoder();
  // The beginning of a line whose end has not come. Only what comes new is searched for an end.
  let pending = "";
  // The last piece ended with a CR: an LF right after it belongs to it.
  let afterCr = false;
  // The data of a block that goes on in the next piece; none is not the same as empty.
  let block: string | null = null;
  let type = MESSAGE;
  // Counts once the block ends: one that is cut off must not move the place to resume at.
  let id = lastEventId;

  return {
    feed(piece) {
      let text = typeof piece === "string" ? piece : decoder.decode(piece, { stream: true });
      if (!text) return;
      if (afterCr && text[0] === "\n") text = text.slice(1);
      // A line that ends with CR counts now, not when it is known whether an LF follows.
      afterCr = text.charCodeAt(text.length - 1) === CR;
      let lf = text.indexOf("\n");
      let cr = text.indexOf("\r");
      // At least one of them is there.
      if (pending && (lf & cr) >= 0) {
        // What `join` makes is read faster than what `+` does.
        text = [pending, text].join("");
        lf = text.indexOf("\n", pending.length);
        cr = text.indexOf("\r", pending.length);
        pending = "";
      }
      let start = 0;
      // Here, since engines take longer to write what outlives a call.
      let data = block;
      // A search that has found nothing is not repeated: that would not be linear any more. And no
      // calls for each line: engines compare a letter without one, and up to three that stand in a
      // string.
      let end: number;
      while ((end = cr < 0 || (lf >= 0 && lf < cr) ? lf : cr) >= 0) {
        let next = end + 1;
        if (end === cr) {
          if (next === lf) next += 1;
          cr = text.indexOf("\r", next);
        }
        if (
          // "data:"
          text.charCodeAt(start) === 100 &&
          text.charCodeAt(start + 1) === 97 &&
          text.charCodeAt(start + 2) === 116 &&
          text.charCodeAt(start + 3) === 97 &&
          text.charCodeAt(start + 4) === 58
        ) {
          const value = valueOf(text, start + 5, end);
          // Nearly all events have one line of data, and end with it.
          if (data === null && text.charCodeAt(next) === LF) {
            next += 1;
            lastEventId = id;
            onEvent(type, value, id);
            type = MESSAGE;
          } else {
            // In this order the long one of the two is joined once.
            data = data === null ? value : data + `\n${value}`;
          }
        } else if (start === end) {
          lastEventId = id;
          if (data !== null) onEvent(type, data, id);
          data = null;
          type = MESSAGE;
        } else if (text.startsWith("id:", start)) {
          const value = valueOf(text, start + 3, end);
          if (!value.includes("\0")) id = value;
        } else if (text.startsWith("eve", start) && text.startsWith("nt:", start + 3)) {
          type = valueOf(text, start + 6, end) || MESSAGE;
        } else {
          // What is rare, a name without a value among it, and what is to be ignored.
          const line = text.slice(start, end);
          const digits = /^retry: ?(\d+)$/.exec(line);
          if (digits) onRetry?.(+(digits[1] as string));
          if (line === "data") data = data === null ? "" : `${data}\n`;
          if (line === "id") id = "";
          if (line === "event") type = MESSAGE;
        }
        start = next;
        if (lf >= 0 && lf < start) lf = text.indexOf("\n", start);
      }
      if (start < text.length) pending += text.slice(start);
      block = data;
      if (pending.length + (data ?? "").length > bufferLimit) {
        throw new RangeError(`Event over ${bufferLimit} characters.`);
      }
    },
    get lastEventId() {
      return lastEventId;
    },
  };
}

/** What stands between these places, without the space that may be the first. */
function valueOf(text: string, start: number, end: number): string {
  return text.slice(text.charCodeAt(start) === SPACE ? start + 1 : start, end);
}
