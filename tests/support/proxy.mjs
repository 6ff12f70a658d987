// A TCP proxy in front of a hub, which breaks connections as networks do.

import { once } from "node:events";
import { connect, createServer } from "node:net";

export class Proxy {
  // Connections that are open: a pair of sockets each.
  #pairs = new Set();
  #away = false;
  #cuts = [];

  static async start(hub) {
    const proxy = new Proxy();
    proxy.server = createServer((client) => proxy.#forward(client, hub.port));
    proxy.server.listen(0, "127.0.0.1");
    await once(proxy.server, "listening");
    proxy.port = proxy.server.address().port;
    proxy.url = `http://127.0.0.1:${proxy.port}`;
    return proxy;
  }

  // Breaks all connections, and new ones at once, until `comeBack`.
  goAway() {
    this.#away = true;
    for (const pair of this.#pairs) reset(pair);
  }

  comeBack() {
    this.#away = false;
  }

  // The first connection on which the hub sends `before` and then `after` ends between the two:
  // with `reset` as when a machine on the way forgets it, without as when the hub closes it.
  cutBetween(before, after, { reset = false } = {}) {
    const marker = Buffer.from(before + after);
    this.#cuts.push({ marker, at: Buffer.byteLength(before), reset });
  }

  // How many of the cuts have not happened yet.
  get cutsLeft() {
    return this.#cuts.length;
  }

  async stop() {
    this.goAway();
    this.server.close();
    await once(this.server, "close");
  }

  #forward(client, port) {
    if (this.#away) return client.resetAndDestroy();
    const hub = connect(port, "127.0.0.1");
    const pair = { client, hub };
    this.#pairs.add(pair);
    for (const socket of [client, hub]) {
      socket.setNoDelay(true);
      // The other side hears of it by the close that follows.
      socket.on("error", () => {});
    }
    client.on("close", () => {
      this.#pairs.delete(pair);
      hub.destroy();
    });
    // What is on its way to the client arrives before the end does.
    hub.on("close", () => client.end());
    client.pipe(hub);
    this.#sendOn(pair);
  }

  #sendOn({ client, hub }) {
    // The last bytes that were sent, as many as may be the beginning of a marker.
    let tail = Buffer.alloc(0);
    hub.on("data", (bytes) => {
      const seen = Buffer.concat([tail, bytes]);
      const cut = this.#cuts.find(({ marker }) => seen.includes(marker));
      if (cut) {
        this.#cuts.splice(this.#cuts.indexOf(cut), 1);
        const end = seen.indexOf(cut.marker) + cut.at;
        breakAfter({ client, hub }, bytes.subarray(0, Math.max(0, end - tail.length)), cut);
        return;
      }
      const kept = Math.max(0, ...this.#cuts.map(({ marker }) => marker.length - 1));
      tail = seen.subarray(Math.max(0, seen.length - kept));
      if (!client.write(bytes)) {
        hub.pause();
        client.once("drain", () => hub.resume());
      }
    });
  }
}

function breakAfter({ client, hub }, bytes, cut) {
  client.write(bytes, () => {
    if (cut.reset) client.resetAndDestroy();
    hub.destroy();
  });
  hub.removeAllListeners("data");
}

function reset({ client, hub }) {
  // Node never closes a socket that is reset while it is being ended, and then never exits.
  if (client.writableEnded) client.destroy();
  else client.resetAndDestroy();
  hub.destroy();
}
