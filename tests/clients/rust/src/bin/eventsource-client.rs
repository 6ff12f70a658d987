//! crates.io eventsource-client, by LaunchDarkly.

use eventsource_client::{Client, ClientBuilder, ReconnectOptions, SSE};
use futures::StreamExt;
use launchdarkly_sdk_transport::HyperTransport;
use tidings_client_drivers::{report, url};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let transport = HyperTransport::builder().build_http()?;
    let client = ClientBuilder::for_url(&url()?)?
        .reconnect(ReconnectOptions::reconnect(true).build())
        .build_with_transport(transport);
    let mut stream = client.stream();
    while let Some(event) = stream.next().await {
        match event {
            Ok(SSE::Connected(_) | SSE::Comment(_)) => {}
            Ok(SSE::Event(event)) => {
                let id = event.id.as_deref().unwrap_or_default();
                report(id, &event.event_type, &event.data);
            }
            // It goes on by itself after what it can retry, and ends after the rest.
            Err(error) => eprintln!("{error}"),
        }
    }
    anyhow::bail!("the stream ended")
}
