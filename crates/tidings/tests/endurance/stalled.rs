//! A reader that stops reading, and one that takes a byte a second, while 100 MB are published:
//! memory stays flat, the others notice nothing, and when they read again they have every event,
//! or are told exactly what is gone.

use std::io::{Cursor, Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::process::{memory, metric};
use crate::support::{Server, until};
use crate::wire::{Client, Stream, connect, position, stream_request};

const MIB: u64 = 1 << 20;
const PUBLISHED_BYTES: u64 = 100_000_000;
/// What the hub may keep ready in memory behind the tail.
const TAIL_BYTES: u64 = 4 * MIB;
/// What the process may have beyond the start, the log and the tail.
const SLACK_BYTES: u64 = 24 * MIB;
/// What it may have more in the second half than in the first: the allocator's own ups and downs
/// were seen to make 10 MiB; a third of what is published in that half would be kept events.
const GROWTH_BYTES: u64 = 16 * MIB;

#[test]
fn retention_overtakes_them_and_they_are_told() {
    let directory = TempDir::new().unwrap();
    let flags = ["--log", "memory", "--keep-bytes", "16MiB"];
    let resets = check(&directory, &flags, 16 * MIB);
    assert_eq!(resets, [1, 1], "each was told once of one gap");
}

#[test]
fn a_log_that_is_large_enough_gives_them_everything() {
    let directory = TempDir::new().unwrap();
    let resets = check(&directory, &["--log", "disk:log", "--sync", "never"], 0);
    assert_eq!(resets, [0, 0]);
}

/// Gives how often each of the two was told of a gap.
fn check(directory: &TempDir, flags: &[&str], log_bytes: u64) -> [u64; 2] {
    let listen = ["serve", "--listen", "127.0.0.1:0", "--tail-bytes-max", "4MiB"];
    let mut server = Server::start_in(directory.path(), &[&listen, flags].concat());
    let mut normal = Stream::open(server.address(), "/topics/a", None).unwrap();
    let silent = request(&server);
    let (stop, stopped) = mpsc::channel();
    let slow = a_byte_a_second(request(&server), stopped);
    until("all are there", || (metric(&server, "tidings_subscribers") == 3).then_some(()));

    let start = memory(server.running.id());
    let mut publisher = Client::connect(server.address()).unwrap();
    let (mut published, mut number, mut slowest) = (0, 0, Duration::ZERO);
    let mut peaks = [0; 2];
    while published < PUBLISHED_BYTES {
        let data = data(number);
        let before = Instant::now();
        let answer = publisher.publish("a", &data).unwrap();
        assert_eq!(answer.head.status, 200, "{answer:?}");
        // The reader that reads has each event before the next one is published.
        assert_eq!(normal.event().data, data, "event {number}");
        slowest = slowest.max(before.elapsed());
        number += 1;
        published += data.len() as u64;
        if number % 100 == 0 {
            let peak = &mut peaks[usize::from(published > PUBLISHED_BYTES / 2)];
            *peak = memory(server.running.id()).max(*peak);
        }
    }
    publisher.publish("a", "end").unwrap();
    assert_eq!(normal.event().data, "end");
    let mib = |bytes: u64| bytes / MIB;
    println!(
        "{number} events; memory at the start {} MiB, at most {} and {} MiB in the two halves; \
         the slowest event took {slowest:?} to the normal reader",
        mib(start),
        mib(peaks[0]),
        mib(peaks[1]),
    );
    let bound = start + log_bytes + TAIL_BYTES + SLACK_BYTES;
    assert!(peaks.iter().all(|peak| *peak < bound), "{peaks:?}, the bound is {bound}");
    assert!(peaks[1] < peaks[0] + GROWTH_BYTES, "it grows: {peaks:?}");
    assert_eq!(metric(&server, "tidings_subscribers"), 3, "nobody was cut off");

    stop.send(()).unwrap();
    let silent = Stream::read(silent).unwrap();
    let slow = slow.join().unwrap();
    let resets = [silent, slow].map(|stream| read_on(stream, number));
    server.stop();
    resets
}

/// A subscriber that has not read anything yet.
fn request(server: &Server) -> TcpStream {
    let mut stream = connect(server.address()).unwrap();
    stream.write_all(stream_request("/topics/a", None).as_bytes()).unwrap();
    stream
}

/// 1 to 64 KB, different each time.
fn data(number: u64) -> String {
    let bytes = 1024 + number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % (63 * 1024);
    let mut data = format!("{number} ");
    data.push_str(&"x".repeat(usize::try_from(bytes).unwrap() - data.len()));
    data
}

/// Reads a byte a second until it is told to stop.
fn a_byte_a_second(mut stream: TcpStream, stopped: Receiver<()>) -> JoinHandle<Stream> {
    std::thread::spawn(move || {
        let mut begun = Vec::new();
        while stopped.recv_timeout(Duration::from_secs(1)) == Err(RecvTimeoutError::Timeout) {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            begun.push(byte[0]);
        }
        Stream::read(Cursor::new(begun).chain(stream)).unwrap()
    })
}

/// Reads to the end: every event in order, or a reset exactly where some are missing. Gives how
/// many resets there were.
fn read_on(mut stream: Stream, published: u64) -> u64 {
    let (mut resets, mut next, mut last) = (0, 0, None);
    loop {
        let event = stream.event();
        let here = position(&event.id);
        if event.event_type == "tidings.reset" {
            let told: serde_json::Value = serde_json::from_str(&event.data).unwrap();
            let oldest = position(told["oldest"].as_str().unwrap());
            let from = position(told["from"].as_str().unwrap());
            let after = last.is_none_or(|last| last == from);
            assert!(after, "it begins after the last event, {last:?}: {}", event.data);
            assert_eq!(here + 1, oldest, "a reconnect goes on at the oldest: {}", event.data);
            let missed = told["missed"].as_u64().unwrap();
            assert!(missed > 0, "{}", event.data);
            assert_eq!(from + missed + 1, oldest, "{}", event.data);
            resets += 1;
            next += missed;
        } else {
            assert!(last.is_none_or(|last| last + 1 == here), "{here} follows {last:?}");
            if next == published {
                assert_eq!(event.data, "end");
                return resets;
            }
            assert_eq!(event.data, data(next));
            next += 1;
        }
        last = Some(here);
    }
}
