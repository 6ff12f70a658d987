//! A redis-server for one test, and hubs on it.
//! Knows nothing of what is tested.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::support::{Server, free_port, tidings, until};

/// A running redis-server. Dropping it kills it.
pub(crate) struct Redis {
    directory: TempDir,
    flags: Vec<String>,
    child: Option<Child>,
    pub(crate) port: u16,
}

impl Redis {
    /// One that forgets all when it ends.
    pub(crate) fn forgetful() -> Self {
        Self::with(&["--save", "", "--appendonly", "no"])
    }

    /// One that keeps what it has acknowledged, whatever happens to it.
    pub(crate) fn durable() -> Self {
        Self::with(&["--appendonly", "yes", "--appendfsync", "always"])
    }

    /// One that follows the one on this port.
    pub(crate) fn replica_of(primary: u16) -> Self {
        let primary = format!("127.0.0.1 {primary}");
        Self::with(&["--save", "", "--replicaof", &primary, "--repl-diskless-sync-delay", "0"])
    }

    /// One with these flags.
    pub(crate) fn with(flags: &[&str]) -> Self {
        let directory = TempDir::new().unwrap();
        let port = free_port();
        let flags = flags.iter().map(|&flag| flag.to_owned()).collect();
        let mut redis = Self { directory, flags, child: None, port };
        redis.up();
        redis
    }

    /// Starts it where it was.
    pub(crate) fn up(&mut self) {
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &self.port.to_string(), "--dir"]);
        command.arg(self.directory.path()).args(["--loglevel", "warning"]).args(&self.flags);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        self.child = Some(command.spawn().expect("redis-server starts: is it installed?"));
        until("redis-server answers", || {
            self.try_ask("PING").filter(|answer| answer.starts_with("+PONG"))
        });
    }

    /// Kills it.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Runs a command there; the answer as it comes.
    #[track_caller]
    pub(crate) fn ask(&self, command: &str) -> String {
        self.try_ask(command).expect("it answers")
    }

    fn try_ask(&self, command: &str) -> Option<String> {
        ask(self.port, command)
    }
}

/// Runs a command on the server on this port; the answer as it comes.
pub(crate) fn ask(port: u16, command: &str) -> Option<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    stream.write_all(format!("{command}\r\n").as_bytes()).ok()?;
    let mut answer = vec![0; 16 * 1024];
    let bytes = stream.read(&mut answer).ok()?;
    (bytes > 0).then(|| String::from_utf8_lossy(&answer[..bytes]).into_owned())
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The command of a hub on this log.
pub(crate) fn node_on(directory: &Path, listen: &str, log: &str) -> Command {
    let mut command = tidings(directory);
    command.args(["serve", "--listen", listen, "--log", log, "--heartbeat", "1s"]);
    command
}

/// A hub on this log.
pub(crate) fn start_with(log: &str, flags: &[&str]) -> Server {
    let directory = TempDir::new().unwrap();
    let mut command = tidings(directory.path());
    command.args(["serve", "--listen", "127.0.0.1:0", "--log", log]).args(flags);
    Server::start_by(&mut command)
}
