//! Runs the user's command for an event.
//! Knows nothing of which events those are.

use std::process::Stdio;

use anyhow::{Context, bail};
use tidings_client::Event;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Runs `sh -c COMMAND` with the data on its stdin and waits for its end. Dropping the future
/// kills it.
///
/// # Errors
/// Where it can't be started, or does not end with 0.
pub(super) async fn run(command: &str, event: &Event) -> anyhow::Result<()> {
    let mut child = Command::new("sh")
        .arg("-c")
        .arg(command)
        .env("TIDINGS_EVENT", &*event.event_type)
        .env("TIDINGS_ID", &*event.id)
        .stdin(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("--exec: can't run sh")?;
    let mut stdin = child.stdin.take().context("--exec: sh has no stdin")?;
    let feed = async move {
        // A command that does not read its stdin is as good as one that does.
        let _ = stdin.write_all(event.data.as_bytes()).await;
    };
    let ((), status) = tokio::join!(feed, child.wait());
    let status = status.context("--exec: can't wait for the command")?;
    if !status.success() {
        bail!("--exec: the command for event {} ended with {status}", event.id);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tidings_client::Message;

    use super::*;

    fn event(data: &str) -> Event {
        Message { event_type: "changed".into(), id: "k-1".into(), data: data.into() }.into()
    }

    #[tokio::test]
    async fn the_command_gets_the_event() {
        let check = r#"test "$TIDINGS_EVENT $TIDINGS_ID $(cat)" = "changed k-1 hello""#;
        run(check, &event("hello")).await.unwrap();
    }

    #[tokio::test]
    async fn a_command_that_fails_or_does_not_read_is_no_trouble() {
        let error = run("exit 3", &event("x")).await.unwrap_err().to_string();
        assert!(error.contains("k-1") && error.contains('3'), "{error}");
        run("true", &event(&"x".repeat(1 << 20))).await.unwrap();
    }
}
