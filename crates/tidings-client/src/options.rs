//! How a stream is opened, and what is done when it breaks.
//! Knows nothing of when that is.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Client, Method, StatusCode, Url};

use crate::error::{BoxError, Error};
use crate::limits::{CONNECT_TIME_MAX, DELAY_MAX, EVENT_BYTES_MAX, RETRY};

type Asked<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// Gives headers, at each attempt.
pub(crate) type HeadersFrom = Arc<dyn Fn() -> Asked<HeaderMap> + Send + Sync>;

/// Gives a token; it is told whether the last one was refused.
pub(crate) type TokenFrom = Arc<dyn Fn(bool) -> Asked<String> + Send + Sync>;

type Fatal = Arc<dyn Fn(StatusCode) -> bool + Send + Sync>;

/// The options of an [`EventSource`](crate::EventSource); [`Builder::build`] makes it.
#[derive(Clone)]
#[must_use]
pub struct Builder {
    pub(crate) url: Result<Url, String>,
    pub(crate) client: Option<Client>,
    pub(crate) method: Method,
    pub(crate) body: Option<Bytes>,
    pub(crate) headers: HeaderMap,
    pub(crate) headers_from: Option<HeadersFrom>,
    pub(crate) token_from: Option<TokenFrom>,
    pub(crate) last_event_id: String,
    pub(crate) heartbeat_timeout: Option<Duration>,
    pub(crate) retry: Duration,
    pub(crate) max_delay: Duration,
    pub(crate) max_retries: Option<u32>,
    pub(crate) fatal: Fatal,
    pub(crate) buffer_limit: usize,
}

impl Builder {
    pub(crate) fn new(url: Result<Url, String>) -> Self {
        Self {
            url,
            client: None,
            method: Method::GET,
            body: None,
            headers: HeaderMap::new(),
            headers_from: None,
            token_from: None,
            last_event_id: String::new(),
            heartbeat_timeout: None,
            retry: RETRY,
            max_delay: DELAY_MAX,
            max_retries: None,
            fatal: Arc::new(is_lasting),
            buffer_limit: EVENT_BYTES_MAX,
        }
    }

    /// Headers of every request.
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        self.headers = headers;
        self
    }

    /// Headers that are asked for at every attempt, so that tokens stay fresh. They stand beside
    /// those of [`Self::headers`] and replace what is of the same name. Where the function fails,
    /// the attempt failed, and is made again.
    pub fn headers_from<F, A>(mut self, headers: F) -> Self
    where
        F: Fn() -> A + Send + Sync + 'static,
        A: Future<Output = Result<HeaderMap, BoxError>> + Send + 'static,
    {
        self.headers_from = Some(Arc::new(move || Box::pin(headers())));
        self
    }

    /// `GET` unless said otherwise.
    pub fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// What every request sends.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Sends requests by this client: with its proxy, certificates, redirects. It should have no
    /// `timeout` and no `read_timeout`, which would cut streams off.
    pub fn client(mut self, client: Client) -> Self {
        self.client = Some(client);
        self
    }

    /// The event to go on after.
    pub fn last_event_id(mut self, id: impl Into<String>) -> Self {
        self.last_event_id = id.into();
        self
    }

    /// The silence after which a connection is dead. Without it, two and a half times the interval
    /// that the server announces (`Tidings-Heartbeat`, in seconds), if it does. Zero is never.
    pub fn heartbeat_timeout(mut self, timeout: Duration) -> Self {
        self.heartbeat_timeout = Some(timeout);
        self
    }

    /// The wait before a stream that broke is opened again (1 s), until the stream says `retry:`.
    pub fn retry(mut self, retry: Duration) -> Self {
        self.retry = retry;
        self
    }

    /// What backoff adds at most (30 s).
    pub fn max_delay(mut self, delay: Duration) -> Self {
        self.max_delay = delay;
        self
    }

    /// How many attempts in a row may fail before the stream is given up (no bound).
    pub fn max_retries(mut self, retries: u32) -> Self {
        self.max_retries = Some(retries);
        self
    }

    /// Which answers that are no stream end it for good, by the status, which is 200 where the
    /// answer is of another type. Without it those that will not pass by themselves: not 408, 425,
    /// 429, 500 and more. 204 always ends it, without an error.
    pub fn fatal(mut self, fatal: impl Fn(StatusCode) -> bool + Send + Sync + 'static) -> Self {
        self.fatal = Arc::new(fatal);
        self
    }

    /// Bytes that one event may have (16 MiB); a longer one ends the stream.
    pub fn buffer_limit(mut self, bytes: usize) -> Self {
        self.buffer_limit = bytes;
        self
    }
}

impl fmt::Debug for Builder {
    /// Without URL, headers and body: they may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("last_event_id", &self.last_event_id)
            .field("retry", &self.retry)
            .field("max_delay", &self.max_delay)
            .finish_non_exhaustive()
    }
}

/// All but what passes: being too early or too many, and what servers suffer from.
fn is_lasting(status: StatusCode) -> bool {
    status.as_u16() < 500 && !matches!(status.as_u16(), 408 | 425 | 429)
}

/// An id as a header: UTF-8 bytes (C9).
pub(crate) fn id_header(id: &str) -> Result<HeaderValue, Error> {
    HeaderValue::from_bytes(id.as_bytes()).map_err(|_| Error::Header { name: "the last event id" })
}

pub(crate) fn default_client() -> Result<Client, Error> {
    Client::builder()
        .user_agent(concat!("tidings-client/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIME_MAX)
        .build()
        .map_err(Error::Setup)
}
