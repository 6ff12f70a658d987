// The package `tidings`: an EventSource for everybody, and what a Tidings hub offers beyond it.

export { type ConnectionOptions as EventSourceOptions } from "./connection.js";
export type { StreamError } from "./error.js";
export {
  type AnyEvents,
  createEventSource,
  EventSource,
  type StreamErrorEvent,
} from "./event-source.js";
export {
  createHub,
  type Gap,
  type Hub,
  type HubOptions,
  type HubError,
  type PublishedEvent,
  type PublishOptions,
  type Renewal,
  type SubscribeOptions,
} from "./hub.js";
export { createParser, type OnEvent, type Parser, type ParserOptions } from "./parser.js";
