//! What the options do, against a server that follows a script.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde::Deserialize;
use tidings_client::reqwest::Method;
use tidings_client::reqwest::header::{HeaderMap, HeaderValue};
use tidings_client::{Error, Hub, Step};

use crate::scripted::{
    Scripted, data, end, ending, event, patiently, reset, soon, status, steps, stream, stream_with,
};

fn header(name: &'static str, value: &str) -> HeaderMap {
    HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::try_from(value).unwrap())])
}

#[tokio::test]
async fn headers_stand_in_every_request_and_in_place_of_ours() {
    let mut server = Scripted::start([ending("data: a\n\n"), stream("data: b\n\n")]).await;
    let mut headers = header("x-a", "1");
    headers.extend(header("accept", "text/*"));
    let mut source = server.soon().headers(headers).build().unwrap();
    data(&mut source, 2).await;
    for _ in 0..2 {
        let request = server.request().await;
        assert_eq!((request.header("x-a"), request.header("accept")), (Some("1"), Some("text/*")));
    }
}

#[tokio::test]
async fn a_function_is_asked_for_headers_at_every_attempt_and_may_fail() {
    let script = [status(503, "", ""), ending("data: a\n\n"), stream("data: b\n\n")];
    let mut server = Scripted::start(script).await;
    let asked = Arc::new(AtomicU32::new(0));
    let headers = move || {
        let turn = asked.fetch_add(1, Ordering::Relaxed);
        async move {
            match turn {
                0 => Err("no token yet".into()),
                turn => Ok(header("authorization", &format!("Bearer {turn}"))),
            }
        }
    };
    let mut source = server.soon().headers_from(headers).build().unwrap();
    let Some(Step::Broken { error, .. }) = patiently(source.next_step()).await else {
        panic!("the function has failed");
    };
    assert!(error.to_string().ends_with("no token yet"), "{error}");
    data(&mut source, 2).await;
    for turn in 1..=3 {
        let bearer = format!("Bearer {turn}");
        assert_eq!(server.request().await.header("authorization"), Some(bearer.as_str()));
    }
}

#[tokio::test]
async fn method_and_body_at_every_attempt() {
    let mut server = Scripted::start([ending("data: a\n\n"), stream("data: b\n\n")]).await;
    let mut source = server.soon().method(Method::POST).body("question").build().unwrap();
    data(&mut source, 2).await;
    for _ in 0..2 {
        let request = server.request().await;
        assert_eq!((request.method.as_str(), request.body.as_str()), ("POST", "question"));
    }
}

#[tokio::test]
async fn silence_ends_a_connection() {
    for (head, timeout) in [("", Some(50)), ("Tidings-Heartbeat: 0.02\r\n", None)] {
        let script = [stream_with(head, "data: a\n\n"), stream("data: b\n\n")];
        let mut server = Scripted::start(script).await;
        let mut builder = server.soon();
        if let Some(timeout) = timeout {
            builder = builder.heartbeat_timeout(Duration::from_millis(timeout));
        }
        let mut source = builder.build().unwrap();
        assert_eq!(event(&mut source).await.data, "a");
        let Some(Step::Broken { error, .. }) = patiently(source.next_step()).await else {
            panic!("it was silent");
        };
        assert!(matches!(error, Error::Silent(time) if time == Duration::from_millis(50)));
        patiently(server.request().await.gone).await.unwrap();
        assert_eq!(event(&mut source).await.data, "b");
    }
}

#[tokio::test]
async fn what_a_server_announces_may_be_nonsense() {
    for heartbeat in ["0", "-1", "NaN", "inf", "1e300", "soon", "0.0000000001"] {
        let head = format!("Tidings-Heartbeat: {heartbeat}\r\nRetry-After: {heartbeat}\r\n");
        let server =
            Scripted::start([stream_with(&head, "retry: 99999999999999999999999\ndata: a\n\n")]);
        assert_eq!(event(&mut server.await.soon().build().unwrap()).await.data, "a");
    }
}

#[tokio::test]
async fn a_server_s_waits_are_kept() {
    let script = [
        status(503, "Retry-After: 77\r\n", ""),
        status(429, "Retry-After: 99999999\r\n", ""),
        ending("retry: 5000\n\n"),
        ending("retry: 18446744073709551615\n\n"),
    ];
    let server = Scripted::start(script).await;
    let mut source = server.soon().build().unwrap();
    for (least, most) in [(77, 77), (3600, 3600), (5, 6), (1 << 40, u64::MAX)] {
        let wait = loop {
            match patiently(source.next_step()).await {
                Some(Step::Broken { wait, .. }) => break wait,
                Some(Step::Open { .. }) => {}
                other => panic!("{other:?}"),
            }
        };
        assert!((least..=most).contains(&wait.as_secs()), "{wait:?}");
        // It need not be waited for.
        source.reconnect();
    }
}

