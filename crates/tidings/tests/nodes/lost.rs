//! The server comes back without its end while no node runs that had heard of it, and the positions
//! are given again: whoever had an event that is gone is told so, and nobody else.

use crate::engine::Redis;
use crate::kept::start_on;
use crate::support::Server;
use crate::wire::{Client, Stream};

fn publish(node: &Server, data: &str) -> String {
    let mut client = Client::connect(node.address()).unwrap();
    let answer = client.request("POST", "/topics/a", "", data.as_bytes()).unwrap();
    assert_eq!(answer.head.status, 200, "{answer:?}");
    answer.json()["id"].as_str().unwrap().to_owned()
}

fn verdict(node: &Server, last_event_id: &str) -> String {
    let stream = Stream::open(node.address(), "/topics/a", Some(last_event_id)).unwrap();
    stream.head.get("tidings-resume").unwrap().to_owned()
}

#[test]
fn a_cursor_of_what_no_node_has_heard_of_is_told() {
    // It keeps what it is told to save, and nothing else.
    let mut redis = Redis::with(&["--save", "", "--appendonly", "no"]);
    let mut nodes = [start_on::<Redis>(redis.port), start_on::<Redis>(redis.port)];
    let kept = publish(&nodes[0], "kept");
    redis.ask("SAVE");
    let mut stream = Stream::open(nodes[1].address(), "/topics/a", Some(&kept)).unwrap();
    let lost = [publish(&nodes[0], "lost"), publish(&nodes[0], "lost too")];
    let seen = [stream.event(), stream.event()].map(|event| event.id.to_string());
    assert_eq!(seen, lost, "the publisher and the subscriber are told the same id");
    let live = Stream::open(nodes[1].address(), "/topics/a", None).unwrap();
    let place = live.head.get("tidings-cursor").unwrap().to_owned();
    assert_eq!(place, lost[1], "a place is told with the fingerprint of its event");
    for node in &mut nodes {
        node.stop();
    }
    redis.kill();
    redis.up();

    let nodes = [start_on::<Redis>(redis.port), start_on::<Redis>(redis.port)];
    let again = ["2", "3", "4"].map(|data| publish(&nodes[0], data));
    let position = |id: &str| id.split_once('.').unwrap().0.to_owned();
    assert_eq!(again.clone().map(|id| position(&id))[..2], lost.clone().map(|id| position(&id)));
    for node in &nodes {
        for lost in &lost {
            assert_eq!(verdict(node, lost), "reset", "{lost}");
        }
        assert_eq!(verdict(node, &place), "reset");
        let mut stream = Stream::open(node.address(), "/topics/a", Some(&lost[0])).unwrap();
        let reset = stream.event();
        assert_eq!((&*reset.event_type, &*reset.id), ("tidings.reset", &*again[2]));
        // Nobody else loses anything: what strangers make up is no reason to begin anew.
        let mut stream = Stream::open(node.address(), "/topics/a", Some(&kept)).unwrap();
        assert_eq!(stream.head.get("tidings-resume"), Some("resumed"));
        assert_eq!([stream.event().data, stream.event().data], ["2", "3"]);
        assert_eq!(verdict(node, &again[1]), "resumed");
        assert_eq!(verdict(node, &position(&again[1])), "resumed", "by its position alone");
    }
}
