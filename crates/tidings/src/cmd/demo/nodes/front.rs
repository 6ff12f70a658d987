//! The front of the demo's nodes: what browsers talk to. It hands requests round, and knows which
//! stream is on which node. For the demo only: in earnest this is nginx's or HAProxy's part.
//! Knows nothing of what requests mean.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http_body_util::BodyExt as _;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tidings_server::api::Problem;
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep};

use super::Nodes;
use super::node::Node;
use crate::cmd::demo::TOPIC;

/// How long a request waits for a node while there is none.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// How often it looks meanwhile.
const WAIT_STEP: Duration = Duration::from_millis(50);

/// Which node has answered.
const TIDINGS_DEMO_NODE: HeaderName = HeaderName::from_static("tidings-demo-node");

/// What is between two neighbours only (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [HeaderName; 5] =
    [header::CONNECTION, header::TE, header::TRAILER, header::TRANSFER_ENCODING, header::UPGRADE];

/// The routes of the front: those by which a page sees and cuts nodes, and all others, which go to
/// a node. To be merged with routes that are answered here.
pub(crate) fn router(nodes: Nodes) -> Router {
    Router::new()
        .route("/demo/nodes", get(list))
        .route("/demo/nodes/cut", post(cut))
        .fallback(pass)
        .with_state(Front { nodes, turn: Arc::default(), streams: Arc::default() })
}

#[derive(Clone)]
struct Front {
    nodes: Nodes,
    /// Whose turn it is.
    turn: Arc<AtomicUsize>,
    streams: Arc<Streams>,
}

/// The streams that go through the front.
#[derive(Default)]
struct Streams {
    last: AtomicU64,
    open: Mutex<HashMap<u64, Stream>>,
}

struct Stream {
    node: String,
    label: Option<String>,
}

/// One of them, until this is dropped.
struct StreamGuard {
    number: u64,
    streams: Arc<Streams>,
}

impl Streams {
    fn open(self: &Arc<Self>, stream: Stream) -> StreamGuard {
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        self.open.lock().insert(number, stream);
        StreamGuard { number, streams: Arc::clone(self) }
    }

    /// The node of the newest stream with this label.
    fn node_of(&self, label: &str) -> Option<String> {
        let open = self.open.lock();
        let of_label = open.iter().filter(|(_, stream)| stream.label.as_deref() == Some(label));
        of_label.max_by_key(|(number, _)| **number).map(|(_, stream)| stream.node.clone())
    }

    fn count(&self, node: &str) -> usize {
        self.open.lock().values().filter(|stream| stream.node == node).count()
    }
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        self.streams.open.lock().remove(&self.number);
    }
}

#[derive(Deserialize)]
struct Label {
    label: Option<String>,
}

/// What a page is told.
#[derive(Serialize)]
struct Overview {
    nodes: Vec<Line>,
    /// The one that carries the stream of the label in the query.
    yours: Option<String>,
}

#[derive(Serialize)]
struct Line {
    name: String,
    /// `null` while it is away.
    process: Option<u32>,
    streams: usize,
}

async fn list(State(front): State<Front>, Query(Label { label }): Query<Label>) -> Json<Overview> {
    let nodes = front.nodes.all.iter().map(|node| Line {
        name: node.name().to_owned(),
        process: node.process(),
        streams: front.streams.count(node.name()),
    });
    let yours = label.and_then(|label| front.streams.node_of(&label));
    Json(Overview { nodes: nodes.collect(), yours })
}

/// Cuts the node that carries the stream of this label: a page knows only its own.
async fn cut(
    State(front): State<Front>,
    Query(Label { label }): Query<Label>,
) -> Result<Response, Problem> {
    let name = label.and_then(|label| front.streams.node_of(&label));
    let node = name.as_deref().and_then(|name| front.nodes.named(name)).ok_or_else(|| {
        let detail = "say by whose stream the node is found: POST /demo/nodes/cut?label=LABEL, \
                      with the label of an open stream";
        Problem::new(StatusCode::BAD_REQUEST, detail)
    })?;
    node.cut();
    Ok(Json(serde_json::json!({ "cut": node.name() })).into_response())
}

