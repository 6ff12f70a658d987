//! Prints how many events a second each log acknowledges, with 1, 64 and 1,024 appends waiting.
//! Knows nothing of what a server adds.
//!
//! `cargo run --release -p tidings-log --example append_rate [DIRECTORY]`: the directory should
//! be on the disk that is to be measured. One event per append, 256 bytes of data, a thousand
//! topics; two seconds each.
//!
//! With `--features redis` and an address (`redis://127.0.0.1:6379`) instead of the directory, the
//! log in that server is measured, under a prefix of its own, and the server's CPU for each event;
//! and before and after what `redis-benchmark` appends there of entries of the same size. With
//! `--features nats` and `nats://127.0.0.1:4222`, the log there, in a stream of its own.

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
    let argument = std::env::args().nth(1);
    #[cfg(feature = "redis")]
    if let Some(address) = argument.as_deref().filter(|text| text.starts_with("redis://")) {
        return in_redis::measure(address).await;
    }
    #[cfg(feature = "nats")]
    if let Some(address) = argument.as_deref().filter(|text| text.starts_with("nats://")) {
        return in_nats(address).await;
    }
    let directory = argument.map_or_else(std::env::temp_dir, PathBuf::from);
    let directory = directory.join(format!("append-rate-{}", std::process::id()));
    println!("{:<16} {:>10} {:>10} {:>10}", "events/s with", "1", "64", "1024");
    let mut line = format!("{:<16}", "memory");
    for waiting in [1, 64, 1024] {
        line += &format!(" {:>10.0}", rate(Memory::default(), waiting).await.0);
    }
    println!("{line}");
    for sync in ["always", "interval:100ms", "never"] {
        let mut line = format!("{sync:<16}");
        for waiting in [1, 64, 1024] {
            let sync: SyncPolicy = sync.parse()?;
            let log = Disk::open(DiskOptions { sync, ..DiskOptions::new(&directory) })?;
            line += &format!(" {:>10.0}", rate(log, waiting).await.0);
            std::fs::remove_dir_all(&directory)?;
        }
        println!("{line}");
    }
    Ok(())
}

#[cfg(feature = "nats")]
async fn in_nats(address: &str) -> Result<(), Box<dyn std::error::Error>> {
    use tidings_log::{Nats, NatsOptions};
    println!("{:<16} {:>10} {:>10} {:>10}", "events/s with", "1", "64", "1024");
    let mut line = format!("{:<16}", "nats");
    for waiting in [1, 64, 1024] {
        let options = NatsOptions {
            stream: format!("append-rate-{}-{waiting}", std::process::id()).parse()?,
            ..NatsOptions::new(address.parse()?)
        };
        line += &format!(" {:>10.0}", rate(Nats::open(options).await?, waiting).await.0);
    }
    println!("{line}");
    Ok(())
}

#[cfg(feature = "redis")]
mod in_redis {
    use std::error::Error;
    use std::process::Command;

    use redis::{Client, ConnectionAddr, InfoDict};
    use tidings_log::{Redis, RedisOptions};

    use super::rate;

    const WAITING: [usize; 3] = [1, 64, 1024];

    /// Entries of 256 bytes and what an event has beside its data.
    const ENTRY_BYTES: usize = 290;
    const ENTRIES: u32 = 500_000;

    pub(super) async fn measure(address: &str) -> Result<(), Box<dyn Error>> {
        let client = Client::open(address)?;
        let before = limit(&client)?;
        let (mut rates, mut prices) =
            (format!("{:<16}", "redis"), format!("{:<16}", "  its µs each"));
        for waiting in WAITING {
            let options = RedisOptions {
                prefix: format!("append-rate:{}:{waiting}", std::process::id()).parse()?,
                ..RedisOptions::new(address.parse()?)
            };
            let log = Redis::open(options).await?;
            let start = cpu_us(&client)?;
            let (rate, events) = rate(log, waiting).await;
            rates += &format!(" {rate:>10.0}");
            prices += &format!(" {:>10.2}", (cpu_us(&client)? - start) / events as f64);
        }
        let after = limit(&client)?;
        println!("{:<16} {:>10} {:>10} {:>10}", "events/s with", "1", "64", "1024");
        println!("{rates}\n{prices}");
        for (rate, price) in [before, after] {
            println!(
                "redis-benchmark -P 64 XADD: {rate:.0} entries/s, {price:.2} µs of the server"
            );
        }
        Ok(())
    }

    /// What the server has run so far.
    fn cpu_us(client: &Client) -> Result<f64, Box<dyn Error>> {
        let info: InfoDict = redis::cmd("INFO").arg("cpu").query(&mut client.get_connection()?)?;
        let seconds = |name| info.get::<f64>(name).ok_or("the server does not tell its CPU");
        Ok((seconds("used_cpu_sys")? + seconds("used_cpu_user")?) * 1e6)
    }

    /// Entries a second, and the server's CPU for each.
    fn limit(client: &Client) -> Result<(f64, f64), Box<dyn Error>> {
        let ConnectionAddr::Tcp(host, port) = client.get_connection_info().addr() else {
            return Err("redis-benchmark is run without TLS only".into());
        };
        let (port, entries) = (port.to_string(), ENTRIES.to_string());
        let data = "x".repeat(ENTRY_BYTES);
        let before = cpu_us(client)?;
        let output = Command::new("redis-benchmark")
            .args(["-h", host, "-p", &port, "-P", "64", "-n", &entries, "--csv"])
            .args(["XADD", "append-rate", "*", "e", &data])
            .output()?;
        let price = (cpu_us(client)? - before) / f64::from(ENTRIES);
        let text = String::from_utf8_lossy(&output.stdout);
        let rate = text.lines().last().and_then(|line| line.split("\",\"").nth(1)?.parse().ok());
        redis::cmd("DEL").arg("append-rate").exec(&mut client.get_connection()?)?;
        Ok((rate.ok_or("redis-benchmark did not say its rate")?, price))
    }
}

/// Events a second while so many tasks append one after the other; and how many it
/// were in all.
async fn rate(log: impl Log, waiting: usize) -> (f64, u64) {
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
    let events = done.load(Ordering::Relaxed);
    let rate = events as f64 / start.elapsed().as_secs_f64();
    log.close().await;
    (rate, events)
}

fn event(number: usize) -> Event {
    let topic = Topic::parse(&format!("topic/{number}")).expect("a topic");
    Event::new(topic, Data::from("x".repeat(256)))
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
