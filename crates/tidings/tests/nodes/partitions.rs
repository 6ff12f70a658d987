//! A log in several partitions of one server: the number is the log's, and the same topics are in
//! the same partition on all nodes.

use crate::engine::{Redis, start_with};
use crate::support::{Server, run};
use crate::wire::{Client, Stream};

fn node(redis: &Redis, partitions: &str) -> Server {
    start_with(&format!("redis://127.0.0.1:{}", redis.port), &["--redis-partitions", partitions])
}

fn publish(node: &Server, number: usize) {
    let mut client = Client::connect(node.address()).unwrap();
    let answer = client.publish(&format!("p/{number}"), &number.to_string()).unwrap();
    assert_eq!(answer.head.status, 200, "{answer:?}");
}

/// The next so many events, in the order of their numbers, and the last id.
fn take(stream: &mut Stream, count: usize) -> (Vec<usize>, String) {
    let events: Vec<_> = (0..count).map(|_| stream.event()).collect();
    let mut numbers: Vec<usize> = events.iter().map(|event| event.data.parse().unwrap()).collect();
    numbers.sort_unstable();
    (numbers, events[count - 1].id.to_string())
}

#[test]
fn a_place_in_several_partitions_is_one_on_all_nodes() {
    let redis = Redis::forgetful();
    let nodes = [node(&redis, "4"), node(&redis, "4")];
    let mut streams: Vec<Stream> = nodes
        .iter()
        .map(|node| Stream::open(node.address(), "/events?topic=*", None).unwrap())
        .collect();
    for number in 0..20 {
        publish(&nodes[number % 2], number);
    }
    let all: Vec<usize> = (0..20).collect();
    let mut seen = Vec::new();
    let (first, last) = take(&mut streams[0], 7);
    assert_eq!(take(&mut streams[1], 20).0, all);
    seen.extend(first);
    // On another node, and on one that has just come.
    let mut back = Stream::open(nodes[1].address(), "/events?topic=*", Some(&last)).unwrap();
    assert_eq!(back.head.get("tidings-resume"), Some("resumed"));
    let (more, last) = take(&mut back, 6);
    seen.extend(more);
    let late = node(&redis, "4");
    let mut back = Stream::open(late.address(), "/events?topic=*", Some(&last)).unwrap();
    assert_eq!(back.head.get("tidings-resume"), Some("resumed"));
    seen.extend(take(&mut back, 7).0);
    seen.sort_unstable();
    assert_eq!(seen, all, "nothing is missing, nothing came twice");
}

#[test]
fn what_one_partition_has_lost_is_told() {
    let redis = Redis::forgetful();
    let node = node(&redis, "4");
    let mut stream = Stream::open(node.address(), "/events?topic=*", None).unwrap();
    for number in 0..8 {
        publish(&node, number);
    }
    let (_, last) = take(&mut stream, 8);
    redis.ask("DEL {tidings:2}:log {tidings:2}:meta");
    drop(stream);
    let mut back = Stream::open(node.address(), "/events?topic=*", Some(&last)).unwrap();
    // The node may hear of it before or after the stream begins.
    if back.head.get("tidings-resume") == Some("resumed") {
        assert!(!matches!(back.next(), crate::wire::Next::Event(_)));
        back = Stream::open(node.address(), "/events?topic=*", Some(&last)).unwrap();
    }
    assert_eq!(back.head.get("tidings-resume"), Some("reset"));
    assert_eq!(back.event().event_type, "tidings.reset");
}

#[test]
fn the_number_of_partitions_is_the_log_s() {
    let redis = Redis::forgetful();
    let log = format!("redis://127.0.0.1:{}", redis.port);
    let serve = |partitions| {
        let flags = ["serve", "--listen", "127.0.0.1:0", "--log", &log];
        run(&[&flags[..], &["--redis-partitions", partitions]].concat())
    };
    let _node = node(&redis, "4");
    for other in ["1", "2"] {
        serve(other).failed(1, &["the log was made with redis-partitions = 4"]);
    }
    let _same = node(&redis, "4");
}
