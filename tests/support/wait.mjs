// Waiting for what is to happen. Nothing here takes a fixed time: a condition is looked at again
// and again, and the deadline only bounds how long a test that fails takes.

import { setTimeout as sleep } from "node:timers/promises";

// Generous, since it is waited for only where something is broken.
export const DEADLINE_MS = 30_000;

const LOOK_MS = 25;

// Gives the first truthy result of `look`. `what` completes "waited in vain until …".
export async function until(what, look, deadlineMs = DEADLINE_MS) {
  const end = performance.now() + deadlineMs;
  for (;;) {
    const result = await look();
    if (result) return result;
    if (performance.now() > end) throw new Error(`Waited in vain until ${describe(what)}.`);
    await sleep(LOOK_MS);
  }
}

// Fails where the promise takes longer than anything should.
export async function within(what, promise, deadlineMs = DEADLINE_MS) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`Waited in vain until ${describe(what)}.`)),
      deadlineMs,
    );
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function describe(what) {
  return typeof what === "function" ? what() : what;
}
