// What is published for the clients: everything that an event can be.

const MIB = 1024 * 1024;

// `row` names the rule of protocol/sse.md that a client needs for it, where one is known to break
// that rule.
export const EVENTS = [
  { data: "hello" },
  { event: "alerte", data: '{"message":"a type","level":5}' },
  { id: "urn:example:chosen-1", data: "an id that the publisher chose" },
  { id: "gewählt", data: "and one beyond ASCII" },
  { data: "" },
  { data: "two\nlines" },
  { data: "a break at the end\n" },
  { row: "P13", data: "\na break at the beginning" },
  { row: "P13", data: "\n" },
  { data: "a\n\n\nb" },
  { data: "CR\rCRLF\r\nLF\nall three\r\n\r\r\nend" },
  { data: " one space" },
  { data: "   three, and one at the end " },
  { data: "\ta tab" },
  { data: "é 日本語 🦀 \u{1F469}\u{200D}\u{1F680}" },
  { data: "breaks elsewhere:\u2028\u2029\u0085\u000b\u000cend" },
  { data: "a NUL: \u0000 here" },
  { row: "P4", data: "\uFEFFa byte order mark" },
  { row: "P4", data: "line\n\uFEFFline" },
  { data: ": no comment" },
  { data: "x\nid: 9\nevent: forged\nretry: 1\n\ndata: forged\n:" },
  { event: "a:b c", data: "colon: value" },
  { event: "__proto__", data: "a type that is a name in JavaScript" },
  { event: "constructor", data: "another" },
  { event: "größe ✓", data: "a type beyond ASCII" },
  { retry: 150, data: "with a reconnection time" },
  { data: "m".repeat(MIB) },
  { data: "eine Zeile, viele Male\n".repeat(40_000) },
  { event: "last", retry: 120, id: "urn:example:chosen-2", data: "all at once" },
];

// The types, for clients that have to name what they listen to.
export const TYPES = [...new Set([...EVENTS.flatMap(({ event }) => event ?? []), "tidings.reset"])];

// An event as a client reports it: each line break is LF, and the default type is "message".
export function reported({ row, event = "message", data }, id, { deviations }) {
  const lines = data.replaceAll(/\r\n?/g, "\n");
  return { id, event, data: deviations.data?.[row]?.(lines) ?? lines };
}
