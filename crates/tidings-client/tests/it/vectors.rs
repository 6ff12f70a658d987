//! The vectors of `testdata/sse` through a socket and all of the client. Its decoder reads them in
//! `crates/tidings-core/tests/vectors.rs`.

use tidings_client::Event;

use crate::scripted::{Answer, Scripted, ending, event};
use crate::sse::{Vector, vectors};

#[tokio::test]
async fn every_vector_through_a_socket() {
    for Vector { title, stream, after, events, last_event_id, retry_ms } in vectors() {
        let Answer::Ending(mut answer) = ending("") else { unreachable!() };
        answer.extend_from_slice(&stream);
        let then = ending("event: tidings-test-end\ndata\n\n");
        let mut server = Scripted::start([Answer::Ending(answer), then]).await;
        let mut source = server.soon().last_event_id(after).build().unwrap();
        let mut got = Vec::new();
        while got.len() < events.len() {
            let Event { event_type, data, id, .. } = event(&mut source).await;
            got.push((event_type, id.to_string(), data));
        }
        assert_eq!(got, events, "{title}");
        // A vector may ask for a long wait.
        if retry_ms.is_none() {
            assert_eq!(event(&mut source).await.event_type, "tidings-test-end");
            server.request().await;
            let asked = server.request().await;
            let expected = Some(last_event_id.as_str()).filter(|id| !id.is_empty());
            assert_eq!(asked.header("last-event-id"), expected, "{title}");
        }
    }
}
