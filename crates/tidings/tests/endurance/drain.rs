//! A drain: streams end evenly over its time, each client is told when to come back, and whoever
//! goes on elsewhere, on the same log, has missed nothing.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::process::metric;
use crate::support::{Server, until};
use crate::wire::{Client, Next, Stream};

const CLIENTS: usize = 300;
const DRAIN: Duration = Duration::from_secs(3);
const SHARDS: usize = 2;

/// A client that has left the first hub.
struct Left {
    at: Instant,
    data: Vec<String>,
    last_id: String,
}

/// Reads a stream to its end, which has to be one of a drain.
fn read_to_end(mut stream: Stream) -> Left {
    let (mut data, mut last_id) = (Vec::new(), String::new());
    loop {
        match stream.next() {
            Next::Event(event) => {
                last_id = event.id.to_string();
                data.push(event.data);
            }
            Next::Ended => break,
            Next::Cut => panic!("a stream was cut off after {data:?}"),
        }
    }
    let last = String::from_utf8(stream.last_chunk).unwrap();
    let retry = last.strip_prefix("retry: ").and_then(|last| last.strip_suffix('\n'));
    let retry: u64 = retry.and_then(|ms| ms.parse().ok()).unwrap_or_else(|| panic!("{last:?}"));
    assert!((1600..=2400).contains(&retry), "{retry} is not around two seconds");
    Left { at: Instant::now(), data, last_id }
}

#[test]
fn a_crowd_leaves_evenly_and_misses_nothing() {
    let directory = TempDir::new().unwrap();
    let args = ["serve", "--listen", "127.0.0.1:0", "--log", "disk:log", "--drain", "3s"];
    let args = [&args[..], &["--shards", "2", "--retry", "2s"]].concat();
    let mut server = Server::start_in(directory.path(), &args);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let stream = Stream::open(server.address(), "/topics/a", None).unwrap();
            thread::spawn(move || read_to_end(stream))
        })
        .collect();
    until("all are there", || {
        (metric(&server, "tidings_subscribers") == CLIENTS as u64).then_some(())
    });
    // Somebody publishes all the time, until he is refused.
    let mut publisher = Client::connect(server.address()).unwrap();
    let (begun, begins) = mpsc::channel();
    let publishing = thread::spawn(move || {
        let mut kept = Vec::new();
        loop {
            let data = format!("event {}", kept.len());
            match publisher.publish("a", &data) {
                Ok(answer) if answer.head.status == 200 => kept.push(data),
                Ok(answer) => {
                    assert_eq!(answer.head.status, 503, "{answer:?}");
                    return kept;
                }
                // It was between two requests, and its connection is closed.
                Err(_) => return kept,
            }
            let _ = begun.send(());
        }
    });
    begins.recv().unwrap();
    let signalled = Instant::now();
    server.running.signal(Signal::TERM);
    let kept = publishing.join().unwrap();

    let mut left: Vec<Left> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    server.running.ends_with(0);
    left.sort_by_key(|left| left.at);
    // A slow machine only makes it later.
    for (place, left) in left.iter().enumerate() {
        let even = DRAIN.mul_f64(place.saturating_sub(SHARDS) as f64 / CLIENTS as f64);
        let after = left.at - signalled;
        assert!(after + Duration::from_millis(50) >= even, "{place} has left after {after:?}");
    }

    let server = Server::start_in(directory.path(), &args);
    let back: Vec<_> = left
        .into_iter()
        .map(|left| {
            let last_id = Some(&*left.last_id).filter(|id| !id.is_empty());
            let path = if last_id.is_some() { "/topics/a" } else { "/topics/a?since=earliest" };
            (Stream::open(server.address(), path, last_id).unwrap(), left.data)
        })
        .collect();
    let mut publisher = Client::connect(server.address()).unwrap();
    assert_eq!(publisher.publish("a", "the last").unwrap().head.status, 200);
    let all: Vec<String> = kept.into_iter().chain(["the last".into()]).collect();
    for (mut stream, mut data) in back {
        while data.last().is_none_or(|last| last != "the last") {
            data.push(stream.event().data);
        }
        // What was not answered any more may have been kept all the same, but nothing twice.
        let unanswered = format!("event {}", all.len() - 1);
        let data: Vec<String> = data.into_iter().filter(|data| *data != unanswered).collect();
        assert_eq!(data, all);
    }
}

#[test]
fn a_drain_of_an_hour_ends_at_once_where_nobody_listens() {
    let directory = TempDir::new().unwrap();
    let args = ["serve", "--listen", "127.0.0.1:0", "--log", "memory", "--drain", "1h"];
    let mut server = Server::start_in(directory.path(), &args);
    server.stop();
    let mut server = Server::start_in(directory.path(), &args);
    let mut stream = Stream::open(server.address(), "/topics/a", None).unwrap();
    server.stop();
    assert!(matches!(stream.next(), Next::Ended));
}

#[test]
fn ctrl_c_waits_for_no_drain() {
    let directory = TempDir::new().unwrap();
    let args = ["serve", "--listen", "127.0.0.1:0", "--log", "memory", "--drain", "1h"];
    let mut server = Server::start_in(directory.path(), &args);
    // At least 20 of them are of one shard: they would take 20 seconds at the least.
    let streams: Vec<Stream> =
        (0..200).map(|_| Stream::open(server.address(), "/topics/a", None).unwrap()).collect();
    let signalled = Instant::now();
    server.running.signal(Signal::INT);
    for mut stream in streams {
        assert!(matches!(stream.next(), Next::Ended));
    }
    server.running.ends_with(0);
    let took = signalled.elapsed();
    assert!(took < Duration::from_secs(60), "{took:?}");
}
