//! What a crowd counts. Knows nothing of how it came about.

/// The counts of a crowd since its beginning, but for those that say "now".
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Streams that have their head, now.
    pub open: usize,
    /// Streams that do not have it yet, now.
    pub opening: usize,
    /// Streams that could not be opened: no connection, or no `200`.
    pub refused: usize,
    /// Streams that the server ended as the coding wants it.
    pub ended: usize,
    /// Streams that broke off.
    pub cut: usize,
    /// Streams that sent what is not HTTP.
    pub malformed: usize,
    /// Events with a stamp.
    pub events: u64,
    /// Other events.
    pub foreign: u64,
    /// Events that were passed over: a later one came first.
    pub lost: u64,
    /// Events that came again, or after a later one.
    pub misplaced: u64,
    /// Bytes received, heads and chunk framing included.
    pub bytes: u64,
}

impl Counts {
    /// What went wrong in any way; nothing is left out.
    #[must_use]
    pub fn faults(&self) -> u64 {
        let streams = self.refused + self.cut + self.malformed;
        self.lost + self.misplaced + self.foreign + streams as u64
    }

    /// How far all streams together have come: what they received and what was passed over. Where
    /// several publish at once, events come in another order than their numbers': one that was
    /// passed over and comes later counts once.
    #[must_use]
    pub fn passed(&self) -> u64 {
        (self.events + self.lost).saturating_sub(self.misplaced)
    }

    /// The same in words: each fault that there was, and how often.
    #[must_use]
    pub fn what_went_wrong(&self) -> String {
        let faults = [
            (self.lost, "events passed over"),
            (self.misplaced, "repeated or out of order"),
            (self.foreign, "events of the server's own"),
            (self.refused as u64, "streams refused"),
            (self.cut as u64, "streams cut off"),
            (self.malformed as u64, "streams that are not HTTP"),
        ];
        let there = faults.iter().filter(|(count, _)| *count > 0);
        there.map(|(count, what)| format!("{count} {what}")).collect::<Vec<_>>().join(", ")
    }
}
