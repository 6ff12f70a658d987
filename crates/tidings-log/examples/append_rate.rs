//! Prints how many events a second each log acknowledges, with 1, 64 and 1,024 appends waiting.
//! Knows nothing of what a server adds.
//!
//! `cargo run --release -p tidings-log --example append_rate [DIRECTORY]`: the directory should
//! be on the disk that is to be measured. With `--features redis` and an address as the second
//! argument, the log in that server is measured too, under a prefix of its own. One event per
//! append, 256 bytes of data, a thousand topics; two seconds each.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use tidings_core::cursor::Timestamp;
use tidings_core::event::{Data, Event, Topic};
use tidings_log::{Append, Disk, DiskOptions, Log, Memory, SyncPolicy};

const TIME: Duration = Duration::from_secs(2);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let directory = directory.join(format!("append-rate-{}", std::process::id()));
    println!("{:<16} {:>10} {:>10} {:>10}", "events/s with", "1", "64", "1024");
    let mut line = format!("{:<16}", "memory");
    for waiting in [1, 64, 1024] {
        line += &format!(" {:>10.0}", rate(Memory::default(), waiting).await);
    }
    println!("{line}");
    for sync in ["always", "interval:100ms", "never"] {
        let mut line = format!("{sync:<16}");
        for waiting in [1, 64, 1024] {
            let sync: SyncPolicy = sync.parse()?;
            let log = Disk::open(DiskOptions { sync, ..DiskOptions::new(&directory) })?;
            line += &format!(" {:>10.0}", rate(log, waiting).await);
            std::fs::remove_dir_all(&directory)?;
        }
        println!("{line}");
    }
    #[cfg(feature = "redis")]
    if let Some(address) = std::env::args().nth(2) {
        use tidings_log::{Redis, RedisOptions};
        let mut line = format!("{:<16}", "redis");
        for waiting in [1, 64, 1024] {
            let options = RedisOptions {
                prefix: format!("append-rate:{}", std::process::id()).parse()?,
                ..RedisOptions::new(address.parse()?)
            };
            line += &format!(" {:>10.0}", rate(Redis::open(options).await?, waiting).await);
        }
        println!("{line}");
    }
    Ok(())
}

/// Events a second while so many tasks append one after the other.
async fn rate(log: impl Log, waiting: usize) -> f64 {
    let log = Arc::new(log);
    let done = Arc::new(AtomicU64::new(0));
    let events: Arc<Vec<Event>> = Arc::new((0..1000).map(event).collect());
    let start = Instant::now();
    let tasks: Vec<_> = (0..waiting)
        .map(|task| {
            let (log, done, events) = (Arc::clone(&log), Arc::clone(&done), Arc::clone(&events));
            tokio::spawn(async move {
                for event in events.iter().cycle().skip(task) {
                    if start.elapsed() >= TIME {
                        return;
                    }
                    let append = Append { event: event.clone(), key: None, time: now() };
                    log.append(vec![append]).await.expect("the log takes it");
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no task failed");
    }
    let rate = done.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64();
    log.close().await;
    rate
}

fn event(number: usize) -> Event {
    let topic = Topic::parse(&format!("topic/{number}")).expect("a topic");
    Event::new(topic, Data::from("x".repeat(256)))
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
