//! A server that is measured: a process that says on its first lines where it listens, or is told
//! where to. Knows nothing of what it serves.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::measure;

/// A process that is ended with its handle, and with it all that it has started.
#[derive(Debug)]
pub struct Server {
    child: Child,
    address: SocketAddr,
    stdin: Option<ChildStdin>,
    // Kept, so that what it prints later does not break it.
    _stdout: Option<BufReader<ChildStdout>>,
}

/// What stands before the address.
const MARK: &str = "listening on http://";

/// It has to say so within this many lines.
const LINES_MAX: usize = 20;

/// A server that was told where to listen takes connections there within this time.
const START_TIME_MAX: Duration = Duration::from_secs(20);

/// How often one looks whether it does.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// An address that nobody listens on, for a server that can't choose one by itself.
///
/// # Errors
/// Where the system has none.
pub fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("there is no free port")?;
    Ok(listener.local_addr()?)
}

impl Server {
    /// Starts it and waits until it says that it listens.
    ///
    /// # Errors
    /// Where it can't be started, or ends before it listens.
    pub fn start(command: &mut Command) -> anyhow::Result<Self> {
        let mut child = spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
        let stdin = child.stdin.take();
        let mut stdout = BufReader::new(child.stdout.take().context("it has no output")?);
        let mut text = String::new();
        for _ in 0..LINES_MAX {
            let before = text.len();
            if stdout.read_line(&mut text)? == 0 {
                break;
            }
            if let Some(address) = address(&text[before..]) {
                return Ok(Self { child, address, stdin, _stdout: Some(stdout) });
            }
        }
        let _ = child.kill();
        let status = child.wait()?;
        bail!("{command:?} did not say where it listens ({status}); it said: {text}")
    }

    /// Starts one that was told to listen on `address`, and waits until it does.
    ///
    /// # Errors
    /// Where it can't be started, ends before it listens, or never does.
    pub fn start_at(command: &mut Command, address: SocketAddr) -> anyhow::Result<Self> {
        let child = spawn(command.stdin(Stdio::null()).stdout(Stdio::null()))?;
        // From here on it is ended whatever happens.
        let mut server = Self { child, address, stdin: None, _stdout: None };
        let deadline = Instant::now() + START_TIME_MAX;
        while TcpStream::connect(address).is_err() {
            if let Some(status) = server.child.try_wait()? {
                bail!("{command:?} has ended ({status}) before it listened on {address}");
            }
            if Instant::now() > deadline {
                bail!("{command:?} does not listen on {address}");
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
        Ok(server)
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
        let started = measure::end(self.child.id());
        let _ = self.child.wait();
        measure::wait_for_end(&started);
    }
}

fn spawn(command: &mut Command) -> anyhow::Result<Child> {
    command.spawn().with_context(|| format!("can't start {}", command.get_program().display()))
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

    #[test]
    fn what_a_server_has_started_ends_with_it() {
        let script = "sleep 600 & echo $!; echo listening on http://127.0.0.1:1; wait";
        let mut command = Command::new("sh");
        let server = Server::start(command.args(["-c", script])).unwrap();
        let processes = measure::tree(server.process());
        assert_eq!(processes.len(), 2, "{processes:?}");
        drop(server);
        assert!(processes.iter().all(|process| !measure::is_running(*process)));
    }

    #[test]
    fn one_that_ends_at_once_is_found_out() {
        let address = free_address().unwrap();
        let error = Server::start_at(&mut Command::new("false"), address).unwrap_err().to_string();
        assert!(error.contains("has ended"), "{error}");
    }
}
