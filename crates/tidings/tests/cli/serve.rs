//! How a hub starts, what it says, and how it ends.

use std::io::{Read, Write};
use std::net::TcpStream;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::harness::{Ended, Running, Server, run, tidings, until};

#[test]
fn says_what_it_serves_and_where() {
    let mut server = Server::start();
    assert!(!server.address().ends_with(":0"), "the real port: {}", server.url);
    let curl = server.running.stdout.find("curl -d");
    assert!(curl.contains(&format!("{}/topics/", server.url)), "{curl}");
    assert_eq!(server.get("/healthz").0, 200);
    assert_eq!(server.get("/readyz").0, 200);
    server.stop();
}

#[test]
fn says_it_in_one_line_of_json_where_logs_are_json() {
    let directory = TempDir::new().unwrap();
    let args = ["serve", "--listen", "127.0.0.1:0", "--log", "memory", "--log-format", "json"];
    let mut server = Server::start_in(directory.path(), &args);
    server.stop();
    assert_eq!(server.running.stdout.rest(), [""; 0]);
    for line in server.running.stderr.rest() {
        let parsed: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert!(parsed["level"].is_string(), "{line}");
    }
}

#[test]
fn listens_on_several_addresses() {
    let directory = TempDir::new().unwrap();
    let args = ["serve", "--log", "memory", "--listen", "127.0.0.1:0", "--listen", "localhost:0"];
    let mut running = Running::start(tidings(directory.path()).args(args));
    let first = running.stdout.next();
    assert_eq!(first.matches("http://").count(), 2, "{first}");
    running.signal(Signal::INT);
    running.ends_with(0);
}

#[test]
fn a_port_that_is_taken_is_explained() {
    let server = Server::start();
    let args = ["serve", "--log", "memory", "--listen", server.address()];
    run(&args).failed(1, &[server.address(), "is another tidings running?", "--listen"]);
    let privileged = ["serve", "--log", "memory", "--listen", "192.0.2.1:3000"];
    let args = [&privileged[..], &["--allow-anonymous-publish"]].concat();
    run(&args).failed(1, &["can't listen on 192.0.2.1:3000"]);
}

#[test]
fn a_second_instance_on_the_same_data_is_refused() {
    let directory = TempDir::new().unwrap();
    let args = ["serve", "--listen", "127.0.0.1:0"];
    let mut server = Server::start_in(directory.path(), &args);
    let second = tidings(directory.path()).args(args).output().unwrap();
    Ended::from(second).failed(1, &["tidings-data", "another process"]);
    server.run(&["publish", "a", "kept"]).lines();
    server.stop();
    let server = Server::start_in(directory.path(), &args);
    assert_eq!(server.events("a", 1), [("message".into(), "kept".into())]);
}

#[test]
fn ends_cleanly_while_somebody_listens() {
    let mut server = Server::start();
    server.run(&["publish", "a", "1"]).lines();
    let mut stream = TcpStream::connect(server.address()).unwrap();
    write!(stream, "GET /topics/a?since=earliest HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    let mut seen = Vec::new();
    let mut piece = [0; 4096];
    while !String::from_utf8_lossy(&seen).contains("data: 1\n\n") {
        let bytes = stream.read(&mut piece).unwrap();
        assert!(bytes > 0, "{}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&piece[..bytes]);
    }
    server.stop();
    // The body ends as it should: a client can tell it from a broken connection.
    stream.read_to_end(&mut seen).unwrap();
    assert!(seen.ends_with(b"0\r\n\r\n"), "{}", String::from_utf8_lossy(&seen));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let directory = TempDir::new().unwrap();
    let args = ["serve", "--listen", "127.0.0.1:0", "--log", "memory", "--shutdown-time-max", "1h"];
    let mut server = Server::start_in(directory.path(), &args);
    // A request that never gets whole keeps it from ending by itself.
    let mut stream = TcpStream::connect(server.address()).unwrap();
    write!(stream, "POST /topics/a HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhalf").unwrap();
    // Accepted in order, so that one is under way when this is answered.
    assert_eq!(server.get("/healthz").0, 200);
    server.running.signal(Signal::TERM);
    server.running.stderr.find("SIGTERM: shutting down");
    until("it stops accepting", || TcpStream::connect(server.address()).is_err().then_some(()));
    server.running.signal(Signal::TERM);
    server.running.ends_with(143);
}
