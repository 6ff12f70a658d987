//! What the process costs the machine, under the names that every Prometheus dashboard knows.
//! Knows nothing of the hub; what the system does not tell is left out.

use std::fmt;
use std::fs;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;
use rustix::param;
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

/// Looks at this process whenever the metrics are read.
#[derive(Debug)]
pub(super) struct Process {
    /// In seconds since 1970.
    start_time: Option<f64>,
}

impl Process {
    pub(super) fn new() -> Self {
        Self { start_time: start_time() }
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let cpu = ConstCounter::new(cpu().as_secs_f64());
        let unit = Some(&Unit::Seconds);
        cpu.encode(encoder.encode_descriptor(
            "process_cpu",
            "CPU time of the process",
            unit,
            cpu.metric_type(),
        )?)?;
        let mut gauge = |name: &str, help: &str, unit: Option<&Unit>, value: Option<f64>| {
            let Some(value) = value else { return Ok(()) };
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, unit, gauge.metric_type())?)
        };
        let help = "Resident memory of the process";
        gauge("process_resident_memory", help, Some(&Unit::Bytes), resident_memory())?;
        gauge("process_open_fds", "Open files of the process", None, open_files())?;
        gauge("process_max_fds", "Files it may have open", None, max_files())?;
        let help = "When the process was started, since 1970";
        gauge("process_start_time", help, unit, self.start_time)
    }
}

/// All its threads have run, those that have ended too.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), nanoseconds)
}

fn resident_memory() -> Option<f64> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages as f64 * param::page_size() as f64)
}

fn open_files() -> Option<f64> {
    // Linux 6.2 and later say how many there are; counting very many takes a while.
    match fs::metadata("/proc/self/fd").ok()?.len() {
        // Without the one by which they are counted.
        0 => Some(fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1) as f64),
        files => Some(files as f64),
    }
}

/// `None`: as many as it likes.
fn max_files() -> Option<f64> {
    Some(getrlimit(Resource::Nofile).current? as f64)
}

fn start_time() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name is in brackets and may hold anything, brackets too.
    let after_name = &stat[stat.rfind(')')? + 1..];
    let ticks: f64 = after_name.split_whitespace().nth(19)?.parse().ok()?;
    let system = fs::read_to_string("/proc/stat").ok()?;
    let boot = system.lines().find_map(|line| line.strip_prefix("btime "))?;
    Some(boot.trim().parse::<f64>().ok()? + ticks / param::clock_ticks_per_second() as f64)
}

#[cfg(test)]
mod tests {
    use std::time::{Instant, SystemTime, UNIX_EPOCH};

    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    use super::*;

    fn read(name: &str) -> f64 {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Process::new()));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        value.unwrap_or_else(|| panic!("{name} is missing: {text}"))
    }

    #[test]
    fn time_that_was_worked_is_counted() {
        let (before, start) = (read("process_cpu_seconds_total"), Instant::now());
        while read("process_cpu_seconds_total") < before + 0.01 {
            assert!(start.elapsed() < Duration::from_secs(10), "ten seconds and no CPU time");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn memory_and_files_are_those_of_this_process() {
        let memory = read("process_resident_memory_bytes");
        let written = vec![1_u8; 64 << 20];
        assert!(read("process_resident_memory_bytes") > memory + written.len() as f64 / 2.0);
        let open: Vec<_> = (0..50).map(|_| fs::File::open("/proc/self/stat").unwrap()).collect();
        let files = read("process_open_fds");
        assert!(files > open.len() as f64 && files < read("process_max_fds"), "{files}");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        let age = now - read("process_start_time_seconds");
        assert!((-1.0..86_400.0).contains(&age), "{age}");
    }
}
