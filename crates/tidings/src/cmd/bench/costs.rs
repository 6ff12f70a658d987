//! What a hub says of itself in its metrics: its CPU time, memory and files.
//! Knows nothing of what it was asked to do.

use std::time::Duration;

use anyhow::{Context, ensure};
use reqwest::StatusCode;

use crate::client::{self, Client};

/// A hub that takes longer to tell what it counts does nothing else either.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

/// What a hub's process has taken so far. What its system does not tell is `None`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Costs {
    pub(super) cpu_seconds: Option<f64>,
    pub(super) memory_bytes: Option<f64>,
    open_files: Option<f64>,
    files_max: Option<f64>,
}

impl Costs {
    /// # Errors
    /// Where it can't be reached, or is no Tidings hub.
    pub(super) async fn read(client: &Client) -> anyhow::Result<Self> {
        let url = client.address(["metrics"].into_iter())?;
        let response = client.get(url)?.timeout(ANSWER_TIME_MAX).send().await;
        let response = response.map_err(|error| client.unanswered(&error))?;
        if matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Err(client::refused(response).await);
        }
        let text = match response.status().is_success() {
            true => response.text().await.context("the hub's answer broke off")?,
            false => String::new(),
        };
        let is_hub = value(&text, "tidings_subscribers").is_some();
        ensure!(
            is_hub,
            "{} has no metrics of a Tidings hub (below /metrics): bench measures nothing else",
            client.url()
        );
        Ok(Self::parse(&text))
    }

    fn parse(text: &str) -> Self {
        Self {
            cpu_seconds: value(text, "process_cpu_seconds_total"),
            memory_bytes: value(text, "process_resident_memory_bytes"),
            open_files: value(text, "process_open_fds"),
            files_max: value(text, "process_max_fds"),
        }
    }

    /// # Errors
    /// Where the hub's system does not let it have so many more files.
    pub(super) fn room_for(&self, sockets: u64) -> anyhow::Result<()> {
        let (Some(open), Some(max)) = (self.open_files, self.files_max) else { return Ok(()) };
        ensure!(
            open + sockets as f64 <= max,
            "the hub may have {max} files open and has {open}: {sockets} connections more don't \
             fit. Raise its limit (ulimit -Hn, or LimitNOFILE of its service), or give fewer \
             --connections"
        );
        Ok(())
    }

    /// What it does not tell.
    pub(super) fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if self.cpu_seconds.is_none() {
            remarks.push("the hub does not tell its CPU time: an older version?".to_owned());
        }
        if self.memory_bytes.is_none() {
            remarks.push("the hub does not tell its memory: its system has no /proc".to_owned());
        }
        remarks
    }
}

/// The value of a metric without labels.
fn value(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_read() {
        let costs = Costs::parse(
            "# TYPE process_cpu_seconds counter\nprocess_cpu_seconds_total 1.25\n\
             process_open_fds 20\nprocess_max_fds 100\n# EOF\n",
        );
        assert_eq!((costs.cpu_seconds, costs.memory_bytes), (Some(1.25), None));
        assert_eq!(costs.remarks().len(), 1);
        assert!(costs.room_for(80).is_ok());
        let error = costs.room_for(81).unwrap_err().to_string();
        assert!(error.contains("may have 100 files open and has 20"), "{error}");
        assert!(Costs::default().room_for(1_000_000).is_ok());
    }
}
