//! What this client takes, waits for and remembers at most, and from where it starts.
//! Knows numbers only.

use std::time::Duration;

/// Before a stream that broke is opened again, until the server says otherwise.
pub const RETRY: Duration = Duration::from_secs(1);

/// Backoff starts here even where the server wants clients back at once.
pub const BACKOFF_MIN: Duration = Duration::from_millis(250);

/// What backoff adds at most.
pub const DELAY_MAX: Duration = Duration::from_secs(30);

/// The longest `Retry-After` that is honoured: who asks for more has lost its clock.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(60 * 60);

/// Bytes that one event may have.
pub const EVENT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes of a refusal that are read and kept.
pub const REFUSAL_BYTES_MAX: usize = 16 * 1024;

/// How long a refusal is read.
pub const REFUSAL_TIME_MAX: Duration = Duration::from_secs(5);

/// A server that is further away than this is not there.
pub const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);

/// How often it is tried to publish.
pub const PUBLISH_ATTEMPTS_MAX: u32 = 4;

/// How long one attempt to publish may take.
pub const PUBLISH_TIME_MAX: Duration = Duration::from_secs(30);

/// Late by one heartbeat and a half is late enough.
pub const HEARTBEATS: f64 = 2.5;

/// The longest interval of heartbeats that is believed.
pub const HEARTBEAT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest rest of a token's life that is believed, when a hub tells that it ends.
pub const RENEWAL_MAX: Duration = Duration::from_secs(60 * 60);
