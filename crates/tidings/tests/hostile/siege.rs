//! A hub that is attacked, and a witness who uses it meanwhile as people do.
//! Knows nothing of the attacks.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::process::{files, memory, metric};
use crate::support::{Server, until};
use crate::wire::{Client, Stream};

const MIB: u64 = 1 << 20;

/// What the process may keep of an attack: heaps in pieces, tables that have grown, and what the
/// witness has published.
const SLACK_BYTES: u64 = 24 * MIB;

/// Files that libraries open once and keep.
const SLACK_FILES: usize = 4;

/// Lets `attack` at a hub with these flags, and sees that nobody else notices.
#[track_caller]
pub(crate) fn siege(flags: &[&str], attack: impl Fn(&Server)) {
    let directory = TempDir::new().unwrap();
    let mut server = start(directory.path(), flags);
    let process = server.running.id();
    let witness = Witness::start(&server);
    until("the witness listens", || (metric(&server, "tidings_subscribers") == 1).then_some(()));
    let (memory_before, files_before) = (memory(process), files(process));

    attack(&server);

    until("the attackers have gone", || {
        // The witness's two, and the one that asks.
        (metric(&server, "tidings_connections") <= 3).then_some(())
    });
    until("their files are closed", || {
        (files(process) <= files_before + SLACK_FILES).then_some(())
    });
    let bound = memory_before + SLACK_BYTES;
    until("their memory has come back", || (memory(process) <= bound).then_some(()));
    let (events, slowest) = witness.finish();
    println!(
        "{events} events reached the witness, the slowest in {slowest:?}; memory {} MiB before, \
         {} MiB after",
        memory_before / MIB,
        memory(process) / MIB,
    );
    server.stop();
    let stderr = server.running.stderr.rest();
    assert!(!stderr.iter().any(|line| line.contains("panicked")), "{stderr:?}");
}

fn start(directory: &Path, flags: &[&str]) -> Server {
    let listen = ["serve", "--listen", "127.0.0.1:0"];
    // What is published must not be taken for what the attack has left, nor pass the witness by.
    let log = ["--log", "memory", "--keep-bytes", "8MiB", "--tail-bytes-max", "8MiB"];
    Server::start_in(directory, &[&listen[..], &log, flags].concat())
}

/// One who publishes and listens all the time, and misses nothing.
struct Witness {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(u64, Duration)>,
}

impl Witness {
    fn start(server: &Server) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let address = server.address().to_owned();
        let thread = std::thread::spawn(move || {
            let mut stream = Stream::open(&address, "/topics/witness", None).unwrap();
            let mut client = Client::connect(&address).unwrap();
            let (mut number, mut slowest) = (0, Duration::ZERO);
            while !stopped.load(Ordering::Relaxed) {
                let data = number.to_string();
                let before = Instant::now();
                let answer = client.publish("witness", &data).unwrap();
                assert_eq!(answer.head.status, 200, "{answer:?}");
                assert_eq!(stream.event().data, data);
                slowest = slowest.max(before.elapsed());
                number += 1;
                std::thread::sleep(Duration::from_millis(5));
            }
            (number, slowest)
        });
        Self { stop, thread }
    }

    /// How many events there were, and how long the slowest took.
    #[track_caller]
    fn finish(self) -> (u64, Duration) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the witness has noticed something")
    }
}
