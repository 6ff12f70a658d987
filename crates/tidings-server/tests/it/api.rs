//! What the HTTP API does when it is asked rightly.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::routing::get;
use futures_util::stream;
use serde_json::{Value, json};
use tidings_core::topic::Selector;
use tidings_server::api::{EventStream, Problem, Subscriber};
use tidings_server::auth::Access;
use tidings_server::{Config, Hub, api};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::world::{World, request};

const NDJSON: (&str, &str) = ("content-type", "application/x-ndjson");

fn data(history: &Value) -> Vec<&str> {
    let events = history["events"].as_array().unwrap();
    events.iter().map(|event| event["data"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn what_is_published_is_streamed_and_kept() {
    let world = World::new();
    let mut stream = world.listen("/topics/demo", &[]).await;
    assert_eq!(stream.headers["tidings-resume"], "live");
    assert_eq!(stream.headers["tidings-heartbeat"], "15");
    let id = world.post("/topics/demo?event=news&retry=3000", "one\ntwo").await["id"].clone();
    let id = id.as_str().unwrap();
    let text = stream.until("two\n\n").await;
    let event = format!("id: {id}\nevent: news\nretry: 3000\ndata: one\ndata: two\n\n");
    assert!(text.ends_with(&event), "{text}");
    let history = world.history("/topics/demo").await;
    let mut event = history["events"][0].clone();
    let time = event.as_object_mut().unwrap().remove("time").unwrap();
    assert!(time.as_str().unwrap().ends_with('Z'), "{time}");
    let topics = json!(["demo"]);
    let expected =
        json!({"id": id, "topics": topics, "event": "news", "retry": 3000, "data": "one\ntwo"});
    assert_eq!(event, expected);
    assert_eq!(history["next"], id);
}

#[tokio::test]
async fn the_head_of_a_stream_is_right_for_http_1_and_2() {
    let world = World::new();
    let stream = world.listen("/topics/demo", &[("origin", "http://a.example")]).await;
    for (name, value) in [
        ("cache-control", "no-store, no-transform"),
        ("x-accel-buffering", "no"),
        ("x-content-type-options", "nosniff"),
        ("connection", "keep-alive"),
        ("vary", "Accept"),
        ("access-control-allow-origin", "*"),
    ] {
        assert_eq!(stream.headers[name], value, "{name}");
    }
    let mut second = request("GET", "/topics/demo", &[], Body::empty());
    *second.version_mut() = axum::http::Version::HTTP_2;
    let response = world.ask(second).await;
    assert!(!response.headers().contains_key("connection"));
}

#[tokio::test]
async fn any_content_type_will_do_and_the_path_is_decoded() {
    let world = World::new();
    for content_type in ["application/x-www-form-urlencoded", "application/json", "x", ""] {
        let headers = [("content-type", content_type)];
        let answer = world.answer(request("POST", "/topics/a%2Fb/%C3%BC", &headers, "x=1&y")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
    world.post("/topics/a/b/%C3%BC", "").await;
    let history = world.history("/events?topic=a/b/%C3%BC").await;
    assert_eq!(data(&history), ["x=1&y", "x=1&y", "x=1&y", "x=1&y", ""]);
}

#[tokio::test]
async fn a_repeated_publish_is_the_same_publish() {
    let world = World::new();
    let publish = |body: &'static str| {
        world.answer(request("POST", "/topics/a", &[("idempotency-key", "k")], body))
    };
    let first = publish("x").await;
    let second = publish("x").await;
    assert_eq!(first.text, second.text);
    assert_eq!(first.header("idempotent-replayed"), None);
    assert_eq!(second.header("idempotent-replayed"), Some("true"));
    let other = publish("y").await;
    assert_eq!(other.status, 422, "{other:?}");
    assert_eq!(world.kept(), 1);
}

#[tokio::test]
async fn a_batch_is_kept_in_one_step() {
    let world = World::new();
    let body = r#"[{"topic":"a","data":{"n": 1}},
                   {"topics":["a","b"],"event":"e","id":"mine","data":"2"}]"#;
    let ids = world.post("/events", body).await["ids"].clone();
    assert_eq!(ids[1], "mine");
    let history = world.history("/events?topic=a").await;
    assert_eq!(data(&history), [r#"{"n": 1}"#, "2"]);
    assert_eq!(history["events"][0]["id"], ids[0]);
    assert_eq!(data(&world.history("/topics/b").await), ["2"]);
    assert_eq!(world.post("/events", "[]").await, json!({"ids": []}));
    let one = r#"{"topic":"a","data":3}"#;
    assert_eq!(world.post("/events", one).await["ids"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn ndjson_is_kept_as_it_streams_in() {
    let world = World::new();
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(1);
    let pieces = stream::unfold(receiver, async |mut receiver| {
        receiver.recv().await.map(|piece| (piece, receiver))
    });
    let request = request("POST", "/events", &[NDJSON], Body::from_stream(pieces));
    let answer = async { world.answer(request).await };
    let send = async {
        sender
            .send(Ok("{\"topic\":\"a\",\"data\":1}\n{\"topic\":\"a\",\"da".into()))
            .await
            .unwrap();
        // The first is there while the request goes on.
        while world.kept() < 1 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        sender.send(Ok("ta\":2}\r\n\n{\"topic\":\"a\",\"data\":3}".into())).await.unwrap();
        drop(sender);
    };
    let (answer, ()) = tokio::join!(answer, send);
    assert_eq!(answer.status, 200, "{answer:?}");
    let history = world.history("/topics/a").await;
    assert_eq!(answer.json(), json!({"published": 3, "last_id": history["next"]}));
    assert_eq!(data(&history), ["1", "2", "3"]);
}

#[tokio::test]
async fn a_stream_that_was_cut_can_be_sent_again() {
    let world = World::new();
    let line = |n: usize| format!("{{\"topic\":\"a\",\"data\":{n}}}\n");
    let headers = [NDJSON, ("idempotency-key", "upload-7")];
    let cut: String = (0..700).map(line).collect();
    let answer = world.answer(request("POST", "/events", &headers, cut)).await;
    assert_eq!(answer.json()["published"], 700);
    let whole: String = (0..1000).map(line).collect();
    let answer = world.answer(request("POST", "/events", &headers, whole.clone())).await;
    assert_eq!((answer.json()["published"].as_u64(), world.kept()), (Some(1000), 1000));
    assert_eq!(answer.header("idempotent-replayed"), None);
    let again = world.answer(request("POST", "/events", &headers, whole)).await;
    assert_eq!((again.text, world.kept()), (answer.text, 1000));
    assert_eq!(again.headers["idempotent-replayed"], "true");
}

#[tokio::test]
async fn a_wrong_line_keeps_those_before_it_and_is_named() {
    let world = World::new();
    let body =
        "{\"topic\":\"a\",\"data\":1}\n\n{\"topic\":\"a\",\"dta\":2}\n{\"topic\":\"a\",\"data\":3}";
    let answer = world.answer(request("POST", "/events", &[NDJSON], body)).await;
    let problem = answer.json();
    assert_eq!(answer.status, 400);
    assert_eq!((&problem["line"], &problem["published"]), (&json!(3), &json!(1)));
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("did you mean data?"), "{detail}");
    assert!(detail.contains("The event before it is published"), "{detail}");
    assert_eq!(world.kept(), 1);
}

#[tokio::test]
async fn who_comes_back_gets_what_was_missed() {
    let world = World::new();
    let mut ids = Vec::new();
    for n in 1..=5 {
        let id = world.post("/topics/a", n.to_string()).await["id"].clone();
        ids.push(id.as_str().unwrap().to_owned());
    }
    let path = format!("/topics/a?lastEventId={}", ids[2]);
    let mut stream = world.listen(&path, &[]).await;
    assert_eq!(stream.headers["tidings-resume"], "resumed");
    let text = stream.until("data: 5\n\n").await;
    assert!(text.contains("data: 4\n\n") && !text.contains("data: 3"), "{text}");
    // The header wins: it is newer than the address that the client was given.
    let mut stream = world.listen(&path, &[("last-event-id", &ids[3])]).await;
    assert!(!stream.until("data: 5\n\n").await.contains("data: 4"));
    let mut stream = world.listen("/topics/a?last=2", &[]).await;
    assert!(!stream.until("data: 5\n\n").await.contains("data: 3"));
    let mut stream = world.listen("/topics/a?since=earliest", &[]).await;
    assert!(stream.until("data: 5\n\n").await.contains("data: 1"));
    let mut stream = world.listen("/topics/a?since=10m", &[]).await;
    assert!(stream.until("data: 5\n\n").await.contains("data: 1"));
    for unknown in ["0123abcd-7", "never", "%00", &"x".repeat(2000)] {
        let mut stream = world.listen(&format!("/topics/a?last_event_id={unknown}"), &[]).await;
        assert_eq!(stream.headers["tidings-resume"], "reset", "{unknown}");
        stream.until("event: tidings.reset\n").await;
    }
}

#[tokio::test]
async fn history_comes_page_by_page() {
    let world = World::new();
    for n in 1..=5 {
        world.post("/topics/a", n.to_string()).await;
        world.post("/topics/b", "b").await;
    }
    assert_eq!(data(&world.history("/topics/a?limit=2").await), ["4", "5"]);
    let first = world.history("/topics/a?limit=2&since=earliest").await;
    assert_eq!(data(&first), ["1", "2"]);
    let next = first["next"].as_str().unwrap();
    let second = world.history(&format!("/topics/a?limit=2&last_event_id={next}")).await;
    assert_eq!(data(&second), ["3", "4"]);
    let all = world.history("/topics/*?since=1h").await;
    assert_eq!(all["events"].as_array().unwrap().len(), 10);
    // A stream goes on where the page ends.
    let path = format!("/topics/a?last_event_id={}", second["next"].as_str().unwrap());
    let mut stream = world.listen(&path, &[]).await;
    assert!(!stream.until("data: 5\n\n").await.contains("data: 4"));
}

#[tokio::test]
async fn private_events_are_not_for_everybody() {
    let world = World::new();
    world.post("/topics/a?private", "secret").await;
    world.post("/topics/a?private=0", "open").await;
    world.post("/events", r#"[{"topic":"a","private":true,"data":"secret"}]"#).await;
    world.post("/topics/a", "end").await;
    assert_eq!(data(&world.history("/topics/a").await), ["open", "end"]);
    let mut stream = world.listen("/topics/a?since=earliest", &[]).await;
    let text = stream.until("data: end\n\n").await;
    assert!(text.contains("data: open\n\n") && !text.contains("secret"), "{text}");
}

#[tokio::test]
async fn a_browser_gets_a_page_and_an_event_source_a_stream() {
    let world = World::new();
    let bar = [("accept", "text/html,application/xhtml+xml,*/*;q=0.8")];
    let page = world.get("/topics/demo", &bar).await;
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(page.header("vary"), Some("Accept"));
    assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'self'"));
    for file in ["topic.js", "topic.css", "style.css", "icon.svg"] {
        let answer = world.get(&format!("/_tidings/{file}"), &[]).await;
        assert_eq!(answer.status, 200, "{file}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    }
    for accept in ["text/event-stream", "*/*"] {
        world.listen("/topics/demo", &[("accept", accept)]).await;
    }
    world.listen("/events?topic=demo", &bar).await;
    let png = world.get("/topics/demo", &[("accept", "image/png")]).await;
    assert_eq!(png.status, 406, "{png:?}");
    assert_eq!(png.header("vary"), Some("Accept"));
}

#[tokio::test]
async fn head_answers_without_subscribing() {
    let world = World::new();
    let answer = world.answer(request("HEAD", "/topics/demo", &[], Body::empty())).await;
    assert_eq!((answer.status.as_u16(), &*answer.text), (200, ""));
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    assert_eq!(answer.header("content-length"), None);
    assert_eq!(answer.header("tidings-resume"), None);
    assert_eq!(world.hub.metrics().subscribers.get(), 0);
}

#[tokio::test]
async fn pages_of_other_origins_read_but_do_not_publish() {
    let world = World::new();
    let preflight = |method: &'static str| {
        let headers = [
            ("origin", "https://a.example"),
            ("access-control-request-method", method),
            ("access-control-request-headers", "last-event-id"),
        ];
        world.answer(request("OPTIONS", "/topics/demo", &headers, Body::empty()))
    };
    let reading = preflight("GET").await;
    assert_eq!(reading.status, 204);
    assert_eq!(reading.header("access-control-allow-origin"), Some("*"));
    assert_eq!(reading.header("access-control-allow-methods"), Some("GET, HEAD"));
    let allowed = reading.header("access-control-allow-headers").unwrap();
    assert!(allowed.contains("Last-Event-ID") && allowed.contains("Authorization"), "{allowed}");
    for method in ["POST", "PUT", "DELETE"] {
        let answer = preflight(method).await;
        assert_eq!(answer.status, 403);
        assert_eq!(answer.header("access-control-allow-origin"), None, "{method}");
    }
    for (headers, status) in [
        (&[("origin", "https://a.example"), ("host", "hub.example")][..], 403),
        (&[("origin", "null"), ("host", "hub.example")], 403),
        (&[("sec-fetch-site", "cross-site"), ("host", "hub.example")], 403),
        (&[("origin", "https://hub.example"), ("host", "hub.example")], 200),
        (&[("host", "hub.example")], 200),
    ] {
        for path in ["/topics/demo", "/events"] {
            let before = world.kept();
            let body = r#"{"topic":"demo","data":"x"}"#;
            let answer = world.answer(request("POST", path, headers, body)).await;
            assert_eq!(answer.status, status, "{headers:?}");
            assert_eq!(world.kept() > before, status == 200);
        }
    }
    // Problems can be read too.
    let origin = [("origin", "https://a.example")];
    let problem = world.get("/events", &origin).await;
    assert_eq!(problem.status, 400);
    assert_eq!(problem.header("access-control-allow-origin"), Some("*"));
    let health = world.get("/healthz", &origin).await;
    assert_eq!(health.header("access-control-allow-origin"), None);
    let options = world.answer(request("OPTIONS", "/events", &[], Body::empty())).await;
    assert_eq!(options.header("allow"), Some("GET, HEAD, POST, OPTIONS"));
}

#[tokio::test]
async fn those_who_run_it_see_how_it_is() {
    let world = World::new();
    for path in ["/healthz", "/readyz"] {
        let answer = world.get(path, &[]).await;
        assert_eq!((answer.status.as_u16(), &*answer.text), (200, "ok\n"), "{path}");
    }
    let index = world.get("/", &[("host", "hub.example:8080")]).await;
    assert!(index.text.contains("curl -N http://hub.example:8080/topics/demo"), "{}", index.text);
    world.answer(request("POST", "/topics/a?id=", &[], "x")).await;
    world.answer(request("POST", &format!("/topics/{}", "x".repeat(2000)), &[], "x")).await;
    let metrics = world.get("/metrics", &[]).await;
    let content_type = metrics.header("content-type").unwrap();
    assert!(content_type.starts_with("application/openmetrics-text"), "{content_type}");
    for line in [
        "tidings_publishes_refused_total{status=\"400\"} 2",
        "tidings_limits_hit_total{limit=\"topic_bytes_max\"} 1",
        "# EOF",
    ] {
        assert!(metrics.text.lines().any(|found| found == line), "{line}\n{}", metrics.text);
    }
    assert!(metrics.text.contains("\nprocess_cpu_seconds_total "), "{}", metrics.text);
}

#[tokio::test]
async fn while_it_shuts_down_nothing_new_begins() {
    let world = World::new();
    world.hub.begin_shutdown();
    for request in [
        request("POST", "/topics/a", &[], "x"),
        request("POST", "/events", &[], "[]"),
        request("GET", "/topics/a", &[], Body::empty()),
    ] {
        let answer = world.answer(request).await;
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(answer.header("retry-after").is_some());
    }
    // EventSource would never come back after a 503, and does after a stream that has ended.
    let events = world.get("/topics/a", &[("accept", "text/event-stream")]).await;
    assert_eq!(events.status, 200);
    assert_eq!(events.header("content-type"), Some("text/event-stream"));
    assert!(events.text.starts_with(":\nretry: ") && !events.text.contains("\n\n"), "{events:?}");
    assert_eq!(world.get("/healthz", &[]).await.status, 200);
    let ready = world.get("/readyz", &[]).await;
    assert_eq!((ready.status.as_u16(), &*ready.text), (503, "the hub is shutting down\n"));
}

#[tokio::test]
async fn without_topics_the_setting_decides() {
    let default_selectors = Some(Selector::parse("news/*").unwrap().into());
    let world = World::with(Config { default_selectors, ..Config::default() });
    world.post("/topics/news/1", "in").await;
    world.post("/topics/other", "out").await;
    assert_eq!(data(&world.history("/events").await), ["in"]);
}

#[tokio::test]
async fn an_application_brings_routes_of_its_own() {
    async fn events(
        State(hub): State<Hub>,
        subscriber: Subscriber,
    ) -> Result<EventStream, Problem> {
        subscriber.to(&hub, ["demo", "orders/{id}"]).await
    }
    async fn wrong(State(hub): State<Hub>, subscriber: Subscriber) -> Result<EventStream, Problem> {
        subscriber.to(&hub, ["a*b"]).await
    }
    let mut world = World::new();
    world.router = Router::new()
        .route("/my/events", get(events))
        .route("/wrong", get(wrong))
        .with_state(world.hub.clone())
        .nest("/hub", api::router(world.hub.clone(), Access::open()));
    world.post("/hub/topics/orders/1", "first").await;
    let mut stream = world.listen("/my/events?last=5", &[]).await;
    world.hub.publish(event("demo", "second")).await.unwrap();
    let text = stream.until("data: second\n\n").await;
    assert!(text.contains("data: first\n\n"), "{text}");
    assert_eq!(world.get("/wrong", &[]).await.status, 400);
    let refused = world.get("/my/events?last=x", &[]).await;
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    let head = world.answer(request("HEAD", "/my/events", &[], Body::empty())).await;
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
}

fn event(topic: &str, data: &'static str) -> tidings_core::event::Event {
    let topic = tidings_core::event::Topic::parse(topic).unwrap();
    tidings_core::event::Event::new(topic, data.into())
}

/// Sends a request over a real connection, all of it before it listens, and gives the answer.
async fn over_tcp(world: &World, pieces: &[&[u8]]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tidings_server::serve(listener, world.router.clone(), world.hub.clone());
    let server = tokio::spawn(server);
    let mut client = TcpStream::connect(address).await.unwrap();
    for piece in pieces {
        client.write_all(piece).await.unwrap();
    }
    let mut answer = vec![0; 4096];
    let bytes = client.read(&mut answer).await.unwrap();
    server.abort();
    String::from_utf8(answer[..bytes].to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_too_much_hears_of_it_even_when_all_was_sent_first() {
    let world = World::new();
    let piece = vec![b'x'; 1 << 20];
    let told: &[u8] = b"POST /topics/a HTTP/1.1\r\nhost: h\r\ncontent-length: 8388608\r\n\r\n";
    let pieces: Vec<&[u8]> = [told].into_iter().chain(vec![&piece[..]; 8]).collect();
    let answer = over_tcp(&world, &pieces).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains("\"limit\":\"data_bytes_max\",\"max\":1048576"), "{answer}");
    let head: &[u8] = b"POST /topics/a HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut pieces = vec![head];
    for _ in 0..8 {
        pieces.extend([&b"100000\r\n"[..], &piece, b"\r\n"]);
    }
    pieces.push(b"0\r\n\r\n");
    let answer = over_tcp(&world, &pieces).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert_eq!(world.kept(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_wait_for_each_other_leave_in_one_write() {
    let coalesce = Duration::from_secs(3600);
    let world = World::with(Config { coalesce, ..Config::default() });
    let mut stream = world.listen("/topics/a", &[]).await;
    while world.hub.metrics().subscribers.get() == 0 {
        tokio::task::yield_now().await;
    }
    for number in 1..=64 {
        world.post("/topics/a", format!("number {number}")).await;
    }
    // So many fill a pass over the sockets, and do not wait any longer.
    stream.until("number 64\n").await;
    world.becomes(|metrics| metrics.delivered.get() == 64).await;
    assert_eq!(world.hub.metrics().writes.get(), 1);
}
