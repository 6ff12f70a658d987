//! `tidings publish`: one event, each line of stdin, or a file of events.
//! Knows nothing of how a hub keeps them.

mod file;
mod lines;

use std::io::{self, IsTerminal};
use std::time::Duration;

use anyhow::Context;
use reqwest::Response;
use serde::Deserialize;
use tokio::io::AsyncReadExt;

use crate::cli::PublishArgs;
use crate::client::{self, Client};
use crate::exit::Usage;
use crate::output;

/// The longest that the answer to a publish may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

/// Publishes and prints the ids.
///
/// # Errors
/// Where the input can't be read, the hub can't be reached, or refuses.
pub(super) async fn run(client: &Client, args: PublishArgs) -> anyhow::Result<()> {
    if let Some(path) = &args.file {
        return file::run(client, path, args.key.as_deref()).await;
    }
    let topic = args.topic.clone().ok_or_else(|| Usage("name a topic".into()))?;
    if args.lines {
        return lines::run(client, &topic, &args).await;
    }
    let data = match args.data.as_deref() {
        Some("-") => stdin().await?,
        Some(data) => data.into(),
        None if io::stdin().is_terminal() => {
            let hint = "nothing to publish: give it after the topic, pipe it in, or type it after \
                        \"-\" (Ctrl-D ends it)";
            return Err(Usage(hint.into()).into());
        }
        None => stdin().await?,
    };
    one(client, &topic, &args, data).await
}

async fn one(
    client: &Client,
    topic: &str,
    args: &PublishArgs,
    data: Vec<u8>,
) -> anyhow::Result<()> {
    if topic.is_empty() {
        return Err(Usage("a topic can't be empty".into()).into());
    }
    let mut url = client.address(["topics"].into_iter().chain(topic.split('/')))?;
    {
        let mut query = url.query_pairs_mut();
        if let Some(event) = &args.event {
            query.append_pair("event", event);
        }
        if let Some(id) = &args.id {
            query.append_pair("id", id);
        }
        if let Some(retry) = args.retry {
            query.append_pair("retry", &retry.as_millis().to_string());
        }
        if args.private {
            query.append_pair("private", "true");
        }
    }
    if url.query() == Some("") {
        url.set_query(None);
    }
    let mut request = client.post(url)?.timeout(ANSWER_TIME_MAX).body(data);
    if let Some(key) = &args.key {
        request = request.header("Idempotency-Key", key);
    }
    let response = request.send().await.map_err(|error| client.unanswered(&error))?;
    print_ids(client::accepted(response).await?).await?;
    Ok(())
}

/// All of stdin, less one line break at its end: `echo hello |` means hello.
async fn stdin() -> anyhow::Result<Vec<u8>> {
    let mut data = Vec::new();
    tokio::io::stdin().read_to_end(&mut data).await.context("can't read stdin")?;
    if data.ends_with(b"\n") {
        data.pop();
        if data.ends_with(b"\r") {
            data.pop();
        }
    }
    Ok(data)
}

/// What a hub answers to a publish: `id` to one event, `ids` to an array, `published` and
/// `last_id` to NDJSON.
#[derive(Debug, Deserialize)]
struct Answer {
    id: Option<String>,
    #[serde(default)]
    ids: Vec<String>,
    last_id: Option<String>,
    #[serde(default)]
    published: u64,
}

/// Prints the ids that an answer has, one a line.
async fn print_ids(response: Response) -> anyhow::Result<Answer> {
    let text = response.text().await.context("the hub's answer broke off")?;
    let answer: Answer = serde_json::from_str(&text)
        .with_context(|| "the answer is not a Tidings hub's: is the URL right?")?;
    let ids = answer.id.iter().chain(&answer.ids).chain(&answer.last_id);
    let lines: String = ids.flat_map(|id| [id, "\n"]).collect();
    output::write(&lines)?;
    Ok(answer)
}
