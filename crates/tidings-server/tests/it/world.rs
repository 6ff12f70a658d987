//! A hub in memory behind its router, and short ways to ask it.
//! Knows nothing of what is asked.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tidings_log::{Log, Memory};
use tidings_server::auth::{Access, Policy};
use tidings_server::metrics::Metrics;
use tidings_server::{Config, Hub, api};
use tower_service::Service as _;

/// A hub with its API.
pub(crate) struct World {
    pub(crate) hub: Hub,
    pub(crate) router: Router,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

/// No answer takes this long; waiting for nothing ends here.
const PATIENCE: Duration = Duration::from_secs(10);

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Config::default())
    }

    pub(crate) fn with(config: Config) -> Self {
        Self::with_access(config, Access::open())
    }

    /// A hub that lets in whom the policy does.
    pub(crate) fn guarded(policy: Policy) -> Self {
        Self::with_access(Config::default(), Access::load(policy).unwrap())
    }

    pub(crate) fn with_access(config: Config, access: Access) -> Self {
        Self::over(vec![Memory::default()], config, access)
    }

    /// A hub whose log is in so many partitions.
    pub(crate) fn partitioned(partitions: usize, config: Config) -> Self {
        let logs = (0..partitions).map(|_| Memory::default()).collect();
        Self::over(logs, config, Access::open())
    }

    pub(crate) fn over(logs: Vec<Memory>, config: Config, access: Access) -> Self {
        let logs = logs.into_iter().map(|log| Arc::new(log) as Arc<dyn Log>).collect();
        let hub = Hub::start_partitioned(logs, config).unwrap();
        let router = api::router_with_index(hub.clone(), access);
        Self { hub, router }
    }

    /// Waits until something is so: a shard counts what it has done after it has done it.
    pub(crate) async fn becomes(&self, is_so: impl Fn(&Metrics) -> bool) {
        let wait = async {
            while !is_so(self.hub.metrics()) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("it becomes so");
    }

    /// Asks and gives the head of the answer with its body, of which nothing is read.
    pub(crate) async fn ask(&self, request: Request<Body>) -> axum::response::Response {
        self.router.clone().call(request).await.unwrap()
    }

    /// Asks and reads all of the answer.
    pub(crate) async fn answer(&self, request: Request<Body>) -> Answer {
        let (parts, body) = self.ask(request).await.into_parts();
        let bytes = tokio::time::timeout(PATIENCE, body.collect()).await.unwrap().unwrap();
        let text = String::from_utf8(bytes.to_bytes().to_vec()).unwrap();
        Answer { status: parts.status, headers: parts.headers, text }
    }

    /// `POST` without anything but a body; panics unless it is taken.
    pub(crate) async fn post(&self, path: &str, body: impl Into<Body>) -> Value {
        let answer = self.answer(request("POST", path, &[], body)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// A page of history.
    pub(crate) async fn history(&self, path: &str) -> Value {
        let request = request("GET", path, &[("accept", "application/json")], Body::empty());
        let answer = self.answer(request).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// How many events were ever kept.
    pub(crate) fn kept(&self) -> u64 {
        self.hub.bounds().next.0 - 1
    }

    pub(crate) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.answer(request("GET", path, headers, Body::empty())).await
    }

    /// An event stream of which the head has come.
    pub(crate) async fn listen(&self, path: &str, headers: &[(&str, &str)]) -> Stream {
        let response = self.ask(request("GET", path, headers, Body::empty())).await;
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let (parts, body) = response.into_parts();
        Stream { headers: parts.headers, body, text: String::new() }
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// An event stream as it comes.
pub(crate) struct Stream {
    pub(crate) headers: HeaderMap,
    body: Body,
    text: String,
}

impl Stream {
    /// All that came until this text came, from the stream's beginning on.
    pub(crate) async fn until(&mut self, text: &str) -> &str {
        while !self.text.contains(text) {
            let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await;
            let frame = frame.unwrap_or_else(|_| panic!("no {text:?} in {:?}", self.text));
            let bytes = frame.expect("the stream goes on").unwrap().into_data().unwrap();
            self.text.push_str(std::str::from_utf8(&bytes).unwrap());
        }
        &self.text
    }

    /// The next so many events: ids and data. None of the hub's own among them.
    pub(crate) async fn events(&mut self, count: usize) -> Vec<(String, String)> {
        let mut events = Vec::new();
        while events.len() < count {
            self.until("\n\n").await;
            let (event, rest) = self.text.split_once("\n\n").unwrap();
            let fields = |name: &str| {
                let lines = event.lines().filter_map(|line| line.strip_prefix(name));
                lines.collect::<Vec<_>>().join("\n")
            };
            assert!(fields("event: ").is_empty(), "{event}");
            events.push((fields("id: "), fields("data: ")));
            self.text = rest.to_owned();
        }
        events
    }

    /// What comes after that, to the end.
    pub(crate) async fn rest(self) -> String {
        let rest = tokio::time::timeout(PATIENCE, self.body.collect()).await.expect("it ends");
        String::from_utf8(rest.unwrap().to_bytes().to_vec()).unwrap()
    }
}

pub(crate) fn request(
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, value.as_bytes());
    }
    request.body(body.into()).unwrap()
}
