//! A disk that takes no more: publishes are refused with the reason, subscribers go on, nothing
//! that was acknowledged is lost, and all is well again as soon as there is space.

use std::path::Path;
use std::process::Command;

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, prlimit};
use tempfile::TempDir;

use crate::support::{Server, tidings, until};
use crate::wire::{Answer, Client, Stream};

const PATH: &str = "/topics/a?since=earliest";
/// Small segments, so that a new one is needed soon.
const FLAGS: [&str; 8] =
    ["--listen", "127.0.0.1:0", "--log", "disk:log", "--keep-bytes", "1MiB", "--heartbeat", "20ms"];
const DATA_BYTES: usize = 4096;

/// Whether the disk is full is decided from outside.
trait Disk {
    fn fill(&self, server: &Server);
    fn free(&self, server: &Server);
}

/// The size of files is limited, which looks the same to the program but for the error's name.
struct FileLimit;

impl Disk for FileLimit {
    fn fill(&self, server: &Server) {
        limit_files(server, Some(4096));
    }

    fn free(&self, server: &Server) {
        limit_files(server, None);
    }
}

/// The soft limit only: that one can be raised again by anybody.
fn limit_files(server: &Server, bytes: Option<u64>) {
    let process = Pid::from_raw(server.running.id().cast_signed());
    let maximum = getrlimit(Resource::Fsize).maximum;
    let limit = Rlimit { current: bytes.or(maximum), maximum };
    prlimit(process, Resource::Fsize, limit).unwrap();
}

/// A filesystem of its own, with a file in it that can be removed.
struct Tmpfs<'a> {
    directory: &'a Path,
}

impl Disk for Tmpfs<'_> {
    // It is small enough to fill up by itself.
    fn fill(&self, _: &Server) {}

    fn free(&self, server: &Server) {
        // Only the server sees what is mounted there.
        let root = format!("/proc/{}/root", server.running.id());
        let filling = self.directory.strip_prefix("/").unwrap().join("filling");
        std::fs::remove_file(Path::new(&root).join(filling)).unwrap();
    }
}

#[test]
fn files_that_may_not_grow() {
    let directory = TempDir::new().unwrap();
    // What happens to a process that writes beyond the limit, unless it ignores that.
    let script = "trap '' XFSZ; exec \"$0\" serve \"$@\"";
    check(&mut script_in(&directory, &["sh", "-c"], script), &directory, &FileLimit);
}

#[test]
fn a_filesystem_that_is_full() {
    let directory = TempDir::new().unwrap();
    let may_mount = Command::new("unshare").args(["-rm", "true"]).status();
    if !may_mount.is_ok_and(|status| status.success()) {
        println!("not tested: this system does not let us mount anything");
        return;
    }
    let script = "mount -t tmpfs -o size=1m tmpfs . && cd \"$PWD\" && \
                  head -c 500000 /dev/zero > filling && exec \"$0\" serve \"$@\"";
    let mut command = script_in(&directory, &["unshare", "-rm", "sh", "-c"], script);
    check(&mut command, &directory, &Tmpfs { directory: directory.path() });
}

/// A shell that starts the program, whose path is `$0`.
fn script_in(directory: &TempDir, shell: &[&str], script: &str) -> Command {
    let program = tidings(directory.path());
    let mut command = Command::new(shell[0]);
    command.args(&shell[1..]).arg(script).arg(program.get_program()).args(FLAGS);
    command.current_dir(directory.path()).env_clear().env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin");
    command
}

/// How it goes for publishers and subscribers while the disk is full and after.
fn check(command: &mut Command, directory: &TempDir, disk: &impl Disk) {
    let mut server = Server::start_by(command);
    let mut publisher = Publisher::connect(&server);
    let mut stream = Stream::open(server.address(), PATH, None).unwrap();
    publisher.publish_some();
    disk.fill(&server);
    let refused = until("a publish is refused", || publisher.publish());
    assert_eq!(refused.head.status, 503, "{refused:?}");
    assert!(refused.head.get("retry-after").is_some(), "{refused:?}");
    assert_eq!(refused.head.get("content-type"), Some("application/problem+json"));
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("log") && detail.contains("os error"), "{detail}");
    until("not ready, and why", || {
        let (status, reason) = server.get("/readyz");
        (status == 503 && reason.contains("os error")).then_some(())
    });
    assert_eq!(server.get("/healthz").0, 200, "to restart it would help nobody");

    // Subscribers go on: what was kept, then heartbeats; others come and look back.
    let had = publisher.kept.clone();
    expect(&mut stream, &had);
    assert_eq!(stream.chunk().unwrap().unwrap(), b":\n");
    expect(&mut Stream::open(server.address(), PATH, None).unwrap(), &had);
    assert!(publisher.publish().is_some(), "it is still full");

    disk.free(&server);
    until("it is well again", || publisher.publish().is_none().then_some(()));
    until("it is ready again", || (server.get("/readyz").0 == 200).then_some(()));
    publisher.publish_some();
    // The one that was there all the time has had the rest, and nothing that was refused.
    expect(&mut stream, &publisher.kept[had.len()..]);
    expect(&mut Stream::open(server.address(), PATH, None).unwrap(), &publisher.kept);
    // What is mounted goes with the process; what is not survives it.
    if directory.path().join("log").exists() {
        server.running.signal(Signal::KILL);
        server.running.wait();
        let args = [&["serve"], &FLAGS[..]].concat();
        let server = Server::start_in(directory.path(), &args);
        expect(&mut Stream::open(server.address(), PATH, None).unwrap(), &publisher.kept);
    } else {
        server.stop();
    }
}

/// These come next, and nothing else.
#[track_caller]
fn expect(stream: &mut Stream, data: &[String]) {
    for data in data {
        assert_eq!(stream.event().data, *data);
    }
}

struct Publisher {
    client: Client,
    published: usize,
    kept: Vec<String>,
}

impl Publisher {
    fn connect(server: &Server) -> Self {
        let client = Client::connect(server.address()).unwrap();
        Self { client, published: 0, kept: Vec::new() }
    }

    /// Publishes something new each time. Where it was refused, gives the answer.
    fn publish(&mut self) -> Option<Answer> {
        let mut data = format!("{} ", self.published);
        data.push_str(&"x".repeat(DATA_BYTES - data.len()));
        self.published += 1;
        let answer = self.client.publish("a", &data).unwrap();
        if answer.head.status != 200 {
            return Some(answer);
        }
        self.kept.push(data);
        None
    }

    fn publish_some(&mut self) {
        for _ in 0..10 {
            if let Some(refused) = self.publish() {
                panic!("{refused:?}");
            }
        }
    }
}
