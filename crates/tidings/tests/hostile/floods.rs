//! Very many of what would do no harm alone.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use socket2::SockRef;

use crate::process::metric;
use crate::siege::siege;
use crate::support::Server;
use crate::wire::{Client, connect, stream_request};

/// Sends this, and gives what comes back until the hub closes.
fn answer(server: &Server, bytes: &[u8]) -> String {
    let mut client = connect(server.address()).unwrap();
    // The hub may refuse before it has all of it.
    let _ = client.write_all(bytes);
    let mut answer = Vec::new();
    let _ = client.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn connections_that_are_reset() {
    siege(&[], |server| {
        for number in 0..3_000 {
            let mut client = connect(server.address()).unwrap();
            SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
            let request = stream_request("/topics/a", None);
            // At every place of the request, and after it.
            let length = number % (request.len() + 1);
            let _ = client.write_all(&request.as_bytes()[..length]);
        }
    });
}

#[test]
fn more_connections_than_there_may_be() {
    siege(&["--connections-max", "100"], |server| {
        let mut inside: Vec<TcpStream> = Vec::new();
        let mut refused = 0;
        for _ in 0..1_000 {
            let mut client = connect(server.address()).unwrap();
            let _ = client.write_all(stream_request("/topics/a", None).as_bytes());
            let mut head = [0; 12];
            match client.read_exact(&mut head) {
                Ok(()) if head.ends_with(b"200") => inside.push(client),
                Ok(()) => {
                    assert!(head.ends_with(b"503"), "{}", String::from_utf8_lossy(&head));
                    refused += 1;
                }
                // Beyond those who are told so, they are just closed.
                Err(_) => refused += 1,
            }
        }
        assert!(inside.len() <= 100 && refused >= 900, "{} inside", inside.len());
        for client in &inside {
            client.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
            let gone = matches!((&*client).read(&mut [0; 4096]), Ok(0));
            assert!(!gone, "whoever is inside stays");
        }
    });
}

#[test]
fn heads_without_bounds() {
    siege(&[], |server| {
        let many = |line: &str, times: usize| line.repeat(times);
        for (head, statuses) in [
            (
                format!("GET /{} HTTP/1.1\r\nhost: h\r\n\r\n", many("a", 10_000_000)),
                &["414", "431"][..],
            ),
            (
                format!(
                    "GET /topics/a HTTP/1.1\r\nhost: h\r\nx: {}\r\n\r\n",
                    many("a", 10_000_000)
                ),
                &["431"],
            ),
            (
                format!("GET /topics/a HTTP/1.1\r\nhost: h\r\n{}\r\n", many("x: y\r\n", 100_000)),
                &["431"],
            ),
            (
                format!(
                    "GET /topics/a HTTP/1.1\r\nhost: h\r\nlast-event-id: {}\r\n\r\n",
                    many("a", 9_000)
                ),
                &["200"],
            ),
        ] {
            if statuses.contains(&"200") {
                // An id that nobody gave out is no cursor; the stream begins, and says so.
                let mut client = connect(server.address()).unwrap();
                client.write_all(head.as_bytes()).unwrap();
                let mut status = [0; 12];
                client.read_exact(&mut status).unwrap();
                assert!(status.ends_with(b"200"), "{}", String::from_utf8_lossy(&status));
                continue;
            }
            let answer = answer(server, head.as_bytes());
            // The answer may be lost when the connection is reset under so much that is unread.
            let status = answer.split(' ').nth(1);
            assert!(status.is_none_or(|status| statuses.contains(&status)), "{answer}");
        }
    });
}

#[test]
fn ten_thousand_selectors() {
    siege(&[], |server| {
        let query = |count: usize| {
            (0..count).fold(String::new(), |mut query, number| {
                let _ = write!(query, "topic=t{number}&");
                query
            })
        };
        let head = format!("GET /events?{} HTTP/1.1\r\nhost: h\r\n\r\n", query(10_000));
        let refused = answer(server, head.as_bytes());
        let status = refused.split(' ').nth(1);
        assert!(status.is_none_or(|status| ["414", "431"].contains(&status)), "{refused}");
        let head = format!(
            "GET /events?{} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n",
            query(1_000)
        );
        let refused = answer(server, head.as_bytes());
        assert!(refused.contains("selectors_per_subscription_max"), "{refused}");
        // As many as are allowed, of the most expensive kind, by many.
        let patterns = (0..100).fold(String::new(), |mut query, number| {
            let _ = write!(query, "topic=%7Ba%7D/%7Bb%7D/{number}/*&");
            query
        });
        let head = format!("GET /events?{patterns} HTTP/1.1\r\nhost: h\r\n\r\n");
        let clients: Vec<TcpStream> = (0..100)
            .map(|_| {
                let mut client = connect(server.address()).unwrap();
                client.write_all(head.as_bytes()).unwrap();
                let mut status = [0; 12];
                client.read_exact(&mut status).unwrap();
                assert!(status.ends_with(b"200"), "{}", String::from_utf8_lossy(&status));
                client
            })
            .collect();
        let mut client = Client::connect(server.address()).unwrap();
        for number in 0..100 {
            let topic = format!("a/b/{number}/c");
            assert_eq!(client.publish(&topic, "x").unwrap().head.status, 200);
        }
        drop(clients);
    });
}

#[test]
fn what_would_become_larger_is_not_unpacked() {
    // A gigabyte of zeros in a megabyte, as gzip has it: the coding is not ours, the bytes are no
    // text, and nothing is kept.
    siege(&[], |server| {
        let published = metric(server, "tidings_log_bytes");
        let bomb =
            [b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03".to_vec(), vec![0xed; 1_000_000]].concat();
        for coding in ["gzip", "deflate", "br", "zstd"] {
            let head = format!(
                "POST /topics/a HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-encoding: \
                 {coding}\r\ncontent-length: {}\r\n\r\n",
                bomb.len()
            );
            let answer = answer(server, &[head.as_bytes(), &bomb].concat());
            let status = answer.split(' ').nth(1);
            assert!(matches!(status, Some("400" | "415")), "{answer}");
        }
        assert!(metric(server, "tidings_log_bytes") < published + 1_000_000);
    });
}
