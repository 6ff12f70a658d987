// A hub as a process: started on a free port, killed without a word, and started again on the
// same port and log.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { setting } from "./settings.mjs";
import { within } from "./wait.mjs";

const STDERR_CHARS_MAX = 20_000;

export class Hub {
  #command;
  #flags;
  #log;
  #directory;
  #process;
  #stderr = "";

  // `command` is "serve" or "demo", `log` "memory", "disk" or null (its own choice), `flags` are more
  // of its flags.
  static async start({ command = "serve", log = "memory", flags = [] } = {}) {
    const hub = new Hub();
    hub.#command = command;
    hub.#flags = flags;
    hub.#log = log;
    if (log === "disk") hub.#directory = await mkdtemp(join(tmpdir(), "tidings-test-"));
    hub.#run(0);
    await hub.#ready();
    return hub;
  }

  // kill -9: the hub has no chance to finish or to say anything.
  async kill() {
    await this.#end("SIGKILL");
  }

  async restart() {
    this.#run(this.port);
    await this.#ready();
  }

  // For good: nothing of it stays.
  async stop() {
    // Not SIGTERM: nobody here waits for a drain.
    await this.#end("SIGINT");
    if (this.#directory) await rm(this.#directory, { recursive: true, force: true });
  }

  // What it wrote on stderr: for the message of a test that fails.
  get stderr() {
    return this.#stderr;
  }

  // Publishes an event and gives its id. `fields` are event, id, retry; `headers` any headers.
  async publish(topic, data, { headers, ...fields } = {}) {
    const query = new URLSearchParams(fields);
    const response = await fetch(`${this.url}/topics/${encodeURIComponent(topic)}?${query}`, {
      method: "POST",
      headers,
      body: data,
    });
    const answer = await response.json();
    if (!response.ok) throw new Error(`${response.status}: ${answer.detail}`);
    return answer.id;
  }

  // What the log holds of a topic, oldest first.
  async history(topic) {
    const url = `${this.url}/topics/${encodeURIComponent(topic)}?since=earliest&limit=1000`;
    const response = await fetch(url, { headers: { Accept: "application/json" } });
    return (await response.json()).events;
  }

  // The value of a metric, summed over its labels; 0 where it does not stand there.
  async metric(name) {
    const text = await (await fetch(`${this.url}/metrics`)).text();
    const samples = text.matchAll(new RegExp(`^${name}(?:\\{.*\\})? (\\S+)$`, "gm"));
    return [...samples].reduce((sum, [, value]) => sum + Number(value), 0);
  }

  #run(port) {
    const log = this.#directory ? `disk:${this.#directory}` : this.#log;
    const flags = ["--listen", `127.0.0.1:${port}`, ...(log ? ["--log", log] : []), ...this.#flags];
    this.#process = spawn(setting("TIDINGS_BIN"), [this.#command, ...flags], {
      stdio: ["ignore", "pipe", "pipe"],
      cwd: tmpdir(),
      env: environment(),
    });
    this.#process.stderr.setEncoding("utf8").on("data", (text) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_CHARS_MAX);
    });
  }

  async #ready() {
    const lines = createInterface(this.#process.stdout);
    const exit = once(this.#process, "exit").then(([code, signal]) => {
      throw new Error(`The hub ended (${code ?? signal}) before it listened:\n${this.#stderr}`);
    });
    // Once it listens nobody waits for this any more.
    exit.catch(() => {});
    const first = once(lines, "line").then(([line]) => line);
    const line = await within("the hub says its address", Promise.race([first, exit]));
    const address = /http:\/\/127\.0\.0\.1:(\d+)/.exec(line);
    if (!address) throw new Error(`The hub's first line has no address: ${line}`);
    this.url = address[0];
    // Only where its flags say so; `url` is an address without TLS then, which they have to give too.
    this.secureUrl = /https:\/\/127\.0\.0\.1:\d+/.exec(line)?.[0];
    this.port = Number(address[1]);
  }

  async #end(signal) {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const exit = once(this.#process, "exit");
    this.#process.kill(signal);
    await within(`the hub has ended after ${signal}`, exit);
  }
}

// Nobody's settings: neither this suite's own variables nor those of whoever runs it.
function environment() {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith("TIDINGS_")),
  );
}
