//! A Redis Cluster whose primary dies, and whose slots move.

#[path = "servers.rs"]
mod servers;

use std::collections::BTreeMap;

use tokio::task::JoinSet;
use tokio::time::timeout;

use self::servers::Cluster;
use super::sentinels::{goes_on, until};
use super::*;
use crate::FollowError;
use crate::redis::tests::server::free_port;

/// After so long, something hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// A key of the log.
const META: &str = "{tidings:0}:meta";

async fn start() -> Cluster {
    tokio::task::spawn_blocking(|| Cluster::start(free_port)).await.unwrap()
}

fn options(cluster: &Cluster) -> RedisOptions {
    RedisOptions::new(format!("redis+cluster://{}", cluster.seeds()).parse().unwrap())
}

#[tokio::test]
async fn a_cluster_keeps_the_promises() {
    let cluster = start().await;
    conformance::run(async |settings| fresh(options(&cluster), settings).await).await;
}

#[tokio::test]
async fn a_replica_takes_over_and_all_goes_on() {
    let mut cluster = start().await;
    let primary = cluster.holder(META);
    // Each server that may be asked first, the one that dies among them.
    let log = Redis::open(options(&cluster)).await.unwrap();
    let replicated = {
        let has_it = || {
            // What replicas have acknowledged is all that the primary has.
            let info = cluster.ask(primary, "INFO replication");
            let number = |name: &str| {
                let (_, after) = info.split_once(name)?;
                let end = after.find(|c: char| !c.is_ascii_digit())?;
                after[..end].parse::<u64>().ok()
            };
            let (all, had) = (number("master_repl_offset:"), number(",offset="));
            had.is_some() && had >= all
        };
        until("the replica has it", has_it).await;
        async {}
    };
    goes_on(&log, replicated, || cluster.kill(primary)).await;
}

/// Moves the slot to and fro while publishers publish and others follow.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_moves_loses_nothing_and_repeats_nothing() {
    const PUBLISHERS: u64 = 6;
    const MOVES: u32 = 4;
    let cluster = Arc::new(start().await);
    let logs: Vec<_> = futures_util::future::join_all(
        (0..2).map(|_| async { Arc::new(Redis::open(options(&cluster)).await.unwrap()) }),
    )
    .await;
    let before = logs[0].bounds().incarnation;
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mut publishers = JoinSet::new();
    for publisher in 0..PUBLISHERS {
        let (log, stop) = (Arc::clone(&logs[publisher as usize % 2]), Arc::clone(&stop));
        publishers.spawn(async move {
            let mut number = 0;
            while !stop.load(Ordering::Relaxed) {
                let data = format!("{publisher} {number}");
                let key = format!("{publisher}/{number}");
                let key = Some(IdempotencyKey::parse(&key).unwrap());
                let mut event = Event::new(Topic::parse("t").unwrap(), Data::from(data));
                event.id = Some(EventId::parse(&format!("urn:{publisher}:{number}")).unwrap());
                let append = Append { event, key, time: Timestamp(1_767_225_600_000) };
                // Under its key, as publishers do where they are told to come again.
                let kept = async { while log.append(vec![append.clone()]).await.is_err() {} };
                timeout(PATIENCE, kept).await.unwrap();
                number += 1;
            }
            (publisher, number)
        });
    }
    let mut followers = JoinSet::new();
    for log in &logs {
        let mut follower = log.follow(Position(1));
        followers.spawn(async move { follow_to_the_end(&mut *follower).await });
    }
    let moving = Arc::clone(&cluster);
    let moved = tokio::task::spawn_blocking(move || {
        for _ in 0..MOVES {
            // Long enough that each state of the slot is seen by publishers and followers.
            moving.migrate(META, || std::thread::sleep(Duration::from_millis(40)));
            moving.fail_over(META);
        }
    });
    moved.await.unwrap();
    stop.store(true, Ordering::Relaxed);
    let published: BTreeMap<u64, u64> = publishers.join_all().await.into_iter().collect();
    for log in &logs {
        // It may still be in the pause before it asks again.
        let asking = async {
            while log.bounds_now().await.is_err() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, asking).await.unwrap();
        assert_eq!(log.bounds().incarnation, before, "nothing was lost");
    }
    let end = Event::new(Topic::parse("t").unwrap(), Data::from("end"));
    let end = Append { event: end, key: None, time: Timestamp(0) };
    logs[0].append(vec![end]).await.unwrap();
    for data in followers.join_all().await {
        for (publisher, count) in &published {
            let own = data.iter().filter_map(|data| data.strip_prefix(&format!("{publisher} ")));
            let expected = (0..*count).map(|number| number.to_string());
            assert!(own.eq(expected), "publisher {publisher}: all of it, in order, once");
        }
        assert_eq!(data.len() as u64, published.values().sum::<u64>());
    }
}

async fn follow_to_the_end(follower: &mut dyn Follow) -> Vec<String> {
    let mut data: Vec<String> = Vec::new();
    loop {
        match timeout(PATIENCE, follower.next()).await.unwrap() {
            Ok(records) => data.extend(records.iter().map(|r| r.event.data.as_str().to_owned())),
            Err(FollowError::Failed { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        if data.pop_if(|last| last == "end").is_some() {
            return data;
        }
    }
}

#[tokio::test]
async fn one_server_of_a_cluster_says_how_to_reach_all() {
    let cluster = start().await;
    let seeds = cluster.seeds();
    let holder = cluster.holder(META);
    let other = seeds.split(',').nth((holder + 1) % 3).unwrap();
    let straight = RedisOptions::new(format!("redis://:@{other}").parse().unwrap());
    let error = Redis::open(straight).await.unwrap_err().to_string();
    assert!(error.contains("redis+cluster:// leads"), "{error}");
    let led = RedisOptions::new(format!("redis+cluster://{other}").parse().unwrap());
    Redis::open(led).await.unwrap();
}

#[tokio::test]
async fn a_cluster_that_is_not_there_is_named() {
    let port = free_port();
    let address = format!("redis+cluster://:secret@127.0.0.1:{port}");
    let options = RedisOptions::new(address.parse().unwrap());
    let error = Redis::open(options).await.unwrap_err().to_string();
    assert!(error.contains("no server of the cluster leads to the log"), "{error}");
    assert!(!error.contains("secret"), "{error}");
}
