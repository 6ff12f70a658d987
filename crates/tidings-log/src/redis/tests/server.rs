//! A redis-server for one test, on a free port, and what can be done to it.
//! Knows nothing of the log.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::redis::{RedisAddress, RedisOptions};
pub(super) use crate::remote::testing::free_port;

/// After so long, something hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server. Dropping it kills it.
pub(super) struct Server {
    directory: TempDir,
    port: u16,
    flags: Vec<String>,
    child: Option<Child>,
}

impl Server {
    /// One that forgets all when it ends.
    pub(super) fn start() -> Self {
        Self::with(&["--save", "", "--appendonly", "no"])
    }

    /// One with these flags.
    pub(super) fn with(flags: &[&str]) -> Self {
        let directory = TempDir::new().expect("a directory");
        let port = free_port();
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let mut server = Self { directory, port, flags, child: None };
        server.up();
        server
    }

    /// What somebody else has started on this port.
    pub(super) fn look_at(port: u16) -> Self {
        let directory = TempDir::new().expect("a directory");
        Self { directory, port, flags: Vec::new(), child: None }
    }

    /// Starts it, on the same port and with the same directory as before.
    pub(super) fn up(&mut self) {
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &self.port.to_string(), "--dir"]);
        command.arg(self.directory.path()).args(["--loglevel", "warning"]).args(&self.flags);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        self.child = Some(command.spawn().expect("redis-server starts: is it installed?"));
        let deadline = Instant::now() + PATIENCE;
        while !self.answers() {
            assert!(Instant::now() < deadline, "redis-server does not answer");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Kills it: what it had not written down is gone.
    pub(super) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn answers(&self) -> bool {
        self.try_ask(&["PING"]).is_some()
    }

    /// Runs a command there.
    pub(super) fn ask(&self, command: &[&str]) -> redis::Value {
        self.try_ask(command).unwrap_or_else(|| panic!("{command:?} is answered"))
    }

    pub(super) fn try_ask(&self, command: &[&str]) -> Option<redis::Value> {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}", self.port)).ok()?;
        let mut connection = client.get_connection_with_timeout(Duration::from_secs(5)).ok()?;
        let (name, arguments) = command.split_first()?;
        redis::cmd(name).arg(arguments).query(&mut connection).ok()
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// A log there.
    pub(super) fn options(&self) -> RedisOptions {
        options(self.port, "")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A log in the server on this port, with this in front of the host.
pub(super) fn options(port: u16, user: &str) -> RedisOptions {
    let address: RedisAddress =
        format!("redis://{user}127.0.0.1:{port}").parse().expect("an address");
    RedisOptions::new(address)
}
