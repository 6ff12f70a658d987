//! What bad input gets: the right status, a sentence that helps, and nothing is stored.

use axum::body::{Body, Bytes};
use axum::http::Request;
use futures_util::stream;
use proptest::prelude::*;
use tidings_core::limits;
use tidings_server::Config;

use crate::world::{World, request};

async fn refused(world: &World, request: Request<Body>, status: u16, part: &str) {
    let what = format!("{} {}", request.method(), request.uri());
    let before = world.kept();
    let answer = world.answer(request).await;
    assert_eq!(answer.status, status, "{what}: {answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{what}");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{what}");
    let problem = answer.json();
    assert_eq!(problem["status"], status, "{what}");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(part), "{what}: {detail}");
    assert!(detail.ends_with(['.', '?']), "{what}: {detail}");
    assert_eq!(world.kept(), before, "{what}");
}

#[tokio::test]
async fn a_publish_of_one() {
    let world = World::with(Config { data_bytes_max: 1000, ..Config::default() });
    let long = |name: &str, bytes: usize| format!("/topics/t?{name}={}", "x".repeat(bytes));
    for (path, status, part) in [
        ("/topics", 400, "Name a topic after /topics/"),
        ("/topics/", 400, "Name a topic"),
        ("/topics/*", 400, "selects all topics"),
        ("/topics/a%00b", 400, "control characters"),
        ("/topics/a%0Ab", 400, "control characters"),
        ("/topics/%C0%AF", 400, "not UTF-8"),
        ("/topics/%ff", 400, "not UTF-8"),
        (&*format!("/topics/{}", "x".repeat(1025)), 400, "topic_bytes_max"),
        ("/topics/t?event=a%0Adata:%20x", 400, "line breaks"),
        ("/topics/t?event=a%0Dx", 400, "line breaks"),
        ("/topics/t?event=", 400, "leave it out"),
        ("/topics/t?event=tidings.reset", 400, "the hub's own"),
        (&*long("event", 129), 400, "event_type_bytes_max"),
        ("/topics/t?id=a%0Ab", 400, "line breaks"),
        ("/topics/t?id=a%00", 400, "NUL"),
        ("/topics/t?id=%20a", 400, "space"),
        (&*long("id", 256), 400, "id_bytes_max"),
        ("/topics/t?retry=3s", 400, "digits"),
        ("/topics/t?retry=-1", 400, "digits"),
        ("/topics/t?retry=86400001", 400, "retry_ms_max"),
        ("/topics/t?private=maybe", 400, "not \"maybe\""),
        ("/topics/t?evnt=x", 400, "did you mean event?"),
        ("/topics/t?id=a&id=b", 400, "given twice"),
    ] {
        refused(&world, request("POST", path, &[], "x"), status, part).await;
    }
    for (name, value, part) in [
        ("tidings-event", "a\u{85}b", "control characters"),
        ("tidings-retry", "soon", "digits"),
        ("idempotency-key", "", "leave it out"),
        ("idempotency-key", "two words", "visible ASCII"),
        ("idempotency-key", &*"k".repeat(256), "idempotency_key_bytes_max"),
    ] {
        refused(&world, request("POST", "/topics/t", &[(name, value)], "x"), 400, part).await;
    }
    let body: &[u8] = b"caf\xe9";
    refused(&world, request("POST", "/topics/t", &[], body), 400, "from byte 3 on").await;
    let body = "x".repeat(1001);
    refused(&world, request("POST", "/topics/t", &[], body), 413, "1000 bytes").await;
    assert_eq!(world.post("/topics/t", "x".repeat(1000)).await.as_object().unwrap().len(), 1);
}

#[tokio::test]
async fn an_id_in_the_hub_s_own_form() {
    let world = World::new();
    let id = world.post("/topics/t", "x").await["id"].clone();
    let path = format!("/topics/t?id={}", id.as_str().unwrap());
    refused(&world, request("POST", &path, &[], "x"), 400, "this hub's own ids").await;
}

