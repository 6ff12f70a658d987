//! `tidings publish TOPIC --lines`: each line of stdin as an event, as it comes.
//! Knows nothing of what the lines say.
//!
//! While the hub answers, lines gather, and go together in the next request: one at a time from a
//! person, hundreds at a time from a fast program, in order either way.

use anyhow::Context;
use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::sync::mpsc::{self, Receiver, Sender};

use crate::cli::PublishArgs;
use crate::client::{self, Client};

use super::{ANSWER_TIME_MAX, print_ids};

/// Lines of one request.
const BATCH_LINES_MAX: usize = 500;

/// A request takes no more lines once it has this many bytes: far below what hubs take, even
/// where JSON makes several bytes of one.
const BATCH_BYTES_MAX: usize = 256 * 1024;

#[derive(Serialize)]
struct Item<'a> {
    topic: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<u128>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    private: bool,
    data: &'a str,
}

/// # Errors
/// Where stdin can't be read, the hub can't be reached, or refuses.
pub(super) async fn run(client: &Client, topic: &str, args: &PublishArgs) -> anyhow::Result<()> {
    let (sender, mut lines) = mpsc::channel(2 * BATCH_LINES_MAX);
    let reader = tokio::spawn(read(tokio::io::stdin(), sender));
    while let Some(batch) = next_batch(&mut lines).await {
        let items: Vec<Item<'_>> = batch
            .iter()
            .map(|data| Item {
                topic,
                event: args.event.as_deref(),
                retry: args.retry.map(|retry| retry.as_millis()),
                private: args.private,
                data,
            })
            .collect();
        let url = client.address(["events"].into_iter())?;
        let request = client.post(url)?.timeout(ANSWER_TIME_MAX).json(&items);
        let response = request.send().await.map_err(|error| client.unanswered(&error))?;
        print_ids(client::accepted(response).await?).await?;
    }
    reader.await.context("the reader of stdin ended")?
}

/// The lines that are there, once there is one. Cancel safe.
async fn next_batch(lines: &mut Receiver<String>) -> Option<Vec<String>> {
    let mut batch = vec![lines.recv().await?];
    let mut bytes = batch[0].len();
    while batch.len() < BATCH_LINES_MAX && bytes < BATCH_BYTES_MAX {
        let Ok(line) = lines.try_recv() else { break };
        bytes += line.len();
        batch.push(line);
    }
    Some(batch)
}

async fn read(input: impl AsyncRead + Unpin, lines: Sender<String>) -> anyhow::Result<()> {
    let mut input = BufReader::new(input).lines();
    while let Some(line) = input.next_line().await.context("can't read stdin as lines of text")? {
        if lines.send(line).await.is_err() {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_that_are_there_go_together() {
        let (sender, mut lines) = mpsc::channel(2 * BATCH_LINES_MAX);
        let text = (0..BATCH_LINES_MAX + 2).map(|n| format!("{n}\r\n")).collect::<String>();
        read(text.as_bytes(), sender).await.unwrap();
        let first = next_batch(&mut lines).await.unwrap();
        assert_eq!(first.len(), BATCH_LINES_MAX);
        assert_eq!(first[1], "1");
        assert_eq!(next_batch(&mut lines).await.unwrap().len(), 2);
        assert_eq!(next_batch(&mut lines).await, None);
    }

    #[tokio::test]
    async fn long_lines_go_alone() {
        let (sender, mut lines) = mpsc::channel(4);
        for _ in 0..2 {
            sender.send("x".repeat(BATCH_BYTES_MAX)).await.unwrap();
        }
        assert_eq!(next_batch(&mut lines).await.unwrap().len(), 1);
        assert_eq!(next_batch(&mut lines).await.unwrap().len(), 1);
    }
}
