//! A load against a small server on a real socket.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::*;

const REQUEST: &[u8] = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx";
const TAKEN: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

/// A server that gives `answer` for each request, by its number among all. `None` hangs up.
fn server(answer: impl Fn(u64) -> Option<Vec<u8>> + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new((answer, AtomicU64::new(0)));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || serve(stream.unwrap(), &answer.0, &answer.1));
        }
    });
    address
}

fn serve(mut stream: TcpStream, answer: &impl Fn(u64) -> Option<Vec<u8>>, count: &AtomicU64) {
    let (mut buffer, mut begun) = (vec![0; 1 << 16], 0);
    while let Ok(bytes @ 1..) = stream.read(&mut buffer) {
        begun += bytes;
        let mut answers = Vec::new();
        while begun >= REQUEST.len() {
            begun -= REQUEST.len();
            match answer(count.fetch_add(1, Ordering::Relaxed)) {
                Some(answer) => answers.extend(answer),
                None => return,
            }
        }
        if stream.write_all(&answers).is_err() {
            return;
        }
    }
}

fn options(address: SocketAddr, pace: Pace, until: Until) -> Options {
    Options { addresses: vec![address], connections: 4, pipeline: 1, pace, until }
}

fn request(_number: u64) -> Vec<u8> {
    REQUEST.to_vec()
}

#[test]
fn each_request_is_sent_once_in_order_and_counted() {
    let address = server(|_| Some(TAKEN.to_vec()));
    for pipeline in [1, 32] {
        let mut numbers = Vec::new();
        let options = Options { pipeline, ..options(address, Pace::Free, Until::Requests(5_000)) };
        let outcome = run(&options, |number| {
            numbers.push(number);
            request(number)
        });
        let outcome = outcome.unwrap();
        assert!(numbers.into_iter().eq(0..5_000));
        assert_eq!((outcome.sent, outcome.accepted, outcome.failed), (5_000, 5_000, 0));
        assert_eq!((outcome.late, outcome.unsent), (0, 0));
        assert_eq!(outcome.answer_times.count(), 5_000);
        assert!(outcome.answer_times.max() <= outcome.elapsed);
    }
}

#[test]
fn refusals_and_what_breaks_are_told_apart() {
    let address = server(|number| match number {
        10..15 => Some(b"HTTP/1.1 429 Slow Down\r\nContent-Length: 0\r\n\r\n".to_vec()),
        20 => None,
        30 => Some(b"nonsense\r\n\r\n".to_vec()),
        // A server may end a connection with any answer: nothing is lost by that.
        _ if number % 7 == 0 => {
            Some(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n".to_vec())
        }
        _ => Some(TAKEN.to_vec()),
    });
    let outcome = run(&options(address, Pace::Free, Until::Requests(100)), request).unwrap();
    assert_eq!((outcome.sent, outcome.accepted), (100, 93));
    assert_eq!((outcome.refused, outcome.refused_with), (5, Some(429)));
    assert_eq!(outcome.failed, 2);
}

#[test]
fn a_timetable_is_kept() {
    let address = server(|_| Some(TAKEN.to_vec()));
    let time = Duration::from_millis(200);
    let outcome = run(&options(address, Pace::Rate(500.0), Until::Time(time)), request).unwrap();
    assert_eq!((outcome.sent + outcome.unsent, outcome.failed), (100, 0));
    assert!(outcome.elapsed >= Duration::from_millis(150), "{:?}", outcome.elapsed);
}

#[test]
fn a_server_that_stalls_can_not_hide_it() {
    let start = Instant::now();
    let stall = Duration::from_millis(300);
    let address = server(move |_| {
        std::thread::sleep(stall.saturating_sub(start.elapsed()));
        Some(TAKEN.to_vec())
    });
    let outcome = run(&options(address, Pace::Rate(1000.0), Until::Requests(200)), request);
    let outcome = outcome.unwrap();
    assert_eq!((outcome.accepted, outcome.unsent), (200, 0));
    assert!(outcome.late > 50 && outcome.backlog_max > 50, "{outcome:?}");
    // Without the timetable, four of them had waited.
    let median = outcome.answer_times.quantile(0.5);
    assert!(median > stall / 4, "{median:?}");
}

#[test]
fn time_ends_it() {
    let address = server(|_| Some(TAKEN.to_vec()));
    let time = Duration::from_millis(100);
    let outcome = run(&options(address, Pace::Free, Until::Time(time)), request).unwrap();
    assert!(outcome.sent > 10 && outcome.accepted == outcome.sent, "{outcome:?}");
    assert!(outcome.elapsed >= time);
}

#[test]
fn nobody_there_is_an_error() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = run(&options(address, Pace::Free, Until::Requests(1)), request).unwrap_err();
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

#[test]
fn a_request_carries_its_body() {
    let text = String::from_utf8(post("127.0.0.1:80", "/a", "A: b\r\n", b"hello")).unwrap();
    let expected =
        "POST /a HTTP/1.1\r\nHost: 127.0.0.1:80\r\nContent-Length: 5\r\nA: b\r\n\r\nhello";
    assert_eq!(text, expected);
}
