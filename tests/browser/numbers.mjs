// Numbers, published one after the other, for pages that note what they get.

import assert from "node:assert/strict";

export class Numbers {
  events = [];
  #hub;
  #headers;

  // `headers` are those of the publisher: a token, say.
  constructor(hub, headers = {}) {
    this.#hub = hub;
    this.#headers = headers;
  }

  async publish(data) {
    const id = await this.#hub.publish("numbers", data, { headers: this.#headers });
    this.events.push({ id, type: "message", data });
  }

  async publishMany(count, pad = 0) {
    const batch = Array.from({ length: count }, (_, at) => `${at} `.padEnd(pad, "."));
    const response = await fetch(`${this.#hub.url}/events`, {
      method: "POST",
      headers: { "Content-Type": "application/json", ...this.#headers },
      body: JSON.stringify(batch.map((data) => ({ topic: "numbers", data }))),
    });
    const { ids } = await response.json();
    this.events.push(...batch.map((data, at) => ({ id: ids[at], type: "message", data })));
  }

  // Each once, in order, from the `from`th on.
  async checkAll(page, from = 0) {
    const expected = this.events.slice(from);
    const last = expected.at(-1).id;
    await page.until("the last event came", (last) => window.got.at(-1)?.id === last, last);
    const got = await page.evaluate(() => window.got);
    // First what is short to read where it differs.
    assert.deepEqual(
      got.map(({ id }) => id),
      expected.map(({ id }) => id),
    );
    assert.deepEqual(got, expected);
  }
}
