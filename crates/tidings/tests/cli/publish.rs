//! What `publish` sends, prints, and says when it can't.

use std::io::Write;
use std::process::Stdio;

use crate::harness::{Running, Server, free_port, run};

fn message(data: &str) -> (String, String) {
    ("message".into(), data.into())
}

#[test]
fn one_event_from_the_argument_or_from_stdin() {
    let server = Server::start();
    let first = server.run(&["publish", "orders/42", "hello", "--event", "changed"]);
    assert_eq!(first.lines().len(), 1);
    let chosen = server.run(&["publish", "orders/42", "--id", "my-id", "--private=", "x"]);
    assert_eq!(chosen.code, Some(2), "--private takes no value");
    let chosen = server.run(&["publish", "orders/42", "-5 °", "--id", "my-id"]);
    assert_eq!(chosen.lines(), ["my-id"]);
    server.run_with(&["publish", "orders/42"], "two\nlines\n").lines();
    server.run_with(&["publish", "orders/42", "-"], "dash\r\n").lines();
    server.run(&["publish", "orders/42", ""]).lines();
    assert_eq!(
        server.events("orders/42", 5),
        [
            ("changed".into(), "hello".into()),
            message("-5 °"),
            message("two\nlines"),
            message("dash"),
            message(""),
        ]
    );
}

#[test]
fn each_line_as_it_comes() {
    let server = Server::start();
    let args = ["publish", "log", "--lines", "--event", "line"];
    let mut publisher = Running::start(server.command(&args).stdin(Stdio::piped()));
    for n in 0..3 {
        writeln!(publisher.stdin(), "line {n}").unwrap();
        // Its id is printed while stdin is still open: nobody waits for the end.
        publisher.stdout.next();
    }
    publisher.ends_with(0);
    let many: String = (3..2000).map(|n| format!("line {n}\n")).collect();
    assert_eq!(server.run_with(&args, &many).lines().len(), 1997);
    let events = server.events("log", 2000);
    for (n, event) in events.iter().enumerate() {
        assert_eq!(*event, ("line".into(), format!("line {n}")));
    }
}

#[test]
fn a_file_of_events() {
    let server = Server::start();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("events.ndjson");
    std::fs::write(
        &file,
        "{\"topic\":\"a\",\"data\":\"text\"}\n\n{\"topics\":[\"a\",\"b\"],\"event\":\"e\",\"data\":{\"n\":1}}\n",
    )
    .unwrap();
    let file = file.to_str().unwrap();
    let published = server.run(&["publish", "--file", file]);
    assert_eq!(published.lines().len(), 1, "the last id");
    assert!(published.stderr.contains("2 events"), "{}", published.stderr);
    let one = "{\"topic\":\"a\",\"data\":3}\n";
    server.run_with(&["publish", "--file", "-"], one).lines();
    let expected = [message("text"), ("e".into(), "{\"n\":1}".into()), message("3")];
    assert_eq!(server.events("a", 3), expected);
    assert_eq!(server.events("b", 1), expected[1..2]);
    server.run(&["publish", "--file", "/none"]).failed(1, &["can't open /none"]);
    server.run(&["publish", "--file", "/"]).failed(1, &["can't read /"]);
    let wrong = "{\"topic\":\"a\",\"data\":4}\n{\"topic\":\"a\"}\n";
    let refused = server.run_with(&["publish", "--file", "-"], wrong);
    refused.failed(1, &["Line 2", "\"data\" is missing"]);
}

#[test]
fn a_key_makes_a_repetition_the_same_publish() {
    let server = Server::start();
    let args = ["publish", "a", "hello", "--key", "k-1"];
    let first = server.run(&args);
    assert_eq!(first.lines(), server.run(&args).lines());
    server.run(&["publish", "a", "other", "--key", "k-1"]).failed(1, &["the hub refused (4"]);
}

#[test]
fn what_the_hub_refuses_is_said_in_its_words() {
    let server = Server::start();
    server.run(&["publish", "a", "b", "--id", "x\ny"]).failed(1, &["the hub refused (400)", "id"]);
    server.run(&["publish", "*", "b"]).failed(1, &["by its name"]);
    server.run(&["publish", "a", "b", "--event", "tidings.x"]).failed(1, &["hub's own"]);
}

#[test]
fn without_a_hub_there_is_a_hint() {
    let url = format!("http://127.0.0.1:{}", free_port());
    let hint = [url.as_str(), "is `tidings serve` running there?"];
    run(&["publish", "a", "b", "--url", &url]).failed(1, &hint);
}
