//! The log in NATS, against servers of the tests' own.

mod cluster;
mod credentials;
mod faults;
mod servers;

use std::sync::atomic::{AtomicU32, Ordering};

use tidings_core::event::{EventId, IdempotencyKey};

use self::servers::Server;
use super::*;
use crate::conformance::{self, Settings};
use crate::remote::testing::free_port;
use crate::remote::testing::nodes::{event, put, take};

/// A log in the servers on these ports, with this in front of the hosts.
fn options(ports: &[u16], user: &str) -> NatsOptions {
    let hosts: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    let address: NatsAddress =
        format!("nats://{user}{}", hosts.join(",")).parse().expect("an address");
    NatsOptions::new(address)
}

/// A log of its own in the server.
async fn fresh(server: &Server, settings: Settings) -> Nats {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let stream = format!("test-{number}").parse().unwrap();
    let Settings { bytes_max, age_max } = settings;
    let options = NatsOptions { stream, bytes_max, age_max, ..options(&[server.port], "") };
    Nats::open(options).await.unwrap()
}

#[tokio::test]
async fn nats_keeps_the_promises() {
    let server = Server::start(free_port);
    conformance::run(async |settings| fresh(&server, settings).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nats_keeps_the_promises_on_several_threads() {
    let server = Server::start(free_port);
    conformance::run(async |settings| fresh(&server, settings).await).await;
}

#[tokio::test]
async fn a_log_that_is_opened_again_is_the_same() {
    let server = Server::start(free_port);
    let log = Nats::open(options(&[server.port], "")).await.unwrap();
    put(&log, "1").await;
    let bounds = log.bounds();
    log.close().await;
    drop(log);
    let log = Nats::open(options(&[server.port], "")).await.unwrap();
    assert_eq!(log.bounds(), bounds);
    assert_eq!(put(&log, "2").await, 2);
}

#[tokio::test]
async fn users_tokens_and_permissions_are_told_and_not_shown() {
    // What the documentation says that a user needs.
    let page = include_str!("../../../../../docs/nats.md");
    let (_, needed) = page.split_once("publish   = ").unwrap();
    let (publish, rest) = needed.split_once("\nsubscribe = ").unwrap();
    let (subscribe, _) = rest.split_once('\n').unwrap();
    let users = format!(
        "jetstream {{ store_dir: STORE }}\nauthorization {{ users = [
            {{ user: hub, password: secret,
               permissions: {{ publish: {publish}, subscribe: {subscribe} }} }}
            {{ user: reader, password: secret, permissions: {{ publish: [\"$JS.API.>\"] }} }}
        ] }}"
    );
    let server = Server::with(free_port, &users);
    let log = Nats::open(options(&[server.port], "hub:secret@")).await.unwrap();
    let key = Some(IdempotencyKey::parse("k").unwrap());
    let mut with_id = event("1");
    with_id.event.id = Some(EventId::parse("i").unwrap());
    log.append(vec![Append { key, ..with_id }]).await.unwrap();
    assert_eq!(take(&mut *log.follow(Position(1)), 1).await, ["1"]);
    let id = EventId::parse("i").unwrap();
    assert_eq!(log.find(Mark::Id(&id)).await, Ok(Some(Position(1))));
    assert_eq!(log.claim("a", Duration::from_secs(1)).await, Ok(true));
    let later = Timestamp(1_767_225_600_000 + 8 * 24 * 3600 * 1000);
    log.trim(later).await.unwrap();
    assert_eq!(log.bounds().oldest, Position(2));
    log.bounds_now().await.unwrap();
    let wrong = Nats::open(options(&[server.port], "hub:guessed@")).await.unwrap_err().to_string();
    assert!(wrong.contains("hub:***@") && wrong.contains("check user"), "{wrong}");
    assert!(!wrong.contains("guessed"), "{wrong}");
    let reader = Nats::open(options(&[server.port], "reader:secret@")).await.unwrap();
    let refused = reader.append(vec![event("2")]).await;
    let Err(AppendError::Late { reason }) = refused else { panic!("{refused:?}") };
    assert!(reason.contains("ermissions") && !reason.contains("secret"), "{reason}");

    let token = "jetstream { store_dir: STORE }\nauthorization { token: \"t/k\" }";
    let server = Server::with(free_port, token);
    let log = Nats::open(options(&[server.port], "t%2Fk@")).await.unwrap();
    assert_eq!(put(&log, "1").await, 1);
}

#[tokio::test]
async fn a_server_without_jetstream_and_one_that_is_not_there_are_told() {
    let server = Server::with(free_port, "");
    let error = Nats::open(options(&[server.port], "")).await.unwrap_err().to_string();
    assert!(error.contains("-js"), "{error}");
    let port = server.port;
    drop(server);
    let started = Instant::now();
    let error = Nats::open(options(&[port], "hub:secret@")).await.unwrap_err().to_string();
    assert!(error.contains(&format!("nats://hub:***@127.0.0.1:{port}")), "{error}");
    assert!(started.elapsed() < 3 * OPEN_TIME_MAX, "it does not try for ever");
}

#[tokio::test]
async fn limits_of_the_account_are_told() {
    let limited = "jetstream { store_dir: STORE, max_file_store: 400MB }";
    let server = Server::with(free_port, limited);
    let error = Nats::open(options(&[server.port], "")).await.unwrap_err().to_string();
    assert!(error.contains("keep-bytes"), "{error}");
    let replicas = NatsOptions { replicas: 3, bytes_max: 1 << 20, ..options(&[server.port], "") };
    let error = Nats::open(replicas).await.unwrap_err().to_string();
    assert!(error.contains("nats-replicas"), "{error}");
}

#[tokio::test]
async fn what_is_let_go_of_leaves_nothing_behind() {
    let server = Server::start(free_port);
    let options = NatsOptions { bytes_max: 64 * 1024, ..options(&[server.port], "") };
    let log = Nats::open(options).await.unwrap();
    for number in 0..500 {
        let mut append = event(&"x".repeat(1000));
        append.event.id = Some(EventId::parse(&format!("id {number}")).unwrap());
        log.append(vec![append]).await.unwrap();
        if number % 100 == 99 {
            log.trim(Timestamp(0)).await.unwrap();
        }
    }
    let kept = log.usage().events;
    assert!((40..64).contains(&kept), "{kept}");
    let extent = log.shared.engine.link.extent().await.unwrap();
    assert!((kept..kept + 10).contains(&(extent.last + 1 - extent.first)), "{extent:?}");
    assert!(log.usage().bytes <= 64 * 1024);
}
