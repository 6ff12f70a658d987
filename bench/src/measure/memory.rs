//! The memory of a process, and what the kernel holds for sockets.
//! Knows nothing of who uses it within the process.

use std::fs;

use anyhow::Context;

use super::processes::tree;

/// The memory of a process and all that it has started, in bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Memory {
    /// What is resident, by whomever it is shared. It does not change with what others do.
    pub resident: u64,
    /// Its own pages, and its share of those that it shares (proportional set size).
    pub proportional: u64,
    /// What it has written: heap and stacks. The rest is its program's file.
    pub anonymous: u64,
}

/// Reads it.
///
/// # Errors
/// Where the process is gone, or is somebody else's.
pub fn memory(process: u32) -> anyhow::Result<Memory> {
    let mut sum =
        of_one(process).with_context(|| format!("can't read the memory of process {process}"))?;
    for child in tree(process).into_iter().skip(1) {
        let memory = of_one(child).unwrap_or_default();
        sum.resident += memory.resident;
        sum.proportional += memory.proportional;
        sum.anonymous += memory.anonymous;
    }
    Ok(sum)
}

fn of_one(process: u32) -> Option<Memory> {
    let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).ok()?;
    Some(Memory {
        resident: kib(&text, "Rss:")? * 1024,
        proportional: kib(&text, "Pss:")? * 1024,
        anonymous: kib(&text, "Pss_Anon:")? * 1024,
    })
}

fn kib(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
}

/// TCP segments that had to be sent again in this network namespace, since its beginning.
#[must_use]
pub fn segments_sent_again() -> Option<u64> {
    let text = fs::read_to_string("/proc/net/snmp").ok()?;
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let at = lines.next()?.split_whitespace().position(|name| name == "RetransSegs")?;
    lines.next()?.split_whitespace().nth(at)?.parse().ok()
}

/// What the kernel holds for TCP sockets of this network namespace: buffers, in bytes.
#[must_use]
pub fn socket_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/net/sockstat").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("TCP: "))?;
    let mut words = line.split_whitespace();
    words.find(|word| *word == "mem")?;
    let pages: u64 = words.next()?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_counted() {
        let before = memory(std::process::id()).unwrap();
        let written = vec![1_u8; 64 << 20];
        let after = memory(std::process::id()).unwrap();
        assert!(after.anonymous - before.anonymous > written.len() as u64 / 2);
        assert!(after.resident >= after.proportional && after.proportional >= after.anonymous);
    }
}
