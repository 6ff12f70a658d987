//! The event stream of a hub, as the user wants it, and why it broke in words that help.
//! Knows nothing of what is done with events.

use anyhow::anyhow;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use tidings_client::{Error, EventSource, Refusal};

use crate::cli::SubscribeArgs;
use crate::client::{self, Client};

/// The longest event that is read: far more than hubs take unless told otherwise.
const EVENT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The stream that the user asks for.
///
/// # Errors
/// Where the id to begin after can't be sent, or the URL can't be a hub's.
pub(super) fn open(client: &Client, args: &SubscribeArgs) -> anyhow::Result<EventSource> {
    let mut url = client.address(["events"].into_iter())?;
    for topic in &args.topics {
        url.query_pairs_mut().append_pair("topic", topic);
    }
    // These count where there is no id to go on from.
    if let Some(last) = args.last {
        url.query_pairs_mut().append_pair("last", &last.to_string());
    }
    if let Some(since) = &args.since {
        url.query_pairs_mut().append_pair("since", since);
    }
    let source = client
        .stream(&url)
        .last_event_id(args.last_event_id.clone().unwrap_or_default())
        .heartbeat_timeout(args.idle_timeout)
        .retry(tidings_core::limits::RETRY)
        .buffer_limit(EVENT_BYTES_MAX)
        .fatal(|status| !client::is_passing(status))
        .build();
    source.map_err(|error| reason(client, error, false))
}

/// Whether the hub said that the place to go on from is gone.
pub(super) fn was_reset(headers: &HeaderMap) -> bool {
    headers.get("Tidings-Resume").is_some_and(|verdict| verdict == "reset")
}

/// Why a stream broke or ended.
pub(super) fn reason(client: &Client, error: Error, was_open: bool) -> anyhow::Error {
    match error {
        // It was there at the start: somebody is renewing the token just now.
        Error::Headers(error) => anyhow!("{error}"),
        Error::Header { .. } => anyhow!("the id to go on from can't stand in a header"),
        Error::Unanswered(error) => client.unanswered(&error),
        Error::Refused(refusal) => refused(&refusal),
        Error::Ended => anyhow!("the hub ended the stream"),
        Error::Broke(error) => anyhow!("the connection broke: {}", client::root_cause(&error)),
        Error::Silent(_) if !was_open => anyhow!("no answer from {}", client.url()),
        Error::Silent(time) => {
            let silence = humantime::format_duration(time);
            anyhow!("nothing came for {silence}, not even a heartbeat")
        }
        Error::TooLong(error) => anyhow!(error),
        error => anyhow!(error),
    }
}

fn refused(refusal: &Refusal) -> anyhow::Error {
    if refusal.status == StatusCode::OK {
        let essence = refusal.content_type();
        return anyhow!("the answer is no event stream but {essence:?}: is the URL right?");
    }
    client::refusal(refusal.status, &refusal.headers, &refusal.body)
}
