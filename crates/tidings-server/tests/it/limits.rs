//! What one client may take, and that others still get theirs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use tempfile::TempDir;
use tidings_server::auth::{Access, Policy, api_keys};
use tidings_server::config::Rate;
use tidings_server::peer::{ClientAddress, Proxies, Transport};
use tidings_server::{Config, Listener};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

use crate::sockets::{rest, until};
use crate::world::{World, request};

/// Nothing here takes this long; waiting for what does not come ends here.
const PATIENCE: Duration = Duration::from_secs(20);

/// The request as it comes from this address.
fn from(address: &str, mut request: Request<Body>) -> Request<Body> {
    let ip = Some(address.parse().unwrap());
    let client = ClientAddress { ip, secure: false, transport: Transport::Tcp };
    request.extensions_mut().insert(client);
    request
}

fn publish(address: &str) -> Request<Body> {
    from(address, request("POST", "/topics/a", &[], "x"))
}

#[tokio::test]
async fn one_address_can_publish_so_fast_and_no_faster() {
    let config = Config { publishes_per_address: Rate(1), ..Config::default() };
    let world = World::with(config);
    for _ in 0..10 {
        assert_eq!(world.answer(publish("192.0.2.1")).await.status, 200, "saved up");
    }
    let before = world.kept();
    let refused = world.answer(publish("192.0.2.1")).await;
    assert_eq!(refused.status, 429, "{refused:?}");
    assert_eq!(refused.header("retry-after"), Some("1"), "{refused:?}");
    let problem = refused.json();
    assert_eq!(problem["limit"], "publishes_per_address");
    assert_eq!(problem["max"], 1);
    assert_eq!(world.kept(), before, "nothing is published");
    let array = format!("[{}]", [r#"{"topic":"a","data":1}"#; 2].join(","));
    let refused = world.answer(from("192.0.2.1", request("POST", "/events", &[], array))).await;
    assert_eq!(refused.status, 429, "many at once count as many: {refused:?}");
    for other in ["192.0.2.2", "2001:db8::1", "127.0.0.1"] {
        assert_eq!(world.answer(publish(other)).await.status, 200, "{other}");
    }
    let metrics = world.get("/metrics", &[]).await.text;
    assert!(metrics.contains("tidings_limits_hit_total{limit=\"publishes_per_address\"} 2"));
}

#[tokio::test]
async fn a_stream_of_events_is_slowed_down_and_not_refused() {
    let config = Config { publishes_per_address: Rate(1_000), ..Config::default() };
    let world = World::with(config);
    let events = "{\"topic\":\"a\",\"data\":1}\n".repeat(10_500);
    let ndjson = [("content-type", "application/x-ndjson")];
    let answer = world.answer(from("192.0.2.1", request("POST", "/events", &ndjson, events))).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["published"], 10_500);
    let metrics = world.get("/metrics", &[]).await.text;
    assert!(metrics.contains("tidings_limits_hit_total{limit=\"publishes_per_address\"}"));
}

/// A world behind a proxy on this machine, which tells who its clients are.
async fn behind_a_proxy(config: Config, protocol: bool) -> (World, SocketAddr) {
    let world = World::with(config);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let proxies = Proxies::parse(["127.0.0.1"]).unwrap();
    let proxies = if protocol { proxies.with_protocol() } else { proxies };
    let listener = Listener::from(listener).behind(Arc::new(proxies));
    tokio::spawn(tidings_server::serve(listener, world.router.clone(), world.hub.clone()));
    (world, address)
}

async fn connect(address: SocketAddr, text: String) -> TcpStream {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(text.as_bytes()).await.unwrap();
    socket
}

#[tokio::test]
async fn connections_are_counted_by_the_address_that_the_proxy_protocol_tells() {
    let config = Config { connections_per_address_max: 2, ..Config::default() };
    let (world, address) = behind_a_proxy(config, true).await;
    let stream = async |client: &str| {
        let header = format!("PROXY TCP4 {client} 10.0.0.1 4711 443\r\n");
        connect(address, format!("{header}GET /topics/a HTTP/1.1\r\nhost: a\r\n\r\n")).await
    };
    let mut first = stream("192.0.2.1").await;
    let mut second = stream("192.0.2.1").await;
    until(&mut first, ":\nretry: ").await;
    until(&mut second, ":\nretry: ").await;
    let mut third = stream("192.0.2.1").await;
    assert_eq!(rest(&mut third).await, "", "closed");
    let mut other = stream("192.0.2.2").await;
    until(&mut other, ":\nretry: ").await;
    world.post("/topics/a", "hi").await;
    for socket in [&mut first, &mut second, &mut other] {
        until(socket, "data: hi\n\n").await;
    }
    let metrics = world.get("/metrics", &[]).await.text;
    assert!(metrics.contains("tidings_limits_hit_total{limit=\"connections_per_address_max\"} 1"));
}

#[tokio::test]
async fn streams_are_counted_by_the_address_that_the_headers_tell() {
    let config = Config { connections_per_address_max: 2, ..Config::default() };
    let (_world, address) = behind_a_proxy(config, false).await;
    let stream = async |client: &str| {
        let head =
            format!("GET /topics/a HTTP/1.1\r\nhost: a\r\nx-forwarded-for: {client}\r\n\r\n");
        connect(address, head).await
    };
    let mut first = stream("192.0.2.1").await;
    let mut second = stream("192.0.2.1").await;
    until(&mut first, ":\nretry: ").await;
    until(&mut second, ":\nretry: ").await;
    let answer = until(&mut stream("192.0.2.1").await, "}").await;
    assert!(answer.starts_with("HTTP/1.1 429 ") && answer.contains("retry-after: "), "{answer}");
    assert!(answer.contains("\"limit\":\"connections_per_address_max\",\"max\":2"), "{answer}");
    let mut other = stream("192.0.2.2").await;
    until(&mut other, ":\nretry: ").await;
    drop(first);
    let admitted =
        async { while !until(&mut stream("192.0.2.1").await, "\r\n").await.contains("200") {} };
    tokio::time::timeout(PATIENCE, admitted).await.expect("whoever leaves makes room");
}

/// Someone's API key, in a request.
fn by(key: &str, mut request: Request<Body>) -> Request<Body> {
    let value = format!("Bearer {key}").parse().unwrap();
    request.headers_mut().insert("authorization", value);
    request
}

#[tokio::test]
async fn what_is_done_with_one_key_is_counted_wherever_it_comes_from() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("keys.toml");
    let [ours, theirs] = ["a", "b"].map(|letter| format!("tidings_{}", letter.repeat(43)));
    let table = |name: &str, key: &str| {
        let hash = api_keys::hash(key);
        format!(
            "[[key]]\nname = \"{name}\"\nhash = \"{hash}\"\npublish = [\"*\"]\nsubscribe = [\"*\"]\n"
        )
    };
    std::fs::write(&file, table("ours", &ours) + &table("theirs", &theirs)).unwrap();
    let policy = Policy { api_keys: Some(file), ..Policy::default() };
    let config =
        Config { publishes_per_key: Rate(1), streams_per_token_max: 2, ..Config::default() };
    let world = World::with_access(config, Access::load(policy).unwrap());

    for number in 0..10 {
        let request = by(&ours, publish(&format!("192.0.2.{number}")));
        assert_eq!(world.answer(request).await.status, 200, "saved up");
    }
    let refused = world.answer(by(&ours, publish("192.0.2.99"))).await;
    assert_eq!(
        (refused.status.as_u16(), &refused.json()["limit"]),
        (429, &"publishes_per_key".into())
    );
    assert_eq!(world.answer(by(&theirs, publish("192.0.2.99"))).await.status, 200);

    let listen =
        async |key: &str| world.ask(by(key, request("GET", "/topics/a", &[], Body::empty()))).await;
    let first = listen(&ours).await;
    let second = listen(&ours).await;
    assert_eq!((first.status().as_u16(), second.status().as_u16()), (200, 200));
    let third = listen(&ours).await;
    assert_eq!(third.status(), 429);
    assert!(third.headers().contains_key("retry-after"));
    assert_eq!(listen(&theirs).await.status(), 200);
    drop(first);
    let admitted = async { while listen(&ours).await.status() != 200 {} };
    tokio::time::timeout(PATIENCE, admitted).await.expect("whoever leaves makes room");
}

#[tokio::test]
async fn publishers_wait_for_room_instead_of_filling_the_memory() {
    let config = Config { publish_bytes_in_flight_max: 100_000, ..Config::default() };
    let (world, address) = behind_a_proxy(config, false).await;
    let begin = async || {
        let head = "POST /topics/a HTTP/1.1\r\nhost: a\r\ncontent-length: 90000\r\n\r\n";
        connect(address, head.to_owned() + &"x".repeat(80_000)).await
    };
    let mut publishers = vec![begin().await, begin().await, begin().await];
    let waiting = async {
        let hit = "limit=\"publish_bytes_in_flight_max\"";
        while !world.get("/metrics", &[]).await.text.contains(hit) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("some wait");
    assert_eq!(world.kept(), 0);
    // Each comes to its end, whichever of them has the room.
    for publisher in &mut publishers {
        publisher.write_all("x".repeat(10_000).as_bytes()).await.unwrap();
    }
    for publisher in &mut publishers {
        let answer = until(publisher, "\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    assert_eq!(world.kept(), 3);
}
