//! How connections come in beside plain TCP, and who is said to be at their other end: Unix
//! sockets, proxies, the PROXY protocol; and how long they may be silent.
//! Knows nothing of the engine's insides.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Extension;
use axum::routing::get;
use tempfile::TempDir;
use tidings_core::limits::{HEAD_TIME_MAX, KEPT_ALIVE_TIME_MAX, LINGER_TIME_MAX};
use tidings_server::Listener;
use tidings_server::peer::{ClientAddress, Proxies};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::time::Instant;

use crate::sockets::{rest, until};
use crate::world::World;

/// A listener that tells clients who they are.
async fn who(listener: Listener) -> World {
    let world = World::new();
    let router = Router::new().route(
        "/who",
        get(|Extension(client): Extension<ClientAddress>| async move {
            let ip = client.ip.map_or("nobody".to_owned(), |ip| ip.to_string());
            format!("{ip} secure={} {:?}!", client.secure, client.transport)
        }),
    );
    let router = router.merge(world.router.clone());
    tokio::spawn(tidings_server::serve(listener, router, world.hub.clone()));
    world
}

async fn bind() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn proxies(trusted: &[&str]) -> Proxies {
    Proxies::parse(trusted.iter().copied()).unwrap()
}

const WHO: &str = "GET /who HTTP/1.1\r\nhost: a\r\n";

async fn ask(address: SocketAddr, text: &str) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(text.as_bytes()).await.unwrap();
    let answer = until(&mut socket, "!").await;
    answer.rsplit("\r\n\r\n").next().unwrap().to_owned()
}

#[tokio::test]
async fn only_trusted_proxies_are_believed() {
    let forwarded = format!("{WHO}x-forwarded-for: 1.1.1.1, 198.51.100.7\r\n\r\n");
    let (listener, address) = bind().await;
    let _world = who(listener.into()).await;
    assert_eq!(ask(address, &forwarded).await, "127.0.0.1 secure=false Tcp!");

    let (listener, address) = bind().await;
    let trusted = Arc::new(proxies(&["127.0.0.0/8"]));
    let _world = who(Listener::from(listener).behind(trusted)).await;
    assert_eq!(ask(address, &forwarded).await, "198.51.100.7 secure=false Tcp!");
    let standard = format!("{WHO}forwarded: for=\"[2001:db8::1]:4711\";proto=https\r\n\r\n");
    assert_eq!(ask(address, &standard).await, "2001:db8::1 secure=true Tcp!");
}

#[tokio::test]
async fn the_proxy_protocol_is_required_from_trusted_proxies_and_from_nobody_else() {
    let (listener, address) = bind().await;
    let trusted = Arc::new(proxies(&["127.0.0.1"]).with_protocol());
    let _world = who(Listener::from(listener).behind(trusted)).await;
    let request = format!("{WHO}\r\n");
    let header = "PROXY TCP4 198.51.100.7 10.0.0.1 4711 443\r\n";
    let answer = ask(address, &format!("{header}{request}")).await;
    assert_eq!(answer, "198.51.100.7 secure=false Tcp!");
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    assert_eq!(rest(&mut socket).await, "", "closed without an answer");
    // The stream behind a header is taken over like any other.
    let mut socket = TcpStream::connect(address).await.unwrap();
    let stream = format!("{header}GET /topics/a HTTP/1.1\r\nhost: a\r\n\r\n");
    socket.write_all(stream.as_bytes()).await.unwrap();
    until(&mut socket, ":\nretry: ").await;

    let (listener, address) = bind().await;
    let others = Arc::new(proxies(&["10.0.0.1"]).with_protocol());
    let _world = who(Listener::from(listener).behind(others)).await;
    assert_eq!(ask(address, &request).await, "127.0.0.1 secure=false Tcp!");
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(format!("{header}{request}").as_bytes()).await.unwrap();
    assert!(rest(&mut socket).await.starts_with("HTTP/1.1 400 "));
}

