// HTTP/1 by hand: what goes over the socket is seen as it is, and can be what no library sends.

import { once } from "node:events";
import { connect } from "node:net";

import { until } from "../support/wait.mjs";

export class Wire {
  closed = false;
  #bytes = Buffer.alloc(0);
  #socket;

  static async open(hub) {
    const wire = new Wire();
    wire.#socket = connect(hub.port, "127.0.0.1");
    // Those who wait for bytes see that none come any more.
    wire.#socket.on("error", () => {});
    wire.#socket.on("close", () => (wire.closed = true));
    wire.#socket.on("data", (bytes) => (wire.#bytes = Buffer.concat([wire.#bytes, bytes])));
    await once(wire.#socket, "connect");
    return wire;
  }

  // Opens a connection for one request. `headers` are pairs, whose values can be bytes.
  static async request(hub, method, target, { headers = [], body = "", version = "1.1" } = {}) {
    const wire = await Wire.open(hub);
    wire.send(method, target, { headers, body, version });
    return wire;
  }

  send(method, target, { headers = [], body = "", version = "1.1" } = {}) {
    const length = body === "" ? [] : [["Content-Length", `${Buffer.byteLength(body)}`]];
    const lines = [["Host", "localhost"], ...length, ...headers].flatMap(([name, value]) => [
      Buffer.from(`${name}: `),
      Buffer.from(value),
      Buffer.from("\r\n"),
    ]);
    const start = Buffer.from(`${method} ${target} HTTP/${version}\r\n`);
    this.write(Buffer.concat([start, ...lines, Buffer.from("\r\n"), Buffer.from(body)]));
  }

  write(bytes) {
    this.#socket.write(bytes);
  }

  close() {
    this.#socket.destroy();
  }

  // The head of the answer: status, and headers by their names in lower case.
  async head() {
    await this.#until("the head is there", () => this.#bytes.includes("\r\n\r\n"));
    const [status, ...lines] = this.#text(0, this.#bodyAt - 4).split("\r\n");
    const headers = {};
    for (const line of lines) {
      const [, name, value] = /^([^:]+): ?(.*)$/.exec(line);
      headers[name.toLowerCase()] = headers[name.toLowerCase()]
        ? `${headers[name.toLowerCase()]}, ${value}`
        : value;
    }
    return { status: Number(/^HTTP\/1\.[01] (\d+)/.exec(status)[1]), headers };
  }

  // The body as far as it has come, without the framing of its chunks.
  get body() {
    if (!this.#text(0, this.#bodyAt).toLowerCase().includes("transfer-encoding: chunked")) {
      return this.#text(this.#bodyAt);
    }
    const pieces = [];
    for (let at = this.#bodyAt; ;) {
      const end = this.#bytes.indexOf("\r\n", at);
      if (end < 0) break;
      const length = parseInt(this.#text(at, end), 16);
      const piece = this.#bytes.subarray(end + 2, end + 2 + length);
      // A chunk that has not come whole counts as far as it has come.
      pieces.push(piece);
      if (length === 0 || piece.length < length) break;
      at = end + 2 + length + 2;
    }
    return Buffer.concat(pieces).toString();
  }

  // Waits until the body has a text, and gives the body.
  async bodyWith(text) {
    const what = () =>
      `the body has ${JSON.stringify(text)}; it is ${JSON.stringify(this.body.slice(-500))}`;
    await this.#until(what, () => this.body.includes(text));
    return this.body;
  }

  // The JSON of an answer that is no stream.
  async json() {
    const { headers } = await this.head();
    const length = Number(headers["content-length"]);
    await this.#until("the body is whole", () => this.#bytes.length >= this.#bodyAt + length);
    return JSON.parse(this.#text(this.#bodyAt, this.#bodyAt + length));
  }

  // Forgets an answer that has been read, so that the next one on this connection is seen.
  forget() {
    this.#bytes = Buffer.alloc(0);
  }

  get #bodyAt() {
    return this.#bytes.indexOf("\r\n\r\n") + 4;
  }

  #text(from, to) {
    return this.#bytes.subarray(from, to).toString();
  }

  async #until(what, look) {
    await until(what, () => {
      if (look()) return true;
      if (this.closed)
        throw new Error(
          `The connection was closed before ${what instanceof Function ? what() : what}.`,
        );
      return false;
    });
  }
}

// The blocks of an event stream: what stands between blank lines, each as its lines. The last one
// is what has no blank line yet.
export function blocks(body) {
  return body.split("\n\n").map((block) => block.split("\n"));
}

// The events of a stream in the profile that the hub keeps to, whose blocks are read by the letter:
// id first, then event, retry, data, each with one space, and comments only in between.
export function events(body) {
  return blocks(body)
    .slice(0, -1)
    .map((lines) => {
      const text = lines.filter((line) => !line.startsWith(":")).join("\n");
      const block =
        /^(?:retry: \d+\n)?id: (.+)\n(?:event: (.+)\n)?(?:retry: (\d+)\n)?(data: [^]*)$/.exec(text);
      if (!block) throw new Error(`no event of the hub's profile: ${JSON.stringify(text)}`);
      const [, id, event, retry, data] = block;
      const values = data.split("\n").map((line) => {
        if (!line.startsWith("data: ")) throw new Error(`no line of data: ${JSON.stringify(line)}`);
        return line.slice("data: ".length);
      });
      return { id, event, retry, data: values.join("\n") };
    });
}