/// Hands a request to the node whose turn it is, or the next one that takes it.
async fn pass(State(front): State<Front>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let mut body = Some(body);
    let deadline = Instant::now() + WAIT_MAX;
    while Instant::now() < deadline {
        let turn = front.turn.fetch_add(1, Ordering::Relaxed);
        let nodes = front.nodes.all.iter().cycle().skip(turn % front.nodes.all.len());
        for node in nodes.take(front.nodes.all.len()) {
            let Ok(socket) = UnixStream::connect(node.socket()).await else { continue };
            match ask(&parts, &mut body, socket).await {
                Ok(response) => return front.answer(&parts.uri, node, response),
                Err(error) => tracing::debug!("{} gave no answer: {error:#}", node.name()),
            }
            // Nobody knows what became of it; what only reads can go to the next one.
            if body.is_none() {
                let detail = format!("{} ended while it answered: try again", node.name());
                return Problem::new(StatusCode::BAD_GATEWAY, detail).into_response();
            }
        }
        sleep(WAIT_STEP).await;
    }
    let detail = "no node is there at this moment: try again in a few seconds";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).into_response()
}

/// Sends the request to a node. The body is taken where it is sent, which can't be done twice.
async fn ask(
    parts: &Parts,
    body: &mut Option<Body>,
    socket: UnixStream,
) -> anyhow::Result<Response<hyper::body::Incoming>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
    // It ends with the answer's body, or when nobody reads that any more.
    tokio::spawn(connection);
    let only_reads = matches!(parts.method, Method::GET | Method::HEAD);
    let body = if only_reads { Body::empty() } else { body.take().context("it was sent")? };
    let mut request = Request::new(body);
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = target(&parts.uri, &parts.method)?;
    *request.version_mut() = Version::HTTP_11;
    *request.headers_mut() = without_hop_by_hop(parts.headers.clone());
    if let Some(authority) = parts.uri.authority() {
        // Over HTTP/2 the host stands there.
        let host = HeaderValue::from_str(authority.as_str())?;
        request.headers_mut().entry(header::HOST).or_insert(host);
    }
    Ok(sender.send_request(request).await?)
}

/// The path and the query; where nobody names a topic, that of the demo, as on one node.
fn target(uri: &Uri, method: &Method) -> anyhow::Result<Uri> {
    let (path, query) = (uri.path(), uri.query().unwrap_or_default());
    let names_topic = query.split('&').any(|pair| pair.split('=').next() == Some("topic"));
    if method == Method::GET && path == "/events" && !names_topic {
        return Ok(format!("{path}?topic={TOPIC}&{query}").parse()?);
    }
    Ok(uri.path_and_query().context("it has a path")?.as_str().parse()?)
}

fn without_hop_by_hop(mut headers: HeaderMap) -> HeaderMap {
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
    headers
}

impl Front {
    fn answer(
        &self,
        uri: &Uri,
        node: &Node,
        response: Response<hyper::body::Incoming>,
    ) -> Response {
        let (mut parts, body) = response.into_parts();
        parts.headers = without_hop_by_hop(parts.headers);
        parts.version = Version::HTTP_11;
        if let Ok(name) = HeaderValue::from_str(node.name()) {
            parts.headers.insert(TIDINGS_DEMO_NODE, name);
        }
        let content_type = parts.headers.get(header::CONTENT_TYPE);
        if content_type.is_none_or(|value| value != "text/event-stream") {
            return Response::from_parts(parts, Body::new(body));
        }
        let label = Query::<Label>::try_from_uri(uri).ok().and_then(|Query(query)| query.label);
        let guard = self.streams.open(Stream { node: node.name().to_owned(), label });
        let body = body.map_frame(move |frame| {
            // The stream is open for as long as its body is there.
            let _open = &guard;
            frame
        });
        Response::from_parts(parts, Body::new(body))
    }
}
