// The page of the demo: one connection to the hub, and everything that the page shows of it.
//
// One `EventSource` carries all topics, because a browser opens six connections per host over
// HTTP/1.1 and an open stream takes one for good. Data is anybody's, so it is shown by
// `textContent` only, and whatever is kept here is bounded.

import { copy, quote } from "/_tidings/command.js";

const TOPICS = ["demo", "demo/*"];
const RESET = "tidings.reset"; // The hub's own: something is gone.
const LATE_MS = 5000; // A connection that is not there by then gets an explanation.
const REOPEN_MS = 2000; // Where the browser has given up, the page tries again.
const CATCH_UP_MS = 400; // What comes so soon after a reconnect was kept for this page.
const TASK_SILENT_MS = 6000;
const NODES_MS = 1000; // How often the page looks which nodes are there.
const TABS_WARN = 5;
const ROWS_MAX = 50;
const DATA_CHARS_MAX = 500;
const IDS_MAX = 500;
const TICKS_MAX = 130;
const USERS_MAX = 90; // Three minutes at one number every two seconds.
const TOASTS_MAX = 4;
const TOAST_MS = 7000;
const NOTIFICATIONS_MAX = 4;
const ALERTS_MAX = 3;

const byId = (id) => document.getElementById(id);
const wait = (ms) => new Promise((wake) => setTimeout(wake, ms));

// The name that this page gives its connection, by which the hub can be asked to cut it.
const label = `demo-${Math.random().toString(36).slice(2, 12)}`;

async function start() {
  connectForm();
  connectButtons();
  countTabs();
  setState("connecting", "Connecting…");
  open(await readState());
  await watchNodes();
}

// What was before this page: the task's true progress and the chart's numbers. Gives the cursor
// from which to listen. The task comes first: the cursor is then the older of the two, and what
// is published between the two requests comes again, which the chart sees, instead of never.
async function readState() {
  for (;;) {
    try {
      const task = await readHistory("demo/task", 1);
      const stream = await readHistory("demo", 3 * USERS_MAX);
      for (const event of stream.events) if (!event.event) showUsers(parse(event.data), event.id);
      if (task.events.length === 0) setTask("Not started", 0, false);
      for (const event of task.events) showProgress(event.data, Date.parse(event.time));
      return task.next;
    } catch {
      setState("connecting", "Waiting for the hub…");
      await wait(REOPEN_MS);
    }
  }
}

async function readHistory(topic, last) {
  const response = await ask(`${topicPath(topic)}?last=${last}`, {
    headers: { Accept: "application/json" },
  });
  return response.json();
}

// A request that says what went wrong instead of hanging: with six streams open, a seventh
// request waits in the browser for ever.
async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { ...options, signal: AbortSignal.timeout(LATE_MS) });
  } catch (error) {
    throw new Error(error.name === "TimeoutError"
      ? "No answer for five seconds: too many tabs may be open (see the note on top)."
      : "The hub could not be reached.");
  }
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  throw new Error(problem.detail ?? problem.title ?? `The hub answered ${response.status}.`);
}

// ---- The connection -----------------------------------------------------------------------

const connection = {
  source: null,
  types: new Set(["alerte", "notification", "progress", RESET]),
  lastId: "",
  lateTimer: 0,
  reconnects: 0,
  cut: false, // By this page's button.
  // Of the break that is going on, or that has just ended.
  lostAt: 0,
  openedAt: 0,
  caughtUp: 0,
  gapsBefore: 0,
  reset: "",
};

function open(cursor) {
  const query = new URLSearchParams(TOPICS.map((topic) => ["topic", topic]));
  query.set("label", label);
  if (cursor) query.set("last_event_id", cursor);
  connection.lastId = cursor;
  connection.source = new EventSource(`/events?${query}`);
  connection.source.onopen = opened;
  connection.source.onerror = lost;
  connection.source.onmessage = received;
  for (const type of connection.types) connection.source.addEventListener(type, received);
}

// An `EventSource` hands an event with a type only to those who listen to that type.
function listenTo(type) {
  if (!type || type === "message" || connection.types.has(type)) return;
  connection.types.add(type);
  connection.source?.addEventListener(type, received);
}

