//! Opens a stream, reads it, and opens it again where it was: the standard's state machine, and
//! what it leaves open. Knows nothing of who listens.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use reqwest::header::{ACCEPT, AUTHORIZATION, CACHE_CONTROL, HeaderMap, HeaderValue};
use reqwest::{Client, Response, StatusCode, Url};
use tidings_core::sse::{Decoder, TooLong};
use tokio::sync::Notify;
use tokio::time::{self, Instant};

use crate::backoff::{Backoff, random};
use crate::error::{Error, Refusal, essence};
use crate::event::Event;
use crate::limits::{HEARTBEAT_MAX, HEARTBEATS, REFUSAL_BYTES_MAX, REFUSAL_TIME_MAX, RENEWAL_MAX};
use crate::options::{Builder, id_header};

/// What happens to a stream, step by step.
#[derive(Debug)]
#[non_exhaustive]
pub enum Step {
    /// It is open.
    Open {
        /// The headers of the answer.
        headers: HeaderMap,
    },
    /// An event came.
    Event(Event),
    /// It broke and comes back.
    Broken {
        /// Why.
        error: Error,
        /// How long it waits before.
        wait: Duration,
    },
    /// It ended for good.
    Closed {
        /// Why; nothing where the server says that there is nothing more to come (204).
        error: Option<Error>,
    },
}

/// The state machine; one [`Connection::step`] after the other.
pub(crate) struct Connection {
    url: Url,
    client: Client,
    options: Builder,
    /// What a reconnect goes on after.
    place: Arc<str>,
    backoff: Backoff,
    /// Somebody wants the stream opened anew.
    anew: Arc<Notify>,
    phase: Phase,
}

enum Phase {
    Opening,
    Open(Box<Stream>),
    Waiting(Instant),
    Over,
}

/// An open stream.
struct Stream {
    response: Response,
    decoder: Decoder,
    silence_max: Option<Duration>,
    /// The decoder gave up: it ends once what came before was handed on.
    failed: Option<TooLong>,
    /// When it is opened anew, as its token ends.
    renewal: Option<Instant>,
}

enum Opened {
    Stream(Response),
    Over,
}

impl Connection {
    pub(crate) fn new(url: Url, client: Client, options: Builder, anew: Arc<Notify>) -> Self {
        let place = options.last_event_id.as_str().into();
        let backoff = Backoff::new(options.retry, options.max_delay);
        Self { url, client, options, place, backoff, anew, phase: Phase::Opening }
    }

    /// Waits for what happens next; `None` after the end. Not cancel safe: the source keeps the
    /// future.
    pub(crate) async fn step(&mut self) -> Option<Step> {
        loop {
            let anew = Arc::clone(&self.anew);
            match &mut self.phase {
                Phase::Over => return None,
                Phase::Waiting(until) => {
                    tokio::select! {
                        () = time::sleep_until(*until) => {}
                        () = anew.notified() => {}
                    }
                    self.phase = Phase::Opening;
                }
                Phase::Opening => {
                    let opened = tokio::select! {
                        opened = open(&self.url, &self.client, &self.options, &self.place) => {
                            opened
                        }
                        () = anew.notified() => continue,
                    };
                    return Some(self.opened(opened));
                }
                Phase::Open(_) if anew.notified().now_or_never().is_some() => {
                    self.phase = Phase::Opening;
                }
                Phase::Open(stream) => {
                    if let Some(message) = stream.decoder.next() {
                        self.place = Arc::clone(&message.id);
                        let event = Event::from(message);
                        if let Some(left) = event.renew()
                            && self.options.token_from.is_some()
                        {
                            stream.renewal = Some(renewal(left));
                        }
                        return Some(Step::Event(event));
                    }
                    // Only now: what was not handed on is to come again.
                    if *self.place != *stream.decoder.last_event_id() {
                        self.place = stream.decoder.last_event_id().into();
                    }
                    if let Some(milliseconds) = stream.decoder.retry_ms() {
                        self.backoff.set_retry(Duration::from_millis(milliseconds));
                    }
                    let renewal = stream.renewal;
                    let more = tokio::select! {
                        more = stream.more() => more,
                        () = anew.notified() => {
                            self.phase = Phase::Opening;
                            continue;
                        }
                        () = wait_until(renewal) => {
                            self.phase = Phase::Opening;
                            continue;
                        }
                    };
                    if let Err(error) = more {
                        return Some(self.broken(error));
                    }
                }
            }
        }
    }

    fn opened(&mut self, opened: Result<Opened, Error>) -> Step {
        let response = match opened {
            Ok(Opened::Stream(response)) => response,
            Ok(Opened::Over) => {
                self.phase = Phase::Over;
                return Step::Closed { error: None };
            }
            Err(error) => return self.broken(error),
        };
        let headers = response.headers().clone();
        // Should it break before it brings an event, the next one begins where this one did.
        let cursor = headers.get("Tidings-Cursor").and_then(|cursor| cursor.to_str().ok());
        if let Some(cursor) = cursor.filter(|_| self.place.is_empty()) {
            self.place = cursor.into();
        }
        let silence_max = match self.options.heartbeat_timeout {
            Some(timeout) => Some(timeout).filter(|timeout| !timeout.is_zero()),
            None => announced(&headers),
        };
        let decoder = Decoder::resuming(self.options.buffer_limit, Arc::clone(&self.place));
        let stream = Stream { response, decoder, silence_max, failed: None, renewal: None };
        self.phase = Phase::Open(Box::new(stream));
        self.backoff.reset();
        Step::Open { headers }
    }

