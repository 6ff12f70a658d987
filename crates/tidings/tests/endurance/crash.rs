//! Kill -9 in the middle of publishing, again and again: what was acknowledged is there, in
//! order, once, and nobody received what is then gone.
//!
//! `TIDINGS_CRASH_SEED`, `TIDINGS_CRASH_ROUNDS` and `TIDINGS_CRASH_SYNC` choose what happens.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Running, Server, free_port, tidings, until};
use crate::wire::{Client, Next, Stream, position};

const SEED: u64 = 20_261_122;
const ROUNDS: u64 = 5;
const PUBLISHERS: u64 = 4;
/// What each subscriber listens to: everything, one publisher's topic, and several.
const PATHS: [&str; 3] =
    ["/events?topic=crash/*", "/topics/crash/1", "/events?topic=crash/0&topic=crash/3"];
/// The last event, which all get.
const END: &str = "the end";
const DATA_BYTES_MAX: u64 = 1500;
const ARRAY_EVENTS_MAX: u64 = 20;
const LINES_MAX: u64 = 200;
/// The longest that publishers have between their first acknowledgement and the end.
const LIFE_MS_MAX: u64 = 200;
/// The longest that a start has that is not waited for.
const START_MS_MAX: u64 = 60;

#[test]
fn whatever_was_acknowledged_or_received_survives() {
    let seed = setting("TIDINGS_CRASH_SEED", SEED);
    let rounds = setting("TIDINGS_CRASH_ROUNDS", ROUNDS);
    let sync = std::env::var("TIDINGS_CRASH_SYNC").ok();
    println!("seed {seed}, {rounds} rounds, sync {}", sync.as_deref().unwrap_or("mixed"));
    let mut random = Random(seed);
    let directory = TempDir::new().unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let shared = Arc::new(Shared::default());
    let publishers: Vec<_> =
        (0..PUBLISHERS).map(|number| Publisher::start(number, seed, &address, &shared)).collect();
    let subscribers = PATHS.map(|path| subscribe(&address, path));

    let policies = ["always", "interval:10ms", "never"];
    let mut killed = 0;
    while killed < rounds {
        let sync = sync.as_deref().unwrap_or(policies[killed as usize % policies.len()]);
        let mut command = tidings(directory.path());
        command.args(["serve", "--listen", &address, "--log", "disk:log", "--sync", sync]);
        killed += 1;
        if random.below(4) == 0 {
            // While it looks through what the last one has left.
            let mut running = Running::start(&mut command);
            std::thread::sleep(Duration::from_millis(random.below(START_MS_MAX)));
            kill(&mut running);
            continue;
        }
        let mut server = Server::start_by(&mut command);
        let before = shared.acknowledged.load(Ordering::SeqCst);
        let acknowledged = || shared.acknowledged.load(Ordering::SeqCst) > before;
        until("something is acknowledged", || acknowledged().then_some(()));
        std::thread::sleep(Duration::from_millis(random.below(LIFE_MS_MAX)));
        kill(&mut server.running);
    }

    let args = ["serve", "--listen", &address, "--log", "disk:log"];
    let mut server = Server::start_in(directory.path(), &args);
    shared.stop.store(true, Ordering::SeqCst);
    let attempts: Vec<Attempt> =
        publishers.into_iter().flat_map(|publisher| publisher.join().unwrap()).collect();
    end(&address);
    let kept = read_back(&address);
    check_order(&kept);
    check_attempts(&kept, &attempts);
    let mut received = 0;
    for (path, subscriber) in PATHS.into_iter().zip(subscribers) {
        received += check_subscriber(path, &subscriber.join().unwrap(), &kept);
    }
    let acknowledged = shared.acknowledged.load(Ordering::SeqCst);
    println!("{rounds} rounds, {acknowledged} events acknowledged, {received} received");
    server.stop();
}

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

fn kill(running: &mut Running) {
    running.signal(Signal::KILL);
    running.wait();
}

/// Publishes the last event, for everybody.
fn end(address: &str) {
    let topics: Vec<String> = (0..PUBLISHERS).map(|number| format!("crash/{number}")).collect();
    let body = json!([{"topics": topics, "data": END}]).to_string();
    let answer = Client::connect(address).unwrap().request("POST", "/events", "", body.as_bytes());
    assert_eq!(answer.unwrap().head.status, 200);
}

/// SplitMix64: a seed gives the same run of numbers on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    acknowledged: AtomicU64,
}