function opened() {
  setState("live", "Live");
  const known = nodes.many ? readNodes().catch(() => undefined) : undefined;
  if (!connection.lostAt) return;
  connection.openedAt = Date.now();
  connection.caughtUp = 0;
  connection.reconnects += 1;
  byId("reconnects").textContent = connection.reconnects;
  setTimeout(sayBack, CATCH_UP_MS, connection.lostAt, known);
  connection.lostAt = 0;
}

function lost() {
  nodes.yours = "";
  if (!connection.lostAt) {
    connection.lostAt = Date.now();
    connection.gapsBefore = counts.gaps;
    connection.reset = "";
    addTick("cut");
    addWord("The connection was lost.");
  }
  setState("connecting", "Reconnecting…");
  // After an answer that is no stream (a proxy's 502, say) a browser gives up for good.
  if (connection.source.readyState === EventSource.CLOSED) {
    connection.source.close();
    setTimeout(open, REOPEN_MS, connection.lastId);
  }
}

// `known` tells, some time, on which node it is.
async function sayBack(lostAt, known) {
  const yours = (await known)?.yours;
  const seconds = ((connection.openedAt - lostAt) / 1000).toFixed(1);
  const missed = counts.gaps - connection.gapsBefore;
  const waiting = connection.caughtUp === 1 ? "1 event was" : `${connection.caughtUp} events were`;
  const where = yours ? ` on ${yours}` : "";
  const text = connection.reset
    ? `Back${where} after ${seconds} s. ${connection.reset}`
    : `Back${where} after ${seconds} s: ${waiting} waiting, ${missed || "none"} missed.`;
  addWord(text);
  if (!connection.cut && !connection.reset) return;
  connection.cut = false;
  say("cut-outcome", missed || connection.reset ? "bad" : "good", text);
}

function setState(state, text) {
  byId("state").dataset.state = state;
  byId("state").textContent = text;
  if (state === "live") {
    connection.lateTimer = clearTimeout(connection.lateTimer);
    byId("notice").hidden = true;
  } else {
    connection.lateTimer ||= setTimeout(sayWhyLate, LATE_MS);
  }
}

function sayWhyLate() {
  byId("state").dataset.state = "away";
  byId("notice").textContent =
    "No connection for five seconds. Either the hub is away, and this page goes on trying; or " +
    "this browser has six connections to it open already, which is all that it opens per host over " +
    "HTTP/1.1, so the next one waits: close other tabs of this page.";
  byId("notice").hidden = false;
}

// ---- The nodes ----------------------------------------------------------------------------

const nodes = { many: false, yours: "" };

// Where there are several hubs, the button cuts the one that this page is on.
async function watchNodes() {
  for (;;) {
    const there = await readNodes().catch(() => undefined);
    if (there?.all.length === 0) return;
    await wait(NODES_MS);
  }
}

async function readNodes() {
  const response = await ask(`/demo/nodes?label=${label}`);
  const { nodes: all, yours } = await response.json();
  if (all.length > 0) showNodes(all, yours ?? "");
  return { all, yours };
}

function showNodes(all, yours) {
  if (!nodes.many) {
    nodes.many = true;
    for (const part of document.querySelectorAll("[data-alone]")) part.hidden = true;
    for (const part of document.querySelectorAll("[data-nodes]")) part.hidden = false;
    byId("what").textContent = "node";
  }
  nodes.yours = yours;
  byId("nodes").replaceChildren(...all.map((node) => nodeItem(node, node.name === yours)));
  byId("cut").textContent = yours ? `Cut ${yours}, which this page is on` : "Cut this page's node";
  byId("cut").disabled = !yours;
}

function nodeItem({ name, process, streams }, mine) {
  const item = cell(process === null ? "away" : mine ? "yours" : "", "", "li");
  const stands = process === null ? "away" : streams === 1 ? "1 stream" : `${streams} streams`;
  item.append(cell("", name, "strong"), cell("soft small", mine ? `${stands}, this page` : stands));
  item.dataset.node = name;
  return item;
}

// ---- Tabs ---------------------------------------------------------------------------------

