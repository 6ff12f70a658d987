// The clients, and how each is run; with what they are known to do otherwise than the standard.

import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { ROOT, setting } from "../support/settings.mjs";
import { until } from "../support/wait.mjs";

const DRIVERS = join(ROOT, "tests/clients/drivers");
const RUST_DRIVERS = join(ROOT, "tests/clients/rust");
const RUST_TARGET = join(ROOT, "target/clients");

// What a client does otherwise than the standard is named by the rule's row in protocol/sse.md:
// what it makes of data, and whether an event that was cut off is lost to it. All of it is about
// what was published; what the hub adds (ids, heartbeats, retry) no client gets wrong.
const FETCH_EVENT_SOURCE = {
  data: {
    // A byte order mark at the beginning of any line is lost.
    P4: (data) => data.replaceAll("\uFEFF", ""),
    // An empty first line is lost.
    P13: (data) => data.replace(/^\n/, ""),
  },
  // It takes the id when its line ends, not when the event does: an event that is cut off after
  // that line is one that it believes it had.
  loses: "P20",
};

export const CLIENTS = [
  npm("eventsource"),
  npm("eventsource-client"),
  npm("event-source-polyfill"),
  npm("undici"),
  npm("@microsoft/fetch-event-source", "fetch-event-source", FETCH_EVENT_SOURCE),
  pypi("httpx-sse"),
  pypi("sseclient-py"),
  crate("reqwest-eventsource"),
  crate("eventsource-client"),
];

// A client that runs, and the events that it has reported.
export class Driver {
  events = [];
  #process;
  #rest = [];
  #stderr = "";
  #ended = false;

  constructor({ command }, url, types) {
    const [program, ...before] = command();
    const rest = [url, JSON.stringify(types)];
    this.#process = spawn(program, [...before, ...rest], { stdio: ["ignore", "pipe", "pipe"] });
    this.#process.stdout.setEncoding("utf8").on("data", (text) => this.#take(text));
    this.#process.stderr.setEncoding("utf8").on("data", (text) => (this.#stderr += text));
    this.#process.on("close", () => (this.#ended = true));
  }

  // Waits for so many events. More than that are none of this wait's business.
  async reaches(count) {
    const missing = () =>
      `event ${count} has come: only ${this.events.length} came.\n${this.#stderr.slice(-4000)}`;
    await until(missing, () => {
      const enough = this.events.length >= count;
      if (this.#ended && !enough) throw new Error(`The client ended before ${missing()}`);
      return enough;
    });
  }

  stop() {
    this.#process.kill("SIGKILL");
  }

  // Lines end in LF only: Node's readline ends them at U+2028 too, which events may contain.
  #take(text) {
    const lines = text.split("\n");
    this.#rest.push(lines[0]);
    for (const line of lines.slice(1)) {
      this.events.push(JSON.parse(this.#rest.join("")));
      this.#rest = [line];
    }
  }
}

// Builds the clients in Rust, which takes minutes the first time.
export async function buildRust(say) {
  say("building the two clients in Rust (tests/clients/rust); the first time this takes minutes");
  const manifest = join(RUST_DRIVERS, "Cargo.toml");
  const flags = ["--release", "--locked", "--manifest-path", manifest, "--target-dir", RUST_TARGET];
  const cargo = spawn("cargo", ["build", ...flags], { stdio: ["ignore", "ignore", "pipe"] });
  let stderr = "";
  cargo.stderr.setEncoding("utf8").on("data", (text) => (stderr += text));
  const code = await new Promise((done, fail) => {
    cargo.on("error", () =>
      fail(new Error("There is no `cargo`: install Rust, see CONTRIBUTING.md.")),
    );
    cargo.on("close", done);
  });
  if (code !== 0) throw new Error(`The clients in Rust can't be built:\n${stderr}`);
}

function npm(name, driver = name, deviations = {}) {
  const lock = JSON.parse(read("package-lock.json"));
  const { version } = lock.packages[`node_modules/${name}`];
  return {
    name: `npm ${name} ${version}`,
    command: () => [process.execPath, join(DRIVERS, `${driver}.mjs`)],
    deviations,
  };
}

function pypi(name) {
  const [, version] = new RegExp(`^${name}==(.*)$`, "m").exec(read("requirements.txt"));
  return {
    name: `PyPI ${name} ${version}`,
    command: () => [setting("PYTHON"), join(DRIVERS, `${name}.py`)],
    deviations: {},
  };
}

function crate(name) {
  const [, version] = new RegExp(`^name = "${name}"\nversion = "(.*)"$`, "m").exec(
    read("rust/Cargo.lock"),
  );
  return {
    name: `crate ${name} ${version}`,
    command: () => [join(RUST_TARGET, "release", name)],
    deviations: {},
  };
}

function read(file) {
  return readFileSync(join(ROOT, "tests/clients", file), "utf8");
}
