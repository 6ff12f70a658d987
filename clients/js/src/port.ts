// What lies between a source and whatever opens its stream.

import type { ConnectionOptions } from "./connection.js";

/** 0 while it is being opened, 1 while it is open, 2 when it is closed for good. */
export type State = 0 | 1 | 2;

/** The way from a driver to its source. */
export interface Port {
  /** An error says why it is being opened again or has ended. */
  state(state: State, error?: Error): void;
  event(type: string, data: string, lastEventId: string, origin: string): void;
  /** Whether those who iterate have enough for now. */
  isFull(): boolean;
}

/** Opens a stream, soon, until the signal is aborted. Gives what opens it anew at once. */
export type Drive = (
  url: string,
  options: ConnectionOptions,
  port: Port,
  ended: AbortSignal,
) => () => void;
