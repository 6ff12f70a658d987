//! Who needs a heartbeat when, in ticks of the timer wheel.
//! Knows nothing of sessions but their slots and the tick of their last write.

use std::time::{Duration, Instant};

use super::wheel::Wheel;

/// The timers of all slots. A tick is a sixteenth of the interval, a second at most.
#[derive(Debug)]
pub(super) struct Heartbeats {
    start: Instant,
    tick: Duration,
    /// The interval in ticks.
    interval: u64,
    wheel: Wheel,
}

impl Heartbeats {
    /// For sessions that get something once per `interval` at least.
    pub(super) fn new(interval: Duration, start: Instant) -> Self {
        let tick = (interval / 16).clamp(Duration::from_millis(1), Duration::from_secs(1));
        let interval = u64::try_from(interval.as_nanos() / tick.as_nanos())
            .expect("an interval is a matter of seconds")
            .max(1);
        Self { start, tick, interval, wheel: Wheel::new(interval + 1) }
    }

    /// The tick that a moment belongs to.
    pub(super) fn tick(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.start).as_nanos();
        u64::try_from(since / self.tick.as_nanos()).unwrap_or(u64::MAX)
    }

    /// A slot is taken, at this tick.
    pub(super) fn start(&mut self, slot: u32, tick: u64) {
        if self.wheel.is_empty() {
            self.wheel.start(tick);
        }
        self.wheel.schedule(slot, self.due(slot, tick));
    }

    /// A slot is free again.
    pub(super) fn cancel(&mut self, slot: u32) {
        self.wheel.cancel(slot);
    }

    /// When [`Heartbeats::expire`] has to be called, if there is any timer.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        if self.wheel.is_empty() {
            return None;
        }
        let tick = u64::try_from(self.tick.as_nanos()).expect("a tick is a second at most");
        Some(self.start + Duration::from_nanos(tick.saturating_mul(self.wheel.tick())))
    }

    /// Takes one slot whose timer has run out at `tick`. What it had since the timer was set, the
    /// wheel does not know: see [`Heartbeats::is_due`]. Its timer is to be set again.
    pub(super) fn expire(&mut self, tick: u64) -> Option<u32> {
        self.wheel.expire(tick)
    }

    /// Whether a slot that was last written to at `written` needs a heartbeat at `tick`.
    pub(super) fn is_due(&self, slot: u32, written: u64, tick: u64) -> bool {
        self.due(slot, written) <= tick
    }

    /// Sets the timer of a slot that was last written to at `written`; not before the next tick.
    pub(super) fn schedule(&mut self, slot: u32, written: u64, tick: u64) {
        self.wheel.schedule(slot, self.due(slot, written).max(tick + 1));
    }

    /// Gives memory back after the last slot became free.
    pub(super) fn shrink(&mut self) {
        self.wheel.shrink();
    }

    /// How many slots have a timer.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn len(&self) -> usize {
        self.wheel.len()
    }

    /// When a slot that was written to at `written` needs a heartbeat: within the interval, and
    /// up to a fifth earlier, so that those who got the same event are not all due at once.
    fn due(&self, slot: u32, written: u64) -> u64 {
        let spread = self.interval / 5 + 1;
        written + self.interval - u64::from(slot) % spread
    }
}
