//! HTTP/2 clients that are not what they seem: resets, settings and pings without end.
//! Knows nothing of the engine's insides; frames are written by hand (RFC 9113).

use std::net::SocketAddr;
use std::time::Duration;

use tidings_server::Config;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::sockets::{PATIENCE, connect, listen, until};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const END_STREAM_AND_HEADERS: u8 = 5;
const CANCEL: [u8; 4] = [0, 0, 0, 8];

/// `GET /healthz` in HPACK: indexed fields, and two literals that nobody has to remember.
const HEALTHZ: &[u8] = b"\x82\x86\x04\x08/healthz\x01\x01a";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A connection that has said what every client says.
async fn begun(address: SocketAddr) -> TcpStream {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await.unwrap();
    socket
}

/// Everything that comes until the connection ends, as kinds of frames.
async fn kinds(socket: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut read = Vec::new();
    let reading = socket.read_to_end(&mut read);
    // A reset is an end, too.
    let _ = tokio::time::timeout(PATIENCE, reading).await.expect("the connection ends");
    let mut kinds = Vec::new();
    let mut rest = &read[..];
    while let [a, b, c, kind, ..] = *rest {
        kinds.push(kind);
        let length = usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap();
        rest = rest.get(9 + length..).unwrap_or_default();
    }
    kinds
}

/// The hub answers somebody else.
async fn answers(address: SocketAddr) {
    let mut socket = connect(address, "GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").await;
    until(&mut socket, "ok\n").await;
}

#[tokio::test]
async fn streams_that_are_reset_at_once_end_the_connection() {
    let (_world, address, _server) = listen(Config::default()).await;
    let (mut reader, mut writer) = begun(address).await.into_split();
    let flood = tokio::spawn(async move {
        for round in 0..100 {
            let mut frames = Vec::new();
            for stream in 0..100 {
                let id = 2 * (100 * round + stream) + 1;
                frames.extend(frame(HEADERS, END_STREAM_AND_HEADERS, id, HEALTHZ));
                frames.extend(frame(RST_STREAM, 0, id, &CANCEL));
            }
            if writer.write_all(&frames).await.is_err() {
                return;
            }
        }
    });
    let kinds = kinds(&mut reader).await;
    assert!(kinds.contains(&GOAWAY), "it is told to go away: {kinds:?}");
    flood.abort();
    answers(address).await;
}

#[tokio::test]
async fn settings_and_pings_without_end_hold_nobody_up() {
    let (world, address, _server) = listen(Config::default()).await;
    let mut stream = connect(address, "GET /topics/a HTTP/1.1\r\nhost: a\r\n\r\n").await;
    until(&mut stream, ":\nretry: ").await;
    for frames in [frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 9]), frame(PING, 0, 0, &[7; 8])] {
        // Nothing of what comes back is read.
        let mut flooder = begun(address).await;
        let many = frames.repeat(10_000);
        let flood = tokio::spawn(async move { while flooder.write_all(&many).await.is_ok() {} });
        for event in 0..20 {
            world.post("/topics/a", event.to_string()).await;
            until(&mut stream, &format!("data: {event}\n\n")).await;
            answers(address).await;
        }
        flood.abort();
    }
    drop(stream);
    let gone = async {
        while world.hub.metrics().connections.get() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("the hub forgets them");
}
