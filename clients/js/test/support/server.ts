// A server that does what the test says, request by request, and remembers what it was asked.

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";

export interface Request {
  method: string;
  path: string;
  headers: IncomingMessage["headers"];
  body: string;
  response: ServerResponse;
  /** Resolves when the client has gone. */
  gone: Promise<void>;
}

export type Answer = (request: Request, at: number) => unknown;

export class Scripted {
  requests: Request[] = [];
  #server = createServer();
  #waiting: (() => void)[] = [];

  /** The answers in turn; the last one is for all that follow. */
  static async start(...answers: Answer[]): Promise<Scripted> {
    const scripted = new Scripted();
    scripted.#server.on("request", (incoming, response) => {
      void scripted.#take(incoming, response, answers);
    });
    await new Promise<void>((done) => scripted.#server.listen(0, "127.0.0.1", done));
    onTestFinished(() => {
      scripted.#server.closeAllConnections();
      scripted.#server.close();
    });
    return scripted;
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get url(): string {
    return `${this.origin}/stream`;
  }

  /** Waits until so many requests have come, and gives the last of them. */
  async request(count: number): Promise<Request> {
    while (this.requests.length < count) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    return this.requests[count - 1] as Request;
  }

  async #take(incoming: IncomingMessage, response: ServerResponse, answers: Answer[]) {
    const parts: Buffer[] = [];
    for await (const part of incoming) parts.push(part as Buffer);
    const request = {
      method: incoming.method as string,
      path: incoming.url as string,
      headers: incoming.headers,
      body: Buffer.concat(parts).toString(),
      response,
      gone: new Promise<void>((resolve) => response.on("close", resolve)),
    };
    this.requests.push(request);
    const at = this.requests.length - 1;
    await answers[Math.min(at, answers.length - 1)]?.(request, at);
    for (const wake of this.#waiting.splice(0)) wake();
  }
}

/** An event stream with these bytes, which stays open. */
export function stream(text: string | Uint8Array = "", headers: Record<string, string> = {}): Answer {
  return ({ response }) => {
    response.writeHead(200, { "Content-Type": "text/event-stream", ...headers });
    response.flushHeaders();
    if (text.length > 0) response.write(text);
  };
}

/** The same, which ends. */
export function ending(text: string, headers?: Record<string, string>): Answer {
  return (request, at) => {
    stream(text, headers)(request, at);
    request.response.end();
  };
}

export function status(code: number, headers: Record<string, string> = {}): Answer {
  return ({ response }) => response.writeHead(code, headers).end();
}

/** No answer at all. */
export const reset: Answer = ({ response }) => response.destroy();
