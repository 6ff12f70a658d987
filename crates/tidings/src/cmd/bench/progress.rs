//! Waits for what takes a while, and shows on a terminal how far it is.
//! Knows nothing of what happens meanwhile.

use std::future::Future;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};
use tokio::time;

/// How often one looks how far it is: what is waited for ends at most so much later.
const INTERVAL: Duration = Duration::from_millis(5);

/// Nothing new has come for so long: nothing will.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// Waits for some work, and shows meanwhile how much of `count` is done, as `at` says. Cancel
/// safe where the work is; the bar goes in any case.
pub(super) async fn shown<T>(
    what: &'static str,
    count: u64,
    at: impl Fn() -> u64,
    work: impl Future<Output = T>,
) -> anyhow::Result<T> {
    // Hidden by itself where stderr is no terminal.
    let bar = ProgressBar::with_draw_target(Some(count), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{msg:22} {bar:30} {human_pos} of {human_len}")?;
    let bar = bar.with_style(style).with_message(what).with_finish(ProgressFinish::AndClear);
    let mut ticks = time::interval(INTERVAL);
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return Ok(done),
            _ = ticks.tick() => bar.set_position(at()),
        }
    }
}

/// Waits until so many are counted. `false`: it stopped before. Cancel safe.
pub(super) async fn counted(count: u64, at: impl Fn() -> u64) -> bool {
    let (mut last, mut since) = (at(), Instant::now());
    while last < count {
        time::sleep(INTERVAL).await;
        let now = at();
        if now > last {
            (last, since) = (now, Instant::now());
        } else if since.elapsed() > SILENCE_MAX {
            return false;
        }
    }
    true
}
