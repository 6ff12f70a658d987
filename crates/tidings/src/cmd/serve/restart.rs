//! A restart in place: the program starts itself anew in the same process, and hands its listening
//! sockets over as systemd would. Whoever connects meanwhile waits in their queues, and nobody is
//! refused. Knows nothing of what is served; all of it is closed by then.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use command_fds::{CommandFdExt as _, FdMapping};
use tidings_server::Listener;
use tokio::time::timeout;

use super::inherited::RESTART;
use crate::settings::{Keep, Settings};
use crate::signals::{self, RestartSignal};

/// The first descriptor that is handed over, by sd_listen_fds(3).
const FIRST_SOCKET: RawFd = 3;

/// What the program may take to say whether its settings are right.
const CHECK_TIME_MAX: Duration = Duration::from_secs(30);

/// Waits to be asked for a restart, and knows what it takes.
#[derive(Debug)]
pub(in crate::cmd) struct Restart {
    signal: RestartSignal,
    is_memory: bool,
    /// How the program was called, its name included.
    arguments: Vec<OsString>,
    /// Where it was when it started.
    executable: Option<PathBuf>,
    /// Its listening sockets. While they are open here, they are open.
    sockets: Vec<OwnedFd>,
}

/// The program that takes this one's place.
#[derive(Debug)]
pub(in crate::cmd) struct Successor {
    program: PathBuf,
    arguments: Vec<OsString>,
    sockets: Vec<OwnedFd>,
}

impl Restart {
    /// Listens for the signal, and keeps a hold of these sockets.
    ///
    /// # Errors
    /// Where the system does not let us.
    pub(super) fn new<'a>(
        settings: &Settings,
        listeners: impl Iterator<Item = &'a Listener>,
    ) -> anyhow::Result<Self> {
        let sockets = listeners.map(|listener| listener.as_fd().try_clone_to_owned());
        Ok(Self {
            signal: RestartSignal::new()?,
            is_memory: settings.log == Keep::Memory,
            arguments: std::env::args_os().collect(),
            executable: std::env::current_exe().ok(),
            sockets: sockets.collect::<io::Result<_>>().context("can't keep a listener")?,
        })
    }

    /// Waits for the signal. Cancel safe.
    pub(super) async fn asked(&mut self) {
        self.signal.next().await;
    }

    /// Whether the program, as it lies on the disk now, would start with its settings as they are
    /// now, and which it is. Cancel safe.
    ///
    /// # Errors
    /// Where it would not, or should not.
    pub(super) async fn check(&self) -> anyhow::Result<PathBuf> {
        if self.is_memory {
            bail!(
                "the log is in memory, and a restart would forget all events: keep them on disk \
                 (--log disk:PATH), or stop the hub and start it"
            );
        }
        let (name, arguments) = self.arguments.split_first().context("there are no arguments")?;
        // As it was called, which finds an upgraded file; else the file that it was.
        match self.try_start(name.into(), arguments).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let executable = self.executable.clone().ok_or(error)?;
                let checked = self.try_start(executable.clone(), arguments).await;
                checked.with_context(|| format!("can't run {}", executable.display()))?
            }
            checked => checked.with_context(|| format!("can't run {}", name.display()))?,
        }
    }

    /// Runs `config check` with the arguments of `serve`. The error is that it can't be run.
    async fn try_start(
        &self,
        program: PathBuf,
        arguments: &[OsString],
    ) -> io::Result<anyhow::Result<PathBuf>> {
        let mut command = tokio::process::Command::new(&program);
        for argument in arguments {
            // The first is the command. Should it be the value of an option, the check fails.
            match argument == "serve" {
                true => command.args(["config", "check"]),
                false => command.arg(argument),
            };
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
        let Ok(output) = timeout(CHECK_TIME_MAX, command.output()).await else {
            return Ok(Err(anyhow!("`config check` took longer than {CHECK_TIME_MAX:?}")));
        };
        let output = output?;
        if output.status.success() {
            return Ok(Ok(program));
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Ok(Err(anyhow!("it would not start again: {}", said.trim())))
    }

    /// The program with all that it needs to go on.
    pub(super) fn into_successor(self, program: PathBuf) -> Successor {
        let Self { arguments, sockets, .. } = self;
        Successor { program, arguments, sockets }
    }
}

impl Successor {
    /// Puts the program in this one's place. It comes back only where that failed.
    pub(in crate::cmd) fn start(self) -> anyhow::Error {
        let Self { program, arguments, sockets } = self;
        let mut arguments = arguments.into_iter();
        let mut command = Command::new(&program);
        if let Some(name) = arguments.next() {
            command.arg0(name);
        }
        command.args(arguments);
        // The process, and so its number, stays the same.
        command.env("LISTEN_PID", std::process::id().to_string());
        command.env("LISTEN_FDS", sockets.len().to_string());
        command.env("LISTEN_FDNAMES", vec![RESTART; sockets.len()].join(":"));
        let mappings = (FIRST_SOCKET..)
            .zip(sockets)
            .map(|(child_fd, parent_fd)| FdMapping { parent_fd, child_fd })
            .collect();
        if let Err(error) = command.fd_mappings(mappings) {
            return error.into();
        }
        // Between here and the successor's first steps nobody listens for it, and it would kill.
        signals::ignore_restart();
        let error = command.exec();
        anyhow!("can't start {} again, and the hub is closed: {error}", program.display())
    }
}
