//! HTTP/2 frames in numbers and orders that no client needs: rapid reset, floods of settings and
//! pings, heads without end. Written by hand: no library sends these.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::siege::siege;
use crate::support::Server;
use crate::wire::connect;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A frame (RFC 9113, section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// `GET /topics/a`, as HPACK has it (RFC 7541, appendix A: 2, 6, 4 and 1 of the static table).
fn get() -> Vec<u8> {
    let mut head = vec![0x82, 0x86, 0x44, 9];
    head.extend(b"/topics/a");
    head.extend([0x41, 1, b'h']);
    head
}

/// A client that has said hello.
struct Attacker {
    socket: TcpStream,
    /// The hub has closed the connection.
    refused: bool,
}

impl Attacker {
    fn connect(server: &Server) -> Self {
        let mut socket = connect(server.address()).unwrap();
        socket.write_all(PREFACE).unwrap();
        socket.write_all(&frame(SETTINGS, 0, 0, &[])).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        Self { socket, refused: false }
    }

    /// Sends these, unless the hub has had enough.
    fn send(&mut self, bytes: &[u8]) {
        if !self.refused && self.socket.write_all(bytes).is_err() {
            self.refused = true;
        }
    }

    /// Takes what the hub has sent, so that it does not wait for us.
    fn drain(&mut self) {
        let mut scratch = [0; 65_536];
        loop {
            match self.socket.read(&mut scratch) {
                Ok(0) => break self.refused = true,
                Ok(_) => {}
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    break;
                }
                Err(_) => break self.refused = true,
            }
        }
    }
}

#[test]
fn streams_that_are_opened_and_reset_at_once() {
    siege(&[], |server| {
        let mut attackers: Vec<Attacker> = (0..4).map(|_| Attacker::connect(server)).collect();
        let get = get();
        for number in 0..10_000_u32 {
            let stream = 2 * number + 1;
            let mut bytes = frame(HEADERS, END_HEADERS | END_STREAM, stream, &get);
            bytes.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
            for attacker in &mut attackers {
                attacker.send(&bytes);
                if number % 100 == 0 {
                    attacker.drain();
                }
            }
        }
        assert!(attackers.iter().all(|attacker| attacker.refused), "nobody needs ten thousand");
    });
}

#[test]
fn settings_and_pings_without_end() {
    siege(&[], |server| {
        let settings = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0xff, 0xff]).repeat(100);
        let pings = frame(PING, 0, 0, &[7; 8]).repeat(100);
        for (flood, read) in
            [(&settings, true), (&settings, false), (&pings, true), (&pings, false)]
        {
            let mut attacker = Attacker::connect(server);
            attacker.socket.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
            for _ in 0..500 {
                attacker.send(flood);
                if read {
                    attacker.drain();
                }
            }
        }
    });
}

#[test]
fn heads_that_go_on_and_on() {
    siege(&[], |server| {
        // Headers continue, and never end.
        let mut attacker = Attacker::connect(server);
        attacker.send(&frame(HEADERS, END_STREAM, 1, &get()));
        let mut piece = Vec::new();
        for number in 0..100_u32 {
            let name = format!("x-{number:06}");
            piece.extend([0, u8::try_from(name.len()).unwrap()]);
            piece.extend(name.as_bytes());
            piece.extend([100]);
            piece.extend([b'v'; 100]);
        }
        for _ in 0..2_000 {
            attacker.send(&frame(CONTINUATION, 0, 1, &piece));
            attacker.drain();
        }
        assert!(attacker.refused, "a head has an end");

        // A large header in the table, named again and again: a few bytes become megabytes.
        let mut attacker = Attacker::connect(server);
        let mut bomb = get();
        bomb.extend([0x40, 1, b'x', 0x7f, 0xa1, 0x1e]);
        bomb.extend([b'v'; 4_000]);
        bomb.extend(vec![0xbe; 10_000]);
        attacker.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &bomb));
        attacker.drain();
    });
}

#[test]
fn many_streams_that_nobody_reads() {
    siege(&[], |server| {
        let mut attacker = Attacker::connect(server);
        // No window for any of them.
        attacker.send(&frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]));
        for number in 0..1_000_u32 {
            attacker.send(&frame(HEADERS, END_HEADERS | END_STREAM, 2 * number + 1, &get()));
        }
        attacker.drain();
        // Windows that overflow (RFC 9113, section 6.9.1).
        for _ in 0..10 {
            attacker.send(&frame(WINDOW_UPDATE, 0, 0, &0x7fff_ffff_u32.to_be_bytes()));
        }
        attacker.drain();
    });
}
