//! The orderly end: whoever listens is told by the last chunk, what is under way is finished,
//! nobody new is let in, and nobody can hold it up beyond the deadline.

use std::io::Write;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::process::metric;
use crate::support::{Server, until};
use crate::wire::{Client, Next, Stream, connect, stream_request};

fn hub(flags: &[&str]) -> Server {
    let directory = TempDir::new().unwrap();
    let args = [&["serve", "--listen", "127.0.0.1:0", "--log", "memory"], flags].concat();
    Server::start_in(directory.path(), &args)
}

#[test]
fn idle_streams_end_with_the_last_chunk() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = hub(&["--drain", "0"]);
        let streams: Vec<Stream> =
            (0..20).map(|_| Stream::open(server.address(), "/topics/a", None).unwrap()).collect();
        server.running.signal(signal);
        server.running.ends_with(0);
        for mut stream in streams {
            assert!(matches!(stream.next(), Next::Ended));
        }
    }
}

#[test]
fn a_stalled_reader_does_not_hold_it_up() {
    let mut server = hub(&["--drain", "0", "--shutdown-time-max", "1s"]);
    let mut stalled = connect(server.address()).unwrap();
    stalled.write_all(stream_request("/topics/a", None).as_bytes()).unwrap();
    until("it is there", || (metric(&server, "tidings_subscribers") == 1).then_some(()));
    let mut other = Stream::open(server.address(), "/topics/a", None).unwrap();
    let mut publisher = Client::connect(server.address()).unwrap();
    let data = "x".repeat(256 * 1024);
    until("the reader stalls", || {
        assert_eq!(publisher.publish("a", &data).unwrap().head.status, 200);
        assert_eq!(other.event().data.len(), data.len());
        (metric(&server, "tidings_lagged_total") > 0).then_some(())
    });
    // Its socket is full, so it has begun an event that it does not take.
    server.running.signal(Signal::TERM);
    server.running.ends_with(0);
    loop {
        match other.next() {
            Next::Event(event) => assert_eq!(event.data.len(), data.len()),
            Next::Ended => break,
            Next::Cut => panic!("the reader that reads was cut off"),
        }
    }
}

#[test]
fn a_publish_under_way_is_finished_and_kept() {
    let directory = TempDir::new().unwrap();
    let args = ["serve", "--listen", "127.0.0.1:0", "--log", "disk:log"];
    let mut server = Server::start_in(directory.path(), &args);
    let mut publisher = Client::connect(server.address()).unwrap();
    let head = "POST /topics/a HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\
                Expect: 100-continue\r\n\r\n";
    publisher.send(head.as_bytes()).unwrap();
    // It says so when it begins to read the body: the publish is under way.
    assert_eq!(publisher.answer().unwrap().head.status, 100);
    publisher.send(b"half").unwrap();
    let mut asker = Client::connect(server.address()).unwrap();
    asker.send(b"GET /readyz HTTP/1.1\r\nHost: h\r\n").unwrap();
    let mut late = Client::connect(server.address()).unwrap();
    late.send(b"POST /topics/a HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n").unwrap();
    // Connections are accepted in their order: when this is answered, all three are there.
    assert_eq!(server.get("/readyz").0, 200);
    server.running.signal(Signal::TERM);
    server.running.stderr.find("shutting down");
    until("it stops accepting", || connect(server.address()).is_err().then_some(()));

    asker.send(b"\r\n").unwrap();
    let answer = asker.answer().unwrap();
    assert_eq!(answer.head.status, 503, "{answer:?}");
    assert!(answer.body.contains("shutting down"), "{answer:?}");
    late.send(b"\r\nlate").unwrap();
    let answer = late.answer().unwrap();
    assert_eq!(answer.head.status, 503, "{answer:?}");
    assert!(answer.head.get("retry-after").is_some(), "{answer:?}");
    publisher.send(b" done").unwrap();
    let answer = publisher.answer().unwrap();
    assert_eq!(answer.head.status, 200, "{answer:?}");
    server.running.ends_with(0);

    let server = Server::start_in(directory.path(), &args);
    let mut stream = Stream::open(server.address(), "/topics/a?since=earliest", None).unwrap();
    let event = stream.event();
    assert_eq!(event.data, "half done");
    assert_eq!(answer.json()["id"], *event.id);
    Client::connect(server.address()).unwrap().publish("a", "next").unwrap();
    assert_eq!(stream.event().data, "next", "what was refused is not there");
}
