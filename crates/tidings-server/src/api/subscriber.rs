//! Event streams for any route: what a subscriber's request says, and the response that it gets.
//! Knows nothing of the hub's own addresses.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Version, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tidings_core::topic::Selectors;

use crate::engine::{Bookmark, Hub, Start, Subscription, Verdict, now};
use crate::gate::Client;

use super::accept;
use super::client;
use super::problem::Problem;
use super::select;
use super::start;

/// Says what became of the wish to begin somewhere: `live`, `resumed` or `reset`.
const TIDINGS_RESUME: HeaderName = HeaderName::from_static("tidings-resume");

/// The place after which the stream begins. A client that is cut off before its first event comes
/// back with it as its `Last-Event-ID`.
const TIDINGS_CURSOR: HeaderName = HeaderName::from_static("tidings-cursor");

/// The longest silence of a stream that is well, in seconds: clients that know it can tell a
/// connection that died.
const TIDINGS_HEARTBEAT: HeaderName = HeaderName::from_static("tidings-heartbeat");

/// Who asks for an event stream: where it is to begin, and the connection that it comes on.
///
/// As an argument of an axum handler it makes any route an event stream that resumes:
///
/// ```
/// use axum::extract::State;
/// use tidings_server::Hub;
/// use tidings_server::api::{EventStream, Problem, Subscriber};
///
/// async fn events(
///     State(hub): State<Hub>,
///     subscriber: Subscriber,
/// ) -> Result<EventStream, Problem> {
///     subscriber.to(&hub, ["demo"]).await
/// }
/// ```
///
/// It reads `Last-Event-ID` from the header or the query, and `since`, `last` and `label` from the
/// query, as `GET /events` does; what is malformed is answered with a [`Problem`].
#[derive(Clone, Debug)]
pub struct Subscriber {
    start: Option<Start>,
    label: Option<String>,
    private: Option<Arc<Selectors>>,
    ends: Option<Instant>,
    /// By whom its stream counts, if not as the connection it comes on.
    client: Option<Client>,
    /// A `HEAD` request wants the head of the response and no stream.
    head_only: bool,
    /// The request asks for an event stream by name, as `EventSource` does.
    wants_events: bool,
    version: Version,
    extensions: Extensions,
}

impl Subscriber {
    /// Where the request asks to begin; `None` where it does not say, and the stream begins with
    /// the next event.
    #[must_use]
    pub fn start(&self) -> Option<&Start> {
        self.start.as_ref()
    }

    /// The name that the client gives its connection.
    #[must_use]
    pub fn label(&self) -> Option<&str> {
        self.label.as_deref()
    }

    /// Begins there if the request does not say where.
    #[must_use]
    pub fn or_start(mut self, start: Start) -> Self {
        self.start.get_or_insert(start);
        self
    }

    /// Lets private events of these topics come too. Whoever calls it has made sure that the
    /// client may see them: [`crate::auth::Access`] does so for tokens.
    #[must_use]
    pub fn with_private(mut self, topics: Option<Arc<Selectors>>) -> Self {
        self.private = topics;
        self
    }

    /// Ends the stream then, with an event `tidings.renew` some time before. Without a time, it
    /// goes on.
    #[must_use]
    pub fn with_end(mut self, ends: Option<Instant>) -> Self {
        self.ends = ends;
        self
    }

    /// Counts the stream among those of this subject
    /// ([`crate::Config::streams_per_token_max`]), if there is one.
    #[must_use]
    pub fn with_subject(mut self, subject: Option<Arc<str>>) -> Self {
        if let Some(subject) = subject {
            self.client = Some(Client::Subject(subject));
        }
        self
    }

    /// Subscribes to topics and patterns (`demo`, `orders/{id}`, `orders/*`, `*`).
    ///
    /// Dropping the future, or the stream, subscribes to nothing.
    ///
    /// # Errors
    /// Where a text is no selector, the log can't be read, or the hub shuts down.
    pub async fn to<T: AsRef<str>>(
        self,
        hub: &Hub,
        selectors: impl IntoIterator<Item = T>,
    ) -> Result<EventStream, Problem> {
        let selectors = select::from_texts(selectors, hub.config().selectors_max)?;
        self.stream(hub, selectors).await
    }

