// The entry `tidings/react`: hooks over sources that they share.

export { type ProviderProps, TidingsProvider } from "./provider.js";
export {
  type StreamState,
  useEventSource,
  type UseEventSourceOptions,
  useEventStream,
  type UseEventStreamOptions,
} from "./hooks.js";
