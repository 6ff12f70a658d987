//! Tokens that end, against a real hub that asks for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::json;
use tidings_client::{Hub, Publish, Step};
use tidings_server::auth::{Access, Policy, Secret};
use tidings_server::log::Memory;
use tidings_server::{Config, api};
use tokio::net::TcpListener;

use crate::scripted::{patiently, soon};

const SECRET: &str = "a-secret-of-this-test-that-is-long-enough";

/// The client comes back some time in the first half of it; the rest is for machines that are slow.
const TOKEN_TIME: Duration = Duration::from_secs(12);

/// A hub that asks everybody for a token, and tells an end as soon as a stream begins.
async fn server() -> String {
    let config = Config { renew_before: 2 * TOKEN_TIME, ..Config::default() };
    let hub = tidings_server::Hub::start(Arc::new(Memory::default()), config).unwrap();
    let policy = Policy {
        jwt_secret: Some(Secret::new(SECRET.to_owned())),
        anonymous_subscribe: false,
        jwt_skew: Duration::ZERO,
        ..Policy::default()
    };
    let router = api::router_with_index(hub.clone(), Access::load(policy).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(tidings_server::serve(listener, router, hub));
    format!("http://{address}")
}

fn token(life: Duration, publish: &[&str], subscribe: &[&str]) -> String {
    let exp = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + life;
    let tidings = json!({ "publish": publish, "subscribe": subscribe });
    let claims = json!({ "exp": exp.as_secs(), "tidings": tidings });
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap()
}

#[tokio::test]
async fn a_stream_outlives_its_token_without_gap_or_repeat() {
    let url = server().await;
    let publisher = Hub::new(&url).unwrap();
    let publisher = publisher.token(token(Duration::from_secs(3600), &["*"], &[]));
    let asked = Arc::new(AtomicU64::new(0));
    let turns = Arc::clone(&asked);
    // Each token lives longer than the one before, and is another one.
    let fresh = move |refused: bool| {
        let turn = turns.fetch_add(1, Ordering::Relaxed);
        assert!(!refused, "it was asked for in time");
        let life = TOKEN_TIME + Duration::from_secs(turn * 600);
        async move { Ok(token(life, &[], &["news"])) }
    };
    let hub = Hub::new(&url).unwrap().token_from(fresh);
    let mut source = soon(hub.subscribe(["news"]).unwrap()).build().unwrap();

    let (mut opened, mut told, mut published, mut got) = (0, 0, 0, Vec::new());
    // The second stream is one of a token that is far from its end.
    while opened < 2 || got.len() < published {
        let step = patiently(source.next_step()).await.expect("it goes on");
        let publishes = matches!(step, Step::Open { .. }) || opened < 2;
        match step {
            Step::Open { .. } => opened += 1,
            Step::Event(event) if event.renew().is_some() => told += 1,
            Step::Event(event) => got.push(event.data),
            step => panic!("{step:?}"),
        }
        // What is published while streams change comes with one of them.
        if publishes {
            let data = published.to_string();
            patiently(publisher.publish("news", Publish::text(data))).await.unwrap();
            published += 1;
        }
    }
    let expected: Vec<String> = (0..published).map(|n| n.to_string()).collect();
    assert_eq!(got, expected);
    assert_eq!((told, asked.load(Ordering::Relaxed)), (1, 2));
}
