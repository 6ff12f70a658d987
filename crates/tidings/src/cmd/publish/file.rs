//! `tidings publish --file`: a file of events, streamed as NDJSON, with a progress bar.
//! Knows nothing of what the lines say: the hub reads them.

use std::io;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, Stream};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use reqwest::Body;
use reqwest::header::CONTENT_TYPE;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time;

use crate::client::{self, Client};

use super::print_ids;

/// One piece of the body.
const PIECE_BYTES: usize = 64 * 1024;

/// Silence of the source after which an empty line is sent: the hub gives up on a body that
/// stalls for 30 s.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// # Errors
/// Where the file can't be read, the hub can't be reached, or refuses.
pub(super) async fn run(client: &Client, path: &Path, key: Option<&str>) -> anyhow::Result<()> {
    let stdin = path == Path::new("-");
    let (source, bytes): (Box<dyn AsyncRead + Send + Unpin>, _) = if stdin {
        (Box::new(tokio::io::stdin()), None)
    } else {
        let open = || format!("can't open {}", path.display());
        let file = tokio::fs::File::open(path).await.with_context(open)?;
        let metadata = file.metadata().await.with_context(open)?;
        (Box::new(file), metadata.is_file().then_some(metadata.len()))
    };
    let bar = progress_bar(bytes)?;
    let body = Body::wrap_stream(pieces(source, bar.clone()));
    let url = client.address(["events"].into_iter())?;
    let mut request = client.post(url)?.header(CONTENT_TYPE, "application/x-ndjson").body(body);
    if let Some(key) = key {
        request = request.header("Idempotency-Key", key);
    }
    let answered = request.send().await;
    bar.finish_and_clear();
    let response = answered.map_err(|error| match of_the_source(&error) {
        Some(reason) => anyhow::anyhow!("can't read {}: {reason}", path.display()),
        None => client.unanswered(&error),
    })?;
    let elapsed = bar.elapsed();
    let events = print_ids(client::accepted(response).await?).await?.published;
    let rate = events as f64 / elapsed.as_secs_f64().max(0.001);
    eprintln!("{events} events published in {elapsed:.1?} ({rate:.0}/s)");
    Ok(())
}

/// On a terminal only: indicatif hides it elsewhere.
fn progress_bar(bytes: Option<u64>) -> anyhow::Result<ProgressBar> {
    let bar = ProgressBar::with_draw_target(bytes, ProgressDrawTarget::stderr());
    let style = match bytes {
        Some(_) => "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {msg} {eta}",
        None => "{spinner} {bytes} {bytes_per_sec} {msg}",
    };
    Ok(bar.with_style(ProgressStyle::with_template(style)?))
}

/// The source in pieces. Where it falls silent between two lines, an empty line goes in between.
fn pieces(
    source: impl AsyncRead + Send + Unpin + 'static,
    bar: ProgressBar,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let state = Some(Pieces { source, bar, buffer: BytesMut::new(), lines: 0, line_open: false });
    stream::unfold(state, |state| async {
        let mut state = state?;
        match state.next().await {
            Ok(piece) if piece.is_empty() => None,
            Ok(piece) => Some((Ok(piece), Some(state))),
            Err(error) => Some((Err(error), None)),
        }
    })
}

struct Pieces<R> {
    source: R,
    bar: ProgressBar,
    buffer: BytesMut,
    lines: u64,
    line_open: bool,
}

impl<R: AsyncRead + Unpin> Pieces<R> {
    /// The next piece; empty at the end. Cancel safe: what was read stays in the buffer.
    async fn next(&mut self) -> io::Result<Bytes> {
        self.buffer.reserve(PIECE_BYTES);
        let read = loop {
            let read = self.source.read_buf(&mut self.buffer);
            match time::timeout(SILENCE_MAX, read).await {
                Ok(read) => break read,
                Err(_elapsed) if self.line_open => {}
                Err(_elapsed) => return Ok(Bytes::from_static(b"\n")),
            }
        };
        // The mark by which the error is known again after reqwest has wrapped it.
        read.map_err(|error| io::Error::other(SourceFailed(error.to_string())))?;
        let piece = self.buffer.split().freeze();
        if let Some(last) = piece.last() {
            self.line_open = *last != b'\n';
            self.lines += piece.iter().filter(|byte| **byte == b'\n').count() as u64;
            self.bar.inc(piece.len() as u64);
            let rate = self.lines as f64 / self.bar.elapsed().as_secs_f64().max(0.001);
            self.bar.set_message(format!("{} lines {rate:.0}/s", self.lines));
        }
        Ok(piece)
    }
}

/// The file could not be read on.
#[derive(Debug)]
struct SourceFailed(String);

impl std::fmt::Display for SourceFailed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SourceFailed {}

fn of_the_source(error: &reqwest::Error) -> Option<String> {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(failed) = inner.and_then(|inner| inner.downcast_ref::<SourceFailed>()) {
            return Some(failed.0.clone());
        }
        cause = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_silent_source_sends_empty_lines_but_never_inside_one() {
        let (mut writer, reader) = tokio::io::duplex(64);
        let mut pieces = Box::pin(pieces(reader, ProgressBar::hidden()));
        assert_eq!(pieces.next().await.unwrap().unwrap(), "\n");
        tokio::io::AsyncWriteExt::write_all(&mut writer, b"{\"topic\"").await.unwrap();
        assert_eq!(pieces.next().await.unwrap().unwrap(), "{\"topic\"");
        let rest = time::timeout(10 * SILENCE_MAX, pieces.next()).await;
        assert!(rest.is_err(), "the line is still open");
        drop(writer);
        assert!(pieces.next().await.is_none());
    }
}
