// A dashboard: numbers that may change faster than anybody can see, drawn once per frame.

import { useEventStream } from "tidings/react";
import { STREAM } from "./stream.js";

interface Measured {
  name: string;
  value: number;
}

type Numbers = { [name: string]: { value: number; changes: number } };

export function Dashboard() {
  const { data: numbers } = useEventStream<Numbers, Measured>(
    STREAM,
    (numbers, { name, value }) => ({
      ...numbers,
      [name]: { value, changes: (numbers[name]?.changes ?? 0) + 1 },
    }),
    {},
    { event: "number", parse: JSON.parse, batch: true },
  );
  return (
    <section>
      <h2>Dashboard</h2>
      <dl id="numbers">
        {Object.entries(numbers).map(([name, { value, changes }]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd data-changes={changes}>{value}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}