/// How events are published.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    One,
    Array,
    /// NDJSON: kept in batches, so a part of it may be there.
    Lines,
    /// An array that is sent again under its idempotency key until it is acknowledged.
    Keyed,
}

/// One publish, and what became of it.
#[derive(Debug)]
struct Attempt {
    kind: Kind,
    data: Vec<String>,
    acknowledged: bool,
    /// The ids that the answer named; only the last one of [`Kind::Lines`].
    ids: Vec<String>,
}

struct Publisher {
    number: u64,
    address: String,
    random: Random,
    next: u64,
    attempts: Vec<Attempt>,
}

impl Publisher {
    fn start(
        number: u64,
        seed: u64,
        address: &str,
        shared: &Arc<Shared>,
    ) -> JoinHandle<Vec<Attempt>> {
        let (address, shared) = (address.to_owned(), Arc::clone(shared));
        let random = Random(seed.wrapping_add(number + 1).wrapping_mul(0x2545_f491_4f6c_dd1d));
        std::thread::spawn(move || {
            Self { number, address, random, next: 0, attempts: Vec::new() }.run(&shared)
        })
    }

    fn run(mut self, shared: &Shared) -> Vec<Attempt> {
        let mut client = self.client();
        while !shared.stop.load(Ordering::SeqCst) {
            let mut attempt = self.attempt();
            let key = format!("{}-{}", self.number, self.next);
            loop {
                match self.publish(&mut client, &attempt, &key) {
                    Ok(ids) => {
                        attempt.ids = ids;
                        attempt.acknowledged = true;
                        shared.acknowledged.fetch_add(attempt.data.len() as u64, Ordering::SeqCst);
                        break;
                    }
                    Err(_) => client = self.client(),
                }
                if attempt.kind != Kind::Keyed {
                    break;
                }
            }
            self.attempts.push(attempt);
        }
        self.attempts
    }

    /// A connection to the hub, once it is there again.
    fn client(&self) -> Client {
        until("a connection", || Client::connect(&self.address).ok())
    }

    fn attempt(&mut self) -> Attempt {
        let kinds = [Kind::One, Kind::Array, Kind::Lines, Kind::Keyed];
        let kind = kinds[self.random.below(4) as usize];
        let events = match kind {
            Kind::One => 1,
            Kind::Array | Kind::Keyed => 1 + self.random.below(ARRAY_EVENTS_MAX),
            Kind::Lines => 1 + self.random.below(LINES_MAX),
        };
        let data = (0..events).map(|_| self.data()).collect();
        Attempt { kind, data, acknowledged: false, ids: Vec::new() }
    }

    /// Never the same twice: who, which, and filling.
    fn data(&mut self) -> String {
        self.next += 1;
        let filling = "x".repeat(self.random.below(DATA_BYTES_MAX) as usize);
        format!("{} {} {filling}", self.number, self.next)
    }

    /// Gives the ids that the answer names.
    fn publish(
        &self,
        client: &mut Client,
        attempt: &Attempt,
        key: &str,
    ) -> std::io::Result<Vec<String>> {
        let topic = format!("crash/{}", self.number);
        let item = |data: &String| json!({"topic": topic, "data": data});
        let items: Vec<Value> = attempt.data.iter().map(item).collect();
        let answer = match attempt.kind {
            Kind::One => client.publish(&topic, &attempt.data[0])?,
            Kind::Array => {
                client.request("POST", "/events", "", json!(items).to_string().as_bytes())?
            }
            Kind::Keyed => {
                let key = format!("Idempotency-Key: {key}\r\n");
                client.request("POST", "/events", &key, json!(items).to_string().as_bytes())?
            }
            Kind::Lines => {
                let lines: String = items.iter().map(|item| format!("{item}\n")).collect();
                let header = "Content-Type: application/x-ndjson\r\n";
                client.request("POST", "/events", header, lines.as_bytes())?
            }
        };
        assert_eq!(answer.head.status, 200, "{answer:?}");
        let json = answer.json();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Ok(match attempt.kind {
            Kind::One => vec![text(&json["id"])],
            Kind::Array | Kind::Keyed => json["ids"].as_array().unwrap().iter().map(text).collect(),
            Kind::Lines => {
                assert_eq!(json["published"], attempt.data.len());
                vec![text(&json["last_id"])]
            }
        })
    }
}

/// An event as it came: id and data.
type Seen = (String, String);