// Tabs of one browser find each other without the hub, so the page can warn before it hangs.
function countTabs() {
  const overHttp1 = !/^h[23]/.test(performance.getEntriesByType("navigation")[0]?.nextHopProtocol);
  if (!overHttp1 || !("BroadcastChannel" in window)) return;
  const channel = new BroadcastChannel("tidings-demo");
  const others = new Set();
  channel.onmessage = ({ data: { who, says } }) => {
    if (says === "gone") others.delete(who);
    else others.add(who);
    if (says === "hello") channel.postMessage({ who: label, says: "here" });
    const tabs = others.size + 1;
    byId("tabs").hidden = tabs < TABS_WARN;
    byId("tabs").textContent =
      `${tabs} tabs of this page are open, and each holds a connection. A browser opens six per ` +
      "host over HTTP/1.1: from the sixth tab on, pages and buttons wait until one is closed.";
  };
  channel.postMessage({ who: label, says: "hello" });
  addEventListener("pagehide", () => channel.postMessage({ who: label, says: "gone" }));
}

// ---- What comes ---------------------------------------------------------------------------

const counts = { received: 0, gaps: 0, repeats: 0, lastTick: undefined, ids: new Set() };

function received(event) {
  const type = event.type;
  connection.lastId = event.lastEventId || connection.lastId;
  const late = Date.now() - connection.openedAt < CATCH_UP_MS;
  if (late && type !== RESET) connection.caughtUp += 1;
  const value = parse(event.data);
  count(event, tickOf(type, event.data, value), type, late);
  addRow(event.lastEventId, type, event.data);

  if (type === RESET) showReset(value, late);
  else if (type === "alerte") showAlert(value, event.data);
  else if (type === "progress" && isTask(value)) showProgress(event.data, Date.now());
  else if (type === "message" && isUsers(value)) showUsers(value, event.lastEventId);
  else if (type === "message" && COUNTER.test(event.data)) byId("counter").textContent = event.data;
  else showNotification(value, event.data);
}

// The stream numbers its ticks without holes, over messages and alerts: what the counters of
// this page say does not rest on the hub's ids.
const COUNTER = /^Counter: (\d{1,15})$/;

function tickOf(type, data, value) {
  if (type === "message") return Number(COUNTER.exec(data)?.[1] ?? NaN);
  return type === "alerte" && Number.isSafeInteger(value?.level) ? value.level : NaN;
}

function count(event, tick, type, late) {
  counts.received += 1;
  if (counts.ids.has(event.lastEventId)) counts.repeats += 1;
  remember(counts.ids, event.lastEventId);
  if (!Number.isNaN(tick)) countTick(tick, type === "alerte", late, event.lastEventId);
  showCount("received", counts.received);
  showCount("gaps", counts.gaps);
  showCount("repeats", counts.repeats);
}

function countTick(tick, alert, late) {
  const expected = (counts.lastTick ?? tick - 1) + 1;
  const missed = Math.max(0, tick - expected);
  counts.gaps += missed;
  if (tick === counts.lastTick) counts.repeats += 1;
  counts.lastTick = tick;
  for (let gone = 0; gone < Math.min(missed, 10); gone += 1) addTick("gone");
  addTick(`${alert ? "alert" : "live"}${late ? " late" : ""}`);
}

function showCount(name, value) {
  byId(name).textContent = value.toLocaleString("en");
  byId(name).parentElement.classList.toggle("broken", value > 0);
}

function addTick(classes) {
  const bar = document.createElement("i");
  bar.className = classes;
  byId("tape").append(bar);
  if (byId("tape").children.length > TICKS_MAX) byId("tape").firstElementChild.remove();
}

// The hub says plainly that something is gone. Where its log is still the same, the next tick
// tells how much; a new log begins a new count.
function showReset(value, late) {
  const incarnationOf = (id) => String(id).split("-")[0];
  const sameLog = incarnationOf(value?.from) === incarnationOf(value?.oldest);
  if (!sameLog) counts.lastTick = undefined;
  addTick("gone");
  connection.reset = sameLog
    ? "The hub says that what was missed is no longer kept."
    : "The hub says that its log is a new one: what was missed in the old one is gone.";
  if (!late) addWord(connection.reset); // Else `sayBack` says it.
}

function addRow(id, type, data) {
  const row = document.createElement("li");
  row.append(cell("id", id), cell("type", type), cell("data", shorten(data)));
  row.children[0].title = id;
  row.children[1].title = type;
  row.children[1].dataset.type = type;
  prependRow(row);
}

