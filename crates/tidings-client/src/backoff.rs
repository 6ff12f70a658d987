//! How long to wait before the next attempt: the server's word, backoff, jitter.
//! Knows nothing of connections; the random number comes in.

use std::time::Duration;

use crate::limits::BACKOFF_MIN;

/// Waits that grow with each failure in a row.
#[derive(Debug)]
pub(crate) struct Backoff {
    /// Attempts that failed since it last worked.
    failures: u32,
    retry: Duration,
    delay_max: Duration,
}

impl Backoff {
    pub(crate) fn new(retry: Duration, delay_max: Duration) -> Self {
        Self { failures: 0, retry, delay_max }
    }

    /// It works.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// The server asks for this wait.
    pub(crate) fn set_retry(&mut self, retry: Duration) {
        self.retry = retry;
    }

    /// Attempts that failed since it last worked.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// The wait before the next attempt; `random` is a number from 0 to 1.
    ///
    /// The jitter comes after the cap: a crowd that waits for long comes back spread out.
    pub(crate) fn next(&mut self, at_least: Duration, random: f64) -> Duration {
        let spread = self.retry.max(BACKOFF_MIN).saturating_mul(1 << self.failures.min(20));
        self.failures = self.failures.saturating_add(1);
        let jitter = spread.min(self.delay_max).mul_f64(random.clamp(0.0, 1.0));
        self.retry.saturating_add(jitter).max(at_least)
    }
}

/// A random number from 0 to 1.
pub(crate) fn random() -> f64 {
    // Without randomness all wait longest, which is safe.
    getrandom::u32().map_or(1.0, |bits| f64::from(bits) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_server_s_wait_comes_first_and_jitter_grows_with_failures_in_a_row() {
        let mut backoff = Backoff::new(SECOND, 30 * SECOND);
        assert_eq!(backoff.next(Duration::ZERO, 1.0), 2 * SECOND);
        assert_eq!(backoff.next(Duration::ZERO, 1.0), 3 * SECOND);
        assert_eq!(backoff.next(Duration::ZERO, 0.5), 3 * SECOND);
        assert_eq!((backoff.next(Duration::ZERO, 0.0), backoff.failures()), (SECOND, 4));
        backoff.reset();
        assert_eq!(backoff.next(Duration::ZERO, 1.0), 2 * SECOND);
    }

    #[test]
    fn it_stops_growing_and_the_whole_range_stays_random() {
        let mut backoff = Backoff::new(SECOND, 30 * SECOND);
        for _ in 0..100 {
            assert!(backoff.next(Duration::ZERO, 1.0) <= 31 * SECOND);
        }
        assert_eq!(backoff.next(Duration::ZERO, 0.0), SECOND);
        assert_eq!(backoff.next(Duration::ZERO, 0.5), 16 * SECOND);
        backoff.set_retry(Duration::MAX);
        assert_eq!(backoff.next(Duration::ZERO, 1.0), Duration::MAX);
    }

    #[test]
    fn a_server_that_wants_clients_back_at_once_gets_them_spread_out() {
        let mut backoff = Backoff::new(Duration::ZERO, 30 * SECOND);
        assert_eq!(backoff.next(Duration::ZERO, 1.0), BACKOFF_MIN);
    }

    #[test]
    fn retry_after_is_the_least() {
        let mut backoff = Backoff::new(SECOND, 30 * SECOND);
        assert_eq!(backoff.next(60 * SECOND, 0.0), 60 * SECOND);
        assert_eq!(backoff.next(Duration::ZERO, 0.0), SECOND);
    }
}