#[tokio::test]
async fn streams_over_unix_sockets_are_taken_over_too() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("hub.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let world = who(Listener::from(listener).behind(Arc::new(proxies(&["unix"])))).await;
    let mut socket = UnixStream::connect(&path).await.unwrap();
    socket
        .write_all(format!("{WHO}\r\n{WHO}x-forwarded-for: 198.51.100.7\r\n\r\n").as_bytes())
        .await
        .unwrap();
    until(&mut socket, "nobody secure=false Unix!").await;
    until(&mut socket, "198.51.100.7 secure=false Unix!").await;
    let stream = "GET /topics/a HTTP/1.1\r\nhost: a\r\n\r\n";
    socket.write_all(stream.as_bytes()).await.unwrap();
    let mut stalled = UnixStream::connect(&path).await.unwrap();
    stalled.write_all(stream.as_bytes()).await.unwrap();
    until(&mut stalled, ":\nretry: ").await;
    until(&mut socket, ":\nretry: ").await;
    let data = "x".repeat(50_000);
    for round in 0..20 {
        world.post("/topics/a", format!("{round} {data}")).await;
        until(&mut socket, &format!("data: {round} {data}\n\n\r\n")).await;
    }
    let all = until(&mut stalled, &format!("data: 19 {data}\n\n\r\n")).await;
    let rounds: Vec<usize> = all
        .lines()
        .filter_map(|line| line.strip_prefix("data: ")?.split(' ').next()?.parse().ok())
        .collect();
    assert_eq!(rounds, (0..20).collect::<Vec<_>>(), "in order, once");
    world.hub.begin_shutdown();
    assert!(rest(&mut socket).await.ends_with("0\r\n\r\n"));
}

/// Waits until the connection ends by itself, in the runtime's time.
pub(crate) async fn silent_for(socket: &mut (impl AsyncRead + Unpin)) -> Duration {
    let begun = Instant::now();
    let mut read = Vec::new();
    // Not by `rest`, whose patience counts in the same time. To a client that has said nothing, TLS
    // says no goodbye, which is an error.
    let _ = socket.read_to_end(&mut read).await;
    begun.elapsed()
}

/// This long, and what the end of a connection may take.
#[track_caller]
pub(crate) fn about(elapsed: Duration, limit: Duration) {
    let most = limit + 2 * LINGER_TIME_MAX;
    assert!(elapsed >= limit && elapsed <= most, "{elapsed:?}, not {limit:?}");
}

const HEALTHZ: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n";

// The runtime's time stands still while there is something to do, and leaps where there is not:
// 75 seconds take none, and nothing depends on how fast the machine is.
#[tokio::test(start_paused = true)]
async fn a_kept_alive_connection_may_wait_longer_than_a_head_may_take() {
    let (listener, address) = bind().await;
    let _world = who(listener.into()).await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    for _ in 0..3 {
        socket.write_all(HEALTHZ).await.unwrap();
        until(&mut socket, "ok\n").await;
        tokio::time::sleep(KEPT_ALIVE_TIME_MAX - Duration::from_secs(1)).await;
    }
    socket.write_all(HEALTHZ).await.unwrap();
    until(&mut socket, "ok\n").await;
    about(silent_for(&mut socket).await, KEPT_ALIVE_TIME_MAX);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_drips_in_is_cut_off_in_time() {
    let (listener, address) = bind().await;
    let _world = who(listener.into()).await;
    // Nothing at all.
    let mut socket = TcpStream::connect(address).await.unwrap();
    about(silent_for(&mut socket).await, HEAD_TIME_MAX);
    // The first head, and one after a request.
    for before in [&b""[..], HEALTHZ] {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(before).await.unwrap();
        if !before.is_empty() {
            until(&mut socket, "ok\n").await;
            tokio::time::sleep(HEAD_TIME_MAX * 2).await;
        }
        let (mut reader, mut writer) = socket.into_split();
        let dripping = tokio::spawn(async move {
            for byte in b"GET /healthz HTTP/1.1\r\nhost: aaaaaaaaaaaaaaaaaaaaaaa" {
                if writer.write_all(&[*byte]).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        about(silent_for(&mut reader).await, HEAD_TIME_MAX);
        dripping.abort();
    }
}