function addWord(text) {
  const row = cell("word", text, "li");
  prependRow(row);
}

function prependRow(row) {
  byId("empty")?.remove();
  keepFirst(byId("events"), row, ROWS_MAX);
}

// ---- The default stream -------------------------------------------------------------------

function showAlert(value, data) {
  const alert = byId("alert");
  if (!alert.hidden) keepFirst(byId("alerts"), cell("", alert.textContent, "li"), ALERTS_MAX);
  alert.hidden = false;
  const message = typeof value?.message === "string" ? value.message : data;
  const level = value?.level === undefined ? "" : ` (level ${value.level})`;
  alert.textContent = shorten(message + level);
}

// ---- The dashboard ------------------------------------------------------------------------

const users = { numbers: [], ids: new Set() };

function isUsers(value) {
  return Number.isFinite(value?.users);
}

function showUsers(value, id) {
  // What the history gave may come once more at the start of the stream.
  if (!isUsers(value) || users.ids.has(id)) return;
  remember(users.ids, id);
  users.numbers.push(value.users);
  if (users.numbers.length > USERS_MAX) users.numbers.shift();
  byId("users").textContent = value.users.toLocaleString("en");
  drawUsers(users.numbers);
}

function drawUsers(numbers) {
  const low = Math.max(0, Math.floor((Math.min(...numbers) - 2) / 10) * 10);
  const high = Math.max(low + 10, Math.ceil((Math.max(...numbers) + 2) / 10) * 10);
  const y = (number) => 99 - (98 * (number - low)) / (high - low);
  const first = USERS_MAX - numbers.length;
  const points = numbers.map((number, at) =>
    `${((100 * (first + at)) / (USERS_MAX - 1)).toFixed(2)} ${y(number).toFixed(2)}`);
  const left = points[0].split(" ")[0];
  byId("chart-line").setAttribute("d", `M${points.join("L")}`);
  byId("chart-area").setAttribute("d", `M${left} 99L${points.join("L")}L100 99Z`);
  byId("chart-top").textContent = high;
  byId("chart-bottom").textContent = low;
  byId("chart-dot").hidden = false;
  byId("chart-dot").style.top = `${y(numbers.at(-1))}%`;
  byId("chart").setAttribute("aria-label",
    `Users online: ${numbers.at(-1)} now, between ${Math.min(...numbers)} and ` +
    `${Math.max(...numbers)} in the last ${Math.ceil((numbers.length * 2) / 60)} minutes`);
}

// ---- Notifications ------------------------------------------------------------------------

// JSON with a title or a text, as this page sends it, or any text at all, as curl sends it.
function showNotification(value, data) {
  const title = typeof value?.title === "string" ? value.title : "";
  const text = typeof value?.text === "string" ? value.text : title ? "" : data;
  byId("no-notifications")?.remove();
  keepFirst(byId("notifications"), notification(title, text), NOTIFICATIONS_MAX);
  const toast = document.createElement("li");
  const close = cell("", "×", "button");
  close.type = "button";
  close.setAttribute("aria-label", "Close this notification");
  close.addEventListener("click", () => toast.remove());
  toast.append(notification(title, text, "span"), close);
  byId("toasts").append(toast);
  if (byId("toasts").children.length > TOASTS_MAX) byId("toasts").firstElementChild.remove();
  setTimeout(() => toast.remove(), TOAST_MS);
}

function notification(title, text, element = "li") {
  const item = document.createElement(element);
  if (title) item.append(cell("", shorten(title), "strong"));
  item.append(cell("text", shorten(text) || (title ? "" : "(empty)")));
  return item;
}

// ---- The task -----------------------------------------------------------------------------

let taskTimer = 0;

function isTask(value) {
  return Number.isFinite(value?.percent);
}

function showProgress(data, publishedAt) {
  const { percent, step, done } = parse(data) ?? {};
  setTask(step, percent, !done);
  clearTimeout(taskTimer);
  if (done) return;
  // Whoever waits for a task whose server is gone should be able to start another.
  const silentFor = Date.now() - publishedAt;
  taskTimer = setTimeout(() => setTask(`${step} – nothing heard for a while`, percent, false),
    Math.max(0, TASK_SILENT_MS - silentFor));
}