    fn broken(&mut self, error: Error) -> Step {
        let is_final = match &error {
            Error::Refused(refusal) => (self.options.fatal)(refusal.status),
            Error::TooLong(_) | Error::Header { .. } => true,
            _ => false,
        };
        let retries = self.options.max_retries.unwrap_or(u32::MAX);
        if is_final || self.backoff.failures() >= retries {
            self.phase = Phase::Over;
            return Step::Closed { error: Some(error) };
        }
        let wait = self.backoff.next(error.retry_after().unwrap_or_default(), random());
        self.phase = Phase::Waiting(later(wait));
        Step::Broken { error, wait }
    }
}

impl Stream {
    /// Waits for bytes.
    async fn more(&mut self) -> Result<(), Error> {
        if let Some(error) = self.failed {
            return Err(Error::TooLong(error));
        }
        match within(self.silence_max, self.response.chunk()).await? {
            Ok(Some(bytes)) => {
                self.failed = self.decoder.push(&bytes).err();
                Ok(())
            }
            Ok(None) => Err(Error::Ended),
            Err(error) => Err(Error::Broke(error.without_url())),
        }
    }
}

/// One attempt; a second one where a token was refused that can be had anew.
async fn open(url: &Url, client: &Client, options: &Builder, place: &str) -> Result<Opened, Error> {
    let opened = attempt(url, client, options, place, false).await;
    match opened {
        Err(error)
            if options.token_from.is_some() && error.status() == Some(StatusCode::UNAUTHORIZED) =>
        {
            attempt(url, client, options, place, true).await
        }
        opened => opened,
    }
}

async fn attempt(
    url: &Url,
    client: &Client,
    options: &Builder,
    place: &str,
    refused: bool,
) -> Result<Opened, Error> {
    let headers = headers(options, place, refused).await?;
    let mut request = client.request(options.method.clone(), url.clone()).headers(headers);
    if let Some(body) = &options.body {
        request = request.body(body.clone());
    }
    let patience = options.heartbeat_timeout.filter(|timeout| !timeout.is_zero());
    let response = within(patience, request.send()).await?;
    let response = response.map_err(|error| Error::Unanswered(error.without_url()))?;
    match response.status() {
        StatusCode::NO_CONTENT => Ok(Opened::Over),
        StatusCode::OK if is_stream(response.headers()) => Ok(Opened::Stream(response)),
        _ => Err(Error::Refused(Box::new(refusal(response).await))),
    }
}

async fn headers(options: &Builder, place: &str, refused: bool) -> Result<HeaderMap, Error> {
    let mut headers = options.headers.clone();
    if let Some(headers_from) = &options.headers_from {
        headers.extend(headers_from().await.map_err(Error::Headers)?);
    }
    if let Some(token_from) = &options.token_from {
        let token = token_from(refused).await.map_err(Error::Headers)?;
        headers.insert(AUTHORIZATION, bearer(&token)?);
    }
    headers.entry(ACCEPT).or_insert(HeaderValue::from_static("text/event-stream"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
    // Never an empty one (C10).
    if !place.is_empty() {
        headers.insert("Last-Event-ID", id_header(place)?);
    }
    Ok(headers)
}

/// A token as a header that is not shown.
pub(crate) fn bearer(token: &str) -> Result<HeaderValue, Error> {
    let value = HeaderValue::try_from(format!("Bearer {token}"));
    let mut value = value.map_err(|_| Error::Header { name: "the token" })?;
    value.set_sensitive(true);
    Ok(value)
}

/// Reads as much of an answer as is worth showing: nothing of what claims to be well.
pub(crate) async fn refusal(mut response: Response) -> Refusal {
    let (status, headers) = (response.status(), response.headers().clone());
    let mut body = Vec::new();
    if !status.is_success() {
        let reading = async {
            while let Ok(Some(bytes)) = response.chunk().await {
                body.extend_from_slice(&bytes);
                if body.len() >= REFUSAL_BYTES_MAX {
                    break;
                }
            }
        };
        // What has come by then is what there is.
        let _ = time::timeout(REFUSAL_TIME_MAX, reading).await;
    }
    body.truncate(REFUSAL_BYTES_MAX);
    Refusal { status, headers, body: String::from_utf8_lossy(&body).into_owned() }
}

/// By the type's essence, whatever its letters and parameters (C3).
fn is_stream(headers: &HeaderMap) -> bool {
    essence(headers).eq_ignore_ascii_case("text/event-stream")
}

/// The silence after which a stream is dead, by what the server announces.
fn announced(headers: &HeaderMap) -> Option<Duration> {
    let seconds: f64 = headers.get("Tidings-Heartbeat")?.to_str().ok()?.trim().parse().ok()?;
    let interval = Duration::try_from_secs_f64(seconds).ok()?.min(HEARTBEAT_MAX);
    Some(interval.mul_f64(HEARTBEATS)).filter(|silence| !silence.is_zero())
}

async fn within<T>(time: Option<Duration>, what: impl Future<Output = T>) -> Result<T, Error> {
    match time {
        None => Ok(what.await),
        Some(time) => time::timeout(time, what).await.map_err(|_| Error::Silent(time)),
    }
}

/// Some time in the first half of what is left: a crowd comes back spread out, and a token that is
/// none the newer does not make a client come back at once, again and again.
fn renewal(left: Duration) -> Instant {
    let half = left.min(RENEWAL_MAX).saturating_add(Duration::from_secs(1)) / 2;
    Instant::now() + half.mul_f64(random())
}

async fn wait_until(time: Option<Instant>) {
    match time {
        Some(time) => time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// A server may ask for a wait that no clock can tell; that is as good as for ever.
fn later(wait: Duration) -> Instant {
    const FOR_EVER: Duration = Duration::from_secs(60 * 60 * 24 * 365);
    Instant::now() + wait.min(FOR_EVER)
}
