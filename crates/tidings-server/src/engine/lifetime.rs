//! How long connections may last, and the streams on them; and what is under way and waited for.
//! Knows nothing of who has which right, only until when.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tidings_core::limits::RETRY_MS_MAX;
use tidings_core::shard::{EndReason, Life};

use crate::config::Config;

/// When the connection that a request came on ends: in the request's extensions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionEnds(pub(crate) Instant);

/// When a connection that begins now ends, if the settings say so. Each gets its own time, between
/// four fifths and all of the setting, so that a crowd does not come back at once.
pub(crate) fn connection_ends(config: &Config, now: Instant) -> Option<Instant> {
    let most = config.connection_life_max?;
    let part = f64::from(getrandom::u32().unwrap_or(u32::MAX)) / f64::from(u32::MAX);
    now.checked_add(most.mul_f64(0.8 + 0.2 * part))
}

/// The life of a stream whose right ends at `expires`, on a connection that ends at `connection`.
pub(crate) fn life(
    config: &Config,
    expires: Option<Instant>,
    connection: Option<Instant>,
) -> Option<Life> {
    match (expires, connection) {
        (Some(expires), connection) if connection.is_none_or(|ends| expires <= ends) => {
            // Before the clock's beginning is "at once" as well.
            let renew = expires.checked_sub(config.renew_before).or(Some(expires));
            Some(Life { renew, ends: expires, reason: EndReason::Expired })
        }
        // Its client need not do anything but come back.
        (_, Some(ends)) => Some(Life { renew: None, ends, reason: EndReason::Aged }),
        (_, None) => None,
    }
}

/// When those whose streams end in a drain come back, in milliseconds: around the setting. Where
/// all end at once they are spread out by that alone, so it takes longer.
pub(crate) fn last_retry(config: &Config, drain: Duration) -> RangeInclusive<u32> {
    let retry = u32::try_from(config.retry.as_millis()).unwrap_or(u32::MAX).min(RETRY_MS_MAX);
    let spread = if drain.is_zero() { retry / 2 } else { retry / 5 };
    retry - spread..=retry.saturating_add(spread).min(RETRY_MS_MAX)
}

/// How many of something are under way.
#[derive(Debug, Default)]
pub(crate) struct UnderWay(Arc<AtomicUsize>);

/// One of them, until this is dropped.
#[derive(Debug)]
pub(crate) struct UnderWayGuard(Arc<AtomicUsize>);

impl UnderWay {
    pub(crate) fn begin(&self) -> UnderWayGuard {
        self.0.fetch_add(1, Ordering::AcqRel);
        UnderWayGuard(Arc::clone(&self.0))
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}

impl Drop for UnderWayGuard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earlier_end_counts_and_only_one_that_can_be_renewed_is_told() {
        let config = Config { renew_before: Duration::from_secs(60), ..Config::default() };
        let now = Instant::now();
        let at = |seconds| Some(now + Duration::from_secs(seconds));
        let check = |expires, connection, expected: Option<(Option<Instant>, EndReason)>| {
            let life = life(&config, expires, connection);
            assert_eq!(life.map(|life| (life.renew, life.reason)), expected);
            assert_eq!(life.map(|life| life.ends), expires.into_iter().chain(connection).min());
        };
        check(None, None, None);
        check(None, at(100), Some((None, EndReason::Aged)));
        check(at(100), None, Some((at(40), EndReason::Expired)));
        check(at(100), at(200), Some((at(40), EndReason::Expired)));
        check(at(200), at(100), Some((None, EndReason::Aged)));
    }

    #[test]
    fn connections_end_apart_and_never_too_late() {
        let config =
            Config { connection_life_max: Some(Duration::from_secs(100)), ..Config::default() };
        let now = Instant::now();
        let mut ends: Vec<Instant> =
            std::iter::repeat_with(|| connection_ends(&config, now).unwrap()).take(100).collect();
        ends.sort_unstable();
        ends.dedup();
        assert!(ends.len() > 90);
        assert!(ends[0] >= now + Duration::from_secs(79));
        assert!(ends[ends.len() - 1] <= now + Duration::from_secs(100));
        let config = Config { connection_life_max: None, ..config };
        assert_eq!(connection_ends(&config, now), None);
    }

    #[test]
    fn a_crowd_that_leaves_at_once_is_spread_wider() {
        let config = Config { retry: Duration::from_secs(2), ..Config::default() };
        assert_eq!(last_retry(&config, Duration::from_secs(30)), 1600..=2400);
        assert_eq!(last_retry(&config, Duration::ZERO), 1000..=3000);
        let config = Config { retry: Duration::ZERO, ..config };
        assert_eq!(last_retry(&config, Duration::ZERO), 0..=0);
    }
}
