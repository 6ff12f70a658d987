//! The bounds of the log in Redis: name, unit, value and reason.
//! Knows nothing of who enforces them.

use std::time::Duration;

/// Events that one script appends at most: the server does nothing else meanwhile.
pub(super) const GROUP_EVENTS_MAX: usize = 4_096;

/// Bytes after which a group is full; the batch that fills it may be larger. Half a megabyte takes
/// the server a fraction of a millisecond.
pub(super) const GROUP_BYTES_MAX: usize = 512 * 1024;

/// Groups that are on their way to the server at the same time: so the network's delay is not
/// paid between any two of them.
pub(super) const GROUPS_UNDER_WAY_MAX: usize = 4;

/// Answers that the server remembers of a node, should they get lost on the way.
pub(super) const ANSWERS_KEPT: usize = 2 * GROUPS_UNDER_WAY_MAX;

/// Bytes of an entry of the stream at which the next begins: what a reader gets at least, and what
/// retention lets go of at once.
pub(super) const ENTRY_BYTES: usize = 64 * 1024;

/// Bytes of entries that one page looks at.
pub(super) const READ_BYTES_MAX: usize = 256 * 1024;

/// Bytes of entries that are looked at in one go by a search from the tail backwards.
pub(super) const SCAN_BYTES: usize = 1024 * 1024;

/// Entries that a follower takes at once.
pub(super) const FOLLOW_ENTRIES_MAX: usize = 64;

/// Entries that the server lets go of at once when it is asked every second.
pub(super) const TRIM_ENTRIES_MAX: usize = 1_024;

/// How long a connection may take to be made.
pub(super) const CONNECT_TIME_MAX: Duration = Duration::from_secs(2);

/// How often one server of a cluster may lead to another on the way to the log: once, where all
/// agree, and some more while they do not.
pub(super) const LEADS_MAX: usize = 4;

/// How long a follower asks the server to wait for something new. The connection counts as dead
/// when not even "nothing" comes back a little later.
pub(super) const FOLLOW_TIME: Duration = Duration::from_secs(2);
