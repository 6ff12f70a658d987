//! The contract-test service does what its protocol asks for, and the client what the suite does.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Stdio;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tidings_client::reqwest::{Client, StatusCode};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::scripted::{Answer, Scripted, ending, patiently, status, stream};

#[tokio::test]
async fn a_stream_is_opened_told_of_restarted_and_closed() {
    let (mut child, service) = start().await;
    let client = Client::new();
    let mut told = Scripted::start([status(200, "", "")]).await;
    let script =
        [stream("id: 1\nevent: put\ndata: a\n\n"), ending("data: b\n\n"), stream("data: c\n\n")];
    let mut source = Scripted::start(script).await;

    let answer: Value = client.get(&service).send().await.unwrap().json().await.unwrap();
    for capability in ["headers", "last-event-id", "post", "restart"] {
        assert!(answer["capabilities"].as_array().unwrap().contains(&capability.into()));
    }
    let order = json!({
        "streamUrl": source.url,
        "callbackUrl": told.url,
        "initialDelayMs": 1,
        "lastEventId": "0",
        "headers": { "x-a": "1" },
        "method": "REPORT",
        "body": "question",
    });
    let created = client.post(&service).json(&order).send().await.unwrap();
    assert_eq!(created.status(), StatusCode::CREATED);
    let location = created.headers()["location"].to_str().unwrap();
    let path = format!("{}{location}", service.trim_end_matches('/'));
    let request = source.request().await;
    assert_eq!((request.method.as_str(), request.body.as_str()), ("REPORT", "question"));
    assert_eq!(request.header("x-a"), Some("1"));
    assert_eq!(request.header("last-event-id"), Some("0"));

    let first = told.request().await;
    assert_eq!(first.target, "/stream/1");
    let mut messages = vec![first.body];
    let restarted = client.post(&path).body(r#"{"command":"restart"}"#).send().await.unwrap();
    assert_eq!(restarted.status(), StatusCode::ACCEPTED);
    for _ in 0..3 {
        messages.push(told.request().await.body);
    }
    let messages: Vec<Value> =
        messages.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    let event = |kind: &str, data: &str| json!({ "kind": "event", "event": { "type": kind, "data": data, "id": "1" } });
    let ended = json!({ "kind": "error", "comment": "the stream ended" });
    let expected = [event("put", "a"), event("message", "b"), ended, event("message", "c")];
    assert_eq!(messages, expected);

    let wrong = client.post(&path).body(r#"{"command":"?"}"#).send().await.unwrap();
    assert_eq!(wrong.status(), StatusCode::BAD_REQUEST);
    source.request().await;
    let last = source.request().await;
    let closed = async || client.delete(&path).send().await.unwrap().status();
    assert_eq!(closed().await, StatusCode::NO_CONTENT);
    patiently(last.gone).await.unwrap();
    assert_eq!(closed().await, StatusCode::NOT_FOUND);
    let broken = client.post(&service).body("{").send().await.unwrap();
    assert_eq!(broken.status(), StatusCode::BAD_REQUEST);
    drop(client.delete(&service).send().await.unwrap());
    // Its connections would else be waited for.
    drop(client);
    assert!(patiently(child.wait()).await.unwrap().success());
}

/// See `testdata/contract/README.md`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    name: String,
    #[serde(default)]
    order: Map<String, Value>,
    answers: Vec<Said>,
    restart_after: Option<usize>,
    requests: Vec<Asked>,
    messages: Vec<Value>,
}

#[derive(Deserialize)]
struct Said {
    status: Option<u16>,
    #[serde(default)]
    headers: Map<String, Value>,
    #[serde(default)]
    body: String,
    #[serde(default)]
    ends: bool,
}

#[derive(Deserialize)]
struct Asked {
    method: String,
    body: String,
    headers: Map<String, Value>,
}

impl Said {
    fn answer(&self) -> Answer {
        let mut head = String::new();
        for (name, value) in &self.headers {
            write!(head, "{name}: {}\r\n", value.as_str().unwrap()).unwrap();
        }
        match self.status {
            Some(code) => status(code, &head, &self.body),
            None if self.ends => ending(&self.body),
            None => stream(&self.body),
        }
    }
}

#[tokio::test]
async fn the_suite_s_main_cases() {
    let (mut child, service) = start().await;
    let client = Client::new();
    let cases = include_str!("../../../../testdata/contract/cases.json");
    for case in serde_json::from_str::<Vec<Case>>(cases).unwrap() {
        play(case, &client, &service).await;
    }
    drop(client.delete(&service).send().await.unwrap());
    drop(client);
    assert!(patiently(child.wait()).await.unwrap().success());
}

async fn play(case: Case, client: &Client, service: &str) {
    let name = case.name;
    let mut told = Scripted::start([status(200, "", "")]).await;
    let mut source = Scripted::start(case.answers.iter().map(Said::answer)).await;
    let mut order = json!({
        "streamUrl": source.url, "callbackUrl": told.url, "initialDelayMs": 1
    });
    order.as_object_mut().unwrap().extend(case.order);
    let created = client.post(service).json(&order).send().await.unwrap();
    assert_eq!(created.status(), StatusCode::CREATED, "{name}");
    let location = created.headers()["location"].to_str().unwrap();
    let path = format!("{}{location}", service.trim_end_matches('/'));
    for (at, expected) in case.messages.iter().enumerate() {
        if case.restart_after == Some(at) {
            client.post(&path).body(r#"{"command":"restart"}"#).send().await.unwrap();
        }
        let message: Value = serde_json::from_str(&told.request().await.body).unwrap();
        let shown = if message["kind"] == "event" { &message["event"] } else { &message["kind"] };
        assert_eq!(shown, expected, "{name}");
    }
    for expected in &case.requests {
        let request = source.request().await;
        assert_eq!((&request.method, &request.body), (&expected.method, &expected.body), "{name}");
        for (header, value) in &expected.headers {
            assert_eq!(request.header(header), value.as_str(), "{name}: {header}");
        }
    }
    client.delete(&path).send().await.unwrap();
}

/// `cargo test` and the step `integration` build examples first, beside this test's own program.
async fn start() -> (Child, String) {
    let own = std::env::current_exe().unwrap();
    let folder: PathBuf = own.ancestors().nth(2).unwrap().join("examples");
    let program = folder.join(format!("contract{}", std::env::consts::EXE_SUFFIX));
    let mut command = Command::new(program);
    let command = command.arg("0").stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().expect("build the example first: cargo build --examples");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = patiently(lines.next_line()).await.unwrap().unwrap();
    let url = line.strip_prefix("listening on ").unwrap();
    (child, format!("{url}/"))
}
