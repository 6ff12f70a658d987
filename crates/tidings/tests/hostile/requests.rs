//! Requests that mean one thing to one reader and another to the next: paths, line ends, lengths.

use std::io::{Read, Write};

use crate::siege::siege;
use crate::support::Server;
use crate::wire::connect;

/// The last request of a connection.
const LAST: &str = "GET /healthz HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";

/// Sends this on a connection of its own, and gives all that comes back until it is closed.
fn exchange(server: &Server, bytes: &[u8]) -> String {
    let mut client = connect(server.address()).unwrap();
    client.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    let _ = client.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn statuses(answers: &str) -> Vec<&str> {
    let heads = answers.split("HTTP/1.1 ").skip(1);
    heads.filter_map(|head| head.split(' ').next()).collect()
}

/// The topics of all that is kept, oldest first.
fn topics(server: &Server) -> Vec<String> {
    let request = "GET /events?topic=*&since=earliest&limit=1000 HTTP/1.1\r\nhost: h\r\naccept: \
                   application/json\r\nconnection: close\r\n\r\n";
    let answer = exchange(server, request.as_bytes());
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{answer}");
    let page: serde_json::Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{body}"));
    let events = page["events"].as_array().unwrap();
    let topics = events.iter().map(|event| event["topics"][0].as_str().unwrap().to_owned());
    topics.filter(|topic| topic != "witness").collect()
}

#[test]
fn paths_name_topics_and_nothing_else() {
    siege(&[], |server| {
        for (path, expected) in [
            // Whatever stands there is the topic: no segment is walked up or swallowed.
            ("/topics/../metrics", Ok("../metrics")),
            ("/topics/./a", Ok("./a")),
            ("/topics/%2e%2e/healthz", Ok("../healthz")),
            ("/topics/a//b/", Ok("a//b/")),
            ("/topics//a", Ok("/a")),
            ("/topics/a%2Fb", Ok("a/b")),
            ("/topics/a%252Fb", Ok("a%2Fb")),
            ("/topics/a;b=c", Ok("a;b=c")),
            ("/topics/%E2%80%AEa", Ok("\u{202e}a")),
            ("/topics/%00", Err("400")),
            ("/topics/a%00b", Err("400")),
            ("/topics/a%0d%0aset-cookie:x", Err("400")),
            ("/topics/%c0%ae%c0%ae", Err("400")),
            ("/topics/%f0%82%82%ac", Err("400")),
            ("/topics/%ed%a0%80", Err("400")),
            ("/topics/%u0041", Ok("%u0041")),
            ("/topics/a%", Ok("a%")),
            ("/topics/a%4", Ok("a%4")),
            ("/topics\\a", Err("404")),
            ("/TOPICS/a", Err("404")),
            ("//topics/a", Err("404")),
            ("/x/../topics/a", Err("404")),
            ("/%74opics/a", Err("404")),
            ("topics/a", Err("400")),
            ("*", Err("404")),
        ] {
            let before = topics(server).len();
            let request = format!(
                "POST {path} HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\nconnection: close\r\n\r\nx"
            );
            let answer = exchange(server, request.as_bytes());
            let after = topics(server);
            match expected {
                Ok(topic) => {
                    assert_eq!(statuses(&answer), ["200"], "{path}: {answer}");
                    assert_eq!(after[before..], [topic], "{path}");
                }
                Err(status) => {
                    assert_eq!(statuses(&answer), [status], "{path}: {answer}");
                    assert_eq!(after.len(), before, "{path}: nothing is published");
                }
            }
            assert!(!answer.to_lowercase().contains("\r\nset-cookie"), "{answer}");
        }
    });
}

#[test]
fn what_follows_an_ambiguous_request_is_not_read_as_another() {
    siege(&[], |server| {
        let inner = "POST /topics/smuggled HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\n\r\nx";
        for head in [
            // Two lengths (RFC 9112, section 6.3, rules 3 to 5).
            "content-length: 0\r\ncontent-length: 5\r\n",
            "content-length: 5, 6\r\n",
            "content-length: +0\r\n",
            "content-length: -1\r\n",
            "content-length: 0x0\r\n",
            "content-length: 99999999999999999999\r\n",
            "content-length: 0\r\ntransfer-encoding: chunked\r\n",
            "transfer-encoding: chunked\r\ncontent-length: 0\r\n",
            "transfer-encoding: xchunked\r\n",
            "transfer-encoding: chunked, identity\r\n",
            "transfer-encoding: identity\r\n",
            "transfer-encoding\t: chunked\r\n",
            "transfer-encoding : chunked\r\n",
            " transfer-encoding: chunked\r\n",
            "x: y\r\n z: w\r\ncontent-length: 0\r\n",
            "x\0y: z\r\ncontent-length: 0\r\n",
            "x: a\0b\r\ncontent-length: 0\r\n",
            "x: a\rb: c\r\ncontent-length: 0\r\n",
        ] {
            for body in ["0\r\n\r\n", ""] {
                let request =
                    format!("POST /topics/a HTTP/1.1\r\nhost: h\r\n{head}\r\n{body}{inner}{LAST}");
                let answer = exchange(server, request.as_bytes());
                let smuggled = topics(server).iter().any(|topic| topic == "smuggled");
                assert!(!smuggled, "{head:?} {body:?}: {answer}");
            }
        }
    });
}

#[test]
fn chunks_are_what_they_say() {
    siege(&[], |server| {
        let inner = "POST /topics/smuggled HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\n\r\nx";
        for chunks in [
            "1\r\nab\r\n0\r\n\r\n",
            "1\nx\n0\n\n",
            "+1\r\nx\r\n0\r\n\r\n",
            "0x1\r\nx\r\n0\r\n\r\n",
            "ffffffffffffffffff\r\nx\r\n0\r\n\r\n",
            "1 \t x\r\nx\r\n0\r\n\r\n",
            "g\r\n",
            "-1\r\n",
        ] {
            let request = format!(
                "POST /topics/a HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n{chunks}{inner}{LAST}"
            );
            let before = topics(server).len();
            let answer = exchange(server, request.as_bytes());
            assert_eq!(topics(server).len(), before, "{chunks:?}: {answer}");
        }
        // An endless chunk extension takes no memory.
        let endless = format!(
            "POST /topics/a HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n1;{}",
            "x".repeat(4_000_000)
        );
        let mut client = connect(server.address()).unwrap();
        let _ = client.write_all(endless.as_bytes());
        let _ = client.read_to_end(&mut Vec::new());
    });
}

#[test]
fn a_request_names_one_host() {
    siege(&[], |server| {
        for (head, status) in
            [("host: a\r\n", "200"), ("", "400"), ("host: a\r\nhost: b\r\n", "400")]
        {
            let request = format!("GET /healthz HTTP/1.1\r\n{head}connection: close\r\n\r\n");
            assert_eq!(statuses(&exchange(server, request.as_bytes())), [status], "{head:?}");
        }
        let request = "GET /healthz HTTP/1.0\r\n\r\n";
        assert!(exchange(server, request.as_bytes()).contains(" 200 "));
    });
}

#[test]
fn nothing_that_is_sent_comes_back_as_a_header_or_a_field() {
    siege(&[], |server| {
        for text in ["a%0d%0adata:%20evil", "a%0adata:%20evil", "a%0ddata:%20evil", "a%C2%85b"] {
            for path in [
                format!("/topics/t?event={text}"),
                format!("/topics/t?id={text}"),
                format!("/topics/t?retry={text}"),
                format!("/topics/{text}"),
            ] {
                let request = format!(
                    "POST {path} HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\nconnection: \
                     close\r\n\r\nx"
                );
                let answer = exchange(server, request.as_bytes());
                let (head, _) = answer.split_once("\r\n\r\n").unwrap();
                assert!(!head.contains("evil"), "{answer}");
                assert!(matches!(statuses(&answer)[..], ["400"] | ["200"]), "{path}: {answer}");
            }
        }
        // Data is data, whatever it looks like.
        let data = "x\n\nevent: evil\ndata: evil\r\rid: evil\r\n\r\n";
        let request = format!(
            "POST /topics/data HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\nconnection: \
             close\r\n\r\n{data}",
            data.len()
        );
        assert_eq!(statuses(&exchange(server, request.as_bytes())), ["200"]);
        let mut stream =
            crate::wire::Stream::open(server.address(), "/topics/data?last=1", None).unwrap();
        let event = stream.event();
        let lines = data.replace("\r\n", "\n").replace('\r', "\n");
        assert_eq!((event.event_type.as_str(), event.data), ("message", lines));
    });
}
