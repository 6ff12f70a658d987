//! A nats-server for one test, or a cluster of three, on free ports, and what can be done to them.
//! Knows nothing of the log.

#![allow(dead_code, reason = "no test binary uses all of it")]

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// After so long, something hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a server with JetStream needs; `STORE` stands for a directory of its own.
const JETSTREAM: &str = "jetstream { store_dir: STORE }\n";

/// A running server. Dropping it kills it.
pub(crate) struct Server {
    directory: TempDir,
    pub(crate) port: u16,
    /// Behind what every server has: its configuration.
    more: String,
    child: Option<Child>,
}

impl Server {
    /// One with JetStream.
    pub(crate) fn start(free_port: fn() -> u16) -> Self {
        Self::with(free_port, JETSTREAM)
    }

    /// One with this configuration.
    pub(crate) fn with(free_port: fn() -> u16, configuration: &str) -> Self {
        let mut server = Self::of(free_port(), configuration);
        server.up();
        server
    }

    /// One on this port, not yet started.
    fn of(port: u16, configuration: &str) -> Self {
        let directory = TempDir::new().expect("a directory");
        Self { directory, port, more: configuration.to_owned(), child: None }
    }

    /// Starts it, on the same port and with the same directory as before.
    pub(crate) fn up(&mut self) {
        self.launch();
        until("nats-server answers", || TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok());
    }

    fn launch(&mut self) {
        let store = format!("{:?}", self.directory.path().join("store"));
        let text = format!(
            "listen: \"127.0.0.1:{}\"\nserver_name: {}\n{}\n",
            self.port,
            self.name(),
            self.more.replace("STORE", &store)
        );
        let file = self.directory.path().join("nats.conf");
        std::fs::write(&file, text).expect("a file");
        let mut command = Command::new("nats-server");
        command.arg("--config").arg(&file).arg("--log").arg(self.directory.path().join("log"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(command.spawn().expect("nats-server starts: is it installed?"));
    }

    /// Kills it.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn name(&self) -> String {
        format!("s{}", self.port)
    }

    /// What it keeps, to be put back later: the server as it was at some time.
    pub(crate) fn remember(&self) -> TempDir {
        let copy = TempDir::new().expect("a directory");
        duplicate(&self.directory.path().join("store"), &copy.path().join("store"));
        copy
    }

    /// Puts back what it kept once. It has to be dead.
    pub(crate) fn set_back(&self, copy: &TempDir) {
        self.forget();
        duplicate(&copy.path().join("store"), &self.directory.path().join("store"));
    }

    /// Forgets all. It has to be dead.
    pub(crate) fn forget(&self) {
        assert!(self.child.is_none());
        std::fs::remove_dir_all(self.directory.path().join("store")).expect("it is there");
    }

    /// Asks something of JetStream's API; the answer as it comes.
    pub(crate) fn ask(&self, subject: &str) -> Option<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        let request = format!(
            "CONNECT {{\"verbose\":false}}\r\nSUB answer 1\r\nPUB {subject} answer 0\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).ok()?;
        let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
        loop {
            let bytes = stream.read(&mut piece).ok().filter(|bytes| *bytes > 0)?;
            answer.extend_from_slice(&piece[..bytes]);
            let text = String::from_utf8_lossy(&answer);
            if let Some((_, body)) = text.split_once("MSG answer 1 ")
                && body.trim_end().ends_with('}')
            {
                return Some(body.to_owned());
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Three servers that are one.
pub(crate) struct Cluster {
    pub(crate) servers: Vec<Server>,
}

impl Cluster {
    pub(crate) fn start(free_port: fn() -> u16) -> Self {
        let routes: Vec<u16> = (0..3).map(|_| free_port()).collect();
        let all: Vec<String> =
            routes.iter().map(|port| format!("\"nats://127.0.0.1:{port}\"")).collect();
        let mut servers: Vec<Server> = routes
            .iter()
            .map(|route| {
                let cluster = format!(
                    "cluster {{ name: test, listen: \"127.0.0.1:{route}\", routes: [{}] }}\n",
                    all.join(", ")
                );
                Server::of(free_port(), &format!("{JETSTREAM}{cluster}"))
            })
            .collect();
        servers.iter_mut().for_each(Server::launch);
        let cluster = Self { servers };
        until("the servers are one", || {
            let asked = cluster.servers[0].ask("$JS.API.INFO")?;
            asked.contains("\"memory\"").then_some(())
        });
        cluster
    }

    pub(crate) fn ports(&self) -> Vec<u16> {
        self.servers.iter().map(|server| server.port).collect()
    }

    /// Which server leads a stream.
    pub(crate) fn leader(&self, stream: &str) -> usize {
        until("a leader", || {
            let info = self.info(stream)?;
            self.servers
                .iter()
                .position(|server| info.contains(&format!("\"leader\":\"{}\"", server.name())))
        })
    }

    /// Waits until every server has all of a stream.
    pub(crate) fn until_whole(&self, stream: &str) {
        until("all servers have all", || {
            let info = self.info(stream)?;
            let current = info.matches("\"current\":true").count();
            (current == 2 && !info.contains("\"offline\":true")).then_some(())
        });
    }

    fn info(&self, stream: &str) -> Option<String> {
        let subject = format!("$JS.API.STREAM.INFO.{stream}");
        self.servers.iter().filter(|server| server.child.is_some()).find_map(|s| s.ask(&subject))
    }
}

fn duplicate(from: &Path, to: &Path) {
    let mut command = Command::new("cp");
    command.arg("--recursive").arg(from).arg(to);
    assert!(command.status().expect("cp is there").success());
}

fn until<T>(what: &str, mut is: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = is() {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
