//! The least a server can do: a thread that calls `send(2)` once for each subscriber.
//! Knows nothing of topics, history and HTTP but a fixed answer; runs as a process of its own, so
//! that its CPU is read like a server's.
//!
//! Each line on standard input is an event's data; the end of the input ends it. What it writes
//! has the form and the length of what Tidings writes.

use std::io::{self, BufRead, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use parking_lot::Mutex;
use rustix::io::Errno;
use rustix::net::{SendFlags, send};

/// What every subscriber is answered.
const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                      transfer-encoding: chunked\r\n\r\n";

/// Runs until the input ends.
///
/// # Errors
/// Where it can't listen, or a subscriber does not take an event whole: then it measures nothing.
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
    for (number, line) in io::stdin().lock().lines().enumerate() {
        let chunk = chunk(number, &line?);
        deliver(&mut subscribers.lock(), chunk.as_bytes())?;
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
    let event = format!("id: 00000000-{}\ndata: {data}\n\n", number + 1);
    format!("{:x}\r\n{event}\r\n", event.len())
}

fn deliver(subscribers: &mut Vec<TcpStream>, chunk: &[u8]) -> anyhow::Result<()> {
    let mut gone = Vec::new();
    for (at, subscriber) in subscribers.iter().enumerate() {
        match send(subscriber, chunk, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(bytes) => ensure!(bytes == chunk.len(), "a subscriber took a part of an event"),
            Err(Errno::PIPE | Errno::CONNRESET) => gone.push(at),
            Err(error) => bail!("a subscriber took no event: {error}"),
        }
    }
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
        let chunk = chunk(6, "0 1 x");
        assert_eq!(chunk, "1c\r\nid: 00000000-7\ndata: 0 1 x\n\n\r\n");
    }
}
