//! The primary dies while events are published, and Sentinel lets a replica take over: whatever was
//! acknowledged is there, once, and no subscriber misses anything without being told.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tempfile::TempDir;

use crate::engine::{Redis, ask, start_with};
use crate::support::{Server, free_port, until};
use crate::wire::{Client, Next, Stream};

const PUBLISHERS: u64 = 3;
const END: &str = "the end";

#[test]
fn what_was_acknowledged_survives_the_primary() {
    let mut primary = Redis::forgetful();
    let replicas: Vec<Redis> = (0..2).map(|_| Redis::replica_of(primary.port)).collect();
    until("the replicas are there", || {
        primary.ask("INFO replication").contains("connected_slaves:2").then_some(())
    });
    let sentinels: Vec<Sentinel> = (0..3).map(|_| Sentinel::start(primary.port)).collect();
    for sentinel in &sentinels {
        until("the Sentinels know all", || {
            let known = ask(sentinel.port, "SENTINEL MASTER main")?;
            let number = |name: &str| known.split_once(name)?.1.split("\r\n").nth(2)?.parse().ok();
            (number("num-slaves") == Some(2) && number("num-other-sentinels") == Some(2))
                .then_some(())
        });
    }
    let hosts: Vec<String> = sentinels.iter().map(|s| format!("127.0.0.1:{}", s.port)).collect();
    let log = format!("redis+sentinel://{}/main", hosts.join(","));
    let nodes: Vec<Server> =
        (0..2).map(|_| start_with(&log, &["--redis-wait-replicas", "1"])).collect();
    let shared = Arc::new(Shared {
        addresses: nodes.iter().map(|node| node.address().to_owned()).collect(),
        acknowledged: AtomicU64::new(0),
        stop: AtomicBool::new(false),
    });
    let publishers: Vec<_> = (0..PUBLISHERS).map(|who| Shared::publisher(&shared, who)).collect();
    let subscribers: Vec<_> = (0..4).map(|number| Shared::subscriber(&shared, number)).collect();
    shared.wait_for(100);
    primary.kill();
    shared.wait_for(100);
    shared.stop.store(true, Ordering::SeqCst);
    let published: Vec<u64> = publishers.into_iter().map(|p| p.join().unwrap()).collect();
    // More than once: whoever is told that something is gone goes on with what comes next.
    let mut ends = 0;
    until("all subscribers come to an end", || {
        shared.publish(END, &format!("end/{ends}"));
        ends += 1;
        subscribers.iter().all(JoinHandle::is_finished).then_some(())
    });

    let kept = shared.read_back(ends);
    for (who, published) in published.iter().enumerate() {
        let prefix = format!("{who} ");
        let own = kept.iter().filter_map(|event| event.data.strip_prefix(&prefix));
        let expected = (0..*published).map(|number| number.to_string());
        assert!(own.eq(expected), "publisher {who}: all that was acknowledged, once, in order");
    }
    for subscriber in subscribers {
        check(&subscriber.join().unwrap(), &kept);
    }
    drop(replicas);
}

/// An event by where it stands: in the log's history, not in one of its incarnations.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Stood {
    /// Position and fingerprint.
    place: String,
    data: String,
}

impl Stood {
    fn new(id: &str, data: String) -> Self {
        let (_, place) = id.split_once('-').expect("an id of the hub's own");
        assert!(place.contains('.'), "{id} has a fingerprint");
        Self { place: place.to_owned(), data }
    }
}

/// Between two words that something is gone, a subscriber has a run of what is kept without a hole
/// or a repeat; at its end there may be something that only the old primary had.
fn check(seen: &[Option<Stood>], kept: &[Stood]) {
    for (number, run) in seen.split(Option::is_none).enumerate() {
        let place = |event| kept.iter().position(|kept| kept == event);
        let mut places: Vec<Option<usize>> = run.iter().flatten().map(place).collect();
        while places.last().is_some_and(Option::is_none) {
            places.pop();
        }
        if number == 0 {
            assert_eq!(places.first(), Some(&Some(0)), "it begins with the first");
        }
        for (at, pair) in places.windows(2).enumerate() {
            let around = &run[at.saturating_sub(2)..run.len().min(at + 4)];
            assert_eq!(pair[1], pair[0].map(|place| place + 1), "not told: {around:?}");
        }
    }
    let resets = seen.iter().filter(|seen| seen.is_none()).count();
    println!("{} events seen, {resets} resets", seen.len() - resets);
    let last = seen.last().and_then(Option::as_ref).expect("it comes to an end");
    assert_eq!(last.data, END);
}

