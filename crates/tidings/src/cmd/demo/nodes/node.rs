//! One node of the demo: a process that is started, cut, and started again.
//! Knows nothing of its requests.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use tidings_server::Hub;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use super::leash::leash;
use crate::settings::{Settings, bytes_text, duration_text};

/// How long a node stays away that has ended: long enough to be seen.
const AWAY_TIME: Duration = Duration::from_secs(3);

/// How long a node may take to end when it is asked to.
const END_TIME_MAX: Duration = Duration::from_secs(5);

/// A node, whether it runs or not.
#[derive(Debug)]
pub(super) struct Node {
    name: String,
    socket: PathBuf,
    arguments: Vec<String>,
    /// The number of its process while it listens.
    process: watch::Sender<Option<u32>>,
    cut: Notify,
}

/// How a node's process has ended.
enum End {
    /// The demo ends, and has ended it.
    Asked,
    /// By itself, or somebody has cut it.
    Other(ExitStatus),
}

impl Node {
    pub(super) fn new(number: usize, directory: &Path, settings: &Settings) -> Self {
        let name = format!("node-{number}");
        let socket = directory.join(format!("{name}.sock"));
        let setting = |key: &str, value: String| [format!("--{key}"), value];
        let arguments = [
            setting("listen", format!("unix:{}", socket.display())),
            setting("log", settings.log.to_string()),
            setting("keep-bytes", bytes_text(settings.keep_bytes())),
            setting("keep-age", duration_text(settings.keep_age)),
            setting("workers", "1".into()),
            setting("shards", "1".into()),
            // What a node says beside what is wrong, the demo says for it.
            setting(
                "log-level",
                match settings.log_level.as_str() {
                    "info" => "warn".into(),
                    level => level.into(),
                },
            ),
            setting("log-format", settings.log_format.to_string()),
        ];
        let (process, _) = watch::channel(None);
        Self { name, socket, arguments: arguments.concat(), process, cut: Notify::new() }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Where it listens while it runs.
    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// The number of its process while it listens.
    pub(super) fn process(&self) -> Option<u32> {
        *self.process.borrow()
    }

    /// Kills it as a crash would.
    pub(super) fn cut(&self) {
        // Only who waits is told: there is nothing to cut while it is away.
        self.cut.notify_waiters();
    }

    /// Waits until it listens. Cancel safe.
    pub(super) async fn ready(&self) {
        // The sender lives as long as this.
        let _ = self.process.subscribe().wait_for(Option::is_some).await;
    }

    /// Runs it, and starts it anew when it ends, until the hub shuts down.
    ///
    /// # Errors
    /// Where it can't be started, or ends before it has ever listened.
    pub(super) async fn run(&self, hub: &Hub) -> anyhow::Result<()> {
        let mut has_listened = false;
        loop {
            let end = self.live(hub).await;
            has_listened |= self.process.send_replace(None).is_some();
            let name = &self.name;
            match end? {
                End::Asked => return Ok(()),
                End::Other(status) if !has_listened => {
                    bail!("{name} has ended ({status}) before it listened")
                }
                End::Other(status) => {
                    tracing::info!("{name} has ended ({status}) and comes back in {AWAY_TIME:?}");
                }
            }
            tokio::select! {
                () = sleep(AWAY_TIME) => {}
                () = hub.shutting_down() => return Ok(()),
            }
        }
    }

    /// From its start to its end.
    async fn live(&self, hub: &Hub) -> anyhow::Result<End> {
        let mut child = self.start()?;
        let stdout = child.stdout.take().context("it has a pipe")?;
        let mut lines = BufReader::new(stdout).lines();
        let process = child.id();
        let listening = async {
            // The first line has the address; what follows is read so that the pipe never fills.
            while let Ok(Some(_)) = lines.next_line().await {
                self.process.send_replace(process);
            }
            std::future::pending::<Infallible>().await
        };
        tokio::select! {
            status = child.wait() => Ok(End::Other(status?)),
            () = self.cut.notified() => {
                child.kill().await?;
                Ok(End::Other(child.wait().await?))
            }
            () = hub.shutting_down() => {
                end(&mut child).await;
                Ok(End::Asked)
            }
            never = listening => match never {},
        }
    }

    fn start(&self) -> anyhow::Result<Child> {
        let program = std::env::current_exe().context("the program's own file is unknown")?;
        let mut command = Command::new(program);
        command.arg("serve").args(&self.arguments);
        // No settings of a real hub: neither its file, nor its variables.
        command.current_dir(self.socket.parent().context("it is in a directory")?);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("TIDINGS_") || matches!(&*text, "RUST_LOG" | "NOTIFY_SOCKET") {
                command.env_remove(&name);
            }
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        leash(&mut command).spawn().with_context(|| format!("can't start {}", self.name))
    }
}

/// Asks a process to end, and sees to it that it does.
async fn end(child: &mut Child) {
    let process = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    if let Some(process) = process {
        // It may have ended just now.
        let _ = kill_process(process, Signal::INT);
    }
    if timeout(END_TIME_MAX, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}
