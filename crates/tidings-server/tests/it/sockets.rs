//! Connections as they really come: kept alive, HTTP/1.0, HTTP/2, too many, talkative, stalled.
//! Knows nothing of the engine's insides.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use http_body_util::BodyExt as _;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tidings_core::limits::{BODY_QUEUE_BYTES_MAX, STREAM_INPUT_BYTES_MAX};
use tidings_server::Config;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::world::{World, request};

/// Nothing here takes this long; waiting for what does not come ends here.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A world that listens on a socket.
pub(crate) async fn listen(config: Config) -> (World, SocketAddr, JoinHandle<()>) {
    let world = World::with(config);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (router, hub) = (world.router.clone(), world.hub.clone());
    let server = tokio::spawn(async move {
        tidings_server::serve(listener, router, hub).await.unwrap();
    });
    (world, address, server)
}

pub(crate) async fn connect(address: SocketAddr, text: &str) -> TcpStream {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(text.as_bytes()).await.unwrap();
    socket
}

/// Reads until the text has come; gives all that was read.
pub(crate) async fn until(socket: &mut (impl AsyncRead + Unpin), text: &str) -> String {
    let mut read = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&read).contains(text) {
            let bytes = socket.read_buf(&mut read).await.unwrap();
            assert_ne!(bytes, 0, "closed after {:?}", String::from_utf8_lossy(&read));
        }
    };
    let done = tokio::time::timeout(PATIENCE, reading).await;
    let read = String::from_utf8(read).unwrap();
    assert!(done.is_ok(), "no {text:?} in {read:?}");
    read
}

/// Reads to the end of the connection.
pub(crate) async fn rest(socket: &mut (impl AsyncRead + Unpin)) -> String {
    let mut read = Vec::new();
    let reading = socket.read_to_end(&mut read);
    let _ = tokio::time::timeout(PATIENCE, reading).await.expect("the connection ends");
    String::from_utf8(read).unwrap()
}

#[tokio::test]
async fn a_stream_may_follow_other_requests_on_its_connection() {
    let (world, address, _server) = listen(Config::default()).await;
    let mut socket = connect(address, "GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").await;
    until(&mut socket, "ok\n").await;
    // Both at once: the stream is taken over with nothing of the first answer left behind.
    let both = "GET /healthz HTTP/1.1\r\nhost: a\r\n\r\nGET /topics/a HTTP/1.1\r\nhost: a\r\n\r\n";
    socket.write_all(both.as_bytes()).await.unwrap();
    let head = until(&mut socket, ":\nretry: ").await;
    assert!(head.contains("ok\n") && head.contains("text/event-stream"), "{head}");
    world.post("/topics/a", "hi").await;
    let event = until(&mut socket, "\n\n\r\n").await;
    assert!(event.ends_with("data: hi\n\n\r\n"), "one chunk with the event: {event:?}");
}

#[tokio::test]
async fn http_1_0_gets_the_stream_without_chunks() {
    let (world, address, _server) = listen(Config::default()).await;
    let mut socket = connect(address, "GET /topics/a HTTP/1.0\r\n\r\n").await;
    let head = until(&mut socket, ":\nretry: ").await.to_ascii_lowercase();
    assert!(!head.contains("transfer-encoding"), "{head}");
    let id = world.post("/topics/a", "hi").await["id"].clone();
    let id = id.as_str().unwrap();
    let event = until(&mut socket, "data: hi\n\n").await;
    assert!(event.ends_with(&format!("id: {id}\ndata: hi\n\n")), "{event:?}");
    world.hub.close().await;
    let rest = rest(&mut socket).await;
    let retry = rest.strip_prefix("retry: ").and_then(|rest| rest.strip_suffix('\n'));
    assert!(retry.is_some_and(|ms| ms.parse::<u32>().is_ok()), "no last chunk either: {rest:?}");
}

