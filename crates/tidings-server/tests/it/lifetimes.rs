//! Connections and streams that end at their time: told before, in order, and never held up.
//! Knows nothing of who gives the right to a stream.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Extensions, Version};
use http_body_util::BodyExt as _;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tidings_core::topic::Selector;
use tidings_server::Config;
use tidings_server::engine::{Start, Subscription};
use tokio::net::TcpStream;

use crate::sockets::{PATIENCE, connect, listen, rest, until};
use crate::world::{World, request};

/// Short enough to wait for.
const LIFE: Duration = Duration::from_millis(500);

fn short() -> Config {
    Config { connection_life_max: Some(LIFE), ..Config::default() }
}

/// All of a stream whose right ends after this time.
async fn expiring(world: &World, time: Duration) -> String {
    let subscription = Subscription {
        selectors: Selector::parse("a").unwrap().into(),
        private: None,
        start: Start::Earliest,
        label: None,
        client: None,
        expires: Some(Instant::now() + time),
    };
    let subscribed = world.hub.subscribe(subscription).await.unwrap();
    let body = world.hub.stream(subscribed, Version::HTTP_2, &Extensions::new());
    let all = tokio::time::timeout(PATIENCE, body.collect()).await.expect("it ends").unwrap();
    String::from_utf8(all.to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn a_stream_ends_with_the_right_to_it_after_a_word_in_time() {
    let world = World::new();
    let id = world.post("/topics/a", "kept").await["id"].as_str().unwrap().to_owned();
    let text = expiring(&world, LIFE).await;
    // A minute before is at once; the id is where the client is.
    let renew = "event: tidings.renew\ndata: {\"expires_in\":0}\n\n";
    assert!(text.contains(renew), "{text}");
    assert!(text.contains(&format!("id: {id}\ndata: kept\n\n")), "{text}");
    world.becomes(|metrics| metrics.encode().contains("{reason=\"expired\"} 1\n")).await;
    let metrics = world.get("/metrics", &[]).await.text;
    assert!(metrics.contains("tidings_streams_ended_total{reason=\"expired\"} 1"), "{metrics}");
    assert!(metrics.contains("tidings_renewals_total 1"), "{metrics}");
}

#[tokio::test]
async fn a_right_that_has_ended_already_is_a_stream_that_ends() {
    let world = World::new();
    expiring(&world, Duration::ZERO).await;
}

#[tokio::test]
async fn http_1_connections_end_when_they_have_lasted_long_enough() {
    let (world, address, _server) = listen(short()).await;
    let mut idle = connect(address, "GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").await;
    until(&mut idle, "ok\n").await;
    let stream = "GET /topics/a HTTP/1.1\r\nhost: a\r\n\r\n";
    let mut stream = connect(address, stream).await;
    until(&mut stream, ":\nretry: ").await;
    let rest_of_it = rest(&mut stream).await;
    assert!(rest_of_it.ends_with("0\r\n\r\n"), "{rest_of_it:?}");
    assert!(!rest_of_it.contains("renew"), "there is nothing to renew: {rest_of_it:?}");
    assert_eq!(rest(&mut idle).await, "");
    let metrics = world.get("/metrics", &[]).await.text;
    assert!(metrics.contains("tidings_streams_ended_total{reason=\"aged\"} 1"), "{metrics}");
    let limit = "tidings_limits_hit_total{limit=\"connection_life_max\"} 2";
    assert!(metrics.contains(limit), "{metrics}");
}

#[tokio::test]
async fn http_2_connections_end_with_the_streams_on_them() {
    let (_world, address, _server) = listen(short()).await;
    let socket = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = http2::Builder::new(TokioExecutor::new())
        .handshake::<_, Body>(TokioIo::new(socket))
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    let uri = format!("http://{address}/topics/a");
    let response = sender.send_request(request("GET", &uri, &[], Body::empty())).await.unwrap();
    let all = tokio::time::timeout(PATIENCE, response.into_body().collect());
    let all = all.await.expect("the stream ends").unwrap().to_bytes();
    assert!(all.starts_with(b":\nretry: "), "{all:?}");
    let ended = tokio::time::timeout(PATIENCE, connection).await;
    ended.expect("the connection ends").unwrap().unwrap();
}

#[tokio::test]
async fn a_shutdown_ends_a_stream_that_has_only_just_come() {
    // The moment between a stream's first event and its count is short: many tries to meet it.
    for _ in 0..300 {
        let world = World::new();
        world.post("/topics/a", "1").await;
        let mut stream = world.listen("/topics/a?since=earliest", &[]).await;
        stream.until("data: 1\n\n").await;
        world.hub.close().await;
        let rest = stream.rest().await;
        assert!(rest.starts_with("retry: "), "it ends with when to come back: {rest:?}");
    }
}
