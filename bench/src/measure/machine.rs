//! The machine, as a report names it, and how much of it others took.
//! Knows nothing of what was measured.

use std::fmt;
use std::fs;

/// What figures of time depend on.
#[derive(Clone, Debug)]
pub struct Machine {
    processor: String,
    processors: usize,
    kernel: String,
    memory_gib: u64,
}

impl Machine {
    /// The one that this runs on.
    #[must_use]
    pub fn this() -> Self {
        let kernel = rustix::system::uname();
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let kib: u64 = field(&memory, "MemTotal:").and_then(|text| text.parse().ok()).unwrap_or(0);
        Self {
            processor: processor().unwrap_or_else(|| "unknown processor".into()),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: kernel.release().to_string_lossy().into_owned(),
            memory_gib: kib.div_ceil(1024 * 1024),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { processor, processors, kernel, memory_gib } = self;
        write!(f, "{processors} × {processor}, {memory_gib} GiB, Linux {kernel}")
    }
}

fn processor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next())
}

/// A point in time from which on [`stolen_share`] looks.
#[derive(Clone, Copy, Debug)]
pub struct Ticks {
    all: u64,
    stolen: u64,
}

/// The share of all CPU time since `before` (where there is one) that the hypervisor gave to
/// others, and the point in time to begin with next.
#[must_use]
pub fn stolen_share(before: Option<Ticks>) -> (f64, Ticks) {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    let ticks: Vec<u64> =
        line.split_whitespace().skip(1).take(8).filter_map(|word| word.parse().ok()).collect();
    let now = Ticks { all: ticks.iter().sum(), stolen: ticks.get(7).copied().unwrap_or(0) };
    let Some(before) = before else { return (0.0, now) };
    let all = now.all.saturating_sub(before.all).max(1);
    (now.stolen.saturating_sub(before.stolen) as f64 / all as f64, now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_has_a_name() {
        let text = Machine::this().to_string();
        assert!(text.contains("Linux") && !text.contains("unknown"), "{text}");
        let (share, ticks) = stolen_share(None);
        assert!(share == 0.0 && ticks.all > 0);
    }
}
