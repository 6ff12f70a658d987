//! Starts the program, reads what it prints line by line, and ends it with the test.
//! Knows nothing of what is tested. Deadlines are generous: they are for hanging, not for
//! measuring. Each test binary includes it and uses a part of it.

#![allow(dead_code, unused_imports, reason = "no test binary uses all of it")]

#[path = "../../../tidings-log/src/remote/testing/ports.rs"]
mod ports;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) use self::ports::free_port;

/// After so long, something hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The program, in this directory, with nothing of ours in its environment.
pub(crate) fn tidings(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidings"));
    command.current_dir(directory).stdin(Stdio::null()).env_remove("RUST_LOG");
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy().to_lowercase();
        if text.starts_with("tidings_") || text.ends_with("_proxy") {
            command.env_remove(name);
        }
    }
    command
}

/// What the program printed, once it has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ended {
    /// The lines of stdout, where all went well.
    #[track_caller]
    pub(crate) fn lines(&self) -> Vec<&str> {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.stdout.lines().collect()
    }

    /// Ended with this code and said this.
    #[track_caller]
    pub(crate) fn failed(&self, code: i32, said: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        for said in said {
            assert!(self.stderr.contains(said), "{said:?} is missing: {}", self.stderr);
        }
    }
}

/// Runs the program in an empty directory to its end.
pub(crate) fn run(args: &[&str]) -> Ended {
    let directory = TempDir::new().unwrap();
    tidings(directory.path()).args(args).output().unwrap().into()
}

/// The same, reading this from stdin.
pub(crate) fn run_with(args: &[&str], stdin: &str) -> Ended {
    let directory = TempDir::new().unwrap();
    feed(tidings(directory.path()).args(args), stdin)
}

/// Runs a command that reads this from stdin to its end.
fn feed(command: &mut Command, stdin: &str) -> Ended {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Short enough for the pipe, so that nobody waits for anybody.
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    child.wait_with_output().unwrap().into()
}

/// The program while it runs. Dropping it kills it.
pub(crate) struct Running {
    child: Child,
    pub(crate) stdout: Lines,
    pub(crate) stderr: Lines,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = Lines::of(child.stdout.take().unwrap());
        let stderr = Lines::of(child.stderr.take().unwrap());
        Self { child, stdout, stderr }
    }

    pub(crate) fn stdin(&mut self) -> &mut impl Write {
        self.child.stdin.as_mut().unwrap()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap();
    }

    /// Waits for the end.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        drop(self.child.stdin.take());
        until("the program ends", || self.child.try_wait().unwrap())
    }

    #[track_caller]
    pub(crate) fn ends_with(&mut self, code: i32) {
        let status = self.wait();
        assert_eq!(status.code(), Some(code), "{status}: {:?}", self.stderr.rest());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What comes on a pipe, line by line.
pub(crate) struct Lines {
    lines: Receiver<String>,
}

impl Lines {
    fn of(pipe: impl Read + Send + 'static) -> Self {
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { lines }
    }

    /// The next line.
    #[track_caller]
    pub(crate) fn next(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("a line within the deadline")
    }

    /// The next line that contains this, passing over others.
    #[track_caller]
    pub(crate) fn find(&self, wanted: &str) -> String {
        loop {
            let line = self.next();
            if line.contains(wanted) {
                return line;
            }
        }
    }

    /// The next line, which is an event: type and data.
    #[track_caller]
    pub(crate) fn event(&self) -> (String, String) {
        let line = self.next();
        let event: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
        let text = |name: &str| event[name].as_str().unwrap().to_owned();
        assert!(event["id"].is_string(), "{line}");
        (text("event"), text("data"))
    }

    /// All that comes until the end.
    pub(crate) fn rest(&self) -> Vec<String> {
        let mut rest = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            rest.push(line);
        }
        rest
    }
}

/// A hub that listens.
pub(crate) struct Server {
    pub(crate) running: Running,
    pub(crate) url: String,
}

impl Server {
    /// A hub in memory on a free port.
    pub(crate) fn start() -> Self {
        let directory = TempDir::new().unwrap();
        Self::start_in(directory.path(), &["serve", "--listen", "127.0.0.1:0", "--log", "memory"])
    }

    /// Whatever these arguments say.
    #[track_caller]
    pub(crate) fn start_in(directory: &Path, args: &[&str]) -> Self {
        Self::start_by(tidings(directory).args(args))
    }

    /// Whatever this command starts.
    #[track_caller]
    pub(crate) fn start_by(command: &mut Command) -> Self {
        let running = Running::start(command);
        let Ok(first) = running.stdout.lines.recv_timeout(PATIENCE) else {
            panic!("no first line: {:?}", running.stderr.rest());
        };
        let (_, url) = first.split_once("listening on ").unwrap_or_else(|| panic!("{first}"));
        let end = url.find([' ', '"']).unwrap_or(url.len());
        Self { url: url[..end].into(), running }
    }

    pub(crate) fn address(&self) -> &str {
        self.url.strip_prefix("http://").unwrap()
    }

    /// A client command for this hub.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = tidings(Path::new("/"));
        command.args(args).env("TIDINGS_URL", &self.url);
        command
    }

    /// Runs a client command to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        self.command(args).output().unwrap().into()
    }

    /// Runs a client command that reads this from stdin.
    pub(crate) fn run_with(&self, args: &[&str], stdin: &str) -> Ended {
        feed(&mut self.command(args), stdin)
    }

    /// Types and data of the events that a topic has.
    #[track_caller]
    pub(crate) fn events(&self, topic: &str, count: usize) -> Vec<(String, String)> {
        let count = count.to_string();
        let args = ["subscribe", topic, "--since", "earliest", "--count", &count];
        let ended = self.run(&args);
        ended
            .lines()
            .iter()
            .map(|line| {
                let event: Value = serde_json::from_str(line).unwrap();
                let text = |name: &str| event[name].as_str().unwrap().to_owned();
                (text("event"), text("data"))
            })
            .collect()
    }

    /// The status and the body of a GET.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let host = self.address();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.into())
    }

    /// Ends it as an operator does.
    #[track_caller]
    pub(crate) fn stop(&mut self) {
        self.running.signal(Signal::TERM);
        self.running.ends_with(0);
    }
}

/// Asks again until there is an answer.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
