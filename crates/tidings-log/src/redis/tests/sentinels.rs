//! A primary that dies, and Sentinels that let its replica take over.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::timeout;

use super::*;
use crate::FollowError;
use crate::redis::tests::server::free_port;

/// After so long, something hangs.
const PATIENCE: Duration = Duration::from_secs(60);

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
             sentinel down-after-milliseconds main 300\nsentinel failover-timeout main 3000\n"
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

/// Asks until there is an answer.
pub(super) async fn until(what: &str, ask: impl Fn() -> bool) {
    let waiting = async {
        while !ask() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{what}"));
}

fn says(server: &Server, command: &[&str], text: &str) -> bool {
    format!("{:?}", server.ask(command)).contains(text)
}

#[tokio::test]
async fn a_replica_takes_over_and_all_goes_on() {
    let mut primary = Server::start();
    let replica = Server::with(&[
        "--save",
        "",
        "--replicaof",
        &format!("127.0.0.1 {}", primary.port()),
        "--repl-diskless-sync-delay",
        "0",
    ]);
    until("it replicates", || says(&replica, &["INFO", "replication"], "master_link_status:up"))
        .await;
    let sentinels: Vec<Sentinel> = (0..3).map(|_| Sentinel::start(primary.port())).collect();
    let asked = Server::look_at(sentinels[0].port);
    // Both others, and the replica.
    until("the Sentinels know each other", || {
        let known = asked.try_ask(&["SENTINEL", "MASTER", "main"]);
        let text = format!("{known:?}").replace("bulk-string", "");
        ["num-slaves'('\"1\"", "num-other-sentinels'('\"2\""].iter().all(|part| {
            let plain: String = text.chars().filter(|c| c.is_ascii_alphanumeric()).collect();
            let part: String = part.chars().filter(|c| c.is_ascii_alphanumeric()).collect();
            plain.contains(&part)
        })
    })
    .await;

    let hosts: Vec<String> = sentinels.iter().map(|s| format!("127.0.0.1:{}", s.port)).collect();
    let address = format!("redis+sentinel://{}/main", hosts.join(","));
    let log = Redis::open(RedisOptions::new(address.parse().unwrap())).await.unwrap();
    let replicated =
        until("the replica has it", || says(&replica, &["HGET", "{tidings:0}:meta", "next"], "11"));
    goes_on(&log, replicated, || primary.kill()).await;
}

/// Ten events are appended before the primary dies, and ten more after it.
pub(super) async fn goes_on(log: &Redis, replicated: impl Future, kill: impl FnOnce()) {
    let before = log.bounds().incarnation;
    let mut follower = log.follow(Position(1));
    let append = |number: u64| {
        let data = Data::from(number.to_string());
        let event = Event::new(Topic::parse("t").unwrap(), data);
        let key = Some(IdempotencyKey::parse(&number.to_string()).unwrap());
        vec![Append { event, key, time: Timestamp(1_767_225_600_000) }]
    };
    for number in 1..=10 {
        log.append(append(number)).await.unwrap();
    }
    replicated.await;
    kill();
    for number in 11..=20 {
        // Under its key, as publishers do where they are told to come again.
        timeout(PATIENCE, async { while log.append(append(number)).await.is_err() {} })
            .await
            .unwrap();
    }
    let mut data = Vec::new();
    while data.len() < 20 {
        match timeout(PATIENCE, follower.next()).await.unwrap() {
            Ok(records) => data.extend(records.iter().map(|r| r.event.data.as_str().to_owned())),
            Err(FollowError::Failed { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    let expected: Vec<String> = (1..=20).map(|number| number.to_string()).collect();
    assert_eq!(data, expected);
    assert_eq!(log.bounds().incarnation, before, "nothing was lost");
}

#[tokio::test]
async fn sentinels_that_are_not_there_are_named() {
    let port = free_port();
    let address = format!("redis+sentinel://:secret@127.0.0.1:{port}/main");
    let options = RedisOptions::new(address.parse().unwrap());
    let error = Redis::open(options).await.unwrap_err().to_string();
    assert!(error.contains("no Sentinel says where main is"), "{error}");
    assert!(!error.contains("secret"), "{error}");
}