    /// Subscribes to what these selectors select.
    ///
    /// Dropping the future, or the stream, subscribes to nothing.
    ///
    /// # Errors
    /// Where the log can't be read, or the hub shuts down.
    pub async fn stream(self, hub: &Hub, selectors: Selectors) -> Result<EventStream, Problem> {
        let http1 = self.version < Version::HTTP_2;
        if hub.is_draining() {
            return if self.wants_events {
                Ok(EventStream::ended(hub, http1))
            } else {
                Err(Problem::draining())
            };
        }
        let connection = http1.then_some("keep-alive");
        let heartbeat = hub.config().heartbeat;
        if self.head_only {
            // Never polled; only that its length is not known matters.
            let body = Body::from_stream(stream::pending::<Result<&[u8], std::io::Error>>());
            return Ok(EventStream { place: None, connection, heartbeat, body });
        }
        let start = self.start.unwrap_or(Start::Live);
        let Self { label, private, client, ends: expires, .. } = self;
        let subscription = Subscription { selectors, private, start, label, client, expires };
        let subscribed = hub.subscribe(subscription).await?;
        let place = Some((subscribed.verdict, subscribed.cursor.clone()));
        // Of several partitions, it stays with hyper, and the connection is to end with it as those
        // do that a shard has.
        let several = !subscribed.others.is_empty();
        let connection = if several { connection.map(|_| "close") } else { connection };
        let body = hub.stream(subscribed, self.version, &self.extensions);
        Ok(EventStream { place, connection, heartbeat, body })
    }

    pub(crate) fn from_parts(parts: &Parts) -> Result<Self, Problem> {
        let wish = start::parse(&parts.headers, parts.uri.query(), now())?;
        Ok(Self {
            start: wish.start,
            label: wish.label,
            private: None,
            ends: None,
            client: client::behind_proxy(&parts.extensions),
            head_only: parts.method == Method::HEAD,
            wants_events: accept::names_event_stream(&parts.headers),
            version: parts.version,
            extensions: parts.extensions.clone(),
        })
    }
}

impl<S: Sync> FromRequestParts<S> for Subscriber {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        Self::from_parts(parts)
    }
}

/// The response to a subscriber: `text/event-stream`, fed by the hub until the client leaves.
#[derive(Debug)]
pub struct EventStream {
    /// `None` in the answer to `HEAD` and while the hub shuts down: nothing is looked up.
    place: Option<(Verdict, Bookmark)>,
    /// What `Connection` says; HTTP/2 forbids it.
    connection: Option<&'static str>,
    heartbeat: Duration,
    body: Body,
}

impl EventStream {
    /// A stream that ends where it begins. Of any other status than 200 a browser's `EventSource`
    /// makes an end for ever; of this it makes a reason to come back, elsewhere or later.
    fn ended(hub: &Hub, http1: bool) -> Self {
        let connection = http1.then_some("close");
        let heartbeat = hub.config().heartbeat;
        Self { place: None, connection, heartbeat, body: Body::from(hub.preamble()) }
    }

    /// What became of the wish to begin somewhere; `None` for a `HEAD` request, and where the hub
    /// shuts down.
    #[must_use]
    pub fn verdict(&self) -> Option<Verdict> {
        self.place.as_ref().map(|(verdict, _)| *verdict)
    }
}

impl IntoResponse for EventStream {
    fn into_response(self) -> Response {
        let mut response = Response::new(self.body);
        let headers = response.headers_mut();
        let mut set = |name, value| headers.insert(name, HeaderValue::from_static(value));
        set(header::CONTENT_TYPE, "text/event-stream");
        set(header::CACHE_CONTROL, "no-store, no-transform");
        set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        set(HeaderName::from_static("x-accel-buffering"), "no");
        if let Some(connection) = self.connection {
            set(header::CONNECTION, connection);
        }
        // A part of a second more is no silence to worry about, one less would be.
        let seconds = self.heartbeat.as_secs() + u64::from(self.heartbeat.subsec_nanos() > 0);
        headers.insert(TIDINGS_HEARTBEAT, HeaderValue::from(seconds));
        if let Some((verdict, cursor)) = self.place {
            tell_verdict(headers, verdict);
            let cursor = HeaderValue::try_from(cursor.to_string());
            headers.insert(TIDINGS_CURSOR, cursor.expect("letters, digits and a few signs"));
        }
        response
    }
}

/// Puts the verdict into the head of a response.
pub(crate) fn tell_verdict(headers: &mut HeaderMap, verdict: Verdict) {
    headers.insert(TIDINGS_RESUME, HeaderValue::from_static(verdict.as_str()));
}

/// Nothing new is begun while the hub drains.
pub(crate) fn refuse_while_draining(hub: &Hub) -> Result<(), Problem> {
    if hub.is_draining() { Err(Problem::draining()) } else { Ok(()) }
}
