// What every browser test has: a browser, pages that are watched, pages of other origins, and a
// screenshot of each page where a test fails.

import { mkdir, readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import { after, test } from "node:test";

import { chromium } from "playwright-core";

import { ROOT, setting } from "../support/settings.mjs";
import { DEADLINE_MS, until } from "../support/wait.mjs";

const PAGES = new URL("pages/", import.meta.url);
const SCREENSHOTS = join(ROOT, "target/browser");

// Nothing that starts with the browser may use the network or the time of a slow machine.
const FLAGS = [
  "--headless",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

// A test with a browser context of its own, which is what a person's profile is: its tabs share
// connections, cookies and caches. `use` gives what it is handed back at the end, in the opposite
// order: things with a `stop` or a `close`. `options` are the context's.
export function browserTest(name, run, options = {}) {
  test(name, { timeout: 170_000 }, async () => {
    const context = await (await browser()).newContext(options);
    context.setDefaultTimeout(DEADLINE_MS);
    const tabs = [];
    const used = [context];
    const tools = {
      context,
      open: async (url) => {
        const tab = await Tab.open(context);
        tabs.push(tab);
        if (url) await tab.page.goto(url);
        return tab;
      },
      use: async (thing) => {
        used.push(await thing);
        return used.at(-1);
      },
    };
    try {
      await run(tools);
    } catch (error) {
      await explain(name, tabs, used, error);
      throw error;
    } finally {
      for (const thing of used.reverse()) await (thing.stop?.() ?? thing.close());
    }
  });
}

// One browser for all tests of a file. Its profile is a new directory, which goes with it.
let launched;

function browser() {
  launched ??= launch();
  return launched;
}

function launch() {
  return chromium.launch({ executablePath: setting("CHROMIUM"), args: browserFlags() });
}

export function browserFlags() {
  // As root, as in most containers, Chromium's sandbox can't work.
  return process.getuid() === 0 ? [...FLAGS, "--no-sandbox"] : FLAGS;
}

after(async () => {
  if (launched) await (await launched).close();
});

// A page, and what it complained about.
export class Tab {
  complaints = [];

  static async open(context) {
    const tab = new Tab();
    tab.page = await context.newPage();
    tab.page.on("pageerror", (error) => tab.complaints.push(`error: ${error.stack}`));
    tab.page.on("console", (message) => {
      // What a Content-Security-Policy keeps from running is an error here too.
      if (message.type() === "error") tab.complaints.push(`console: ${message.text()}`);
    });
    return tab;
  }

  // A request that finds no hub is the browser's to report; in tests without a hub at times
  // that is no fault of the page.
  get faults() {
    return this.complaints.filter((text) => !/net::ERR_/.test(text));
  }

  text(selector) {
    return this.page.locator(selector).innerText();
  }

  async number(selector) {
    return Number((await this.text(selector)).replaceAll(/\D/g, ""));
  }

  evaluate(look, argument) {
    return this.page.evaluate(look, argument);
  }

  // Waits until a function, run in the page, gives something truthy, and gives that.
  async until(what, look, argument) {
    return until(what, () => this.evaluate(look, argument));
  }
}

async function explain(name, tabs, used, error) {
  await mkdir(SCREENSHOTS, { recursive: true });
  const file = name
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .slice(0, 80);
  for (const [at, { page, complaints }] of tabs.entries()) {
    const path = join(SCREENSHOTS, `${file}-${at + 1}.png`);
    // A frozen page, or one without a document, has no picture.
    await page.screenshot({ path, timeout: 5_000 }).catch(() => {});
    if (complaints.length > 0) error.message += `\nTab ${at + 1} said: ${complaints.join("\n")}`;
  }
  const stderr = used.map((thing) => thing.stderr).find(Boolean);
  if (stderr) error.message += `\nThe hub wrote:\n${stderr}`;
}

// The files in pages/ on a port of their own, that is, another origin than the hub's. HUB in them
// becomes the hub's address, as it would stand there in somebody's page.
export async function serveFolder(hubUrl) {
  const server = createServer(async (request, response) => {
    try {
      const text = await pageText(request.url.slice(1), hubUrl);
      response.setHeader("Content-Type", "text/html; charset=utf-8").end(text);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return {
    url: `http://localhost:${server.address().port}`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

export async function pageText(name, hubUrl) {
  if (!/^[a-z]+\.html$/.test(name)) throw new Error(`no page ${name}`);
  return (await readFile(new URL(name, PAGES), "utf8")).replaceAll("HUB", hubUrl);
}

// As people write it in their pages.
export function localhost(hub) {
  return `http://localhost:${hub.port}`;
}