/// Subscribes, comes back after each break, and gives all it got up to the last event.
fn subscribe(address: &str, path: &'static str) -> JoinHandle<Vec<Seen>> {
    let address = address.to_owned();
    std::thread::spawn(move || {
        let mut seen: Vec<Seen> = Vec::new();
        loop {
            let mut stream = until("a stream", || match seen.last() {
                Some((id, _)) => Stream::open(&address, path, Some(id)).ok(),
                None => {
                    let mark = if path.contains('?') { '&' } else { '?' };
                    Stream::open(&address, &format!("{path}{mark}since=earliest"), None).ok()
                }
            });
            if !seen.is_empty() {
                assert_eq!(stream.head.get("tidings-resume"), Some("resumed"), "{:?}", stream.head);
            }
            while let Next::Event(event) = stream.next() {
                assert_eq!(event.event_type, "message", "{event:?}");
                seen.push((event.id.to_string(), event.data));
                if seen.last().is_some_and(|(_, data)| data == END) {
                    return seen;
                }
            }
        }
    })
}

/// All that is kept, as somebody gets it who has nothing.
fn read_back(address: &str) -> Vec<Seen> {
    let path = format!("{}&since=earliest", PATHS[0]);
    let mut stream = Stream::open(address, &path, None).unwrap();
    let mut kept = Vec::new();
    loop {
        let event = stream.event();
        assert_eq!(event.event_type, "message", "{event:?}");
        kept.push((event.id.to_string(), event.data));
        if kept.last().is_some_and(|(_, data)| data == END) {
            return kept;
        }
    }
}

/// Who published it, and the how manieth of his it is.
fn who_and_which(data: &str) -> (u64, u64) {
    let mut words = data.splitn(3, ' ').map(|word| word.parse());
    (words.next().unwrap().unwrap(), words.next().unwrap().unwrap())
}

/// Positions go up, and so does what each publisher published.
fn check_order(kept: &[Seen]) {
    let (_, published) = kept.split_last().unwrap();
    let mut last = HashMap::new();
    let mut last_position = 0;
    for (id, data) in published {
        let position = position(id);
        assert!(position > last_position, "{id} comes after {last_position}");
        last_position = position;
        let (who, which) = who_and_which(data);
        let before = last.insert(who, which).unwrap_or(0);
        assert!(before < which, "publisher {who}: {which} comes after {before}");
    }
}

fn check_attempts(kept: &[Seen], attempts: &[Attempt]) {
    let places: HashMap<&str, usize> =
        kept.iter().enumerate().map(|(at, (_, data))| (data.as_str(), at)).collect();
    assert_eq!(places.len(), kept.len(), "nothing is there twice");
    let mut found = 1;
    for attempt in attempts {
        let at: Vec<usize> =
            attempt.data.iter().map_while(|data| places.get(data.as_str()).copied()).collect();
        let there = attempt.data.iter().filter(|data| places.contains_key(data.as_str())).count();
        assert_eq!(at.len(), there, "what is there of a publish is its beginning: {attempt:?}");
        assert!(at.is_sorted(), "in its order: {attempt:?}");
        found += there;
        if attempt.acknowledged {
            assert_eq!(there, attempt.data.len(), "all that was acknowledged: {attempt:?}");
            let ids = at[at.len() - attempt.ids.len()..].iter().map(|at| &kept[*at].0);
            assert!(ids.eq(&attempt.ids), "under the ids that were named: {attempt:?}");
        }
        if attempt.kind != Kind::Lines {
            assert!([0, attempt.data.len()].contains(&there), "all or nothing: {attempt:?}");
            let (first, last) = (at.first().unwrap_or(&0), at.last().unwrap_or(&0));
            assert!(there == 0 || last - first + 1 == there, "in one run: {attempt:?}");
        }
    }
    assert_eq!(found, kept.len(), "nothing is there that nobody published");
}

/// A subscriber has exactly what is kept of what it selects. Gives how many those are.
fn check_subscriber(path: &str, seen: &[Seen], kept: &[Seen]) -> u64 {
    let topics: BTreeSet<u64> = match path {
        "/topics/crash/1" => [1].into(),
        "/events?topic=crash/0&topic=crash/3" => [0, 3].into(),
        _ => (0..PUBLISHERS).collect(),
    };
    let selected = |data: &str| data == END || topics.contains(&who_and_which(data).0);
    let expected: Vec<&Seen> = kept.iter().filter(|(_, data)| selected(data)).collect();
    let differ = seen.iter().zip(&expected).position(|(seen, kept)| seen != *kept);
    assert_eq!(differ, None, "{path}: there it differs");
    assert_eq!(seen.len(), expected.len(), "{path}");
    seen.len() as u64
}
