// Over TLS a browser speaks HTTP/2: all its streams share one connection, so that twelve tabs work
// where over HTTP/1.1 the seventh waits, and one that stalls does not hold the others.

import assert from "node:assert/strict";

import { Hub } from "../support/hub.mjs";
import { browserTest } from "./harness.mjs";

const TABS = 12;

// Nobody vouches for the certificate; a person would be asked once.
const STRANGERS = { ignoreHTTPSErrors: true };

// What is published comes by another address, without TLS.
const FLAGS = ["--dev-tls", "--listen", "http://127.0.0.1:0"];

browserTest(
  "twelve tabs on one HTTP/2 connection, and one stalled stream",
  async (tools) => {
    const hub = await tools.use(Hub.start({ flags: FLAGS }));
    const tabs = [];
    for (let tab = 1; tab <= TABS; tab += 1) {
      tabs.push(await tools.open(`${hub.secureUrl}/topics/numbers`));
      await tabs.at(-1).page.locator("#state[data-state=live]").waitFor();
    }
    const protocols = await tabs[0].evaluate(() =>
      performance.getEntriesByType("navigation").map((entry) => entry.nextHopProtocol),
    );
    assert.deepEqual(protocols, ["h2"]);

    // A stream of the same connection whose page reads nothing, and far more for it than it takes.
    await tabs[0].evaluate(async () => {
      window.stalled = await fetch("/topics/flood");
    });
    await tabs[1].evaluate(() => {
      window.got = [];
      new EventSource("/topics/after").onmessage = ({ data }) => window.got.push(data);
    });
    const data = "x".repeat(500_000);
    for (let event = 0; event < 60; event += 1) await hub.publish("flood", `${event} ${data}`);
    for (let event = 0; event < 10; event += 1) await hub.publish("after", `after ${event}`);
    await tabs[1].until("what came after it", () => window.got.at(-1) === "after 9");

    await hub.publish("numbers", "forty-two");
    for (const tab of tabs) await tab.page.getByText("forty-two").first().waitFor();

    // Nothing of the stalled one is lost, once it is read.
    const events = await tabs[0].evaluate(async () => {
      const reader = window.stalled.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      while (!/\ndata: 59 x+\n\n/.test(text)) text += (await reader.read()).value;
      return [...text.matchAll(/^data: (\d+) x+$/gm)].map(([, number]) => Number(number));
    });
    assert.deepEqual(events, [...Array(60).keys()]);
    assert.deepEqual(
      tabs.flatMap((tab) => tab.faults),
      [],
    );
  },
  STRANGERS,
);
