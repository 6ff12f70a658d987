//! A redis-server, and what it takes of `redis-benchmark`.
//! Knows nothing of what is kept in it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};

use super::{Engine, Taken};
use crate::isolate;
use crate::measure;
use crate::server::{Server, free_address};

/// One that runs, with an empty database.
#[derive(Debug)]
pub struct Redis {
    server: Server,
}

/// A server that takes longer for a line is not there.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// Commands that `redis-benchmark` sends before it looks at an answer, on each of 50 connections.
const PIPELINE: &str = "64";

impl Redis {
    /// Starts one on a free port; it writes to this directory, which is made.
    ///
    /// # Errors
    /// Where it is not installed, or does not start.
    pub fn start(directory: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(directory).context("can't make a directory for Redis")?;
        let address = free_address()?;
        let mut command = isolate::server("redis-server");
        command.args(["--bind", &address.ip().to_string(), "--port", &address.port().to_string()]);
        command.arg("--dir").arg(directory).args(["--loglevel", "warning"]);
        // As `docs/scaling.md` has it. It is not rewritten meanwhile: another process would do it
        // now and then, whose CPU is gone with it.
        command.args(["--save", "", "--appendonly", "yes", "--auto-aof-rewrite-percentage", "0"]);
        let server = Server::start_at(&mut command, address);
        Ok(Self { server: server.context("is redis-server installed (Debian: redis-server)?")? })
    }

    /// Its version, as the installed program says it.
    ///
    /// # Errors
    /// Where it is not installed.
    pub fn version() -> anyhow::Result<String> {
        let output = Command::new("redis-server").arg("--version").output();
        let output = output.context("redis-server is not installed (Debian: redis-server)")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let version = text.split_whitespace().find_map(|word| word.strip_prefix("v="));
        Ok(version.context("redis-server does not say its version")?.to_owned())
    }

    /// One of its own counts, by its name in `INFO`.
    fn count(&self, name: &str) -> anyhow::Result<u64> {
        let text = self.info()?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let value = value.and_then(|value| value.trim().parse().ok());
        value.with_context(|| format!("Redis has no count {name}"))
    }

    fn info(&self) -> anyhow::Result<String> {
        let mut stream = TcpStream::connect(self.server.address()).context("Redis is gone")?;
        stream.set_read_timeout(Some(ANSWER_TIME_MAX))?;
        stream.write_all(b"INFO stats\r\n")?;
        let mut answer = BufReader::new(stream);
        let mut head = String::new();
        answer.read_line(&mut head)?;
        let length = head.strip_prefix('$').and_then(|length| length.trim().parse().ok());
        let length: usize = length.with_context(|| format!("Redis answers {head:?}"))?;
        let mut text = vec![0; length];
        answer.read_exact(&mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

impl Engine for Redis {
    fn url(&self) -> String {
        format!("redis://{}", self.server.address())
    }

    fn process(&self) -> u32 {
        self.server.process()
    }

    fn sent(&self) -> anyhow::Result<u64> {
        self.count("total_net_output_bytes")
    }

    fn take(&self, entries: u64, entry_bytes: usize) -> anyhow::Result<Option<Taken>> {
        let address = self.server.address();
        let mut command = Command::new("redis-benchmark");
        command.args(["-h", &address.ip().to_string(), "-p", &address.port().to_string()]);
        command.args(["-P", PIPELINE, "-n", &entries.to_string(), "--csv"]);
        command.args(["XADD", "bench", "*", "e", &"x".repeat(entry_bytes)]);
        let before = measure::cpu(self.process())?;
        let output = command.output();
        let cpu = measure::cpu(self.process())?.saturating_sub(before);
        let output = output.context("is redis-benchmark installed (Debian: redis-tools)?")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let rate = rate(&text).with_context(|| format!("redis-benchmark said {text:?}"))?;
        ensure!(output.status.success(), "redis-benchmark ended with {}", output.status);
        let cpu_us = cpu.as_secs_f64() * 1e6 / entries.max(1) as f64;
        Ok(Some(Taken { rate, cpu_us }))
    }
}

/// The second column of the last line.
fn rate(csv: &str) -> Option<f64> {
    let mut columns = csv.lines().last()?.split("\",\"");
    columns.nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_stands_in_the_second_column() {
        let csv = "\"test\",\"rps\",\"avg\"\n\"XADD bench * e xx\",\"308184.62\",\"9.7\"\n";
        assert_eq!(rate(csv), Some(308_184.62));
        assert_eq!(rate("\"test\",\"rps\"\n"), None);
        assert_eq!(rate(""), None);
    }

    #[test]
    fn one_takes_entries_and_counts_them() {
        let directory = std::env::temp_dir().join(format!("bench-redis-{}", std::process::id()));
        let redis = Redis::start(&directory).unwrap();
        let before = redis.count("total_commands_processed").unwrap();
        let taken = redis.take(1_000, 200).unwrap().unwrap();
        assert!(taken.rate > 0.0, "{taken:?}");
        let after = redis.count("total_commands_processed").unwrap();
        assert!(after - before >= 1_000, "{before} {after}");
        let error = redis.count("no_such_count").unwrap_err().to_string();
        assert!(error.contains("no_such_count"), "{error}");
        drop(redis);
        fs::remove_dir_all(&directory).unwrap();
    }
}
