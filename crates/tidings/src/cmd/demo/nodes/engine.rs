//! The Redis server of a demo: its own, on a socket in a directory of its own, without a file.
//! Knows nothing of who uses it.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, anyhow};
use tidings_log::RedisAddress;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::leash::leash;

/// Programs that are one, the first that is there.
const PROGRAMS: [&str; 2] = ["redis-server", "valkey-server"];

/// A running server. Dropping it kills it.
pub(crate) struct Engine {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
    program: PathBuf,
    socket: PathBuf,
}

impl Engine {
    /// Starts one with its socket in this directory, on a thread that lives as long as it.
    ///
    /// # Errors
    /// Where there is none to start, with what to install.
    pub(crate) fn start(directory: &Path) -> anyhow::Result<Self> {
        let program = find(&std::env::var_os("PATH").unwrap_or_default()).context(
            "--nodes needs a Redis server of its own, and neither redis-server nor valkey-server \
             is in $PATH: install one (apt install redis-server, dnf install valkey, brew install \
             redis), or run the demo without --nodes",
        )?;
        let socket = directory.join("redis.sock");
        let mut command = Command::new(&program);
        command.args(["--port", "0", "--unixsocketperm", "700", "--unixsocket"]).arg(&socket);
        command.args(["--save", "", "--appendonly", "no", "--dir"]).arg(directory);
        command.args(["--loglevel", "warning", "--maxmemory-policy", "noeviction"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let child = leash(&mut command).spawn();
        let mut child = child.with_context(|| format!("can't start {}", program.display()))?;
        let said = BufReader::new(child.stdout.take().context("it has a pipe")?).lines();
        Ok(Self { child, said, program, socket })
    }

    /// Where it is.
    ///
    /// # Errors
    /// Where the directory's name can't stand in an address.
    pub(crate) fn address(&self) -> anyhow::Result<RedisAddress> {
        let address = format!("redis+unix://{}", self.socket.display());
        address.parse().with_context(|| format!("{} (TMPDIR)", self.socket.display()))
    }

    /// Waits for its end, which nobody has asked for, and says why it may be. Cancel safe, but
    /// what it had said by then is not told.
    pub(crate) async fn ended(&mut self) -> anyhow::Error {
        let mut last = String::new();
        // Until the pipe's end, which is the server's.
        while let Ok(Some(line)) = self.said.next_line().await {
            if !line.trim().is_empty() {
                last = line;
            }
        }
        let status = match self.child.wait().await {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        anyhow!("{} has ended ({status}): {}", self.program.display(), last.trim())
    }

    /// Ends it: there is nothing that it would have to keep.
    pub(crate) async fn stop(mut self) {
        if let Err(error) = self.child.kill().await {
            tracing::warn!("{} can't be ended: {error}", self.program.display());
        }
    }
}

fn find(path: &std::ffi::OsStr) -> Option<PathBuf> {
    let directories: Vec<PathBuf> = std::env::split_paths(path).collect();
    let programs =
        PROGRAMS.iter().flat_map(|name| directories.iter().map(move |dir| dir.join(name)));
    programs.into_iter().find(|program| program.is_file())
}
