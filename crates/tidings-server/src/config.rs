//! What an operator can set about a hub, with its defaults.
//! Knows nothing of flags, files and the environment: the program reads those.

use std::num::NonZero;
use std::time::Duration;

use tidings_core::limits;
use tidings_core::topic::Selectors;

/// How often a second something may be done; zero: as often as one likes. What was not used in
/// the last [`limits::RATE_BURST_S`] seconds may be done at once.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Rate(pub u32);

impl Rate {
    /// How much may be done at once; `None` without a limit.
    #[must_use]
    pub fn burst(self) -> Option<NonZero<u32>> {
        NonZero::new(self.0.saturating_mul(limits::RATE_BURST_S))
    }
}

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
    /// Open connections of one address; 0: no limit but that of all.
    pub connections_per_address_max: usize,
    /// New connections from one address.
    pub connects_per_address: Rate,
    /// `data` of one event, in bytes.
    pub data_bytes_max: usize,
    /// What `GET /events` without a topic subscribes to; without it, that is an error which says
    /// to name topics.
    pub default_selectors: Option<Selectors>,
    /// Over how long a shutdown ends the streams, one after the other.
    pub drain: Duration,
    /// Silence after which a stream gets a heartbeat.
    pub heartbeat: Duration,
    /// Bytes of publishers' requests that are held at once.
    pub publish_bytes_in_flight_max: usize,
    /// Events from one address, published by those who show no token and no key.
    pub publishes_per_address: Rate,
    /// Events published with the tokens of one subject, or with one API key.
    pub publishes_per_key: Rate,
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
    /// Open event streams of one token's subject; 0: no limit.
    pub streams_per_token_max: usize,
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
            connections_per_address_max: limits::CONNECTIONS_PER_ADDRESS_MAX,
            connects_per_address: Rate(limits::CONNECTS_PER_ADDRESS),
            data_bytes_max: limits::DATA_BYTES_MAX,
            default_selectors: None,
            drain: limits::DRAIN,
            heartbeat: limits::HEARTBEAT,
            publish_bytes_in_flight_max: limits::PUBLISH_BYTES_IN_FLIGHT_MAX,
            publishes_per_address: Rate(limits::PUBLISHES_PER_ADDRESS),
            publishes_per_key: Rate(limits::PUBLISHES_PER_KEY),
            renew_before: limits::RENEW_BEFORE,
            retry: limits::RETRY,
            selectors_max: limits::SELECTORS_PER_SUBSCRIPTION_MAX,
            shards: std::thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN),
            shutdown_time_max: limits::SHUTDOWN_TIME_MAX,
            streams_per_token_max: limits::STREAMS_PER_TOKEN_MAX,
            tail_bytes_max: limits::TAIL_BYTES_MAX,
        }
    }
}
