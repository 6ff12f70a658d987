//! A server that is measured: a process that says on its first lines where it listens.
//! Knows nothing of what it serves.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, bail};

/// A process that is ended with its handle.
#[derive(Debug)]
pub struct Server {
    child: Child,
    address: SocketAddr,
    stdin: Option<ChildStdin>,
    // Kept, so that what it prints later does not break it.
    _stdout: BufReader<ChildStdout>,
}

/// What stands before the address.
const MARK: &str = "listening on http://";

/// It has to say so within this many lines.
const LINES_MAX: usize = 20;

impl Server {
    /// Starts it and waits until it listens.
    ///
    /// # Errors
    /// Where it can't be started, or ends before it listens.
    pub fn start(command: &mut Command) -> anyhow::Result<Self> {
        let named = format!("{}", command.get_program().display());
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("can't start {named}"))?;
        let stdin = child.stdin.take();
        let mut stdout = BufReader::new(child.stdout.take().context("it has no output")?);
        let mut text = String::new();
        for _ in 0..LINES_MAX {
            let before = text.len();
            if stdout.read_line(&mut text)? == 0 {
                break;
            }
            if let Some(address) = address(&text[before..]) {
                return Ok(Self { child, address, stdin, _stdout: stdout });
            }
        }
        let _ = child.kill();
        let status = child.wait()?;
        bail!("{named} did not say where it listens ({status}); it said: {text}")
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    #[must_use]
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Writes a line to its input.
    ///
    /// # Errors
    /// Where it has ended.
    pub fn write_line(&mut self, line: &str) -> anyhow::Result<()> {
        let stdin = self.stdin.as_mut().context("its input is closed")?;
        stdin.write_all(format!("{line}\n").as_bytes()).context("it has ended")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn address(line: &str) -> Option<SocketAddr> {
    let rest = &line[line.find(MARK)? + MARK.len()..];
    rest.split_whitespace().next()?.trim_end_matches('/').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_what_it_says() {
        let expected = Some("127.0.0.1:3000".parse().unwrap());
        assert_eq!(address("listening on http://127.0.0.1:3000\n"), expected);
        assert_eq!(address("Tidings 0.1.0, listening on http://127.0.0.1:3000/ (demo)"), expected);
        assert_eq!(address("starting"), None);
    }
}
