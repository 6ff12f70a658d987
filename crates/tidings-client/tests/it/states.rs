//! The state machine, C1 to C14, against a server that follows a script.

use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _};
use tidings_client::{Error, EventSource, State};

use crate::scripted::{
    Scripted, data, end, ending, event, patiently, reset, status, steps, stream, stream_with, typed,
};

#[tokio::test]
async fn c1_a_source_goes_from_connecting_to_open_to_closed() {
    let mut server = Scripted::start([stream("data: a\n\n"), status(404, "", "")]).await;
    let mut source = server.soon().build().unwrap();
    assert_eq!((source.state(), server.count()), (State::Connecting, 0));
    assert_eq!(steps(&mut source).await, ["open", "event a"]);
    assert_eq!(source.state(), State::Open);
    source.reconnect();
    assert_eq!(source.state(), State::Connecting);
    assert_eq!(steps(&mut source).await, ["closed"]);
    assert_eq!(source.state(), State::Closed);
    source.reconnect();
    assert!(source.next().await.is_none(), "it stays closed");
    assert_eq!(source.state(), State::Closed);
}

#[test]
fn c1_c5_what_is_no_url_or_can_not_be_fetched_is_refused_at_once() {
    for url in ["http://", "http://[", "/relative", "", "ftp://a.example/", "mailto:a@b.example"] {
        let error = EventSource::new(url).unwrap_err();
        assert!(matches!(error, Error::Url { .. }), "{url}: {error}");
    }
}

#[tokio::test]
async fn c2_the_request() {
    let mut server = Scripted::start([stream("data: a\n\n")]).await;
    let mut source = server.soon().build().unwrap();
    event(&mut source).await;
    let request = server.request().await;
    assert_eq!((request.method.as_str(), request.target.as_str()), ("GET", "/stream"));
    assert_eq!(request.header("accept"), Some("text/event-stream"));
    assert_eq!(request.header("cache-control"), Some("no-cache"));
    assert_eq!(request.header("last-event-id"), None);
}

#[tokio::test]
async fn c3_the_type_is_compared_by_its_essence() {
    for kind in [
        "Text/Event-Stream",
        "text/event-stream;charset=utf-8",
        "text/event-stream;",
        "text/event-stream ; charset=latin1",
    ] {
        let server = Scripted::start([typed(kind, "data: ü\n\n")]).await;
        assert_eq!(event(&mut server.soon().build().unwrap()).await.data, "ü", "{kind}");
    }
    for kind in ["text/event-streamx", "text/plain", "text/event"] {
        let mut server = Scripted::start([typed(kind, "data: a\n\n")]).await;
        let mut source = server.soon().build().unwrap();
        // Its body stays open: nobody waits for it.
        let error = end(&mut source).await;
        assert_eq!(error.status().unwrap().as_u16(), 200);
        assert!(error.to_string().contains(kind), "{error}");
        patiently(server.request().await.gone).await.unwrap();
    }
}

#[tokio::test]
async fn c4_what_will_not_pass_ends_it_and_what_passes_does_not() {
    for code in [201, 205, 304, 400, 401, 403, 404, 410, 422] {
        let mut server = Scripted::start([status(code, "", "")]).await;
        let mut source = server.soon().build().unwrap();
        assert_eq!(end(&mut source).await.status().unwrap().as_u16(), code);
        assert!(source.next().await.is_none());
        assert_eq!(server.count(), 1);
    }
    for code in [408, 425, 429, 500, 502, 503, 504] {
        let server = Scripted::start([status(code, "", ""), stream("data: a\n\n")]).await;
        let mut source = server.soon().build().unwrap();
        let broken = format!("broken {code}");
        assert_eq!(steps(&mut source).await, [&broken, "open", "event a"]);
    }
}

#[tokio::test]
async fn c5_broken_connections_are_made_again() {
    let script = [reset(), reset(), ending("data: a\n\ndata: cut"), stream("data: b\n\n")];
    let server = Scripted::start(script).await;
    let mut source = server.soon().build().unwrap();
    assert_eq!(steps(&mut source).await, ["broken", "broken", "open", "event a"]);
    assert_eq!(steps(&mut source).await, ["broken", "open", "event b"]);
}

#[tokio::test]
async fn c7_no_content_is_the_end_and_no_error() {
    let mut server = Scripted::start([ending("data: a\n\n"), status(204, "", "")]).await;
    let mut source = server.soon().build().unwrap();
    event(&mut source).await;
    assert!(patiently(source.next()).await.is_none());
    assert_eq!((source.state(), server.count()), (State::Closed, 2));
}

