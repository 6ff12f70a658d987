//! How long to wait before the next connection.
//! Knows nothing of connections; the random number comes in.

use std::time::Duration;

use super::RETRY;

/// The longest wait beyond what the hub asks for.
const EXTRA_MAX: Duration = Duration::from_secs(30);

/// The hub's `retry`, and on top of it a random part that may grow with each failure in a row.
///
/// The random part is drawn from the whole range up to its cap, not put on top of it: a crowd
/// that was cut off together would otherwise come back together, each time after the cap.
#[derive(Debug)]
pub(super) struct Backoff {
    failures: u32,
    retry: Duration,
    at_least: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { failures: 0, retry: RETRY, at_least: Duration::ZERO }
    }
}

impl Backoff {
    /// The connection works.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// The connection ended after so long: one that held, even in silence, was no failure.
    pub(super) fn lasted(&mut self, time: Duration) {
        if time > EXTRA_MAX {
            self.reset();
        }
    }

    /// The hub asks for this wait.
    pub(super) fn set_retry(&mut self, retry: Duration) {
        self.retry = retry;
    }

    /// The next wait is no shorter than this (`Retry-After`).
    pub(super) fn wait_at_least(&mut self, wait: Option<Duration>) {
        self.at_least = wait.unwrap_or_default();
    }

    /// The wait before the next attempt; `random` is a number from 0 to 1.
    pub(super) fn next(&mut self, random: f64) -> Duration {
        let extra_max = match self.failures {
            0 => Duration::ZERO,
            failures => {
                let base = self.retry.max(Duration::from_millis(100));
                base.saturating_mul(1 << failures.min(16)).min(EXTRA_MAX)
            }
        };
        self.failures = self.failures.saturating_add(1);
        let wait = self.retry.saturating_add(extra_max.mul_f64(random.clamp(0.0, 1.0)));
        wait.max(std::mem::take(&mut self.at_least))
    }
}

/// A random number from 0 to 1.
pub(super) fn random() -> f64 {
    // Without randomness all wait longest, which is safe.
    getrandom::u32().map_or(1.0, |bits| f64::from(bits) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_hub_s_wait_comes_first_and_grows_only_with_failures_in_a_row() {
        let mut backoff = Backoff::default();
        backoff.set_retry(SECOND);
        assert_eq!(backoff.next(1.0), SECOND);
        assert_eq!(backoff.next(1.0), 3 * SECOND);
        assert_eq!(backoff.next(0.5), 3 * SECOND);
        assert_eq!(backoff.next(0.0), SECOND);
        backoff.reset();
        assert_eq!(backoff.next(1.0), SECOND);
        backoff.lasted(SECOND);
        assert_eq!(backoff.next(1.0), 3 * SECOND);
        backoff.lasted(60 * SECOND);
        assert_eq!(backoff.next(1.0), SECOND);
    }

    #[test]
    fn it_stops_growing_and_the_whole_range_stays_random() {
        let mut backoff = Backoff::default();
        backoff.set_retry(SECOND);
        for _ in 0..100 {
            assert!(backoff.next(1.0) <= SECOND + EXTRA_MAX);
        }
        assert_eq!(backoff.next(0.0), SECOND);
        assert_eq!(backoff.next(0.5), SECOND + EXTRA_MAX / 2);
        backoff.set_retry(Duration::MAX);
        assert_eq!(backoff.next(1.0), Duration::MAX);
    }

    #[test]
    fn retry_after_is_honoured_once() {
        let mut backoff = Backoff::default();
        backoff.set_retry(SECOND);
        backoff.wait_at_least(Some(60 * SECOND));
        assert_eq!(backoff.next(0.0), 60 * SECOND);
        assert_eq!(backoff.next(0.0), SECOND);
    }
}