#[tokio::test]
async fn attempts_in_a_row_are_counted_and_an_open_stream_begins_anew() {
    let script = [reset(), reset(), ending("data: a\n\n"), reset(), reset(), reset()];
    let mut server = Scripted::start(script).await;
    let mut source = server.soon().max_retries(2).build().unwrap();
    assert_eq!(steps(&mut source).await, ["broken", "broken", "open", "event a"]);
    assert_eq!(steps(&mut source).await, ["broken", "broken", "closed"]);
    assert_eq!(server.count(), 5);
}

#[tokio::test]
async fn what_is_fatal_can_be_said() {
    let server = Scripted::start([status(404, "", ""), status(503, "", "")]).await;
    let mut source = server.soon().fatal(|status| status == 503).build().unwrap();
    assert_eq!(steps(&mut source).await, ["broken 404", "closed"]);
}

#[tokio::test]
async fn an_event_over_the_limit_ends_it_after_those_before() {
    let long = format!("data: a\n\ndata: {}\n\n", "b".repeat(100));
    let mut server = Scripted::start([stream(&long)]).await;
    let mut source = server.soon().buffer_limit(50).build().unwrap();
    assert_eq!(event(&mut source).await.data, "a");
    let error = end(&mut source).await;
    assert!(error.to_string().contains("50 bytes"), "{error}");
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn a_refusal_tells_what_the_hub_said() {
    let problem = r#"{"title":"Too Many","detail":"come back later","limit":"subscribers"}"#;
    let head = "Content-Type: application/problem+json\r\n";
    let server = Scripted::start([status(400, head, problem)]).await;
    let error = end(&mut server.soon().build().unwrap()).await;
    assert_eq!(error.to_string(), "the hub refused (400): come back later");
    let Error::Refused(refusal) = error else { panic!("{error}") };
    assert_eq!(refusal.limit().as_deref(), Some("subscribers"));
}

#[tokio::test]
async fn a_refused_token_is_asked_for_again_and_one_that_ends_is_replaced() {
    let script = [
        status(401, "", ""),
        stream("id: 1\nevent: tidings.renew\ndata: {\"expires_in\":0}\n\n"),
        stream("data: a\n\n"),
    ];
    let mut server = Scripted::start(script).await;
    let asked = Arc::new(AtomicU32::new(0));
    let token = move |refused| {
        let turn = asked.fetch_add(1, Ordering::Relaxed);
        async move { Ok(format!("{turn}-{refused}")) }
    };
    let base = server.url.replace("/stream", "/base/");
    let hub = Hub::new(&base).unwrap().token_from(token);
    let mut source = soon(hub.subscribe(["a/{id}", "b"]).unwrap()).build().unwrap();
    assert_eq!(event(&mut source).await.renew(), Some(Duration::ZERO));
    assert_eq!(event(&mut source).await.data, "a");
    for (token, id) in [("0-false", None), ("1-true", None), ("2-false", Some("1"))] {
        let request = server.request().await;
        assert_eq!(request.target, "/base/events?topic=a%2F%7Bid%7D&topic=b");
        assert_eq!(request.header("authorization"), Some(format!("Bearer {token}").as_str()));
        assert_eq!(request.header("last-event-id"), id);
    }
}

#[tokio::test]
async fn data_is_what_serde_makes_of_it() {
    #[derive(Debug, Deserialize, PartialEq)]
    struct Total {
        total: u32,
    }
    let server = Scripted::start([stream("data: {\"total\":\ndata: 12}\n\ndata: no\n\n")]).await;
    let mut source = server.soon().build().unwrap();
    assert_eq!(event(&mut source).await.json::<Total>().unwrap(), Total { total: 12 });
    assert!(event(&mut source).await.json::<Total>().is_err());
}

#[tokio::test]
async fn no_secret_is_shown() {
    let server = Scripted::start([reset()]).await;
    let url = format!("{}?ticket=SECRET", server.url);
    let headers = header("authorization", "Bearer SECRET");
    let builder = tidings_client::EventSource::builder(&url).headers(headers).max_retries(0);
    let shown = format!("{builder:?}");
    let mut source = builder.build().unwrap();
    let error = end(&mut source).await;
    let hub = Hub::new("http://a.example").unwrap().token("SECRET");
    let shown = format!("{shown} {source:?} {error} {error:?} {hub:?}");
    assert!(!shown.contains("SECRET"), "{shown}");
}
