//! The least a server can do: a thread that calls `send(2)` once for each subscriber.
//! Knows nothing of topics, history and HTTP but a fixed answer; runs as a process of its own, so
//! that its CPU is read like a server's.
//!
//! Each line on standard input is an event's data, and an empty line sends what has come since the
//! last one, joined; the end of the input ends it. What it writes has the form and the length of
//! what Tidings writes.

use std::io::{self, BufRead, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use anyhow::{Context, ensure};
use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{SendFlags, send};

/// What every subscriber is answered.
const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                      transfer-encoding: chunked\r\n\r\n";

/// A subscriber that takes nothing for so long is not there any more.
const WRITABLE_TIME_MAX: Timespec = Timespec { tv_sec: 60, tv_nsec: 0 };

/// Runs until the input ends.
///
/// # Errors
/// Where it can't listen, or a subscriber reads nothing: then it measures nothing.
pub fn run() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").context("can't listen")?;
    println!("listening on http://{}", listener.local_addr()?);
    let subscribers: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
    let theirs = Arc::clone(&subscribers);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            if let Ok(stream) = answer(stream) {
                theirs.lock().push(stream);
            }
        }
    });
    let mut joined = String::new();
    let mut number = 0;
    for line in io::stdin().lock().lines() {
        let line = line?;
        if line.is_empty() {
            deliver(&mut subscribers.lock(), joined.as_bytes())?;
            joined.clear();
        } else {
            number += 1;
            joined.push_str(&chunk(number, &line));
        }
    }
    Ok(())
}

fn answer(mut stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    let mut request = Vec::new();
    let mut piece = [0; 1024];
    while !request.ends_with(b"\r\n\r\n") {
        let bytes = stream.read(&mut piece)?;
        if bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        request.extend_from_slice(&piece[..bytes]);
    }
    stream.write_all(HEAD)?;
    Ok(stream)
}

/// An event as one chunk, as Tidings would write it.
fn chunk(number: usize, data: &str) -> String {
    let event = format!("id: 00000000-{number}\ndata: {data}\n\n");
    format!("{:x}\r\n{event}\r\n", event.len())
}

fn deliver(subscribers: &mut Vec<TcpStream>, joined: &[u8]) -> anyhow::Result<()> {
    // A subscriber that is gone is an error here and no signal: Rust programs ignore SIGPIPE.
    let flags = SendFlags::DONTWAIT;
    let mut gone = Vec::new();
    let mut behind = Vec::new();
    for (at, subscriber) in subscribers.iter().enumerate() {
        match send(subscriber, joined, flags) {
            Ok(bytes) if bytes == joined.len() => {}
            Ok(bytes) => behind.push((at, bytes)),
            Err(Errno::AGAIN) => behind.push((at, 0)),
            Err(_) => gone.push(at),
        }
    }
    // What did not fit goes on in rounds over all, so that nobody who is full holds the others.
    while let Some((first, _)) = behind.first() {
        let mut waiting = [PollFd::new(&subscribers[*first], PollFlags::OUT)];
        poll(&mut waiting, Some(&WRITABLE_TIME_MAX)).context("can't wait for a subscriber")?;
        ensure!(!waiting[0].revents().is_empty(), "a subscriber reads nothing");
        behind.retain_mut(|(at, sent)| match send(&subscribers[*at], &joined[*sent..], flags) {
            Ok(bytes) => {
                *sent += bytes;
                *sent < joined.len()
            }
            Err(Errno::AGAIN) => true,
            Err(_) => {
                gone.push(*at);
                false
            }
        });
    }
    gone.sort_unstable();
    for at in gone.into_iter().rev() {
        subscribers.swap_remove(at);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_whole_chunk() {
        let chunk = chunk(7, "0 1 x");
        assert_eq!(chunk, "1c\r\nid: 00000000-7\ndata: 0 1 x\n\n\r\n");
    }
}
