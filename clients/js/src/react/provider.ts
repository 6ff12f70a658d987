// Where hooks find their sources: those of the nearest provider, or those of the module.

import { type Context, createContext, createElement, type ReactNode, useState } from "react";
import type { ConnectionOptions } from "../connection.js";
import { type Create, createStreams, type Streams } from "./streams.js";

export const StreamsContext: Context<Streams> = /* @__PURE__ */ createContext(
  /* @__PURE__ */ createStreams(),
);

/** What all hooks below are to share. Read once, when the provider is mounted. */
export interface ProviderProps {
  /** How sources are made, instead of by `createEventSource`: `createSharedEventSource`, say. */
  create?: Create;
  /** Options of all sources: headers, say. */
  options?: ConnectionOptions;
  children?: ReactNode;
}

/** Gives the hooks below it their options, and connections of their own. */
export function TidingsProvider({ create, options, children }: ProviderProps): ReactNode {
  const [streams] = useState(() => createStreams(create, options));
  return createElement(StreamsContext.Provider, { value: streams }, children);
}
