//! How often each client may do something: a token bucket for each (GCRA, by governor).
//! Knows nothing of what is done.

use std::num::NonZero;
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use parking_lot::RwLock;
use tidings_core::limits::RATE_CLIENTS_MAX;

use super::Client;
use crate::config::Rate;

type Limiter<C> =
    RateLimiter<Client, HashMapStateStore<Client>, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// What each client has left of its rate.
pub(crate) struct Rates<C: Clock = MonotonicClock> {
    rate: Rate,
    clock: C,
    limiter: Option<RwLock<Limiter<C>>>,
}

/// The client has to wait.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct TooFast {
    /// So long.
    pub(crate) wait: Duration,
    /// What it may do in a second.
    pub(crate) rate: u32,
}

impl Rates {
    pub(crate) fn new(rate: Rate) -> Self {
        Self::with_clock(rate, MonotonicClock)
    }
}

impl<C: Clock + Clone> Rates<C> {
    fn with_clock(rate: Rate, clock: C) -> Self {
        let limiter = limiter(rate, &clock).map(RwLock::new);
        Self { rate, clock, limiter }
    }

    /// Takes `times` from what the client has left. More than fits into the bucket counts as a
    /// full one: else it could never be done.
    pub(crate) fn take(&self, client: &Client, times: usize) -> Result<(), TooFast> {
        let (Some(limiter), Some(burst)) = (&self.limiter, self.rate.burst()) else {
            return Ok(());
        };
        let times = u32::try_from(times).unwrap_or(u32::MAX).clamp(1, burst.get());
        let times = NonZero::new(times).unwrap_or(NonZero::<u32>::MIN);
        let taken = {
            let limiter = limiter.read();
            limiter.check_key_n(client, times)
        };
        self.bound(limiter);
        match taken {
            Ok(Ok(())) => Ok(()),
            Ok(Err(not_until)) => {
                let wait = not_until.wait_time_from(self.clock.now());
                Err(TooFast { wait, rate: self.rate.0 })
            }
            Err(_) => unreachable!("it fits into the bucket"),
        }
    }

    /// Forgets the clients whose buckets are full again; where too many are left, all of them:
    /// that many do not come from people.
    fn bound(&self, limiter: &RwLock<Limiter<C>>) {
        if limiter.read().len() <= RATE_CLIENTS_MAX {
            return;
        }
        let mut limiter = limiter.write();
        limiter.retain_recent();
        if limiter.len() > RATE_CLIENTS_MAX / 2
            && let Some(fresh) = self::limiter(self.rate, &self.clock)
        {
            *limiter = fresh;
        }
    }
}

fn limiter<C: Clock + Clone>(rate: Rate, clock: &C) -> Option<Limiter<C>> {
    let quota = Quota::per_second(NonZero::new(rate.0)?).allow_burst(rate.burst()?);
    Some(RateLimiter::hashmap_with_clock(quota, clock.clone()))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use governor::clock::FakeRelativeClock;
    use tidings_core::limits::RATE_BURST_S;

    use super::*;

    fn client(number: u32) -> Client {
        Client::Address(Ipv4Addr::from(number).into())
    }

    #[test]
    fn what_was_not_used_may_be_done_at_once() {
        let clock = FakeRelativeClock::default();
        let rates = Rates::with_clock(Rate(5), clock.clone());
        let burst = 5 * RATE_BURST_S as usize;
        for _ in 0..burst {
            rates.take(&client(1), 1).unwrap();
        }
        let wait = Duration::from_millis(200);
        assert_eq!(rates.take(&client(1), 1), Err(TooFast { wait, rate: 5 }));
        assert_eq!(rates.take(&client(2), burst), Ok(()), "others have their own");
        clock.advance(wait);
        assert_eq!(rates.take(&client(1), 1), Ok(()));
        assert!(rates.take(&client(1), 1).is_err());
    }

    #[test]
    fn more_than_ever_fits_takes_all() {
        let rates = Rates::with_clock(Rate(1), FakeRelativeClock::default());
        assert_eq!(rates.take(&client(1), usize::MAX), Ok(()));
        assert!(rates.take(&client(1), 1).is_err());
    }

    #[test]
    fn no_rate_is_no_limit() {
        let rates = Rates::with_clock(Rate(0), FakeRelativeClock::default());
        for _ in 0..1_000 {
            assert_eq!(rates.take(&client(1), usize::MAX), Ok(()));
        }
    }

    #[test]
    fn clients_are_forgotten() {
        let clock = FakeRelativeClock::default();
        let rates = Rates::with_clock(Rate(1), clock.clone());
        let known = || rates.limiter.as_ref().unwrap().read().len();
        let flood = u32::try_from(RATE_CLIENTS_MAX).unwrap() + 10;
        for number in 0..flood {
            rates.take(&client(number), 1).unwrap();
        }
        assert!(known() <= RATE_CLIENTS_MAX, "a flood of addresses does not fill the memory");
        clock.advance(Duration::from_secs(60));
        for number in 0..flood {
            rates.take(&client(number), 1).unwrap();
        }
        assert!(known() <= RATE_CLIENTS_MAX);
    }
}
