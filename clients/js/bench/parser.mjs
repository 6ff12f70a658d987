// The parser beside `eventsource-parser`, on the same text, in turns: `npm run bench`. The ratio
// of the medians is what counts; above 1, ours is faster. Both get decoded text and hand each
// event to a function. Measured is processor time, so that others may use the machine too.

import { createParser as createOther } from "eventsource-parser";
import { createParser } from "../dist/parser.js";

const ROUNDS = 41;
const ROUND_MS = 30;

const words = "The quick brown fox jumps over the lazy dog. ";
const json = JSON.stringify({ id: 42, status: "shipped", total: 12.5, note: words.repeat(2) });

const WORKS = {
  "short events": pieces(events((at) => `data: ${at}\n\n`), 16_384),
  "a hub's events": pieces(
    events((at) => `id: k3f9x2ab-${at}\nevent: updated\ndata: ${json}\n\n`),
    16_384,
  ),
  "each event alone": Array.from({ length: 2_000 }, (_, at) => `id: ${at}\ndata: ${json}\n\n`),
  "many lines": pieces(events((at) => `id: ${at}\n${`data: ${words}\n`.repeat(20)}\n`), 16_384),
  "CRLF": pieces(events((at) => `id: ${at}\r\ndata: ${json}\r\n\r\n`), 16_384),
  "big events": pieces(`data: ${words.repeat(20_000)}\n\n`, 16_384),
  "tiny pieces": pieces(events((at) => `id: ${at}\ndata: ${json}\n\n`).slice(0, 200_000), 16),
};

console.log(`${"work".padEnd(20)}${"tidings".padStart(10)}${"other".padStart(10)}   ratio`);
for (const [name, work] of Object.entries(WORKS)) {
  const megabytes = work.reduce((sum, piece) => sum + piece.length, 0) / 1e6;
  const ours = [];
  const theirs = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    ours.push(rate(work, (take) => createParser((_type, data) => take(data))));
    theirs.push(rate(work, (take) => createOther({ onEvent: (event) => take(event.data) })));
  }
  const [a, b] = [median(ours) * megabytes, median(theirs) * megabytes];
  const columns = [a, b].map((rate) => `${rate.toFixed(0)} MB/s`.padStart(10));
  console.log(`${name.padEnd(20)}${columns.join("")}   ${(a / b).toFixed(2)}`);
}

// How often a second of processor time a new parser gets through the work.
function rate(work, create) {
  let length = 0;
  let times = 0;
  const start = process.cpuUsage();
  let spent;
  do {
    const parser = create((data) => {
      length += data.length;
    });
    for (const piece of work) parser.feed(piece);
    times += 1;
    const { user, system } = process.cpuUsage(start);
    spent = (user + system) / 1_000;
  } while (spent < ROUND_MS);
  if (length === 0) throw new Error("no event came");
  return (times / spent) * 1_000;
}

function events(event) {
  return Array.from({ length: 2_000 }, (_, at) => event(at)).join("");
}

function pieces(text, size) {
  return Array.from({ length: Math.ceil(text.length / size) }, (_, at) =>
    text.slice(at * size, (at + 1) * size),
  );
}

function median(values) {
  return values.sort((a, b) => a - b)[values.length >> 1];
}
