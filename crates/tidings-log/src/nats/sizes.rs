//! The bounds of the log in NATS: name, unit, value and reason.
//! Knows nothing of who enforces them.

use std::time::Duration;

/// Events of one run, beyond which no more batches are taken in.
pub(super) const GROUP_EVENTS_MAX: usize = 4_096;

/// Bytes after which a run is full; the batch that fills it may be larger.
pub(super) const GROUP_BYTES_MAX: usize = 256 * 1024;

/// Largest message, where the server allows as much: what a reader gets at least, and what
/// retention lets go of at once.
pub(super) const MESSAGE_BYTES_MAX: usize = 256 * 1024;

/// Of a message, what the server's own largest one leaves for its headers and subject.
pub(super) const HEADER_BYTES: usize = 1024;

/// What a message takes beside its events, as far as retention is concerned.
pub(super) const MESSAGE_OVERHEAD_BYTES: usize = 256;

/// Parts of one run that are on their way at the same time.
pub(super) const PARTS_UNDER_WAY_MAX: usize = 256;

/// How long a run that somebody else has begun is given to go on. Its node may have died.
pub(super) const PART_TIME_MAX: Duration = Duration::from_millis(500);

/// How far the events of a node may be ahead of the server's clock: what the way takes.
pub(super) const CLOCK_AHEAD_MAX: Duration = Duration::from_secs(1);

/// How often the server says that it is there where nothing is appended.
pub(super) const HEARTBEAT: Duration = Duration::from_millis(500);

/// How long nothing may come before the server counts as gone.
pub(super) const SILENCE_TIME_MAX: Duration = Duration::from_millis(1_500);

/// How long the server keeps what it knows of a listener that has gone.
pub(super) const LISTENER_TIME: Duration = Duration::from_secs(10);

/// Messages that are asked for at the same time by one reader.
pub(super) const READ_MESSAGES_MAX: u64 = 64;

/// Bytes of events that one page looks at.
pub(super) const READ_BYTES_MAX: usize = 256 * 1024;

/// Messages that were read and are kept in memory, in bytes: subscribers that come back together
/// read the same ones.
pub(super) const CACHE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Places whose messages are remembered, so that they need not be searched for.
pub(super) const ANCHORS_MAX: usize = 4_096;

/// How far two remembered places are from each other at least, in bytes of events.
pub(super) const ANCHOR_BYTES: u64 = 64 * 1024;

/// How long a claim counts; nobody may ask for longer. A ticket counts for an hour at most, and
/// clocks may be a minute apart.
pub(super) const CLAIM_TIME_MAX: Duration = Duration::from_secs(62 * 60);

/// Claims that are kept, in bytes: 500 a second and more. Beyond it none can be made, as a
/// forgotten one could be made twice.
pub(super) const CLAIMS_BYTES_MAX: i64 = 256 * 1024 * 1024;

/// How long the server knows a claim again that is made a second time, since the answer got lost.
pub(super) const CLAIM_REPEATED_TIME: Duration = Duration::from_secs(60);

/// What the stream may hold beyond what the log keeps: what was not let go of yet.
pub(super) const STREAM_SPARE_BYTES: u64 = 64 * 1024 * 1024;

/// How long a connection may take to be made.
pub(super) const CONNECT_TIME_MAX: Duration = Duration::from_secs(2);

/// Messages of somebody else at the end of the stream, beyond which it counts as theirs.
pub(super) const STRANGE_MESSAGES_MAX: usize = 100;

/// How often somebody else may be faster before a node asks the others for a turn.
pub(super) const CONFLICTS_MAX: u32 = 3;

/// How long others wait for a node that has asked for its turn: enough for one way to the server
/// and back on the same continent.
pub(super) const TURN_TIME_MAX: Duration = Duration::from_millis(250);
