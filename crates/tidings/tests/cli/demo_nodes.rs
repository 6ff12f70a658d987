//! The demo on several nodes: streams move, nothing is missed, and no child outlives it.

use std::path::Path;

use rustix::process::{Pid, Signal, test_kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Ended, Server, run, tidings, until};
use crate::wire::{Answer, Client, Next, Stream};

/// A demo on three nodes, with its temporary files in this directory.
fn start(directory: &Path) -> Server {
    let mut command = tidings(directory);
    command.args(["demo", "--nodes", "3", "--listen", "127.0.0.1:0"]);
    Server::start_by(command.env("TMPDIR", directory))
}

/// What the front says of the nodes, for a page whose stream has this label.
fn nodes(server: &Server, label: &str) -> Value {
    request(server, "GET", &format!("/demo/nodes?label={label}")).json()
}

fn request(server: &Server, method: &str, path: &str) -> Answer {
    Client::connect(server.address()).unwrap().request(method, path, "", b"").unwrap()
}

/// The numbers of the nodes' processes.
fn processes(server: &Server) -> Vec<u64> {
    let nodes = nodes(server, "");
    nodes["nodes"].as_array().unwrap().iter().filter_map(|it| it["process"].as_u64()).collect()
}

/// All processes whose parent this one is.
fn children(process: u32) -> Vec<Pid> {
    let parent = format!("PPid:\t{process}");
    let entries = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let statuses = entries.filter_map(|entry| {
        let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
        Some((pid, std::fs::read_to_string(entry.path().join("status")).ok()?))
    });
    let ours = statuses.filter(|(_, status)| status.lines().any(|line| line == parent));
    ours.map(|(pid, _)| pid).collect()
}

/// An event stream as a page has it.
fn listen(server: &Server, last_id: &str) -> Stream {
    let path = format!("/events?label=page&last_event_id={last_id}");
    Stream::open(server.address(), &path, None).unwrap()
}

/// The number of the stream's next tick; `None` where the stream breaks off.
fn tick(stream: &mut Stream, last_id: &mut String) -> Option<u64> {
    loop {
        let Next::Event(event) = stream.next() else { return None };
        last_id.clear();
        last_id.push_str(&event.id);
        if let Some(number) = event.data.strip_prefix("Counter: ") {
            return number.parse().ok();
        }
        let alert: Value = serde_json::from_str(&event.data).unwrap();
        if let Some(level) = alert["level"].as_u64() {
            return Some(level);
        }
    }
}

#[test]
fn a_node_is_cut_and_the_stream_goes_on_at_another() {
    let directory = TempDir::new().unwrap();
    let mut server = start(directory.path());
    let before = processes(&server);
    assert_eq!(before.len(), 3);
    let (mut ticks, mut id, mut was_on) = (Vec::new(), String::new(), Vec::new());
    for _ in 0..3 {
        let mut stream = listen(&server, &id);
        ticks.push(tick(&mut stream, &mut id).unwrap());
        ticks.push(tick(&mut stream, &mut id).unwrap());
        let node = nodes(&server, "page")["yours"].as_str().unwrap().to_owned();
        assert_eq!(request(&server, "POST", "/demo/nodes/cut?label=page").head.status, 200);
        while let Some(tick) = tick(&mut stream, &mut id) {
            ticks.push(tick);
        }
        was_on.push(node);
    }
    let mut stream = listen(&server, &id);
    ticks.push(tick(&mut stream, &mut id).unwrap());
    let first = ticks[0];
    let expected: Vec<u64> = (first..first + ticks.len() as u64).collect();
    assert_eq!(ticks, expected, "no gap and no repeat, on {was_on:?}");
    was_on.dedup();
    assert!(was_on.len() > 1, "the front hands streams round: {was_on:?}");
    until("all nodes are back", || (processes(&server).len() == 3).then_some(()));
    assert_ne!(processes(&server), before, "they are new processes");
    assert_eq!(request(&server, "POST", "/demo/nodes/cut?label=no").head.status, 400);

    // With the stream open, Ctrl-C ends all of it at once and leaves nothing.
    let children = children(server.running.id());
    assert_eq!(children.len(), 4, "three nodes and a Redis server");
    server.running.signal(Signal::INT);
    server.running.ends_with(0);
    assert!(children.iter().all(|child| test_kill_process(*child).is_err()));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_demo_that_is_killed_takes_its_children_along() {
    let directory = TempDir::new().unwrap();
    let mut server = start(directory.path());
    let children = children(server.running.id());
    assert_eq!(children.len(), 4);
    server.running.signal(Signal::KILL);
    server.running.wait();
    until("they are gone", || {
        // Whoever takes in orphans here may take its time to bury them.
        let gone = |child: &Pid| {
            let status =
                std::fs::read_to_string(format!("/proc/{}/status", child.as_raw_nonzero()));
            status.is_err() || status.is_ok_and(|status| status.contains("State:\tZ"))
        };
        children.iter().all(gone).then_some(())
    });
}

#[test]
fn without_a_redis_server_it_says_what_to_install() {
    let directory = TempDir::new().unwrap();
    let mut command = tidings(directory.path());
    command.args(["demo", "--nodes", "3", "--listen", "127.0.0.1:0"]).env("PATH", "/nowhere");
    let ended: Ended = command.output().unwrap().into();
    ended.failed(1, &["neither redis-server nor valkey-server", "apt install redis-server"]);
    run(&["demo", "--nodes", "1"]).failed(2, &["2..=9"]);
    run(&["demo", "--nodes", "3", "--log", "memory"]).failed(2, &["--log"]);
}
