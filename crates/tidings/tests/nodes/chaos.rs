//! Three hubs on one log, publishers and subscribers that go from one to another, and whatever
//! can fail does, in an order that a seed decides. At the end each subscriber has had each event
//! once, in its publisher's order. Knows of what keeps the log only that it can fail.
//!
//! `TIDINGS_NODES_SEED` and `TIDINGS_NODES_ROUNDS` choose what happens.

use std::io;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::engine::node_on;
use crate::kept::Kept;
use crate::proxy::Proxy;
use crate::support::{Server, free_port, until};
use crate::wire::{Client, Next, Stream};

const SEED: u64 = 20_261_122;
const ROUNDS: u64 = 8;
const NODES: usize = 3;
const PUBLISHERS: u64 = 4;
/// What each subscriber listens to.
const PATHS: [&str; 4] =
    ["/events?topic=n/*", "/topics/n/1", "/events?topic=n/0&topic=n/3", "/events?topic=n/{who}"];
const END: &str = "the end";
/// The longest that something stays broken.
const BROKEN_MS_MAX: u64 = 400;
/// The longest between two faults.
const PAUSE_MS_MAX: u64 = 150;

/// What the nodes keep their log in.
pub(crate) trait Engine {
    /// Where it is, for this node.
    fn log(&self, node: usize) -> String;

    /// What starts this node.
    fn command(&self, directory: &TempDir, address: &str, node: usize) -> Command {
        node_on(directory.path(), address, &self.log(node))
    }

    /// Breaks something that concerns this node or all, and mends it after a while.
    fn fail(&mut self, node: usize, broken: Duration, random: &mut Random);
}

on_every_server! {
    whatever_fails_everybody_gets_everything_once,
}

fn whatever_fails_everybody_gets_everything_once<K: Kept>() {
    everybody_gets_everything_once(OneServer::<K>::start());
}

pub(crate) fn everybody_gets_everything_once(engine: impl Engine) {
    let setting = |name: &str, otherwise| {
        std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
    };
    let (seed, rounds) =
        (setting("TIDINGS_NODES_SEED", SEED), setting("TIDINGS_NODES_ROUNDS", ROUNDS));
    println!("seed {seed}, {rounds} rounds");
    let mut world = World::start(engine);
    let shared = Arc::new(Shared::new(&world.addresses));
    let publishers: Vec<_> =
        (0..PUBLISHERS).map(|who| Shared::publisher(&shared, who, seed)).collect();
    let subscribers: Vec<_> = PATHS
        .iter()
        .cycle()
        .take(2 * PATHS.len())
        .enumerate()
        .map(|(number, path)| (*path, Shared::subscriber(&shared, path, seed + number as u64)))
        .collect();
    let mut random = Random(seed);
    for _ in 0..rounds {
        let before = shared.acknowledged.load(Ordering::SeqCst);
        until("something is acknowledged", || {
            (shared.acknowledged.load(Ordering::SeqCst) > before + 20).then_some(())
        });
        std::thread::sleep(Duration::from_millis(random.below(PAUSE_MS_MAX)));
        world.fail(&mut random);
    }
    shared.stop.store(true, Ordering::SeqCst);
    let published: Vec<u64> = publishers.into_iter().map(|p| p.join().unwrap()).collect();
    shared.end();
    let mut received = 0;
    for (path, subscriber) in subscribers {
        let seen = subscriber.join().unwrap();
        check(path, &seen, &published);
        received += seen.len();
    }
    let total: u64 = published.iter().sum();
    println!("{rounds} rounds, {total} events acknowledged, {received} received");
}

/// The log and the nodes.
struct World<E> {
    engine: E,
    directory: TempDir,
    addresses: Vec<String>,
    nodes: Vec<Server>,
}

impl<E: Engine> World<E> {
    fn start(engine: E) -> Self {
        let addresses = (0..NODES).map(|_| format!("127.0.0.1:{}", free_port()));
        let addresses: Vec<String> = addresses.collect();
        let directory = TempDir::new().unwrap();
        let mut world = Self { engine, directory, addresses, nodes: Vec::new() };
        for number in 0..NODES {
            let server = world.start_node(number);
            world.nodes.push(server);
        }
        world
    }

    fn start_node(&self, number: usize) -> Server {
        let address = &self.addresses[number];
        Server::start_by(&mut self.engine.command(&self.directory, address, number))
    }

    /// Breaks something, and mends it after a while.
    fn fail(&mut self, random: &mut Random) {
        let which = random.below(NODES as u64) as usize;
        let broken = Duration::from_millis(random.below(BROKEN_MS_MAX));
        if random.below(5) > 0 {
            return self.engine.fail(which, broken, random);
        }
        println!("node {which} is killed");
        let running = &mut self.nodes[which].running;
        running.signal(Signal::KILL);
        running.wait();
        std::thread::sleep(broken);
        self.nodes[which] = self.start_node(which);
    }
}

/// One server that keeps what it has acknowledged, and a way to it for each node.
struct OneServer<K> {
    server: K,
    proxies: Vec<Proxy>,
}

impl<K: Kept> OneServer<K> {
    fn start() -> Self {
        let server = K::durable();
        let proxies = (0..NODES).map(|_| Proxy::to(server.port())).collect();
        Self { server, proxies }
    }
}

impl<K: Kept> Engine for OneServer<K> {
    fn log(&self, node: usize) -> String {
        K::log(self.proxies[node].port)
    }

