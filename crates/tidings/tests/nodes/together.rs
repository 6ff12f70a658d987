//! Nodes on one server are one hub: what is published on one comes out of all, and whoever goes
//! from one to another goes on where he was.

use crate::kept::{Kept, start_on};
use crate::support::run;
use crate::wire::{Client, Stream};

fn publish(address: &str, path: &str, headers: &str, data: &str) -> serde_json::Value {
    let mut client = Client::connect(address).unwrap();
    let answer = client.request("POST", path, headers, data.as_bytes()).unwrap();
    assert_eq!(answer.head.status, 200, "{answer:?}");
    answer.json()
}

on_every_server! {
    what_is_published_on_one_node_comes_out_of_all,
    a_cursor_is_taken_by_a_node_that_has_not_heard_of_it_yet,
    a_repeated_publish_is_known_on_all_nodes,
    chosen_ids_times_and_the_last_are_found_on_all_nodes,
}

fn what_is_published_on_one_node_comes_out_of_all<K: Kept>() {
    let kept = K::forgetful();
    let mut nodes =
        [start_on::<K>(kept.port()), start_on::<K>(kept.port()), start_on::<K>(kept.port())];
    let mut streams: Vec<Stream> =
        nodes.iter().map(|node| Stream::open(node.address(), "/topics/a", None).unwrap()).collect();
    for (number, node) in nodes.iter().enumerate() {
        publish(node.address(), "/topics/a", "", &number.to_string());
    }
    let mut ids = Vec::new();
    for stream in &mut streams {
        let events: Vec<_> = (0..3).map(|_| stream.event()).collect();
        assert_eq!(events.iter().map(|event| &*event.data).collect::<Vec<_>>(), ["0", "1", "2"]);
        ids.push(events.iter().map(|event| event.id.to_string()).collect::<Vec<_>>());
    }
    assert!(ids.iter().all(|of_one| *of_one == ids[0]), "the same ids everywhere: {ids:?}");
    // From one to the next, after the first event: nothing is missing, nothing comes twice.
    for node in &nodes {
        let mut stream = Stream::open(node.address(), "/topics/a", Some(&ids[0][0])).unwrap();
        assert_eq!(stream.head.get("tidings-resume"), Some("resumed"));
        assert_eq!([stream.event().data, stream.event().data], ["1", "2"]);
    }
    for node in &mut nodes {
        node.stop();
    }
    // All nodes were away, and the server has kept it.
    let node = start_on::<K>(kept.port());
    let mut stream = Stream::open(node.address(), "/topics/a", Some(&ids[0][1])).unwrap();
    assert_eq!(stream.event().data, "2");
}

fn a_cursor_is_taken_by_a_node_that_has_not_heard_of_it_yet<K: Kept>() {
    let kept = K::forgetful();
    let (one, other) = (start_on::<K>(kept.port()), start_on::<K>(kept.port()));
    for number in 0..200 {
        let answer = publish(one.address(), "/topics/a", "", &number.to_string());
        let id = answer["id"].as_str().unwrap();
        // At once, before the other node may have heard of the event.
        let stream = Stream::open(other.address(), "/topics/a", Some(id)).unwrap();
        assert_eq!(stream.head.get("tidings-resume"), Some("resumed"), "{number}");
    }
}

fn a_repeated_publish_is_known_on_all_nodes<K: Kept>() {
    let kept = K::forgetful();
    let (one, other) = (start_on::<K>(kept.port()), start_on::<K>(kept.port()));
    let key = "Idempotency-Key: k\r\n";
    let first = publish(one.address(), "/topics/a", key, "once");
    let second = publish(other.address(), "/topics/a", key, "once");
    assert_eq!(first["id"], second["id"]);
    publish(other.address(), "/topics/a", "", "end");
    let mut stream = Stream::open(one.address(), "/topics/a?since=earliest", None).unwrap();
    assert_eq!([stream.event().data, stream.event().data], ["once", "end"]);
}

fn chosen_ids_times_and_the_last_are_found_on_all_nodes<K: Kept>() {
    let kept = K::forgetful();
    let (one, other) = (start_on::<K>(kept.port()), start_on::<K>(kept.port()));
    for number in 0..5 {
        publish(one.address(), &format!("/topics/a?id=urn:{number}"), "", &number.to_string());
        publish(one.address(), "/topics/b", "", "other");
    }
    let mut after = Stream::open(other.address(), "/topics/a", Some("urn:2")).unwrap();
    assert_eq!(after.head.get("tidings-resume"), Some("resumed"));
    assert_eq!([after.event().data, after.event().data], ["3", "4"]);
    let mut last = Stream::open(other.address(), "/topics/a?last=2", None).unwrap();
    assert_eq!([last.event().data, last.event().data], ["3", "4"]);
    let mut since = Stream::open(other.address(), "/topics/a?since=10m", None).unwrap();
    assert_eq!(since.event().data, "0");
}

#[test]
fn the_password_is_in_no_output() {
    for (log, shown, place) in [
        ("redis://hub:hunter2@127.0.0.1:1/0", "redis://hub:***@127.0.0.1:1/0", "Redis"),
        ("nats://hub:hunter2@127.0.0.1:1", "nats://hub:***@127.0.0.1:1", "NATS"),
        ("nats://hunter2@127.0.0.1:1", "nats://***@127.0.0.1:1", "NATS"),
    ] {
        the_password_of(log, shown, place);
    }
}

fn the_password_of(log: &str, shown: &str, place: &str) {
    let ended = run(&["config", "check", "--log", log]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains(shown), "{}", ended.stdout);
    let serving = run(&["serve", "--listen", "127.0.0.1:0", "--log", log]);
    serving.failed(1, &[&format!("can't open the log in {place} at {shown}")]);
    let wrong = run(&["serve", "--log", &format!("{log}/x/y")]);
    wrong.failed(2, &["://HOST:PORT"]);
    for text in [ended.stdout, ended.stderr, serving.stderr, wrong.stderr] {
        assert!(!text.contains("hunter2"), "{text}");
    }
}
