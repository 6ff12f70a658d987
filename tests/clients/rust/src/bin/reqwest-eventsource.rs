//! crates.io reqwest-eventsource.

use futures::StreamExt;
use reqwest_eventsource::{Event, EventSource};
use tidings_client_drivers::{report, url};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut source = EventSource::get(url()?);
    while let Some(event) = source.next().await {
        match event {
            Ok(Event::Open) => {}
            Ok(Event::Message(event)) => report(&event.id, &event.event, &event.data),
            // It goes on by itself after what it can retry, and ends after the rest.
            Err(error) => eprintln!("{error}"),
        }
    }
    anyhow::bail!("the stream ended")
}
