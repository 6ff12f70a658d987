//! What an operator can set about a hub, with its defaults.
//! Knows nothing of flags, files and the environment: the program reads those.

use std::num::NonZero;
use std::time::Duration;

use tidings_core::limits;
use tidings_core::topic::Selectors;

/// The settings of a hub. `Config::default()` is right for one machine.
#[derive(Clone, Debug)]
pub struct Config {
    /// The body of a publish of many as a JSON array, in bytes.
    pub batch_bytes_max: usize,
    /// How long an event waits for others that may leave in the same write. Zero joins only what
    /// comes faster than it can be written.
    pub coalesce: Duration,
    /// How long a connection lasts at most, and a stream on it; without it, as long as its client
    /// likes. Each gets its own time between four fifths and all of it.
    pub connection_life_max: Option<Duration>,
    /// Open connections in all.
    pub connections_max: usize,
    /// `data` of one event, in bytes.
    pub data_bytes_max: usize,
    /// What `GET /events` without a topic subscribes to; without it, that is an error which says
    /// to name topics.
    pub default_selectors: Option<Selectors>,
    /// Over how long a shutdown ends the streams, one after the other.
    pub drain: Duration,
    /// Silence after which a stream gets a heartbeat.
    pub heartbeat: Duration,
    /// How long before a stream ends with what gave the right to it, its client is told.
    pub renew_before: Duration,
    /// The reconnection time that clients are told at the start of a stream. Each gets its own
    /// within ± 20 %, so that a crowd comes back spread out.
    pub retry: Duration,
    /// Selectors of one subscription.
    pub selectors_max: usize,
    /// Threads that own subscribers' sockets.
    pub shards: NonZero<usize>,
    /// How long a shutdown waits, once the streams were to end, for what is still being written.
    pub shutdown_time_max: Duration,
    /// Frames kept ready in memory behind the tail, in bytes.
    pub tail_bytes_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            batch_bytes_max: limits::BATCH_BYTES_MAX,
            coalesce: limits::COALESCE,
            connection_life_max: Some(limits::CONNECTION_LIFE_MAX),
            connections_max: limits::CONNECTIONS_MAX,
            data_bytes_max: limits::DATA_BYTES_MAX,
            default_selectors: None,
            drain: limits::DRAIN,
            heartbeat: limits::HEARTBEAT,
            renew_before: limits::RENEW_BEFORE,
            retry: limits::RETRY,
            selectors_max: limits::SELECTORS_PER_SUBSCRIPTION_MAX,
            shards: std::thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN),
            shutdown_time_max: limits::SHUTDOWN_TIME_MAX,
            tail_bytes_max: limits::TAIL_BYTES_MAX,
        }
    }
}
