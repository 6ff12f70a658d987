//! Three servers that keep the stream together, and one of them dies.

use super::servers::Cluster;
use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_of_three_replicas_keeps_the_promises() {
    let cluster = tokio::task::spawn_blocking(|| Cluster::start(free_port)).await.unwrap();
    let ports = cluster.ports();
    let opened = AtomicU32::new(0);
    conformance::run(async |Settings { bytes_max, age_max }| {
        let number = opened.fetch_add(1, Ordering::Relaxed);
        let stream = format!("test-{number}").parse().unwrap();
        let options =
            NatsOptions { stream, bytes_max, age_max, replicas: 3, ..options(&ports, "") };
        Nats::open(options).await.unwrap()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_death_of_the_leader_loses_nothing_and_repeats_nothing() {
    const EVENTS: u64 = 200;
    let mut cluster = tokio::task::spawn_blocking(|| Cluster::start(free_port)).await.unwrap();
    let options = NatsOptions { replicas: 3, ..options(&cluster.ports(), "") };
    let one = Arc::new(Nats::open(options.clone()).await.unwrap());
    let other = Nats::open(options).await.unwrap();
    let incarnation = one.bounds().incarnation;
    let mut follower = other.follow(Position(1));
    let publisher = Arc::clone(&one);
    let publishing = tokio::spawn(async move {
        for number in 0..EVENTS {
            // A publish may come too late for those who wait; its key makes it the same again.
            let key = Some(IdempotencyKey::parse(&format!("k{number}")).unwrap());
            let batch = vec![Append { key, ..event(&number.to_string()) }];
            while publisher.append(batch.clone()).await.is_err() {}
        }
    });
    assert_eq!(take(&mut *follower, 20).await[..2], ["0", "1"]);
    let killed = tokio::task::spawn_blocking(move || {
        let leader = cluster.leader("tidings");
        cluster.servers[leader].kill();
        let next = cluster.leader("tidings");
        assert_ne!(next, leader);
        cluster.servers[leader].up();
        cluster.until_whole("tidings");
        cluster
    });
    let cluster = killed.await.unwrap();
    publishing.await.unwrap();
    let data = take(&mut *other.follow(Position(1)), EVENTS as usize).await;
    let expected: Vec<String> = (0..EVENTS).map(|number| number.to_string()).collect();
    assert_eq!(data, expected);
    assert_eq!(one.bounds().next, Position(EVENTS + 1), "nothing twice");
    assert_eq!(one.bounds().incarnation, incarnation);
    drop(cluster);
}
