// The page of one topic: its last events, and then those that come.
//
// It reads the stream with `fetch` and not with `EventSource`, because an `EventSource` hands
// events with a type only to listeners that named the type before, and here any type may come.
// Data is anybody's: it is shown by `textContent` only.

import { copy, quote } from "/_tidings/command.js";

const HISTORY_EVENTS = 50;
const ROWS_MAX = 200;
const DATA_CHARS_MAX = 2000;
const LATE_MS = 5000;

const byId = (id) => document.getElementById(id);

// Whatever else stands in the address (a token, say) is needed for the stream as well.
const query = new URLSearchParams(location.search);
for (const name of ["last", "since", "last_event_id"]) query.delete(name);

const topic = topicOf(location.pathname);
let cursor = "";
let retryMs = 2000;
let shown = 0;
let lateTimer = 0;

async function run() {
  for (;;) {
    try {
      if (!cursor) await showHistory();
      await follow();
    } catch (error) {
      if (error instanceof Refused) return setState("away", "Refused", error.message);
    }
    setState("connecting", "Reconnecting…");
    await new Promise((wake) => setTimeout(wake, retryMs));
  }
}

// The hub said no, with a reason; asking again the same way gets the same answer.
class Refused extends Error {}

async function showHistory() {
  setState("connecting", "Connecting…");
  const response = await ask("application/json", { last: HISTORY_EVENTS });
  const page = await response.json();
  for (const event of page.events) show(event);
  cursor = page.next;
}

async function follow() {
  const response = await ask("text/event-stream", { last_event_id: cursor });
  setState("live", "Live");
  for await (const event of decode(response.body)) {
    if (event.id) cursor = event.id;
    show(event);
  }
}

async function ask(accept, more) {
  const search = new URLSearchParams(query);
  for (const [name, value] of Object.entries(more)) search.set(name, value);
  const response = await fetch(`${location.pathname}?${search}`, { headers: { Accept: accept } });
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  const reason = problem.detail ?? problem.title ?? `The hub answered ${response.status}.`;
  // 429 and 5xx pass; the others stay.
  const passes = response.status === 429 || response.status >= 500;
  throw passes ? new Error(reason) : new Refused(reason);
}

// Turns a body into events. Only for the hub's own stream, whose lines end in LF.
async function* decode(body) {
  let rest = "";
  let event = { data: [] };
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (line === "") {
        if (event.data.length > 0) yield { ...event, data: event.data.join("\n") };
        event = { data: [] };
        continue;
      }
      const [, name, text] = /^([^:]*):? ?(.*)$/s.exec(line);
      if (name === "data") event.data.push(text);
      else if (name === "id" || name === "event") event[name] = text;
      else if (name === "retry" && /^\d+$/.test(text)) retryMs = Number(text);
    }
  }
}

function show(event) {
  byId("empty")?.remove();
  const time = new Date(event.time ?? Date.now());
  const type = event.event ?? "message";
  const row = document.createElement("li");
  row.append(
    cell("time", time.toLocaleTimeString([], { hour12: false }), time.toISOString()),
    cell("id", event.id ?? "", event.id ?? ""),
    cell("type", type, type),
    cell("data", shorten(event.data), ""),
  );
  row.querySelector(".type").dataset.type = type;
  byId("events").prepend(row);
  if (byId("events").children.length > ROWS_MAX) byId("events").lastElementChild.remove();
  shown += 1;
  byId("count").textContent = shown === 1 ? "1 event" : `${shown.toLocaleString("en")} events`;
}

function cell(name, text, title) {
  const span = document.createElement("span");
  span.className = name;
  span.textContent = text;
  if (title) span.title = title;
  return span;
}

function shorten(text) {
  if (text.length <= DATA_CHARS_MAX) return text;
  return `${text.slice(0, DATA_CHARS_MAX)}… (${text.length.toLocaleString("en")} characters)`;
}

function setState(state, text, notice = "") {
  byId("state").dataset.state = state;
  byId("state").textContent = text;
  if (state === "connecting") {
    lateTimer ||= setTimeout(sayWhyLate, LATE_MS);
    return; // What the notice says holds until the answer is there.
  }
  lateTimer = clearTimeout(lateTimer);
  byId("notice").textContent = notice;
  byId("notice").hidden = !notice;
}

function sayWhyLate() {
  byId("notice").textContent =
    "The hub has not answered for five seconds. Either it is away, and this page goes on trying; " +
    "or this browser has six connections to it open already, which is all that it opens per host " +
    "over HTTP/1.1: close other tabs that listen to it.";
  byId("notice").hidden = false;
}

function describe() {
  document.title = `${topic} – Tidings`;
  byId("topic").textContent = topic;
  const address = quote(location.origin + location.pathname);
  byId("publish").textContent = `curl -d 'Hello' ${address}`;
  byId("listen").textContent = `curl -N ${address}`;
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", () => copy(button, byId(button.dataset.copy)));
  }
}

function topicOf(path) {
  const encoded = path.slice(path.indexOf("/topics/") + "/topics/".length);
  try {
    return decodeURIComponent(encoded);
  } catch {
    return encoded;
  }
}

// Last, when all of the above is there.
describe();
run();
