// What all drivers in JavaScript have in common. A driver is called with an address and the types
// to listen to beside "message" (as a JSON array, for clients that have to name them). It prints a
// line of JSON for each event, until it is stopped.

const [address, types] = process.argv.slice(2);

export const url = address;

const eventTypes = ["message", ...JSON.parse(types)];

// Some clients wait for their next attempt with a timer that does not keep a program alive.
setInterval(() => {}, 2 ** 30);

export function report({ id, event, data }) {
  process.stdout.write(`${JSON.stringify({ id, event, data })}\n`);
}

// For clients with the interface of a browser's EventSource.
export function listen(source) {
  for (const type of eventTypes) {
    source.addEventListener(type, ({ lastEventId, type, data }) => {
      report({ id: lastEventId, event: type, data });
    });
  }
}
