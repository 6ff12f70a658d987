//! How long hyper waits for the head of a request: little once it has begun to come, longer while
//! a connection is kept alive. Knows nothing of heads but that bytes have come.
//!
//! hyper has one limit for both, counted from the answer before. It asks a timer of its builder's
//! for a sleep when it begins to wait, and polls that after each read; so a sleep that looks
//! whether bytes have come since can tell the two apart.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use hyper::rt::{Sleep, Timer};
use tidings_core::limits::{HEAD_TIME_MAX, KEPT_ALIVE_TIME_MAX};
use tokio::time;

/// How often bytes have come on one connection. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Arrivals {
    reads: Arc<AtomicU64>,
}

impl Arrivals {
    /// Something came.
    pub(super) fn handle_read(&self) {
        self.reads.fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }
}

/// The timer of one HTTP/1 connection. hyper uses it for nothing but heads.
#[derive(Clone, Debug)]
pub(super) struct HeadTimer {
    arrivals: Arrivals,
}

impl HeadTimer {
    pub(super) fn new(arrivals: Arrivals) -> Self {
        Self { arrivals }
    }
}

impl Timer for HeadTimer {
    fn sleep(&self, _: std::time::Duration) -> Pin<Box<dyn Sleep>> {
        // The limits are ours, whatever hyper was told.
        Box::pin(HeadSleep {
            sleep: Box::pin(time::sleep(KEPT_ALIVE_TIME_MAX)),
            arrivals: self.arrivals.clone(),
            before: self.arrivals.count(),
            begun: false,
        })
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep(deadline.saturating_duration_since(self.now()))
    }

    fn now(&self) -> Instant {
        time::Instant::now().into()
    }
}

/// The time for one head.
struct HeadSleep {
    sleep: Pin<Box<time::Sleep>>,
    arrivals: Arrivals,
    /// What had come when hyper began to wait. A head of which a part had come by then, behind the
    /// request before it, has the longer time: no more than its client could have by being silent.
    before: u64,
    /// Something of the head has come.
    begun: bool,
}

impl Future for HeadSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if !self.begun && self.arrivals.count() > self.before {
            self.begun = true;
            self.sleep.as_mut().reset(time::Instant::now() + HEAD_TIME_MAX);
        }
        self.sleep.as_mut().poll(context)
    }
}

impl Sleep for HeadSleep {}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    /// Whether a sleep is over at this time after it has begun.
    async fn is_over(sleep: &mut Pin<Box<dyn Sleep>>, begun: time::Instant, at: Duration) -> bool {
        time::sleep_until(begun + at).await;
        poll_fn(|context| Poll::Ready(sleep.as_mut().poll(context).is_ready())).await
    }

    #[tokio::test(start_paused = true)]
    async fn silence_has_the_longer_time() {
        let arrivals = Arrivals::default();
        arrivals.handle_read();
        let mut sleep = HeadTimer::new(arrivals).sleep(HEAD_TIME_MAX);
        let begun = time::Instant::now();
        let tick = Duration::from_millis(1);
        assert!(!is_over(&mut sleep, begun, KEPT_ALIVE_TIME_MAX - tick).await);
        assert!(is_over(&mut sleep, begun, KEPT_ALIVE_TIME_MAX + tick).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_has_begun_has_the_shorter_time_whatever_drips_in() {
        let arrivals = Arrivals::default();
        let mut sleep = HeadTimer::new(arrivals.clone()).sleep(HEAD_TIME_MAX);
        let begun = time::Instant::now();
        let tick = Duration::from_millis(1);
        let silence = Duration::from_secs(70);
        assert!(!is_over(&mut sleep, begun, silence).await);
        for second in 0..10 {
            arrivals.handle_read();
            let at = silence + Duration::from_secs(second);
            assert!(!is_over(&mut sleep, begun, at).await, "{second}");
        }
        assert!(is_over(&mut sleep, begun, silence + HEAD_TIME_MAX + tick).await);
    }
}
