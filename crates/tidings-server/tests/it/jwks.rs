//! Keys behind an address: fetched when they are needed, changed without a restart, and asked for
//! no more often than is decent, over real sockets.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tidings_server::auth::{JwksUrl, Policy};
use tokio::net::TcpListener;

use crate::access::now;
use crate::world::{World, request};

/// Whoever issues tokens, with an address for its keys.
struct Issuer {
    url: String,
    answer: Arc<Mutex<(StatusCode, String)>>,
    asked: Arc<AtomicUsize>,
}

/// A key on P-256 with a name.
struct Key {
    kid: &'static str,
    signing: EncodingKey,
}

impl Key {
    fn new(kid: &'static str) -> Self {
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).unwrap();
        Self { kid, signing: EncodingKey::from_ec_der(document.as_ref()) }
    }

    fn public(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.signing, Algorithm::ES256).unwrap();
        jwk.common.key_id = Some(self.kid.to_owned());
        serde_json::to_value(jwk).unwrap()
    }

    fn token(&self) -> String {
        let header = Header { kid: Some(self.kid.to_owned()), ..Header::new(Algorithm::ES256) };
        let claims = json!({"exp": now() + 3600, "tidings": {"publish": ["*"]}});
        encode(&header, &claims, &self.signing).unwrap()
    }
}

impl Issuer {
    async fn start() -> Self {
        let answer = Arc::new(Mutex::new((StatusCode::OK, String::new())));
        let asked = Arc::new(AtomicUsize::new(0));
        let (answers, count) = (Arc::clone(&answer), Arc::clone(&asked));
        let keys = move || async move {
            count.fetch_add(1, Ordering::SeqCst);
            let (status, text) = answers.lock().clone();
            let location = [(header::LOCATION, "/elsewhere")];
            (status, location, text).into_response()
        };
        let elsewhere = || async { Response::new("not to be asked".to_owned()) };
        let router = Router::new().route("/keys", get(keys)).route("/elsewhere", get(elsewhere));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let hub = World::new().hub;
        tokio::spawn(tidings_server::serve(listener, router, hub));
        Self { url, answer, asked }
    }

    fn offers(&self, keys: &[&Key]) {
        let keys: Vec<Value> = keys.iter().map(|key| key.public()).collect();
        *self.answer.lock() = (StatusCode::OK, json!({"keys": keys}).to_string());
    }

    fn world(&self) -> World {
        World::guarded(self.policy())
    }

    fn policy(&self) -> Policy {
        let jwks_urls = vec![JwksUrl::parse(&self.url).unwrap()];
        Policy { jwks_urls, ..Policy::default() }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

async fn publish(world: &World, key: &Key) -> (u16, String) {
    let token = format!("Bearer {}", key.token());
    let headers = [("authorization", &*token)];
    let answer = world.answer(request("POST", "/topics/a", &headers, "x")).await;
    (answer.status.as_u16(), answer.text)
}

#[tokio::test]
async fn keys_are_fetched_when_a_token_names_one_that_is_not_there() {
    let (issuer, [old, new]) = (Issuer::start().await, ["old", "new"].map(Key::new));
    issuer.offers(&[&old]);
    let world = issuer.world();
    assert_eq!(issuer.asked(), 0);
    for _ in 0..3 {
        assert_eq!(publish(&world, &old).await.0, 200);
    }
    assert_eq!(issuer.asked(), 1);
    issuer.offers(&[&old, &new]);
    assert_eq!(publish(&world, &new).await.0, 200);
    assert_eq!(publish(&world, &old).await.0, 200);
    assert_eq!(issuer.asked(), 2);
    // A new key of the same name is another key, and needs nobody's leave to be wrong.
    let (status, text) = publish(&world, &Key::new("new")).await;
    assert!(status == 401 && text.contains("signature is wrong"), "{text}");
}

#[tokio::test]
async fn a_key_without_a_name_does_not_hide_that_a_new_one_is_needed() {
    let (issuer, [old, new, file]) = (Issuer::start().await, ["old", "new", "file"].map(Key::new));
    issuer.offers(&[&old]);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jwk.json");
    let mut jwk = file.public();
    jwk.as_object_mut().unwrap().remove("kid");
    std::fs::write(&path, jwk.to_string()).unwrap();
    let world = World::guarded(Policy { jwt_keys: vec![path], ..issuer.policy() });
    for key in [&file, &old, &file] {
        assert_eq!(publish(&world, key).await.0, 200, "{}", key.kid);
    }
    issuer.offers(&[&new]);
    for key in [&new, &file] {
        assert_eq!(publish(&world, key).await.0, 200, "{}", key.kid);
    }
    assert_eq!(issuer.asked(), 2, "not for the one in the file");
}

#[tokio::test]
async fn strangers_with_made_up_keys_do_not_make_the_hub_ask_for_ever() {
    let (issuer, key) = (Issuer::start().await, Key::new("good"));
    issuer.offers(&[&key]);
    let world = issuer.world();
    assert_eq!(publish(&world, &key).await.0, 200);
    let made_up = Key::new("made-up");
    let attempts = (0..50).map(|_| publish(&world, &made_up));
    for (status, text) in futures_util::future::join_all(attempts).await {
        assert!(status == 401 && text.contains("kid \\\"made-up\\\", alg ES256"), "{text}");
    }
    assert!(issuer.asked() <= 3, "{}", issuer.asked());
    assert_eq!(publish(&world, &key).await.0, 200);
}

#[tokio::test]
async fn a_bad_answer_keeps_the_old_keys() {
    let (issuer, [old, new]) = (Issuer::start().await, ["old", "new"].map(Key::new));
    issuer.offers(&[&old]);
    let world = issuer.world();
    assert_eq!(publish(&world, &old).await.0, 200);
    for answer in [
        (StatusCode::INTERNAL_SERVER_ERROR, String::new()),
        (StatusCode::OK, "{\"keys\":[".to_owned() + &" ".repeat(2 << 20)),
    ] {
        *issuer.answer.lock() = answer;
        assert_eq!(publish(&world, &new).await.0, 401);
        assert_eq!(publish(&world, &old).await.0, 200);
    }
}

#[tokio::test]
async fn without_any_keys_nothing_can_be_said() {
    let (issuer, key) = (Issuer::start().await, Key::new("good"));
    // A redirection is no answer: it could lead anywhere.
    *issuer.answer.lock() = (StatusCode::FOUND, String::new());
    let world = issuer.world();
    let (status, text) = publish(&world, &key).await;
    assert!(status == 503 && text.contains("try again in a moment"), "{text}");
    issuer.offers(&[&key]);
    assert_eq!(publish(&world, &key).await.0, 200);
}
