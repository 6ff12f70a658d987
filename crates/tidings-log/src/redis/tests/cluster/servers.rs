//! A Redis Cluster of three primaries and three replicas for one test, and what can be done to it.
//! Knows nothing of the log; the tests of the program include it too.

#![allow(dead_code, reason = "no test binary uses all of it")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// After so long, something hangs.
const PATIENCE: Duration = Duration::from_secs(60);
const PRIMARIES: usize = 3;
const SERVERS: usize = 2 * PRIMARIES;
const SLOTS: usize = 16_384;

/// Running servers that are one cluster. Dropping it kills them.
pub(crate) struct Cluster {
    servers: Vec<Server>,
}

struct Server {
    directory: TempDir,
    /// Where it listens.
    port: u16,
    /// Where the others say that it is.
    announced: u16,
    bus: u16,
    child: Option<Child>,
}

impl Cluster {
    /// Starts one on free ports.
    pub(crate) fn start(free_port: fn() -> u16) -> Self {
        Self::announced(free_port, |port| port)
    }

    /// The same, where servers lead clients to these places in front of their ports.
    pub(crate) fn announced(free_port: fn() -> u16, announce: impl Fn(u16) -> u16) -> Self {
        let servers = (0..SERVERS).map(|_| {
            let (directory, port, bus) = (TempDir::new().unwrap(), free_port(), free_port());
            let mut server =
                Server { directory, port, announced: announce(port), bus, child: None };
            server.up();
            server
        });
        let cluster = Self { servers: servers.collect() };
        let [first, others @ ..] = &cluster.servers[..] else { unreachable!("there are six") };
        for (number, server) in cluster.servers[..PRIMARIES].iter().enumerate() {
            let (from, to) = (number * SLOTS / PRIMARIES, (number + 1) * SLOTS / PRIMARIES - 1);
            server.ask(&format!("CLUSTER ADDSLOTSRANGE {from} {to}"));
            server.ask(&format!("CLUSTER SET-CONFIG-EPOCH {}", number + 1));
        }
        for server in others {
            server.ask(&format!("CLUSTER MEET 127.0.0.1 {} {}", first.port, first.bus));
        }
        cluster.wait("all know each other", |server| {
            let info = server.ask("CLUSTER INFO");
            info.contains(&format!("cluster_known_nodes:{SERVERS}"))
        });
        for (primary, replica) in (0..PRIMARIES).zip(PRIMARIES..) {
            let id = cluster.servers[primary].id();
            cluster.servers[replica].ask(&format!("CLUSTER REPLICATE {id}"));
        }
        cluster.wait_until_whole();
        cluster
    }

    /// `HOST:PORT,…`: all of them, as the others say where they are.
    pub(crate) fn seeds(&self) -> String {
        let places = self.servers.iter().map(|server| format!("127.0.0.1:{}", server.announced));
        places.collect::<Vec<_>>().join(",")
    }

    /// Waits until all slots are served, and each primary has a replica that follows it.
    pub(crate) fn wait_until_whole(&self) {
        self.wait("the cluster is whole", |server| {
            let replication = server.ask("INFO replication");
            let attended = replication.contains("state=online")
                || replication.contains("master_link_status:up");
            server.ask("CLUSTER INFO").contains("cluster_state:ok") && attended
        });
    }

    /// The server that has a key now.
    pub(crate) fn holder(&self, key: &str) -> usize {
        until("a server has the key", || {
            let running = self.servers.iter().enumerate().filter(|(_, s)| s.child.is_some());
            let mut holding = running.filter(|(_, server)| {
                // Not an error that leads elsewhere.
                server.try_ask(&format!("EXISTS {key}")).is_some_and(|text| text.starts_with(':'))
            });
            holding.next().map(|(number, _)| number)
        })
    }

    /// Kills a server: what it alone had is gone.
    pub(crate) fn kill(&mut self, server: usize) {
        self.servers[server].kill();
    }

    /// Starts it where it was; it becomes a replica of whoever took over.
    pub(crate) fn up(&mut self, server: usize) {
        self.servers[server].up();
    }

    /// Runs a command on a server; the answer as it comes.
    pub(crate) fn ask(&self, server: usize, command: &str) -> String {
        self.servers[server].ask(command)
    }

    /// Breaks all connections of clients off.
    pub(crate) fn break_off(&self) {
        for server in &self.servers {
            server.ask("CLIENT KILL TYPE normal SKIPME yes");
        }
    }

