//! The CPU time of a process: what its threads and its children have run.
//! Knows nothing of the kernel's own threads, which may work for it too.

use std::fs;
use std::time::Duration;

use anyhow::Context;
use rustix::time::{ClockId, clock_gettime};

use super::processes::tree;

/// What the process and all that it has started have run so far, by the scheduler's own count
/// in nanoseconds. Threads that have ended are not in it.
///
/// # Errors
/// Where the process is gone, or the kernel does not count.
pub fn cpu(process: u32) -> anyhow::Result<Duration> {
    let mut ns = threads(process)
        .with_context(|| format!("can't read the CPU time of process {process}"))?;
    for child in tree(process).into_iter().skip(1) {
        // It may have ended meanwhile.
        ns += threads(child).unwrap_or(0);
    }
    Ok(Duration::from_nanos(ns))
}

/// What this process has run so far, on any system; threads that have ended are in it.
#[must_use]
pub fn own_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn threads(process: u32) -> Option<u64> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).ok()?;
    let times = tasks.flatten().filter_map(|task| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    times.reduce(|sum, time| sum + time)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn work_is_counted() {
        let process = std::process::id();
        let (before, own) = (cpu(process).unwrap(), own_cpu());
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(10) {
            if cpu(process).unwrap() > before && own_cpu() > own {
                return;
            }
        }
        panic!("ten seconds of work and no CPU time");
    }

    #[test]
    fn nobody_has_none() {
        assert!(cpu(u32::MAX).is_err());
    }
}
