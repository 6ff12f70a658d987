// What a source did, in order.

import { onTestFinished } from "vitest";
import type { EventSource, StreamErrorEvent } from "../../src/index.js";

export class Record {
  /** `open`, `error 0`, `error 2`, `message`, … */
  steps: string[] = [];
  events: MessageEvent[] = [];
  errors: StreamErrorEvent["error"][] = [];
  #waiting: (() => void)[] = [];

  constructor(source: EventSource, ...types: string[]) {
    onTestFinished(() => source.close());
    source.addEventListener("open", () => this.#note(`open ${source.readyState}`));
    source.addEventListener("error", ({ error }) => {
      this.errors.push(error);
      this.#note(`error ${source.readyState}`);
    });
    for (const type of ["message", ...types]) {
      source.addEventListener(type, (event) => {
        this.events.push(event);
        this.#note(type);
      });
    }
  }

  get data(): unknown[] {
    return this.events.map(({ data }) => data);
  }

  get ids(): string[] {
    return this.events.map(({ lastEventId }) => lastEventId);
  }

  /** Waits until so many of these steps have happened. */
  async until(step: string, count = 1): Promise<void> {
    while (this.steps.filter((taken) => taken === step).length < count) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  #note(step: string) {
    this.steps.push(step);
    for (const wake of this.#waiting.splice(0)) wake();
  }
}