#[tokio::test]
async fn c8_redirects_are_followed_and_reconnects_go_to_the_first_url() {
    for code in [301, 302, 303, 307, 308] {
        let target = Scripted::start([ending("data: a\n\n"), stream("data: b\n\n")]).await;
        let location = format!("Location: {}\r\n", target.url);
        let mut server = Scripted::start([status(code, &location, "")]).await;
        let mut source = server.soon().build().unwrap();
        assert_eq!(data(&mut source, 2).await, ["a", "b"]);
        assert_eq!(server.count(), 2, "{code}");
    }
}

#[tokio::test]
async fn c9_ids_come_back_as_they_were() {
    for id in ["k3f9x2ab-17", "…", "ü", "日本", "a b", "\u{fffd}"] {
        let script = [ending(&format!("id: {id}\ndata: a\n\n")), stream("data: b\n\n")];
        let mut server = Scripted::start(script).await;
        let mut source = server.soon().build().unwrap();
        data(&mut source, 2).await;
        assert_eq!(server.request().await.header("last-event-id"), None);
        assert_eq!(server.request().await.header("last-event-id"), Some(id));
        assert_eq!(source.last_event_id(), id);
    }
}

#[tokio::test]
async fn c9_c10_an_id_stays_over_connections_and_goes_when_it_is_taken_back() {
    let script = [
        ending("id: 1\ndata: a\n\n"),
        ending("data: b\n\n"),
        ending("id: 2\n\nid: 3\ndata: cut"),
        ending("id\n\n"),
        stream("data: c\n\n"),
    ];
    let mut server = Scripted::start(script).await;
    let mut source = server.soon().build().unwrap();
    let ids = [event(&mut source).await.id, event(&mut source).await.id];
    assert_eq!(ids.map(|id| id.to_string()), ["1", "1"]);
    assert_eq!(event(&mut source).await.data, "c");
    for expected in [None, Some("1"), Some("1"), Some("2"), None] {
        assert_eq!(server.request().await.header("last-event-id"), expected);
    }
}

#[tokio::test]
async fn c10_one_can_begin_with_an_id() {
    let mut server = Scripted::start([stream("data: a\n\n")]).await;
    let mut source = server.soon().last_event_id("7").build().unwrap();
    assert_eq!(&*event(&mut source).await.id, "7");
    assert_eq!(server.request().await.header("last-event-id"), Some("7"));
    let broken = server.soon().last_event_id("a\nb").build().unwrap_err();
    assert!(matches!(broken, Error::Header { .. }));
}

#[tokio::test]
async fn what_was_not_handed_on_comes_again() {
    // Both in one piece: what the source has but nobody has seen is not received.
    let script = [stream("id: 1\ndata: a\n\nid: 2\ndata: b\n\n"), stream("data: again\n\n")];
    let mut server = Scripted::start(script).await;
    let mut source = server.soon().build().unwrap();
    assert_eq!(event(&mut source).await.data, "a");
    server.request().await;
    source.reconnect();
    assert_eq!(event(&mut source).await.data, "again");
    assert_eq!(server.request().await.header("last-event-id"), Some("1"));
}

#[tokio::test]
async fn before_its_first_event_it_goes_on_where_the_first_stream_began() {
    let first = stream_with("Tidings-Cursor: k3f9x2ab-7\r\nTidings-Heartbeat: 0.01\r\n", ":\n");
    let mut server = Scripted::start([first, stream("data: a\n\n")]).await;
    let mut source = server.soon().build().unwrap();
    event(&mut source).await;
    server.request().await;
    assert_eq!(server.request().await.header("last-event-id"), Some("k3f9x2ab-7"));
}

#[tokio::test]
async fn c11_dropping_it_closes_the_connection() {
    let mut server = Scripted::start([stream("data: a\n\ndata: b\n\n")]).await;
    let mut source = server.soon().build().unwrap();
    event(&mut source).await;
    let request = server.request().await;
    drop(source);
    patiently(request.gone).await.unwrap();
}

#[tokio::test]
async fn a_next_that_is_dropped_loses_nothing() {
    let server = Scripted::start([ending("id: 1\ndata: a\n\n"), stream("data: b\n\n")]).await;
    let mut source = server.soon().build().unwrap();
    let mut seen = Vec::new();
    patiently(async {
        while seen.len() < 2 {
            // Each call is polled once and dropped.
            if let Some(Some(event)) = source.next().now_or_never() {
                seen.push(event.unwrap().data);
            }
            tokio::time::sleep(Duration::from_micros(100)).await;
        }
    })
    .await;
    assert_eq!(seen, ["a", "b"]);
}
