//! The bounds of logs on a server: name, unit, value and reason.
//! Knows nothing of who enforces them.

use std::time::Duration;

/// What an event takes beside its own bytes, as far as retention is concerned.
pub(crate) const EVENT_OVERHEAD_BYTES: usize = 64;

/// Largest batch. Redis takes no string beyond 512 MiB; requests are bounded far below.
pub(crate) const BATCH_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Searches from the tail backwards at the same time: each may look at the whole log.
pub(crate) const SCANS_MAX: usize = 2;

/// Records behind the tail that are kept in memory, in bytes ([`Event::weight`]): followers at
/// the tail and those who come back at once are served without asking the server.
///
/// [`Event::weight`]: tidings_core::event::Event::weight
pub(crate) const RECENT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How long the server may take to answer: whoever waits longer makes a new connection. Less than
/// a publish waits, so that it may get there by another way after all.
pub(crate) const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);

/// The first pause before a connection is tried again; it doubles up to the longest.
pub(crate) const RETRY_PAUSE_MIN: Duration = Duration::from_millis(50);

/// The longest pause before a connection is tried again.
pub(crate) const RETRY_PAUSE_MAX: Duration = Duration::from_secs(2);

/// How long the first connection is tried before the log can't be opened.
pub(crate) const OPEN_TIME_MAX: Duration = Duration::from_secs(10);
