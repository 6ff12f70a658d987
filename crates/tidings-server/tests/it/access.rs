//! Who may publish and listen, and what those are told who may not.
//! Knows nothing of how signatures are made; tokens of other libraries are held against the program
//! in `tests/clients`.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Body;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tidings_server::Config;
use tidings_server::auth::{Access, Origins, Policy, Secret, api_keys};

use crate::world::{Answer, World, request};

const SECRET: &str = "a-secret-of-this-test-that-is-long-enough";

fn policy() -> Policy {
    Policy { jwt_secret: Some(Secret::new(SECRET.to_owned())), ..Policy::default() }
}

/// The time in seconds, as tokens have it.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn sign(claims: &Value) -> String {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    encode(&Header::new(Algorithm::HS256), claims, &key).unwrap()
}

/// A token with these rights for an hour.
fn token(publish: &[&str], subscribe: &[&str]) -> String {
    let tidings = json!({"publish": publish, "subscribe": subscribe});
    sign(&json!({"exp": now() + 3600, "sub": "alice", "tidings": tidings}))
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

async fn post(world: &World, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    world.answer(request("POST", path, headers, body.to_owned())).await
}

/// Publishes with a token; panics unless it is taken.
async fn publish(world: &World, path: &str, token: &str, body: &str) {
    let answer = post(world, path, &[("authorization", &bearer(token))], body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[track_caller]
fn refused(answer: &Answer, status: u16, error: Option<&str>, detail: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    let json = answer.json();
    let found = json["detail"].as_str().unwrap();
    assert!(found.contains(detail), "{found}");
    let challenge = answer.header("www-authenticate");
    match error {
        Some(error) => {
            let begin =
                format!("Bearer realm=\"tidings\", error=\"{error}\", error_description=\"");
            assert!(challenge.unwrap().starts_with(&begin), "{challenge:?}");
        }
        None if status == 401 => assert_eq!(challenge, Some("Bearer realm=\"tidings\"")),
        None => assert_eq!(challenge, None),
    }
    assert!(!answer.text.contains("eyJ") && !answer.text.contains("tidings_"), "{answer:?}");
}

#[tokio::test]
async fn publishing_needs_a_token_that_covers_all_topics() {
    let world = World::guarded(policy());
    refused(&post(&world, "/topics/a", &[], "x").await, 401, None, "Publishing needs a token");
    let body = r#"[{"topic":"a","data":1}]"#;
    refused(&post(&world, "/events", &[], body).await, 401, None, "Publishing needs a token");
    let token = bearer(&token(&["orders/*", "news"], &["secret"]));
    let headers = [("authorization", &*token)];
    let answer = post(&world, "/topics/secret", &headers, "x").await;
    let detail = "No right to publish to \"secret\": \"publish\" covers orders/* and news.";
    refused(&answer, 403, Some("insufficient_scope"), detail);
    assert_eq!(post(&world, "/topics/orders/1", &headers, "x").await.status, 200);

    let batch = r#"[{"topic":"news","data":1},{"topics":["news","other"],"data":2}]"#;
    let answer = post(&world, "/events", &headers, batch).await;
    refused(&answer, 403, Some("insufficient_scope"), "publish to \"other\"");
    assert_eq!(answer.json()["index"], 1);
    assert_eq!(world.kept(), 1, "nothing of the batch");

    let lines = "{\"topic\":\"news\",\"data\":1}\n{\"topic\":\"other\",\"data\":2}\n";
    let headers = [headers[0], ("content-type", "application/x-ndjson")];
    let answer = post(&world, "/events", &headers, lines).await;
    refused(&answer, 403, Some("insufficient_scope"), "publish to \"other\"");
    assert_eq!((&answer.json()["line"], &answer.json()["published"]), (&json!(2), &json!(1)));
    assert_eq!(world.kept(), 2, "what came before it");

    let metrics = world.get("/metrics", &[]).await.text;
    assert!(metrics.contains("tidings_unauthorized_total{rule=\"publish\"} 3"), "{metrics}");
    assert!(metrics.contains("tidings_unauthorized_total{rule=\"token_needed\"} 2"));
}

#[tokio::test]
async fn what_does_not_count_is_refused_with_the_rule() {
    let audience = vec!["hub".to_owned()];
    let world = World::guarded(Policy { jwt_audiences: audience, ..policy() });
    let good = json!({"exp": now() + 60, "aud": "hub", "tidings": {"publish": ["*"]}});
    let with = |field: &str, value: Value| {
        let mut claims = good.clone();
        claims[field] = value;
        sign(&claims)
    };
    let (long_ago, later) = (json!(1_700_000_000), json!(now() + 3600));
    for (token, detail) in [
        (with("exp", long_ago), "The token expired at 2023-11-14T22:13:20Z."),
        (with("exp", Value::Null), "no expiry (claim exp)"),
        (with("nbf", later), "not valid before"),
        (with("aud", json!("other")), "for other, not for hub"),
        (with("aud", Value::Null), "for nobody, not for hub"),
        (with("tidings", json!({"publish": ["a*b"]})), "tidings.publish: \"a*b\""),
        (format!("{}A", sign(&good)), "signature is wrong"),
        (sign(&good).replace("eyJ0eXAi", "eyJ0eXBi"), ""),
        ("tidings_made-up".to_owned(), "no such API key"),
        ("made-up".to_owned(), "neither a signed JWT"),
    ] {
        let headers = [("authorization", &*bearer(&token))];
        for path in ["/topics/a", "/tickets"] {
            let answer = post(&world, path, &headers, "x").await;
            refused(&answer, 401, Some("invalid_token"), detail);
        }
        // A token that does not count is no lesser than none: its owner has to know.
        let answer = world.get("/topics/a", &headers).await;
        refused(&answer, 401, Some("invalid_token"), detail);
    }
    publish(&world, "/topics/a", &sign(&good), "x").await;
    assert_eq!(world.kept(), 1);
}

#[tokio::test]
async fn private_events_come_to_those_whose_token_covers_a_topic() {
    let world = World::guarded(policy());
    let publisher = token(&["*"], &[]);
    let [alice, bob] =
        [&["users/alice/*"][..], &["users/bob/*"]].map(|topics| bearer(&token(&[], topics)));
    let (alice, bob) = ([("authorization", &*alice)], [("authorization", &*bob)]);
    let mut live_alice = world.listen("/topics/users/*", &alice).await;
    let mut live_bob = world.listen("/topics/users/*", &bob).await;
    let mut live_nobody = world.listen("/topics/users/*", &[]).await;
    publish(&world, "/topics/users/alice/mail?private", &publisher, "for alice").await;
    let both = r#"[{"topics":["users/bob/x","users/alice/x"],"private":true,"data":"for both"}]"#;
    publish(&world, "/events", &publisher, both).await;
    publish(&world, "/topics/users/carol/mail?private", &publisher, "for carol").await;
    publish(&world, "/topics/users/all", &publisher, "end").await;
    let check = |text: &str, expected: &[&str]| {
        for data in ["for alice", "for both", "for carol", "end"] {
            assert_eq!(
                text.contains(&format!("data: {data}\n")),
                expected.contains(&data),
                "{text}"
            );
        }
    };
    check(live_alice.until("data: end").await, &["for alice", "for both", "end"]);
    check(live_bob.until("data: end").await, &["for both", "end"]);
    check(live_nobody.until("data: end").await, &["end"]);
    for (headers, expected) in [
        (&alice[..], &["for alice", "for both", "end"][..]),
        (&bob, &["for both", "end"]),
        (&[], &["end"]),
    ] {
        let mut replayed = world.listen("/topics/users/*?since=earliest", headers).await;
        check(replayed.until("data: end").await, expected);
        let json = [headers, &[("accept", "application/json")]].concat();
        let page = world.get("/topics/users/*", &json).await.json();
        let events = page["events"].as_array().unwrap();
        let data: Vec<_> = events.iter().map(|event| event["data"].as_str().unwrap()).collect();
        assert_eq!(data, expected);
        assert_eq!(events[0]["private"], if data.len() > 1 { json!(true) } else { Value::Null });
    }
}

#[tokio::test]
async fn reading_can_need_a_token_too() {
    let world = World::guarded(Policy { anonymous_subscribe: false, ..policy() });
    let json = ("accept", "application/json");
    for headers in [&[][..], &[json]] {
        let answer = world.get("/topics/orders/1", headers).await;
        refused(&answer, 401, None, "Reading needs a token");
    }
    let token = bearer(&token(&["*"], &["orders/{id}", "news"]));
    let token = ("authorization", &*token);
    for (path, status) in [
        ("/topics/orders/1", 200),
        ("/topics/orders/%7Bany%7D", 200),
        ("/events?topic=news&topic=orders/2", 200),
        ("/topics/orders/*", 403),
        ("/topics/*", 403),
        ("/events?topic=news&topic=weather", 403),
    ] {
        let answer = world.get(path, &[token, json]).await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        if status == 403 {
            let detail = "\"subscribe\" covers orders/{id} and news";
            refused(&answer, 403, Some("insufficient_scope"), detail);
        } else {
            world.listen(path, &[token]).await;
        }
    }
    let page = world.get("/topics/orders/1", &[("accept", "text/html")]).await;
    assert_eq!(page.status, 200, "the page is the same for all, and asks as its reader");
    assert!(Access::load(Policy { anonymous_subscribe: false, ..Policy::default() }).is_err());
}

#[tokio::test]
async fn an_api_key_is_as_good_as_a_token() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("keys.toml");
    let entry = |name: &str, key: &str| {
        let hash = api_keys::hash(key);
        format!("[[key]]\nname = \"{name}\"\nhash = \"{hash}\"\npublish = [\"orders/*\"]\n")
    };
    std::fs::write(&path, entry("billing", "tidings_one")).unwrap();
    let access =
        Access::load(Policy { api_keys: Some(path.clone()), ..Policy::default() }).unwrap();
    let world = World::with_access(Config::default(), access.clone());
    publish(&world, "/topics/orders/1", "tidings_one", "x").await;
    let ask = async |key: &str, topic: &str| {
        let path = format!("/topics/{topic}");
        post(&world, &path, &[("authorization", &bearer(key))], "x").await
    };
    refused(&ask("tidings_one", "other").await, 403, Some("insufficient_scope"), "covers orders/*");
    refused(&ask("tidings_two", "orders/1").await, 401, Some("invalid_token"), "no such API key");

    // A new file counts without a restart, and a bad one changes nothing.
    let watch = tokio::spawn(async move { access.watch().await });
    let becomes = async |key: &'static str, status: u16| {
        while ask(key, "orders/1").await.status != status {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    std::fs::write(&path, entry("billing", "tidings_two")).unwrap();
    becomes("tidings_two", 200).await;
    becomes("tidings_one", 401).await;
    std::fs::write(&path, "[[key]]\nname = 7").unwrap();
    std::fs::write(&path, entry("billing", "tidings_two") + &entry("more", "tidings_three"))
        .unwrap();
    becomes("tidings_three", 200).await;
    assert_eq!(ask("tidings_two", "orders/1").await.status, 200);
    watch.abort();
}

#[tokio::test]
async fn a_ticket_opens_one_stream() {
    let world = World::guarded(Policy { anonymous_subscribe: false, ..policy() });
    let token = bearer(&token(&["a"], &["a"]));
    let token = ("authorization", &*token);
    let answer = post(&world, "/tickets", &[], "").await;
    refused(&answer, 401, None, "A ticket is made for a token");
    let answer = post(&world, "/tickets", &[token], "").await;
    assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (200, Some("no-store")));
    let ticket = answer.json()["ticket"].as_str().unwrap().to_owned();
    assert!(answer.json()["expires"].as_str().unwrap().ends_with('Z'));

    publish_private(&world, token).await;
    let path = format!("/topics/a?since=earliest&ticket={ticket}");
    let mut stream = world.listen(&path, &[]).await;
    stream.until("data: secret\n\n").await;
    refused(&world.get(&path, &[]).await, 401, Some("invalid_token"), "used already");
    let answer = world.get(&path, &[token]).await;
    refused(&answer, 400, Some("invalid_request"), "a token in Authorization and a ticket");
    let answer = world.get("/topics/a?ticket=made.up.x", &[]).await;
    refused(&answer, 401, Some("invalid_token"), "none of this hub's");

    // It publishes too, once, and makes no other ticket; nor does it count as a token.
    let next = async || {
        let answer = post(&world, "/tickets", &[token], "").await;
        answer.json()["ticket"].as_str().unwrap().to_owned()
    };
    let path = format!("/topics/a?ticket={}", next().await);
    assert_eq!(post(&world, &path, &[], "x").await.status, 200);
    refused(&post(&world, &path, &[], "x").await, 401, Some("invalid_token"), "used already");
    let answer = post(&world, &format!("/tickets?ticket={}", next().await), &[], "").await;
    refused(&answer, 401, None, "not for another ticket");
    let as_token = bearer(&next().await);
    let answer = post(&world, "/topics/a", &[("authorization", &as_token)], "x").await;
    refused(&answer, 401, Some("invalid_token"), "it is a ticket");
    let get = world.get("/tickets", &[token]).await;
    assert_eq!((get.status.as_u16(), get.header("allow")), (405, Some("POST, OPTIONS")));
}

async fn publish_private(world: &World, token: (&str, &str)) {
    let answer = post(world, "/topics/a?private", &[token], "secret").await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn a_token_in_an_address_is_refused_before_it_counts() {
    let world = World::guarded(policy());
    for name in ["token", "access_token", "authorization"] {
        let path = format!("/topics/a?{name}={}", token(&["*"], &["*"]));
        for answer in [world.get(&path, &[]).await, post(&world, &path, &[], "x").await] {
            refused(&answer, 400, Some("invalid_request"), "POST /tickets");
        }
    }
    assert_eq!(world.kept(), 0);
    // A hub that checks no tokens leaves them to whoever does, in front of it.
    let open = World::new();
    open.listen("/topics/a?token=x", &[("authorization", "Bearer x")]).await;
}

#[tokio::test]
async fn a_cookie_counts_only_for_pages_that_may_use_it() {
    let listed = Origins::parse(&["https://app.example".to_owned()]).unwrap();
    let world = World::guarded(Policy { cors_origins: listed, ..policy() });
    publish(&world, "/topics/a?private", &token(&["a"], &[]), "secret").await;
    let cookie = format!("other=1; tidings_token={}", token(&["a"], &["a"]));
    let (cookie, host) = (("cookie", &*cookie), ("host", "hub.example"));
    let publishes = async |more: &[(&str, &str)]| {
        let headers = [&[cookie, host], more].concat();
        post(&world, "/topics/a", &headers, "x").await
    };
    assert_eq!(publishes(&[("origin", "https://hub.example")]).await.status, 200);
    assert_eq!(publishes(&[("origin", "https://app.example")]).await.status, 200);
    assert_eq!(publishes(&[("sec-fetch-site", "same-origin")]).await.status, 200);
    let unsaid = publishes(&[]).await;
    refused(&unsaid, 403, Some("insufficient_scope"), "the request does not say");
    assert_eq!(publishes(&[("origin", "https://evil.example")]).await.status, 403);
    assert_eq!(publishes(&[("sec-fetch-site", "cross-site")]).await.status, 403);

    let reads = async |more: &[(&str, &str)]| {
        let headers = [&[cookie, host, ("accept", "application/json")], more].concat();
        world.get("/topics/a?since=earliest", &headers).await.text.contains("secret")
    };
    assert!(reads(&[]).await, "as EventSource asks in a page of this origin");
    assert!(reads(&[("origin", "https://app.example")]).await);
    assert!(!reads(&[("origin", "https://evil.example")]).await);
    assert!(!reads(&[("sec-fetch-site", "cross-site")]).await);
}

#[tokio::test]
async fn listed_origins_are_named_and_others_get_nothing() {
    let listed = Origins::parse(&["https://app.example".to_owned()]).unwrap();
    let world = World::guarded(Policy { cors_origins: listed, ..policy() });
    let ask = async |method: &str, path: &str, origin: &str, asked: &str| {
        let mut headers = vec![("origin", origin), ("host", "hub.example")];
        if !asked.is_empty() {
            headers.push(("access-control-request-method", asked));
        }
        world.answer(request(method, path, &headers, Body::empty())).await
    };
    for (method, path, asked) in [
        ("GET", "/events", ""),
        ("POST", "/topics/a", ""),
        ("OPTIONS", "/topics/a", "POST"),
        ("OPTIONS", "/tickets", "POST"),
        ("OPTIONS", "/events", "GET"),
    ] {
        let answer = ask(method, path, "https://app.example", asked).await;
        let origin = answer.header("access-control-allow-origin");
        assert_eq!(origin, Some("https://app.example"), "{method} {path}");
        assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
        let varies = answer.headers.get_all("vary").iter().any(|vary| vary == "Origin");
        assert!(varies, "{method} {path}");
        if method == "OPTIONS" {
            assert_eq!(answer.status, 204);
            let methods = answer.header("access-control-allow-methods");
            assert_eq!(methods, Some("GET, HEAD, POST"));
            let headers = answer.header("access-control-allow-headers").unwrap();
            assert!(headers.contains("Authorization") && headers.contains("Tidings-Event"));
            assert!(!headers.contains('*'), "with credentials it is no wildcard");
        }
        let answer = ask(method, path, "https://evil.example", asked).await;
        assert_eq!(answer.header("access-control-allow-origin"), None, "{method} {path}");
        assert_eq!(answer.header("access-control-allow-credentials"), None);
        assert!(answer.headers.get_all("vary").iter().any(|vary| vary == "Origin"));
        assert_eq!(answer.status == 403, method != "GET", "{method} {path}");
    }
    // Without a list no origin is ever named, and no credentials are allowed.
    let open = World::guarded(policy());
    let headers = [("origin", "https://app.example"), ("host", "hub.example")];
    let answer = open.get("/events", &headers).await;
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("access-control-allow-credentials"), None);
}

#[tokio::test]
async fn a_stream_ends_with_its_token() {
    let world = World::guarded(Policy { jwt_skew: std::time::Duration::ZERO, ..policy() });
    let token = sign(&json!({"exp": now() + 2, "tidings": {"subscribe": ["a"]}}));
    let headers = [("authorization", &*bearer(&token))];
    let answer = world.get("/topics/a", &headers).await;
    assert_eq!(answer.status, 200, "all of it came, so it has ended: {answer:?}");
    assert!(answer.text.contains("event: tidings.renew\n"), "{}", answer.text);
    // Streams go by another clock than tokens, and may end a moment earlier.
    let answer = loop {
        let answer = world.get("/topics/a", &headers).await;
        if answer.status != 200 {
            break answer;
        }
    };
    refused(&answer, 401, Some("invalid_token"), "expired at");
}

#[tokio::test]
async fn anybody_may_publish_where_that_is_said() {
    let world = World::guarded(Policy { anonymous_publish: true, ..policy() });
    assert_eq!(post(&world, "/topics/a", &[], "x").await.status, 200);
    let bad = [("authorization", "Bearer x")];
    assert_eq!(post(&world, "/topics/a", &bad, "x").await.status, 401, "but not with a bad token");
}
