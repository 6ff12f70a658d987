//! One connection to a hub's event stream: how it opens, what it brings, how it ends.
//! Knows nothing of the connections before and after it, but for the place to go on from.

use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use tidings_core::sse::{Decoder, Message};
use tokio::time;

use crate::cli::SubscribeArgs;
use crate::client::{self, Client};

/// The longest event that is read: far more than hubs take unless told otherwise.
const EVENT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The longest `Retry-After` that is honoured: a hub that asks for more has lost its clock.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60 * 60);

/// Where in the log to begin.
#[derive(Clone, Debug)]
pub(super) struct Place {
    last_event_id: String,
    /// What the user asked for; holds until there is an id to go on from.
    last: Option<usize>,
    since: Option<String>,
}

impl Place {
    /// Where the user wants to begin.
    pub(super) fn new(args: &SubscribeArgs) -> Self {
        let last_event_id = args.last_event_id.clone().unwrap_or_default();
        Self { last_event_id, last: args.last, since: args.since.clone() }
    }

    /// A connection was made, and this is the place that its stream begins after. Should it break
    /// before it brings an event, the next one begins there too.
    fn connected(&mut self, cursor: Option<&str>) {
        if let Some(cursor) = cursor.filter(|_| self.last_event_id.is_empty()) {
            cursor.clone_into(&mut self.last_event_id);
        }
    }

    /// Everything up to this id was received.
    pub(super) fn passed(&mut self, id: &str) {
        if self.last_event_id != id {
            id.clone_into(&mut self.last_event_id);
        }
    }
}

/// What came of an attempt to connect.
pub(super) enum Opened {
    /// A stream.
    Stream(Box<Stream>),
    /// The hub wants no reconnect (204).
    Over,
    /// Nothing for now: trying again may help.
    Passing { reason: String, after: Option<Duration> },
}

/// Connects.
///
/// # Errors
/// Where trying again would change nothing: the hub refuses, or it is no hub.
///
/// Cancel safe.
pub(super) async fn open(
    client: &Client,
    topics: &[String],
    place: &mut Place,
    idle_time_max: Duration,
) -> anyhow::Result<Opened> {
    let mut url = client.address(["events"].into_iter())?;
    for topic in topics {
        url.query_pairs_mut().append_pair("topic", topic);
    }
    let fresh = place.last_event_id.is_empty();
    if let Some(last) = place.last.filter(|_| fresh) {
        url.query_pairs_mut().append_pair("last", &last.to_string());
    }
    if let Some(since) = place.since.as_deref().filter(|_| fresh) {
        url.query_pairs_mut().append_pair("since", since);
    }
    let mut request = match client.get(url) {
        Ok(request) => request.header(ACCEPT, "text/event-stream"),
        // It was there at the start: somebody is renewing the token just now.
        Err(error) => return Ok(passing(format!("{error:#}"))),
    };
    if !fresh {
        let id = HeaderValue::from_bytes(place.last_event_id.as_bytes())
            .context("the id to go on from can't stand in a header")?;
        request = request.header("Last-Event-ID", id);
    }
    let response = match time::timeout(idle_time_max, request.send()).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => {
            return Ok(passing(client.unanswered(&error).to_string()));
        }
        Err(_elapsed) => return Ok(passing(format!("no answer from {}", client.url()))),
    };
    answered(response, place, idle_time_max).await
}

fn passing(reason: String) -> Opened {
    Opened::Passing { reason, after: None }
}

async fn answered(
    response: Response,
    place: &mut Place,
    idle_time_max: Duration,
) -> anyhow::Result<Opened> {
    let status = response.status();
    if status == StatusCode::NO_CONTENT {
        return Ok(Opened::Over);
    }
    if client::is_passing(status) {
        let after = retry_after(&response);
        let reason = client::refused(response).await.to_string();
        return Ok(Opened::Passing { reason, after });
    }
    let response = client::accepted(response).await?;
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let essence = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("text/event-stream") {
        bail!("the answer is no event stream but {essence:?}: is the URL right?");
    }
    let cursor = response.headers().get("Tidings-Cursor");
    place.connected(cursor.and_then(|cursor| cursor.to_str().ok()));
    let verdict = response.headers().get("Tidings-Resume");
    let was_reset = verdict.is_some_and(|verdict| verdict == "reset");
    let decoder = Decoder::resuming(EVENT_BYTES_MAX, place.last_event_id.clone());
    Ok(Opened::Stream(Box::new(Stream { response, decoder, idle_time_max, was_reset })))
}

/// Only the form in seconds: hubs have no reason to send a date.
fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

/// An open stream.
#[derive(Debug)]
pub(super) struct Stream {
    response: Response,
    decoder: Decoder,
    idle_time_max: Duration,
    /// The hub said that the place to go on from is gone.
    pub(super) was_reset: bool,
}

impl Stream {
    /// Waits for bytes. The inner error is why nothing more comes.
    ///
    /// # Errors
    /// Where the stream can't be a hub's.
    ///
    /// Cancel safe.
    pub(super) async fn next(&mut self) -> anyhow::Result<Result<(), String>> {
        match time::timeout(self.idle_time_max, self.response.chunk()).await {
            Ok(Ok(Some(bytes))) => {
                self.decoder.push(&bytes).map_err(|error| anyhow!(error))?;
                Ok(Ok(()))
            }
            Ok(Ok(None)) => Ok(Err("the hub ended the stream".into())),
            Ok(Err(error)) => {
                Ok(Err(format!("the connection broke: {}", client::root_cause(&error))))
            }
            Err(_elapsed) => {
                let silence = humantime::format_duration(self.idle_time_max);
                Ok(Err(format!("nothing came for {silence}, not even a heartbeat")))
            }
        }
    }

    /// The next event of what came.
    pub(super) fn message(&mut self) -> Option<Message> {
        self.decoder.next()
    }

    /// Everything up to here was received.
    pub(super) fn last_event_id(&self) -> &str {
        self.decoder.last_event_id()
    }

    /// The wait before a reconnect that the hub asks for.
    pub(super) fn retry(&self) -> Option<Duration> {
        self.decoder.retry_ms().map(Duration::from_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_an_event_it_goes_on_from_where_the_first_connection_began() {
        let mut place = Place { last_event_id: String::new(), last: Some(3), since: None };
        place.connected(None);
        assert_eq!(place.last_event_id, "");
        place.connected(Some("k3f9x2ab-7"));
        assert_eq!(place.last_event_id, "k3f9x2ab-7");
        place.passed("k3f9x2ab-9");
        place.connected(Some("k3f9x2ab-9"));
        assert_eq!(place.last_event_id, "k3f9x2ab-9");
    }
}
