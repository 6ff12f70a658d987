//! A process and all that it has started.
//! Knows nothing of what is measured of them.

use std::fs;

/// The process, its children, theirs, and so on.
pub(super) fn tree(process: u32) -> Vec<u32> {
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
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name is in brackets and may hold anything, brackets too.
    let after_name = &stat[stat.rfind(')')? + 1..];
    after_name.split_whitespace().nth(1)?.parse().ok()
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
