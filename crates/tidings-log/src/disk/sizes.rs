//! The bounds of the log on disk: name, unit, value and reason.
//! Knows nothing of who enforces them.

use std::time::Duration;

/// The smallest segment. Smaller ones would be mostly header, index and directory entry.
pub(super) const SEGMENT_BYTES_MIN: u64 = 64 * 1024;

/// The largest segment, but for one that a single batch needs. It is what retention frees at
/// once, what is zeroed ahead, and at most what a start after a crash has to look through.
pub(super) const SEGMENT_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// A log is at least so many segments, so that retention keeps most of what it may keep.
pub(super) const SEGMENTS_MIN: u64 = 8;

/// The largest batch as it is written: offsets have 32 bits. Requests are bounded far below.
pub(super) const BATCH_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// What is written and synced at once, in bytes, but for a larger batch. More would not be
/// faster, and would make the first of the group wait for the last.
pub(super) const GROUP_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Which share of the time that the last sync took the next one may wait for company: so little
/// that nobody notices, and enough for those who were just answered to be back.
pub(super) const GATHER_SHARE: u32 = 4;

/// Records behind the tail that are kept in memory, in bytes ([`Event::weight`]): followers at
/// the tail and those who come back at once are served without a read.
///
/// [`Event::weight`]: tidings_core::event::Event::weight
pub(super) const RECENT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// From one mark of an index to the next, in bytes of log: what a read may have to skip.
pub(super) const MARK_SPACING_BYTES: u32 = 16 * 1024;

/// Read at once where records are read one after the other.
pub(super) const SCAN_BYTES: usize = 128 * 1024;

/// Read at once where a single record is looked up: most fit, and the rest is a second read.
pub(super) const LOOKUP_BYTES: usize = 4 * 1024;

/// What one page looks through, in bytes of log, before it answers with what it has.
pub(super) const READ_BYTES_MAX: u64 = 2 * 1024 * 1024;

/// Segments whose index one page asks before it answers with what it has.
pub(super) const READ_SEGMENTS_MAX: usize = 16;

/// Records of the memory's tail that one page looks at.
pub(super) const READ_RECENT_MAX: usize = 1024;

/// After a failed write, appends are refused for so long before the disk is tried again: a full
/// disk must not also be a busy one.
pub(super) const RETRY_AFTER: Duration = Duration::from_millis(100);

/// After the next segment could not be prepared, it is tried again at the next roll, or after
/// this time: until then nobody needs it.
pub(super) const SPARE_RETRY_AFTER: Duration = Duration::from_secs(10);

/// The longest interval between syncs that can be set: more is a mistake of units.
pub(super) const SYNC_INTERVAL_MAX: Duration = Duration::from_secs(60 * 60);
