//! Clients who take their time, in the hope that the hub waits for each of them.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::siege::siege;
use crate::support::Server;
use crate::wire::connect;

/// Enough that the hub gives the memory back that they have used, as after any crowd.
const CLIENTS: usize = 600;

/// Sends a byte to each now and then until the hub has closed them all.
fn drip(mut clients: Vec<TcpStream>, byte: u8) {
    let mut scratch = [0; 4096];
    while !clients.is_empty() {
        clients.retain_mut(|client| {
            if client.write_all(&[byte]).is_err() {
                return false;
            }
            client.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
            loop {
                match client.read(&mut scratch) {
                    Ok(0) => return false,
                    Ok(_) => {}
                    Err(error) => {
                        return matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
                    }
                }
            }
        });
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn begin(server: &Server, head: &str) -> Vec<TcpStream> {
    let begin = || {
        let mut client = connect(server.address()).unwrap();
        client.write_all(head.as_bytes()).unwrap();
        client
    };
    (0..CLIENTS).map(|_| begin()).collect()
}

#[test]
fn heads_that_never_end() {
    siege(&[], |server| drip(begin(server, "GET /topics/a HTTP/1.1\r\nhost: h\r\nx: "), b'x'));
}

#[test]
fn connections_that_say_nothing() {
    siege(&[], |server| {
        for mut client in begin(server, "") {
            // It ends: closed, with an answer before or without.
            let _ = client.read_to_end(&mut Vec::new());
        }
    });
}

#[test]
fn bodies_that_stop() {
    let head = "POST /topics/a HTTP/1.1\r\nhost: h\r\ncontent-length: 1000000\r\n\r\nx";
    siege(&[], |server| {
        for mut client in begin(server, head) {
            let mut answer = Vec::new();
            let _ = client.read_to_end(&mut answer);
            let answer = String::from_utf8_lossy(&answer);
            assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        }
    });
}

#[test]
fn streams_of_events_that_stop() {
    let head = "POST /events HTTP/1.1\r\nhost: h\r\ncontent-type: application/x-ndjson\r\n\
                transfer-encoding: chunked\r\n\r\n5\r\n{\"top\r\n";
    siege(&[], |server| {
        for mut client in begin(server, head) {
            let mut answer = Vec::new();
            let _ = client.read_to_end(&mut answer);
            let answer = String::from_utf8_lossy(&answer);
            assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        }
    });
}

#[test]
fn subscribers_who_never_read() {
    siege(&[], |server| {
        let stalled = begin(server, "GET /topics/stalled HTTP/1.1\r\nhost: h\r\n\r\n");
        let data = "x".repeat(50_000);
        let mut client = crate::wire::Client::connect(server.address()).unwrap();
        // Together less than the log keeps: the witness must not lose by retention.
        for _ in 0..50 {
            assert_eq!(client.publish("stalled", &data).unwrap().head.status, 200);
        }
        drop(stalled);
    });
}
