// A browser without Playwright, spoken to by the DevTools protocol over pipes: as much of it as a
// page needs that is to be frozen. Playwright makes its pages look focused, and what looks focused
// is never frozen.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { setting } from "../support/settings.mjs";
import { until, within } from "../support/wait.mjs";

export class BareBrowser {
  #process;
  #profile;
  #last = 0;
  #waiting = new Map();

  static async start(flags) {
    const browser = new BareBrowser();
    browser.#profile = await mkdtemp(join(tmpdir(), "tidings-browser-"));
    const own = ["--remote-debugging-pipe", `--user-data-dir=${browser.#profile}`];
    browser.#process = spawn(setting("CHROMIUM"), [...flags, ...own], {
      // The protocol's messages go in on file 3 and come out on file 4.
      stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"],
      // Chromium is started by a script, and ends with it only as its group.
      detached: true,
    });
    browser.#listen();
    return browser;
  }

  // Opens a page and gives it when its document is there.
  async open(url) {
    const { targetId } = await this.send("Target.createTarget", { url });
    const { sessionId } = await this.send("Target.attachToTarget", { targetId, flatten: true });
    const page = new BarePage(this, sessionId);
    await page.until(
      "the page is loaded",
      (url) => location.href === url && document.readyState === "complete",
      url,
    );
    return page;
  }

  send(method, params = {}, sessionId) {
    const id = (this.#last += 1);
    const answer = new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    this.#process.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    return within(`the browser answers ${method}`, answer);
  }

  async stop() {
    const exit = once(this.#process, "exit");
    process.kill(-this.#process.pid, "SIGKILL");
    await exit;
    // Processes of the group may be writing their last for a moment.
    await rm(this.#profile, { recursive: true, force: true, maxRetries: 20 });
  }

  #listen() {
    let text = "";
    this.#process.stdio[4].setEncoding("utf8").on("data", (more) => {
      const messages = (text + more).split("\0");
      text = messages.pop();
      for (const message of messages) this.#take(JSON.parse(message));
    });
  }

  #take({ id, result, error }) {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error) waiting?.reject(new Error(error.message));
    else waiting?.resolve(result);
  }
}

class BarePage {
  #browser;
  #session;

  constructor(browser, session) {
    this.#browser = browser;
    this.#session = session;
  }

  send(method, params) {
    return this.#browser.send(method, params, this.#session);
  }

  async evaluate(look, argument) {
    const expression = `(${look})(${JSON.stringify(argument)})`;
    const options = { expression, returnByValue: true, awaitPromise: true };
    const { result, exceptionDetails } = await this.send("Runtime.evaluate", options);
    if (exceptionDetails) throw new Error(exceptionDetails.exception.description);
    return result.value;
  }

  async until(what, look, argument) {
    return until(what, () => this.evaluate(look, argument));
  }
}
