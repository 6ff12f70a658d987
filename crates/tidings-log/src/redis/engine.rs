//! What the parts of a log in Redis know together beside what those of any log on a server do.
//! Knows nothing of how it is used.

use std::time::Duration;

use super::link::Dialer;
use super::scripts::Keys;

/// What the parts of a log in Redis share.
pub(super) type Shared = crate::remote::Shared<Engine>;

/// The way to the server, and what the log has to keep.
#[derive(Debug)]
pub(super) struct Engine {
    pub(super) dialer: Dialer,
    pub(super) keys: Keys,
    pub(super) bytes_max: u64,
    pub(super) age_max: Duration,
    pub(super) wait_replicas: u32,
}