struct Sentinel {
    port: u16,
    child: Child,
    _directory: TempDir,
}

impl Sentinel {
    fn start(primary: u16) -> Self {
        let (directory, port) = (TempDir::new().unwrap(), free_port());
        let file = directory.path().join("sentinel.conf");
        let settings = format!(
            "port {port}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {primary} 2\n\
             sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 5000\n"
        );
        fs::write(&file, settings).unwrap();
        let mut command = Command::new("redis-server");
        command.arg(&file).args(["--sentinel", "--loglevel", "warning"]);
        command.current_dir(directory.path()).stdin(Stdio::null()).stdout(Stdio::null());
        Self { port, child: command.spawn().unwrap(), _directory: directory }
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Shared {
    addresses: Vec<String>,
    acknowledged: AtomicU64,
    stop: AtomicBool,
}

impl Shared {
    fn wait_for(&self, more: u64) {
        let before = self.acknowledged.load(Ordering::SeqCst);
        until("more is acknowledged", || {
            (self.acknowledged.load(Ordering::SeqCst) >= before + more).then_some(())
        });
    }

    /// Publishes until somebody has acknowledged it.
    fn publish(&self, data: &str, key: &str) {
        let key = format!("Idempotency-Key: {key}\r\n");
        let mut address = self.addresses.iter().cycle();
        until("it is acknowledged", || {
            let mut client = Client::connect(address.next()?).ok()?;
            let answer = client.request("POST", "/topics/f", &key, data.as_bytes()).ok()?;
            assert!([200, 503].contains(&answer.head.status), "{answer:?}");
            (answer.head.status == 200).then_some(())
        });
    }

    fn publisher(shared: &Arc<Self>, who: u64) -> JoinHandle<u64> {
        let shared = Arc::clone(shared);
        thread::spawn(move || {
            let mut number = 0;
            while !shared.stop.load(Ordering::SeqCst) {
                shared.publish(&format!("{who} {number}"), &format!("{who}/{number}"));
                shared.acknowledged.fetch_add(1, Ordering::SeqCst);
                number += 1;
                thread::sleep(Duration::from_millis(1));
            }
            number
        })
    }

    /// All that a subscriber gets up to the end; `None` where it is told that something is gone.
    fn subscriber(shared: &Arc<Self>, number: usize) -> JoinHandle<Vec<Option<Stood>>> {
        let shared = Arc::clone(shared);
        thread::spawn(move || {
            let (mut seen, mut last): (_, Option<String>) = (Vec::new(), None);
            let mut address = shared.addresses.iter().cycle().skip(number);
            loop {
                let mut stream = until("a stream", || {
                    let since = if last.is_none() { "?since=earliest" } else { "" };
                    let path = format!("/topics/f{since}");
                    Stream::try_open(address.next()?, &path, last.as_deref()).ok()
                });
                while let Next::Event(event) = stream.next() {
                    last = Some(event.id.to_string());
                    if event.event_type == "tidings.reset" {
                        seen.push(None);
                        continue;
                    }
                    let ends = event.data == END;
                    seen.push(Some(Stood::new(&event.id, event.data)));
                    if ends {
                        return seen;
                    }
                }
            }
        })
    }

    fn read_back(&self, ends: usize) -> Vec<Stood> {
        loop {
            let mut stream = until("a stream", || {
                Stream::try_open(&self.addresses[0], "/topics/f?since=earliest", None).ok()
            });
            let mut kept = Vec::new();
            while let Next::Event(event) = stream.next() {
                kept.push(Stood::new(&event.id, event.data));
                if kept.iter().filter(|event| event.data == END).count() == ends {
                    return kept;
                }
            }
            // A node that learns only now that its log is another one ends its streams: once more.
        }
    }
}
