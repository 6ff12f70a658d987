// The JavaScript client as a page gets it: its modules as they are built, beside pages that use
// them, on a port of their own.

import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";

import { pageText } from "./harness.mjs";

const DIST = new URL("../../clients/js/dist/", import.meta.url);

if (!existsSync(DIST)) {
  throw new Error("clients/js is not built: run `cargo xtask test --only install,js` first.");
}

// `streams` answers what is neither a page nor a module: a function of request and response.
export async function servePackage(hubUrl, streams = notFound) {
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, "http://localhost");
    const [, folder, path] = /^\/(tidings\/)?([\w/-]+\.(?:html|js))$/.exec(pathname) ?? [];
    if (!path) return streams(request, response);
    try {
      const file = folder ? readFile(new URL(path, DIST)) : pageText(path, hubUrl);
      const type = folder ? "text/javascript" : "text/html";
      response.setHeader("Content-Type", `${type}; charset=utf-8`).end(await file);
    } catch {
      notFound(request, response);
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

function notFound(_, response) {
  response.writeHead(404).end();
}