#[tokio::test]
async fn a_publish_of_many() {
    let config = Config { data_bytes_max: 1000, batch_bytes_max: 10_000, ..Config::default() };
    let world = World::with(config);
    let good = r#"{"topic":"t","data":1}"#;
    for (body, status, part) in [
        ("", 400, "The body is empty"),
        ("hello", 400, "not JSON"),
        (&*format!("[{good},{{\"topic\":\"t\"}}]"), 400, "Event 2 of the batch"),
        (&*format!("[{good},7]"), 400, "Nothing of the batch was published"),
        (&*format!("[{good}"), 400, "not JSON"),
        (r#"{"topic":"t","dta":1}"#, 400, "did you mean data?"),
        (r#"{"topic":"t","data":1,"colour":2}"#, 400, "\"colour\""),
        (r#"{"topic":"a\u0000","data":1}"#, 400, "control characters"),
        (r#"{"topic":"t","id":"a\nb","data":1}"#, 400, "line breaks"),
        (r#"{"topic":"t","retry":"3000","data":1}"#, 400, "milliseconds"),
        (&*format!(r#"{{"topic":"t","data":"{}"}}"#, "x".repeat(1001)), 413, "data_bytes_max"),
        (&*" ".repeat(10_001), 413, "batch_bytes_max"),
    ] {
        refused(&world, request("POST", "/events", &[], body.to_owned()), status, part).await;
    }
    let path = "/events?topic=t";
    refused(&world, request("POST", path, &[], good), 400, "its fields in its JSON").await;
    let world = World::new();
    let body = good.repeat(limits::BATCH_EVENTS_MAX + 1);
    refused(&world, request("POST", "/events", &[], body), 413, "batch_events_max").await;
}

#[tokio::test]
async fn a_publish_of_many_as_ndjson() {
    let world = World::with(Config { data_bytes_max: 1000, ..Config::default() });
    let ndjson = [("content-type", "application/x-ndjson")];
    let endless = "x".repeat(1 << 20);
    for (body, status, part) in [
        ("hello", 400, "Line 1: "),
        ("\n\n[]", 400, "Line 3: "),
        ("{\"topic\":\"t\"}", 400, "Nothing was published before it"),
        (&*format!(r#"{{"topic":"t","data":"{}"}}"#, "x".repeat(1001)), 413, "data_bytes_max"),
        (&*endless, 413, "line break after each event"),
    ] {
        refused(&world, request("POST", "/events", &ndjson, body.to_owned()), status, part).await;
    }
}

#[tokio::test]
async fn a_subscription() {
    let world = World::new();
    let many: String = (0..101).map(|n| format!("topic={n}&")).collect();
    for (path, part) in [
        ("/events", "Name one topic or several"),
        ("/events?topics=a", "Name one topic or several"),
        ("/events?topic=", "can't be empty"),
        ("/events?topic=%FF", "not UTF-8"),
        ("/topics/%FF", "not UTF-8"),
        ("/topics/a*b", "only at the end"),
        ("/topics/x-%7Bid%7D", "a whole path segment"),
        ("/topics/a%0A", "control characters"),
        (&*format!("/events?{many}"), "selectors_per_subscription_max"),
        ("/topics/a?topic=b", "GET /events?topic=a&topic=b"),
        ("/topics/a?since=yesterday", "not \"yesterday\""),
        ("/topics/a?last=few", "not \"few\""),
        ("/topics/a?last=1001", "history_events_max"),
        ("/topics/a?since=1m&last=1", "exclude each other"),
        ("/topics/a?label=a%20b", "visible ASCII"),
    ] {
        refused(&world, request("GET", path, &[], Body::empty()), 400, part).await;
    }
    let json = [("accept", "application/json")];
    for (path, part) in [("/topics/a?limit=0", "from 1 on"), ("/topics/a?limit=5000", "next")] {
        refused(&world, request("GET", path, &json, Body::empty()), 400, part).await;
    }
    let gif = [("accept", "image/gif")];
    refused(&world, request("GET", "/topics/a", &gif, Body::empty()), 406, "text/html").await;
    assert_eq!(world.hub.metrics().subscribers.get(), 0);
}

#[tokio::test]
async fn an_address_or_a_method_that_there_is_not() {
    let world = World::new();
    for (path, part) in [
        ("/nothing", "POST /topics/{topic}"),
        ("/topic/a", "did you mean /topics?"),
        ("/event", "did you mean /events?"),
        ("/events/", "GET /events?topic=a"),
        ("/_tidings/../../etc/passwd", "nothing at this address"),
    ] {
        for method in ["GET", "POST"] {
            refused(&world, request(method, path, &[], "x"), 404, part).await;
        }
    }
    for method in ["PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "BREW"] {
        for path in ["/topics/a", "/events"] {
            refused(&world, request(method, path, &[], "x"), 405, "publish with POST").await;
        }
    }
    let answer = world.answer(request("PUT", "/topics/a", &[], "x")).await;
    assert_eq!(answer.header("allow"), Some("GET, HEAD, POST, OPTIONS"));
    for path in ["/healthz", "/readyz", "/metrics", "/_tidings/topic.js"] {
        refused(&world, request("POST", path, &[], "x"), 405, "use GET").await;
        let answer = world.answer(request("POST", path, &[], "x")).await;
        assert_eq!(answer.header("allow"), Some("GET,HEAD"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stalls() {
    let world = World::new();
    let stalls = |first: &'static str| {
        let first = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(first.as_bytes()))]);
        let rest = stream::pending();
        Body::from_stream(futures_util::StreamExt::chain(first, rest))
    };
    refused(&world, request("POST", "/topics/a", &[], stalls("x")), 408, "for 30 s").await;
    refused(&world, request("POST", "/events", &[], stalls("[")), 408, "for 30 s").await;
    let ndjson = [("content-type", "application/jsonl")];
    let body = stalls("{\"topic\":\"a\",\"data\":1}\n{");
    let answer = world.answer(request("POST", "/events", &ndjson, body)).await;
    assert_eq!(answer.status, 408);
    assert_eq!((answer.json()["line"].as_u64(), world.kept()), (Some(2), 1));
}

#[tokio::test]
async fn a_body_that_breaks_off() {
    let world = World::new();
    let broken = || {
        let good = Ok(Bytes::from_static(b"{\"topic\":\"a\",\"data\":1}"));
        Body::from_stream(stream::iter([good, Err(std::io::Error::other("gone"))]))
    };
    for path in ["/topics/a", "/events"] {
        refused(&world, request("POST", path, &[], broken()), 400, "broke off").await;
    }
    // Without its line break, a line may be half of an event that is JSON by chance.
    let ndjson = [("content-type", "application/jsonl")];
    refused(&world, request("POST", "/events", &ndjson, broken()), 400, "broke off").await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_request_makes_it_panic(method in "GET|POST|HEAD|OPTIONS|PUT",
                                 path in "/(topics/|events)?[a-z*{}%0-9A-F/.]{0,12}",
                                 query in "[a-z_=&%0-9A-F]{0,30}",
                                 accept in "[a-z/*;=0-9., ]{0,30}",
                                 ndjson in any::<bool>(),
                                 body in prop::collection::vec(any::<u8>(), 0..80)) {
        let uri = format!("{path}?{query}");
        prop_assume!(uri.parse::<axum::http::Uri>().is_ok());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::with(Config { shards: std::num::NonZero::<usize>::MIN,
                                             ..Config::default() });
            let content_type = if ndjson { "application/jsonl" } else { "text/plain" };
            let headers = [("accept", &*accept), ("content-type", content_type)];
            let response = world.ask(request(&method, &uri, &headers, body)).await;
            assert!(response.status().as_u16() < 500, "{method} {uri}: {response:?}");
        });
    }
}
