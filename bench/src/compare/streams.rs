//! Streams come to a server, get what is published, and leave, whatever each is a stream of.
//! Knows nothing of who the server is, nor of what is published.

use std::time::{Duration, Instant};

use anyhow::ensure;

use super::STEP_TIME_MAX;
use crate::crowd::{Counts, Crowd, Target};
use crate::measure::{self, Memory};

/// What it took to come.
#[derive(Clone, Copy, Debug)]
pub struct Came {
    /// From the first connection to the last head.
    pub time: Duration,
    /// CPU of the server.
    pub cpu: Duration,
    /// Its memory when all were there and idle.
    pub memory: Memory,
    /// Buffers of all TCP sockets then, in bytes.
    pub socket_bytes: Option<u64>,
}

/// Nothing comes for so long: nothing more will.
const SILENCE: Duration = Duration::from_secs(5);

/// These streams join a crowd, so many of each target.
///
/// # Errors
/// Where the server is gone, or does not let them in.
pub fn come(
    process: u32,
    crowd: &Crowd,
    streams: impl IntoIterator<Item = (Target, usize)>,
) -> anyhow::Result<Came> {
    measure::settle(process, STEP_TIME_MAX)?;
    let (start, before) = (Instant::now(), measure::cpu(process)?);
    let mut wanted = crowd.counts().open;
    for (target, count) in streams {
        wanted += count;
        crowd.connect(target, count);
    }
    let came = crowd.wait(STEP_TIME_MAX, |counts| counts.open + counts.refused >= wanted);
    let time = start.elapsed();
    let counts = crowd.counts();
    ensure!(
        came && counts.refused == 0,
        "of {wanted} streams {} are open ({})",
        counts.open,
        counts.what_went_wrong()
    );
    measure::settle(process, STEP_TIME_MAX)?;
    let cpu = measure::cpu(process)?.saturating_sub(before);
    let memory = measure::memory(process)?;
    Ok(Came { time, cpu, memory, socket_bytes: measure::socket_bytes() })
}

/// Waits until a crowd has got so many events since its beginning, or gets no more. Loss is no
/// error: the counts say it.
pub fn arrive(crowd: &Crowd, events: u64) -> Counts {
    loop {
        let before = crowd.counts();
        let whole = crowd.wait(SILENCE, |counts| counts.events >= events);
        let counts = crowd.counts();
        if whole || (counts.events, counts.open) == (before.events, before.open) {
            return counts;
        }
    }
}

/// Waits until the server has closed what a crowd that has left had opened: it has no more than so
/// many files then. The loop notices only when it writes again, so that one may keep them.
///
/// # Errors
/// Where the server is gone.
pub fn left(process: u32, files: usize) -> anyhow::Result<()> {
    const TIME_MAX: Duration = Duration::from_secs(10);
    let deadline = Instant::now() + TIME_MAX;
    while measure::files_of(process)? > files && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    measure::settle(process, STEP_TIME_MAX)?;
    Ok(())
}
