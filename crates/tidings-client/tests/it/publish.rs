//! Publishing: what is sent, and what is sent again.

use serde_json::json;
use tidings_client::{Error, Hub, Publish};

use crate::scripted::{Scripted, patiently, reset, status};

const IDS: &str = r#"{"ids":["k3f9x2ab-1"]}"#;

fn taken() -> crate::scripted::Answer {
    status(200, "Content-Type: application/json\r\n", IDS)
}

fn hub(server: &Scripted) -> Hub {
    Hub::new(server.url.trim_end_matches("/stream")).unwrap().token("t")
}

#[tokio::test]
async fn an_event_goes_with_all_it_has() {
    let mut server = Scripted::start([taken()]).await;
    let event = Publish::json(&json!({"total": 12})).unwrap().event("updated").id("1").private();
    let event = event.retry(std::time::Duration::from_secs(2)).idempotency_key("k");
    let id = patiently(hub(&server).publish("orders/42", event)).await.unwrap();
    assert_eq!(id, "k3f9x2ab-1");
    let request = server.request().await;
    assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/events"));
    assert_eq!(request.header("idempotency-key"), Some("k"));
    assert_eq!(request.header("authorization"), Some("Bearer t"));
    let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
    let expected = json!([{"topic": "orders/42", "data": "{\"total\":12}", "event": "updated",
        "id": "1", "retry": 2000, "private": true}]);
    assert_eq!(body, expected);
}

#[tokio::test]
async fn what_passes_is_sent_again_under_the_same_key() {
    let mut server = Scripted::start([reset(), status(503, "", ""), taken()]).await;
    patiently(hub(&server).publish("a", "1")).await.unwrap();
    let first = server.request().await.header("idempotency-key").unwrap().to_owned();
    for _ in 0..2 {
        assert_eq!(server.request().await.header("idempotency-key"), Some(first.as_str()));
    }
    patiently(hub(&server).publish("a", "1")).await.unwrap();
    assert_ne!(server.request().await.header("idempotency-key"), Some(first.as_str()));
}

#[tokio::test]
async fn a_refusal_is_told_at_once() {
    for code in [400, 401, 403, 413, 500] {
        let mut server = Scripted::start([status(code, "", "")]).await;
        let error = patiently(hub(&server).publish("a", "1")).await.unwrap_err();
        assert!(matches!(&error, Error::Refused(refusal) if refusal.status == code), "{error}");
        assert_eq!(server.count(), 1);
    }
}
