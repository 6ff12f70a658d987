// The SharedWorker: a member of each group that its tabs have told it of.
// Knows nothing of what its tabs do with events.

import type { ConnectionOptions } from "../connection.js";
import type { Port } from "../port.js";
import { join } from "./member.js";

interface Appointment {
  group: string;
  url: string;
  options: ConnectionOptions;
  /** A lock that the tab has while it listens. */
  tab: string;
}

interface Group {
  tabs: number;
  life: AbortController;
}

const groups = new Map<string, Group>();

addEventListener("connect", (event) => {
  const port = (event as MessageEvent).ports[0] as MessagePort;
  port.onmessage = ({ data }: MessageEvent<Appointment>) => {
    const { group: name, tab } = data;
    const group = groups.get(name) ?? found(data);
    group.tabs += 1;
    void navigator.locks.request(tab, () => {
      group.tabs -= 1;
      if (group.tabs === 0) end(name, group);
    });
    // Any word will do: the tab stands for the lead after this worker.
    port.postMessage(name);
  };
});

function found({ group: name, url, options }: Appointment): Group {
  // Nobody listens here.
  const port: Port = {
    state: (state) => {
      if (state === 2) end(name, group);
    },
    event() {},
    isFull: () => false,
  };
  const group: Group = { tabs: 0, life: new AbortController() };
  groups.set(name, group);
  join(name, url, options, port, group.life.signal);
  return group;
}

function end(name: string, group: Group): void {
  group.life.abort();
  if (groups.get(name) === group) groups.delete(name);
}
