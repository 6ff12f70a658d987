//! What a shard holds, in figures: for tests that look whether anything is left behind.
//! Knows nothing of what is right.

use super::Shard;

/// The sizes of a shard's tables.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Holdings {
    /// Sessions.
    pub subscribers: usize,
    /// Entries in the index.
    pub entries: usize,
    /// Whether the index has anything left in it.
    pub index_is_bare: bool,
    /// Timers in the wheel.
    pub timers: usize,
    /// Lives that have an end.
    pub lives: usize,
    /// Who waits for a turn.
    pub behind: usize,
    /// The longest rest of a frame that a session keeps, in bytes.
    pub cut_bytes_max: usize,
    /// What a pass should have cleared away behind it.
    pub scratch: usize,
}

impl Holdings {
    /// Whether it is nothing at all.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        let Self { subscribers, entries, index_is_bare, timers, lives, .. } = *self;
        let Self { behind, cut_bytes_max, scratch, .. } = *self;
        let held = [subscribers, entries, timers, lives, behind, cut_bytes_max, scratch];
        index_is_bare && held == [0; 7]
    }
}

impl Shard {
    /// What it holds.
    #[must_use]
    pub fn holdings(&self) -> Holdings {
        let sessions = self.subscribers.values().map(|subscriber| &subscriber.session);
        let pending = self.subscribers.values().filter(|s| s.pending != 0).count();
        Holdings {
            subscribers: self.subscribers.len(),
            entries: self.audiences.entries(),
            index_is_bare: self.audiences.is_bare(),
            timers: self.heartbeats.len(),
            lives: self.lives.len(),
            behind: self.behind.len(),
            cut_bytes_max: sessions.map(|session| session.rest_bytes()).max().unwrap_or(0),
            scratch: self.touched.len() + self.joiner.len() + pending,
        }
    }
}