    /// Lets the replica of the key's primary take over in its place, with all that it had.
    pub(crate) fn fail_over(&self, key: &str) {
        let primary = self.holder(key);
        let id = self.servers[primary].id();
        let replica = until("it has a replica", || {
            let mut others = self.servers.iter().enumerate();
            others.find(|(_, server)| {
                let nodes = server.try_ask("CLUSTER NODES").unwrap_or_default();
                nodes.lines().any(|line| {
                    line.contains("myself") && line.split(' ').nth(3) == Some(id.as_str())
                })
            })
        });
        let (number, replica) = replica;
        until("it takes over", || {
            // Refused while it is not in step.
            replica.try_ask("CLUSTER FAILOVER");
            std::thread::sleep(Duration::from_millis(50));
            (self.holder(key) == number).then_some(())
        });
        self.wait_until_agreed(key);
    }

    /// Moves the slot of a key to another primary, as `redis-cli --cluster reshard` does. Between
    /// the steps something else may be done.
    pub(crate) fn migrate(&self, key: &str, mut between: impl FnMut()) {
        let source = self.holder(key);
        let target = until("another primary", || {
            let mut others = self.servers.iter().enumerate();
            others.find(|(number, server)| {
                let role = server.try_ask("ROLE").unwrap_or_default();
                *number != source && role.contains("master")
            })
        });
        let (target, source) = (target.1, &self.servers[source]);
        let answer = source.ask(&format!("CLUSTER KEYSLOT {key}"));
        let slot = answer.trim().trim_start_matches(':');
        let (from, to) = (source.id(), target.id());
        target.insist(&format!("CLUSTER SETSLOT {slot} IMPORTING {from}"));
        source.insist(&format!("CLUSTER SETSLOT {slot} MIGRATING {to}"));
        between();
        loop {
            let keys = source.ask(&format!("CLUSTER GETKEYSINSLOT {slot} 1"));
            let Some(key) = keys.lines().nth(2) else { break };
            let port = target.port;
            source.ask(&format!("MIGRATE 127.0.0.1 {port} {key} 0 10000"));
            between();
        }
        target.insist(&format!("CLUSTER SETSLOT {slot} NODE {to}"));
        between();
        source.insist(&format!("CLUSTER SETSLOT {slot} NODE {to}"));
        self.wait_until_agreed(key);
    }

    /// Waits until all servers say the same of who has a key. A replica that takes over before it
    /// has heard of a slot that its primary was given leaves the slot to nobody.
    fn wait_until_agreed(&self, key: &str) {
        until("all agree on who has the key", || {
            let holder = &self.servers[self.holder(key)];
            let lead = format!(":{}\r\n", holder.announced);
            let mut running = self.servers.iter().filter(|server| server.child.is_some());
            let agreed = running.all(|server| {
                let said = server.try_ask(&format!("EXISTS {key}")).unwrap_or_default();
                server.port == holder.port || said.starts_with("-MOVED") && said.ends_with(&lead)
            });
            agreed.then_some(())
        });
    }

    fn wait(&self, what: &str, is: impl Fn(&Server) -> bool) {
        until(what, || {
            let mut running = self.servers.iter().filter(|server| server.child.is_some());
            running.all(&is).then_some(())
        });
    }
}

impl Server {
    fn up(&mut self) {
        let mut command = Command::new("redis-server");
        let [port, bus, announced] = [self.port, self.bus, self.announced].map(|p| p.to_string());
        command.args(["--bind", "127.0.0.1", "--port", &port, "--cluster-port", &bus]);
        command.args(["--cluster-announce-ip", "127.0.0.1", "--cluster-announce-port", &announced]);
        command.args(["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"]);
        command.args(["--repl-diskless-sync-delay", "0", "--save", "", "--loglevel", "warning"]);
        command.arg("--dir").arg(self.directory.path());
        command.stdin(Stdio::null()).stdout(Stdio::null());
        self.child = Some(command.spawn().expect("redis-server starts: is it installed?"));
        until("redis-server answers", || {
            self.try_ask("PING").filter(|answer| answer.starts_with("+PONG"))
        });
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn id(&self) -> String {
        let answer = self.ask("CLUSTER MYID");
        answer.lines().nth(1).expect("an id").to_owned()
    }

    fn ask(&self, command: &str) -> String {
        let answer = self.try_ask(command).unwrap_or_else(|| panic!("{command} is answered"));
        assert!(!answer.starts_with('-'), "{command}: {answer}");
        answer
    }

    /// Asks again while it is refused: each server hears of a change in its own time.
    fn insist(&self, command: &str) {
        until(command, || self.try_ask(command).filter(|answer| !answer.starts_with('-')));
    }

    fn try_ask(&self, command: &str) -> Option<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
        // The server closes the connection when it has answered both.
        stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.strip_suffix("+OK\r\n").map(str::to_owned)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Asks again until there is an answer.
fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
