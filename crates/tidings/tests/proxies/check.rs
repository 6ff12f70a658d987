//! What has to hold for clients of a hub behind any proxy.
//! Knows nothing of the proxies.

use std::path::Path;

use crate::support::{Server, tidings};
use crate::wire::{Client, Stream};

/// A hub that trusts whoever these flags say, and lets an address publish next to nothing.
pub(crate) fn hub(directory: &Path, flags: &[&str]) -> Server {
    let always = ["serve", "--log", "memory", "--publishes-per-address", "1"];
    Server::start_by(tidings(directory).args(always).args(flags))
}

/// Uses the hub through the proxy at this address.
#[track_caller]
pub(crate) fn check(proxy: &str) {
    let mut stream = Stream::open(proxy, "/topics/a", None).unwrap();
    assert_eq!(stream.head.get("tidings-resume"), Some("live"));
    let mut client = Client::connect(proxy).unwrap();
    let mut last_id = None;
    for number in 0..20 {
        let data = number.to_string();
        assert_eq!(client.publish("a", &data).unwrap().head.status, 200);
        // The next one is published only when this one has come: nothing is held back on the way.
        let event = stream.event();
        assert_eq!(event.data, data);
        last_id = Some(event.id);
    }
    drop(stream);
    for data in ["missed 1", "missed 2", "missed 3"] {
        assert_eq!(client.publish("a", data).unwrap().head.status, 200);
    }
    let mut stream = Stream::open(proxy, "/topics/a", last_id.as_deref()).unwrap();
    assert_eq!(stream.head.get("tidings-resume"), Some("resumed"));
    for data in ["missed 1", "missed 2", "missed 3"] {
        assert_eq!(stream.event().data, data);
    }
    nobody_is_who_they_claim_to_be(&mut client);
}

/// The client is on this machine, where no limit of addresses holds; were it believed to be the
/// address that it names, it could publish ten events.
#[track_caller]
fn nobody_is_who_they_claim_to_be(client: &mut Client) {
    for claim in [
        "X-Forwarded-For: 192.0.2.1\r\n",
        "Forwarded: for=192.0.2.1\r\n",
        "X-Real-IP: 192.0.2.1\r\n",
    ] {
        for _ in 0..15 {
            let answer = client.request("POST", "/topics/b", claim, b"x").unwrap();
            assert_eq!(answer.head.status, 200, "{claim}: {answer:?}");
        }
    }
}

/// A client that the proxy says is somewhere else is held to the limits of its address.
#[track_caller]
pub(crate) fn limits_hold(proxy: &str, header: &str) {
    let mut client = Client::connect(proxy).unwrap();
    let mut publish = || client.request("POST", "/topics/c", header, b"x").unwrap().head.status;
    assert!((0..15).any(|_| publish() == 429), "{header} is the client's address");
}
