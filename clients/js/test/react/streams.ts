// Streams without a network: what the test sends, hooks get.

import { act } from "@testing-library/react";
import { vi } from "vitest";

interface Stream {
  path: string;
  answer: (response: Response) => void;
  body: ReadableStreamDefaultController<Uint8Array> | undefined;
  open: boolean;
}

const EVENTS = ["online", "pageshow", "pagehide", "visibilitychange"];

export class FakeStreams {
  headers: Headers[] = [];
  #streams: Stream[] = [];
  #added = vi.spyOn(globalThis, "addEventListener");
  #signals: AbortSignal[] = [];

  fetch = (url: string, { headers, signal }: RequestInit): Promise<Response> => {
    this.headers.push(headers as Headers);
    this.#signals.push(signal as AbortSignal);
    return new Promise((resolve, reject) => {
      const path = new URL(url).pathname;
      const stream: Stream = { path, answer: resolve, body: undefined, open: true };
      this.#streams.push(stream);
      signal?.addEventListener("abort", () => {
        stream.open = false;
        reject(signal.reason);
        try {
          stream.body?.error(signal.reason);
        } catch {
          // It has ended already.
        }
      });
    });
  };

  /** The paths of all streams that were ever opened, and of those that are open. */
  get opened(): string[] {
    return this.#streams.map(({ path }) => path);
  }

  get open(): string[] {
    return this.#streams.filter(({ open }) => open).map(({ path }) => path);
  }

  /** How many listeners of sources the page still has. */
  listeners(): number {
    const added = this.#added.mock.calls.filter(([type]) => EVENTS.includes(type));
    return added.filter(([, , options]) => !(options as AddEventListenerOptions).signal?.aborted)
      .length;
  }

  /** Opens the stream (`open`), ends it (`end`), or sends bytes. */
  async send(path: string, ...steps: string[]): Promise<void> {
    const stream = this.#streams.findLast((stream) => stream.path === path && stream.open);
    if (!stream) throw new Error(`nobody has opened ${path}`);
    await act(async () => {
      for (const step of steps) {
        if (step === "open") {
          const body = new ReadableStream<Uint8Array>({
            start: (controller) => {
              stream.body = controller;
            },
          });
          stream.answer(new Response(body, { headers: { "Content-Type": "text/event-stream" } }));
        } else if (step === "end") {
          stream.open = false;
          stream.body?.close();
        } else stream.body?.enqueue(new TextEncoder().encode(step));
        await vi.advanceTimersByTimeAsync(0);
      }
    });
  }
}