    fn fail(&mut self, node: usize, broken: Duration, random: &mut Random) {
        match random.below(4) {
            0 => {
                println!("the way of node {node} is cut for {broken:?}");
                self.proxies[node].cut();
                std::thread::sleep(broken);
                self.proxies[node].mend();
            }
            1 => {
                println!("the way of node {node} is slow for {broken:?}");
                self.proxies[node].slow(Duration::from_millis(1 + random.below(30)));
                std::thread::sleep(broken);
                self.proxies[node].mend();
            }
            2 => {
                println!("the server breaks all connections off");
                self.server.break_off(&self.proxies);
            }
            _ => {
                println!("the server is killed, and away for {broken:?}");
                self.server.kill();
                std::thread::sleep(broken);
                self.server.up();
            }
        }
    }
}

/// SplitMix64: a seed gives the same run of numbers on every machine.
pub(crate) struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

struct Shared {
    addresses: Vec<String>,
    acknowledged: AtomicU64,
    stop: AtomicBool,
}

impl Shared {
    fn new(addresses: &[String]) -> Self {
        Self {
            addresses: addresses.to_vec(),
            acknowledged: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        }
    }

    fn any(&self, random: &mut Random) -> &str {
        &self.addresses[random.below(NODES as u64) as usize]
    }

    /// Publishes one event after the other, each on any node, again under the same key until
    /// somebody has acknowledged it. Gives how many.
    fn publisher(shared: &Arc<Self>, who: u64, seed: u64) -> JoinHandle<u64> {
        let shared = Arc::clone(shared);
        let mut random = Random(seed ^ who << 32);
        std::thread::spawn(move || {
            let mut number = 0;
            while !shared.stop.load(Ordering::SeqCst) {
                let key = format!("Idempotency-Key: {who}/{number}\r\n");
                let publish = |address: &str| -> io::Result<u16> {
                    let path = format!("/topics/n/{who}");
                    let data = format!("{who} {number}");
                    let mut client = Client::connect(address)?;
                    Ok(client.request("POST", &path, &key, data.as_bytes())?.head.status)
                };
                until("it is acknowledged", || match publish(shared.any(&mut random)) {
                    Ok(200) => Some(()),
                    Ok(503) | Err(_) => None,
                    Ok(status) => panic!("{status}"),
                });
                shared.acknowledged.fetch_add(1, Ordering::SeqCst);
                number += 1;
            }
            number
        })
    }

    /// Subscribes, comes back to any node after each break and now and then without one, and gives
    /// all it got up to the last event.
    fn subscriber(shared: &Arc<Self>, path: &'static str, seed: u64) -> JoinHandle<Vec<String>> {
        let shared = Arc::clone(shared);
        let mut random = Random(seed << 16);
        std::thread::spawn(move || {
            let (mut seen, mut last): (Vec<String>, Option<String>) = (Vec::new(), None);
            let mut ends = 0;
            loop {
                let mut stream = until("a stream", || {
                    let mark = if path.contains('?') { '&' } else { '?' };
                    let path = match &last {
                        Some(_) => path.to_owned(),
                        None => format!("{path}{mark}since=earliest"),
                    };
                    Stream::try_open(shared.any(&mut random), &path, last.as_deref()).ok()
                });
                if last.is_some() {
                    let verdict = stream.head.get("tidings-resume");
                    assert_eq!(verdict, Some("resumed"), "{last:?} {:?}", stream.head);
                }
                let leaves_after = 1 + random.below(200);
                for _ in 0..leaves_after {
                    let Next::Event(event) = stream.next() else { break };
                    assert_eq!(event.event_type, "message", "{event:?}");
                    last = Some(event.id.to_string());
                    if event.data != END {
                        seen.push(event.data);
                        continue;
                    }
                    ends += 1;
                    if ends == (0..PUBLISHERS).filter(|who| listens(path, *who)).count() {
                        return seen;
                    }
                }
            }
        })
    }

    /// Publishes the last event of each publisher's topic.
    fn end(&self) {
        for who in 0..PUBLISHERS {
            until("the end is published", || {
                let mut client = Client::connect(&self.addresses[0]).ok()?;
                let path = format!("/topics/n/{who}");
                let key = format!("Idempotency-Key: end/{who}\r\n");
                let answer = client.request("POST", &path, &key, END.as_bytes()).ok()?;
                (answer.head.status == 200).then_some(())
            });
        }
    }
}

fn listens(path: &str, who: u64) -> bool {
    match path {
        "/topics/n/1" => who == 1,
        "/events?topic=n/0&topic=n/3" => who == 0 || who == 3,
        _ => true,
    }
}

/// A subscriber has all of each publisher whom it listens to, in his order, once.
fn check(path: &str, seen: &[String], published: &[u64]) {
    for (who, published) in published.iter().enumerate() {
        let listens = listens(path, who as u64);
        let prefix = format!("{who} ");
        let own: Vec<&str> = seen.iter().filter_map(|data| data.strip_prefix(&prefix)).collect();
        let expected = (0..if listens { *published } else { 0 }).map(|number| number.to_string());
        let differ = own.iter().copied().zip(expected.clone()).position(|(one, two)| one != two);
        assert_eq!(differ, None, "{path}: publisher {who} differs there");
        assert_eq!(own.len(), expected.count(), "{path}: publisher {who}");
    }
}
