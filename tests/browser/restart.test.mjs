// The hub dies while pages listen and somebody publishes: nothing that was acknowledged is lost,
// nothing comes twice, and the order stays.

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";

import { Hub } from "../support/hub.mjs";
import { until } from "../support/wait.mjs";
import { browserTest, localhost, serveFolder } from "./harness.mjs";

const PAGES = 4;
const KILLS = 3;
// Enough that some publishes are under way whenever the hub is killed.
const EVENTS_BETWEEN_KILLS = 60;

browserTest("kill -9, again and again: every page gets every event once", async (tools) => {
  const hub = await tools.use(Hub.start({ log: "disk", flags: ["--retry", "100ms"] }));
  const server = await tools.use(serveFolder(localhost(hub)));
  const tabs = [];
  for (let tab = 0; tab < PAGES; tab += 1)
    tabs.push(await tools.open(`${server.url}/numbers.html`));
  for (const tab of tabs) {
    await tab.until("the page listens", () => window.source.readyState === EventSource.OPEN);
  }
  const publisher = new Publisher(hub);
  await tools.use(publisher);
  for (const tab of tabs) {
    // Only with an event does a page have a place to go on from.
    await tab.until("the first event came", () => window.got.length > 0);
  }
  for (let kill = 1; kill <= KILLS; kill += 1) {
    await publisher.reaches(kill * EVENTS_BETWEEN_KILLS);
    await hub.kill();
    await hub.restart();
  }
  await publisher.reaches((KILLS + 1) * EVENTS_BETWEEN_KILLS);
  await publisher.stop();

  const expected = publisher.acknowledged.map(({ id, number }) => ({
    id,
    type: "message",
    data: `${number}`,
  }));
  for (const tab of tabs) {
    const last = expected.at(-1).data;
    await tab.until(`event ${last} is there`, (last) => window.got.at(-1)?.data === last, last);
    assert.deepEqual(await tab.evaluate(() => window.got), expected);
    assert.ok((await tab.evaluate(() => window.errors)) >= KILLS, "the page was cut off");
    assert.deepEqual(tab.faults, []);
  }
  const kept = await hub.history("numbers");
  assert.deepEqual(
    kept.map(({ id }) => id),
    expected.map(({ id }) => id),
  );
});

// Publishes 1, 2, 3, … one after the other, as fast as they are acknowledged. What is not
// acknowledged is published again under the same key, so it is there once.
class Publisher {
  acknowledged = [];
  #stopped = false;

  constructor(hub) {
    this.run = this.#publish(hub);
    // Whoever waits for the publisher sees why it failed.
    this.run.catch(() => {});
  }

  async reaches(events) {
    await Promise.race([
      this.run,
      until(`${events} events are acknowledged`, () => this.acknowledged.length >= events),
    ]);
  }

  async stop() {
    this.#stopped = true;
    await this.run;
  }

  async #publish(hub) {
    for (let number = 1; !this.#stopped; number += 1) {
      const id = await this.#publishOne(hub, number);
      if (id) this.acknowledged.push({ id, number });
    }
  }

  async #publishOne(hub, number) {
    const headers = { "Idempotency-Key": `number-${number}` };
    for (;;) {
      try {
        return await hub.publish("numbers", `${number}`, { headers });
      } catch (error) {
        // fetch says TypeError where no answer came. Anything else is the hub's refusal.
        if (!(error instanceof TypeError)) throw error;
        // Only a test that has failed stops it while the hub is away.
        if (this.#stopped) return undefined;
        await sleep(20);
      }
    }
  }
}