function setTask(step, percent, running) {
  byId("step").textContent = shorten(String(step ?? ""));
  byId("percent").textContent = `${percent} %`;
  byId("progress").value = percent;
  byId("start").disabled = running;
  byId("start").textContent = running ? "Running…" : "Start the task";
}

// ---- Buttons and the form -----------------------------------------------------------------

function connectButtons() {
  onClick("cut", async () => {
    connection.cut = true;
    const cut = nodes.yours ? `${nodes.yours} is cut` : "Cut";
    say("cut-outcome", "", `${cut}. The browser comes back by itself…`);
    const path = nodes.many ? "/demo/nodes/cut" : "/demo/cut";
    await ask(`${path}?label=${label}`, { method: "POST" });
  }, (problem) => say("cut-outcome", "bad", problem));

  onClick("start", async () => {
    await ask("/demo/task", { method: "POST" });
  }, (problem) => (byId("step").textContent = problem));

  onClick("notify", async () => {
    const at = new Date().toLocaleTimeString([], { hour12: false });
    const hello = { title: "Hello, everybody", text: `Sent from a browser at ${at}.` };
    await publish("demo/notifications", "notification", JSON.stringify(hello));
  }, (problem) => showNotification({ title: "Not sent", text: problem }, ""));

  for (const origin of document.querySelectorAll("[data-origin]")) {
    origin.textContent = location.origin;
  }
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", () => copy(button, byId(button.dataset.copy)));
  }
}

function onClick(id, act, fail) {
  byId(id).addEventListener("click", () => act().catch((error) => fail(error.message)));
}

function connectForm() {
  const form = byId("form");
  form.addEventListener("input", showLines);
  form.addEventListener("submit", async (submit) => {
    submit.preventDefault();
    const { topic, type, data } = fields();
    listenTo(type);
    try {
      const { id } = await publish(topic, type, data);
      say("answer", "good", `Kept as ${id}`);
    } catch (error) {
      say("answer", "bad", error.message);
    }
  });
  showLines();
}

async function publish(topic, type, data) {
  const response = await ask(publishPath(topic, type), { method: "POST", body: data });
  return response.json();
}

function fields() {
  return { topic: byId("topic").value, type: byId("type").value.trim(), data: byId("data").value };
}

function showLines() {
  const { topic, type, data } = fields();
  // curl reads a file where the data of -d begin with @.
  const flag = data.startsWith("@") ? "--data-raw" : "-d";
  const to = quote(location.origin + publishPath(topic, type));
  byId("publish-line").textContent = `curl ${flag} ${quote(data)} ${to}`;
  byId("listen-line").textContent = `curl -N ${quote(location.origin + topicPath(topic))}`;
  byId("topic-page").href = topicPath(topic);
}

function publishPath(topic, type) {
  return topicPath(topic) + (type ? `?event=${encodeURIComponent(type)}` : "");
}

// Slashes stay as they are, for the reader's sake, unless the browser would resolve `..` there.
function topicPath(topic) {
  const steps = topic.split("/");
  const slash = steps.includes("..") || steps.includes(".") ? "%2F" : "/";
  return `/topics/${steps.map(encodeURIComponent).join(slash)}`;
}

// ---- Leaves -------------------------------------------------------------------------------

function parse(data) {
  try {
    return JSON.parse(data);
  } catch {
    return undefined;
  }
}

function cell(name, text, element = "span") {
  const made = document.createElement(element);
  if (name) made.className = name;
  made.textContent = text;
  return made;
}

// A set keeps its order, so the oldest id is the first.
function remember(ids, id) {
  ids.add(id);
  if (ids.size > IDS_MAX) ids.delete(ids.values().next().value);
}

function keepFirst(list, item, max) {
  list.prepend(item);
  while (list.children.length > max) list.lastElementChild.remove();
}

function say(id, outcome, text) {
  byId(id).dataset.outcome = outcome;
  byId(id).textContent = text;
}

function shorten(text) {
  if (text.length <= DATA_CHARS_MAX) return text;
  return `${text.slice(0, DATA_CHARS_MAX)}… (${text.length.toLocaleString("en")} characters)`;
}

// Last, when all of the above is there.
start();
