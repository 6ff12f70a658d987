//! How fast events are encoded, and how fast the index finds who wants one.
//!
//! `cargo run --release -p tidings-core --example encode_rate`

use std::hint::black_box;
use std::time::{Duration, Instant};

use tidings_core::cursor::{Cursor, Incarnation, Position};
use tidings_core::event::{Data, Event, EventType, Topic, Topics};
use tidings_core::sse::Frame;
use tidings_core::topic::{Index, Selector};

fn main() {
    println!("{:<44} {:>10} {:>8} {:>8}", "encoding (id, event, data)", "frame B", "ns", "GB/s");
    for bytes in [0, 79, 1024, 64 * 1024] {
        encode(&format!("{bytes} B"), &"x".repeat(bytes));
        if bytes > 0 {
            let line = format!("{}\n", "x".repeat(39));
            encode(
                &format!("{bytes} B, a break every 40 B"),
                &line.repeat(1 + bytes / 40)[..bytes],
            );
        }
    }

    println!("\n{:<44} {:>19}", "finding one subscriber in the index", "ns");
    for topics in [1, 1_000, 100_000] {
        let topic = |n| format!("orders/{n}");
        find(&format!("{topics} topics"), (0..topics).map(topic), topics, topic);
    }
    let patterns = (0..10_000).map(|n| format!("orders/{n}/{{item}}"));
    find("10000 patterns by their beginning", patterns, 10_000, |n| format!("orders/{n}/7"));
    let patterns = (0..10_000).map(|n| format!("{{shop}}/orders/{n}/*"));
    find("10000 patterns by what follows a variable", patterns, 10_000, |n| {
        format!("here/orders/{n}/7")
    });
}

fn encode(name: &str, data: &str) {
    let event = Event {
        event_type: Some(EventType::parse("price").expect("a word")),
        ..Event::new(Topic::parse("a").expect("a topic"), Data::from(data.to_owned()))
    };
    let incarnation = Incarnation::from_random(7);
    let mut position = 1_000_000;
    let frame =
        |position: u64| Frame::event(Cursor::before(incarnation, Position(position + 1)), &event);
    let bytes = frame(position).raw().len();
    let ns = measure(|| {
        position += 1;
        frame(position)
    });
    println!("{name:<44} {bytes:>10} {ns:>8.1} {:>8.2}", bytes as f64 / ns);
}

fn find(
    name: &str,
    selectors: impl Iterator<Item = String>,
    count: usize,
    topic: impl Fn(usize) -> String,
) {
    let mut index = Index::default();
    for (key, text) in (0u32..).zip(selectors) {
        index.insert(&Selector::parse(&text).expect("a selector"), key);
    }
    // As many topics as a burst may have, far apart, so that not all of it stays in the cache.
    let topics: Vec<Topics> = (0..1024)
        .map(|n| Topic::parse(&topic(n * 7919 % count)).expect("a topic").into())
        .collect();
    let (mut turn, mut found) = (0, 0u64);
    let ns = measure(|| {
        turn += 1;
        index.matches(&topics[turn % topics.len()], |_| found += 1);
    });
    assert!(found >= turn as u64, "each has its subscriber");
    println!("{name:<44} {ns:>19.1}");
}

/// Nanoseconds for one call: the best of many short runs, since what disturbs only adds.
#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
fn measure<T>(mut work: impl FnMut() -> T) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..200 {
        let (start, mut calls) = (Instant::now(), 0u32);
        while start.elapsed() < Duration::from_millis(2) {
            for _ in 0..64 {
                black_box(work());
            }
            calls += 64;
        }
        best = best.min(start.elapsed().as_nanos() as f64 / f64::from(calls));
    }
    best
}
