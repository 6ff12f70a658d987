//! What a process costs, read from `/proc`; and the machine it runs on.
//! Knows nothing of what the process does.

mod cpu;
mod machine;
mod memory;
mod open_files;
mod own;
mod processes;
mod sockets;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub use cpu::{cpu, own_cpu};
pub use machine::{Machine, Ticks, stolen_share};
pub use memory::{Memory, memory, segments_sent_again, socket_bytes};
pub use open_files::{files_of, raise_open_files};
pub use own::{Busy, OwnThreads};
pub(crate) use processes::{end, wait_for_end};
#[cfg(test)]
pub(crate) use processes::{is_running, tree};
pub use sockets::{ServerSocket, server_sockets};

/// How long a process has to be quiet, in milliseconds, and how quiet.
static QUIET_MS: AtomicU64 = AtomicU64::new(300);
const QUIET_SHARE: u32 = 50;

/// From here on a short look at a process will do: nothing is measured, only tried.
pub fn hurry() {
    QUIET_MS.store(30, Ordering::Relaxed);
}

/// Waits until a process does next to nothing, so that what is measured next is not the end of
/// what came before. `false`: it did not come to rest within the time.
///
/// # Errors
/// Where the process is gone.
pub fn settle(process: u32, time_max: Duration) -> anyhow::Result<bool> {
    let deadline = Instant::now() + time_max;
    let quiet_time = Duration::from_millis(QUIET_MS.load(Ordering::Relaxed));
    let mut before = cpu(process)?;
    while Instant::now() < deadline {
        std::thread::sleep(quiet_time);
        let now = cpu(process)?;
        if now.saturating_sub(before) <= quiet_time / QUIET_SHARE {
            return Ok(true);
        }
        before = now;
    }
    Ok(false)
}
