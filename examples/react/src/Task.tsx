// A long task: whoever does it tells how far it is. This page does one itself, to have one.

import { useState } from "react";
import { useEventSource } from "tidings/react";
import { hub, STREAM } from "./stream.js";

interface Progress {
  task: string;
  percent: number;
}

const STEPS = 10;

export function Task() {
  const { data } = useEventSource<Progress>(STREAM, { event: "progress", parse: JSON.parse });
  const [failure, setFailure] = useState("");

  async function run() {
    const task = crypto.randomUUID();
    try {
      for (let step = 0; step <= STEPS; step += 1) {
        const progress = { task, percent: (step / STEPS) * 100 };
        await hub.publish(`tasks/${task}`, progress, { event: "progress" });
      }
      setFailure("");
    } catch (error) {
      setFailure((error as Error).message);
    }
  }

  return (
    <section>
      <h2>A long task</h2>
      <button type="button" id="run" onClick={run}>
        Run
      </button>
      <progress max={100} value={data?.percent ?? 0} />
      <output id="percent">{data ? `${data.percent} %` : "not begun"}</output>
      {failure && <p role="alert">{failure}</p>}
    </section>
  );
}
