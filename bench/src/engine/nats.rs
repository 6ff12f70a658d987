//! A nats-server with JetStream.
//! Knows nothing of what is kept in it.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

use super::{Engine, Taken};
use crate::isolate;
use crate::publish::Publisher;
use crate::server::{Server, free_address};

/// One that runs.
#[derive(Debug)]
pub struct Nats {
    server: Server,
    /// Where it tells what it does.
    monitor: SocketAddr,
}

impl Nats {
    /// Starts one on a free port; it writes to this directory, which is made.
    ///
    /// # Errors
    /// Where it is not installed, or does not start.
    pub fn start(directory: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(directory).context("can't make a directory for NATS")?;
        let (address, monitor) = (free_address()?, free_address()?);
        let mut command = isolate::server("nats-server");
        command.args(["--addr", &address.ip().to_string(), "--port", &address.port().to_string()]);
        command.args(["--http_port", &monitor.port().to_string(), "--jetstream", "--store_dir"]);
        command.arg(directory).arg("--log").arg(directory.join("log"));
        let server = Server::start_at(&mut command, address);
        let server = server.context("is nats-server installed (Debian: nats-server)?")?;
        Ok(Self { server, monitor })
    }

    /// Its version, as the installed program says it.
    ///
    /// # Errors
    /// Where it is not installed.
    pub fn version() -> anyhow::Result<String> {
        let output = Command::new("nats-server").arg("--version").output();
        let output = output.context("nats-server is not installed (Debian: nats-server)")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let version = text.split_whitespace().last().context("it does not say its version")?;
        Ok(version.trim_start_matches('v').to_owned())
    }
}

impl Engine for Nats {
    fn url(&self) -> String {
        format!("nats://{}", self.server.address())
    }

    fn process(&self) -> u32 {
        self.server.process()
    }

    fn sent(&self) -> anyhow::Result<u64> {
        let answer = Publisher::connect(self.monitor, "")?.request("GET", "/varz", b"")?;
        ensure!(answer.status == 200, "NATS tells nothing of itself: {}", answer.status);
        let said: serde_json::Value = serde_json::from_slice(&answer.body)?;
        said["out_bytes"].as_u64().context("NATS does not say what it has sent")
    }

    fn take(&self, _entries: u64, _entry_bytes: usize) -> anyhow::Result<Option<Taken>> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_starts_and_says_what_it_has_sent() {
        let directory = std::env::temp_dir().join(format!("bench-nats-{}", std::process::id()));
        let nats = Nats::start(&directory).unwrap();
        assert!(Nats::version().unwrap().starts_with(|first: char| first.is_ascii_digit()));
        assert!(nats.sent().is_ok());
        drop(nats);
        fs::remove_dir_all(&directory).unwrap();
    }
}
