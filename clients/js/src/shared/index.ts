// The entry `tidings/shared`: one connection of a browser for all tabs of an origin.

export { createSharedEventSource, type SharedOptions } from "./source.js";
