//! A process and all that it has started.
//! Knows nothing of what is measured of them.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// What was killed and is not gone after this time hangs in the kernel.
const END_TIME_MAX: Duration = Duration::from_secs(5);

/// Kills a process and all that it has started; gives those.
pub(crate) fn end(process: u32) -> Vec<u32> {
    // Stopped, it starts no others in place of those that end.
    signal(process, Signal::STOP);
    let tree = tree(process);
    tree.iter().for_each(|process| signal(*process, Signal::KILL));
    tree[1..].to_vec()
}

/// Waits until these are gone: closing very many sockets takes a while.
pub(crate) fn wait_for_end(processes: &[u32]) {
    let deadline = Instant::now() + END_TIME_MAX;
    while processes.iter().any(|process| is_running(*process)) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether it is there and has not ended.
pub(crate) fn is_running(process: u32) -> bool {
    stat(process)
        .is_some_and(|fields| !matches!(fields.first().map(String::as_str), Some("Z" | "X")))
}

fn signal(process: u32, signal: Signal) {
    // It may be gone by itself: that is what we want.
    if let Some(process) = i32::try_from(process).ok().and_then(Pid::from_raw) {
        let _ = kill_process(process, signal);
    }
}

/// The process, its children, theirs, and so on.
pub(crate) fn tree(process: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = all().filter_map(|id| Some((id, parent(id)?))).collect();
    let mut tree = vec![process];
    let mut at = 0;
    while at < tree.len() {
        let children = parents.iter().filter(|(_, parent)| *parent == tree[at]);
        let children: Vec<u32> = children.map(|(id, _)| *id).collect();
        tree.extend(children);
        at += 1;
    }
    tree
}

fn all() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn parent(process: u32) -> Option<u32> {
    stat(process)?.get(1)?.parse().ok()
}

/// What the kernel says of a process behind its name: its state, its parent, and more.
fn stat(process: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name is in brackets and may hold anything, brackets too.
    let after_name = &stat[stat.rfind(')')? + 1..];
    Some(after_name.split_whitespace().take(2).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_belongs_to_the_tree() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let tree = tree(std::process::id());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(tree.contains(&std::process::id()) && tree.contains(&child.id()));
    }
}