#[tokio::test]
async fn a_shutdown_ends_streams_with_the_last_chunk() {
    let (world, address, server) = listen(Config::default()).await;
    let mut socket = connect(address, "GET /topics/a HTTP/1.1\r\nhost: a\r\n\r\n").await;
    until(&mut socket, ":\nretry: ").await;
    let mut idle = connect(address, "GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").await;
    until(&mut idle, "ok\n").await;
    world.hub.begin_shutdown();
    let rest_of_it = rest(&mut socket).await;
    assert!(rest_of_it.ends_with("\n\r\n0\r\n\r\n"), "{rest_of_it:?}");
    assert!(rest_of_it.contains("\r\nretry: "), "{rest_of_it:?}");
    assert_eq!(rest(&mut idle).await, "", "an idle connection is closed at once");
    tokio::time::timeout(PATIENCE, server).await.expect("it ends").unwrap();
    world.hub.close().await;
}

#[tokio::test]
async fn a_client_that_talks_on_its_stream_is_cut_off_and_only_it() {
    let (world, address, _server) = listen(Config::default()).await;
    let stream = "GET /topics/a HTTP/1.1\r\nhost: a\r\n\r\n";
    let mut talker = connect(address, stream).await;
    let mut listener = connect(address, stream).await;
    until(&mut talker, ":\nretry: ").await;
    until(&mut listener, ":\nretry: ").await;
    // The hub closes meanwhile, so the write may fail.
    let _ = talker.write_all(&vec![b'x'; 4 * STREAM_INPUT_BYTES_MAX]).await;
    let mut scratch = Vec::new();
    let ended = talker.read_to_end(&mut scratch);
    let _ = tokio::time::timeout(PATIENCE, ended).await.expect("it is cut off");
    world.post("/topics/a", "hi").await;
    until(&mut listener, "data: hi\n\n").await;
}

#[tokio::test]
async fn s12_beyond_the_limit_new_connections_are_refused_and_old_ones_stay() {
    let config = Config { connections_max: 2, ..Config::default() };
    let (world, address, _server) = listen(config).await;
    let stream = "GET /topics/a HTTP/1.1\r\nhost: a\r\n\r\n";
    let mut first = connect(address, stream).await;
    let mut second = connect(address, stream).await;
    until(&mut first, ":\nretry: ").await;
    until(&mut second, ":\nretry: ").await;
    let answer = rest(&mut connect(address, stream).await).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after: "), "{answer}");
    assert!(answer.contains("\"limit\":\"connections_max\",\"max\":2"), "{answer}");
    world.post("/topics/a", "hi").await;
    until(&mut first, "data: hi\n\n").await;
    // Whoever leaves makes room, although a shard had the socket.
    drop(second);
    let admitted = async {
        loop {
            let mut third = connect(address, stream).await;
            let mut head = [0; 12];
            third.read_exact(&mut head).await.unwrap();
            if head.ends_with(b"200") {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, admitted).await.expect("there is room again");
}

#[tokio::test]
async fn a_stalled_http_2_stream_holds_nobody_up_and_loses_nothing() {
    let (world, address, _server) = listen(Config::default()).await;
    let socket = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(16 * 1024)
        .initial_connection_window_size(1024 * 1024)
        .handshake::<_, Body>(TokioIo::new(socket))
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut open = async |topic: &str| {
        let uri = format!("http://{address}/topics/{topic}");
        let response = sender.send_request(request("GET", &uri, &[], Body::empty())).await.unwrap();
        assert_eq!(response.status(), 200);
        response.into_body()
    };
    let mut stalled = open("a").await;
    let mut reading = open("a").await;
    let data = "x".repeat(BODY_QUEUE_BYTES_MAX);
    let take = async |body: &mut hyper::body::Incoming, events: usize| {
        let mut text = String::new();
        while text.matches("\n\n").count() < events {
            let frame = tokio::time::timeout(PATIENCE, body.frame()).await.expect("it goes on");
            let bytes = frame.unwrap().unwrap().into_data().unwrap();
            text.push_str(std::str::from_utf8(&bytes).unwrap());
        }
        text
    };
    for round in 0..20 {
        world.post("/topics/a", format!("{round} {data}")).await;
        let text = take(&mut reading, 1).await;
        assert!(text.contains(&format!("data: {round} ")), "{round}");
    }
    let all = take(&mut stalled, 20).await;
    let rounds: Vec<&str> =
        all.lines().filter_map(|line| line.strip_prefix("data: ")?.split(' ').next()).collect();
    let expected: Vec<String> = (0..20).map(|round| round.to_string()).collect();
    assert_eq!(rounds, expected, "in order, once");
}
