//! What becomes of appends and followers when the server goes, comes back, has forgotten, or when
//! the way to it breaks.

use std::cell::RefCell;

use super::*;
use crate::remote::testing::Proxy;
use crate::remote::testing::nodes::{self, replaced, until_health};

async fn open(server: &Server) -> Nats {
    Nats::open(options(&[server.port], "")).await.unwrap()
}

async fn open_through(proxy: &Proxy) -> Nats {
    Nats::open(options(&[proxy.port()], "")).await.unwrap()
}

#[tokio::test]
async fn what_one_node_appends_all_follow() {
    let server = Server::start(free_port);
    nodes::what_one_node_appends_all_follow(open(&server).await, open(&server).await).await;
}

#[tokio::test]
async fn a_key_counts_for_all_nodes() {
    let server = Server::start(free_port);
    nodes::a_key_counts_for_all_nodes(open(&server).await, open(&server).await).await;
}

#[tokio::test]
async fn a_key_counts_for_a_node_that_has_just_started() {
    let server = Server::start(free_port);
    let keyed = |name: String, data: &str| {
        let key = Some(IdempotencyKey::parse(&name).unwrap());
        vec![Append { key, ..event(data) }]
    };
    let one = open(&server).await;
    for number in 0..50 {
        one.append(keyed(format!("k{number}"), "1")).await.unwrap();
        put(&one, "2").await;
    }
    let other = open(&server).await;
    for number in 0..50 {
        let again = other.append(keyed(format!("k{number}"), "1")).await.unwrap()[0];
        assert_eq!((again.position, again.repeated), (Position(1 + 2 * number), true));
    }
    assert_eq!(other.append(keyed("k7".into(), "x")).await, Err(AppendError::KeyReused));
}

#[tokio::test]
async fn a_claim_is_one_node_s() {
    let server = Server::start(free_port);
    nodes::a_claim_is_one_node_s(open(&server).await, open(&server).await).await;
}

#[tokio::test]
async fn appends_wait_for_a_server_that_comes_back_with_all_it_had() {
    let server = Server::start(free_port);
    let log = open(&server).await;
    let server = RefCell::new(server);
    let (kill, up) = (|| server.borrow_mut().kill(), || server.borrow_mut().up());
    nodes::appends_wait_for_a_server_that_comes_back_with_all_it_had(log, kill, up).await;
}

#[tokio::test]
async fn a_server_that_stays_away_is_told_and_waited_for() {
    let server = Server::start(free_port);
    let proxy = Proxy::to(server.port).await;
    let log = open_through(&proxy).await;
    let place = "NATS at nats://127.0.0.1";
    nodes::a_server_that_stays_away_is_told_and_waited_for(log, &proxy, place).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_connections_lose_nothing_and_repeat_nothing() {
    let server = Server::start(free_port);
    let proxy = Proxy::to(server.port).await;
    let log = open_through(&proxy).await;
    nodes::broken_connections_lose_nothing_and_repeat_nothing(log, &proxy).await;
}

#[tokio::test]
async fn a_stream_that_was_deleted_is_another_log() {
    let server = Server::start(free_port);
    let log = open(&server).await;
    let before = log.bounds().incarnation;
    let mut follower = log.follow(Position(1));
    for number in 1..=3 {
        put(&log, &number.to_string()).await;
    }
    let context = &log.shared.engine.link.context;
    context.delete_stream("tidings").await.unwrap();
    let bounds = replaced(&mut *follower).await;
    assert_ne!(bounds.incarnation, before);
    assert_eq!(bounds.next, Position(1));
    assert_eq!(put(&log, "anew").await, 1);
    assert_eq!(take(&mut *follower, 1).await, ["anew"]);
    until_health(&log, true).await;
    context.delete_stream("tidings").await.unwrap();
    assert_eq!(put(&log, "anew").await, 1, "the append itself notices");
    replaced(&mut *follower).await;
}

#[tokio::test]
async fn a_server_that_lost_its_end_is_another_log() {
    let mut server = Server::start(free_port);
    let log = open(&server).await;
    let before = log.bounds().incarnation;
    let mut follower = log.follow(Position(1));
    put(&log, "kept").await;
    server.kill();
    let copy = server.remember();
    server.up();
    until_health(&log, true).await;
    put(&log, "lost").await;
    assert_eq!(take(&mut *follower, 2).await, ["kept", "lost"]);
    server.kill();
    server.set_back(&copy);
    server.up();
    let bounds = replaced(&mut *follower).await;
    assert_ne!(bounds.incarnation, before);
    assert_eq!((bounds.oldest, bounds.next), (Position(1), Position(2)), "what is kept is kept");
    assert_eq!(put(&log, "anew").await, 2);
    assert_eq!(take(&mut *follower, 1).await, ["anew"]);
}

#[tokio::test]
async fn a_lost_end_is_noticed_even_where_others_have_written_over_it() {
    let mut server = Server::start(free_port);
    let proxy = Proxy::to(server.port).await;
    let log = open_through(&proxy).await;
    let before = log.bounds().incarnation;
    let mut follower = log.follow(Position(1));
    put(&log, "kept").await;
    server.kill();
    let copy = server.remember();
    server.up();
    until_health(&log, true).await;
    put(&log, "lost").await;
    assert_eq!(take(&mut *follower, 2).await, ["kept", "lost"]);
    proxy.cut();
    server.kill();
    server.set_back(&copy);
    server.up();
    // A node that was not there before knows nothing of what was lost.
    let other = open(&server).await;
    let mut others = other.follow(Position(1));
    assert_eq!(other.bounds().incarnation, before);
    for number in 2..=4 {
        assert_eq!(put(&other, &number.to_string()).await, number);
    }
    assert_eq!(take(&mut *others, 4).await, ["kept", "2", "3", "4"]);
    proxy.mend();
    let bounds = replaced(&mut *follower).await;
    assert_ne!(bounds.incarnation, before);
    assert_eq!(bounds.next, Position(5));
    assert_eq!(replaced(&mut *others).await.incarnation, bounds.incarnation);
}

#[tokio::test]
async fn a_stream_that_somebody_emptied_goes_on() {
    let server = Server::start(free_port);
    let (log, other) = (open(&server).await, open(&server).await);
    let mut follower = log.follow(Position(1));
    for number in 1..=3 {
        put(&log, &number.to_string()).await;
    }
    assert_eq!(take(&mut *follower, 3).await, ["1", "2", "3"]);
    let engine = &log.shared.engine;
    let last = engine.link.extent().await.unwrap().last;
    engine.link.purge_before(last + 1).await.unwrap();
    assert_eq!(put(&other, "4").await, 4);
    assert_eq!(put(&log, "5").await, 5);
    assert_eq!(take(&mut *follower, 2).await, ["4", "5"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_larger_than_a_message_stay_whole_among_nodes() {
    let server = Server::start(free_port);
    let nodes = [open(&server).await, open(&server).await, open(&server).await];
    let mut follower = nodes[0].follow(Position(1));
    let batch = |number: usize| -> Vec<Append> {
        let mut batch: Vec<Append> =
            (0..5).map(|at| event(&format!("{number} {at} {}", "x".repeat(100_000)))).collect();
        for (at, append) in batch.iter_mut().enumerate().filter(|(at, _)| at % 2 == 0) {
            append.event.id = Some(EventId::parse(&format!("{number}:{at}")).unwrap());
            append.key = Some(IdempotencyKey::parse(&format!("{number}:{at}")).unwrap());
        }
        batch
    };
    let appending = nodes.iter().enumerate().map(async |(node, log)| {
        for round in 0..10 {
            let number = node * 100 + round;
            let answers = log.append(batch(number)).await.unwrap();
            let first = answers[0].position.0;
            let positions: Vec<u64> = answers.iter().map(|answer| answer.position.0).collect();
            assert_eq!(positions, (first..first + 5).collect::<Vec<_>>());
            let id = EventId::parse(&format!("{number}:2")).unwrap();
            let found = log.find(Mark::Id(&id)).await.unwrap();
            assert_eq!(found, Some(Position(first + 2)));
        }
    });
    futures_util::future::join_all(appending).await;
    let data = take(&mut *follower, 150).await;
    for run in data.chunks(5) {
        let number = run[0].split(' ').next().unwrap();
        for (at, data) in run.iter().enumerate() {
            assert!(data.starts_with(&format!("{number} {at} ")), "whole and in order");
        }
    }
}

#[tokio::test]
async fn what_others_publish_there_is_passed_over() {
    let server = Server::start(free_port);
    let log = open(&server).await;
    let mut follower = log.follow(Position(1));
    put(&log, "1").await;
    let client = &log.shared.engine.link.client;
    for subject in ["tidings.0.e", "tidings.0.k", "tidings.x"] {
        client.publish(subject, "hello".into()).await.unwrap();
    }
    assert_eq!(put(&log, "2").await, 2);
    client.publish("tidings.x", "hello".into()).await.unwrap();
    client.flush().await.unwrap();
    assert_eq!(take(&mut *follower, 2).await, ["1", "2"]);
    let other = open(&server).await;
    assert_eq!(put(&other, "3").await, 3);
    assert_eq!(take(&mut *other.follow(Position(1)), 3).await, ["1", "2", "3"]);
}

#[tokio::test]
async fn a_stream_of_somebody_else_s_is_left_alone() {
    let server = Server::start(free_port);
    let log = open(&server).await;
    let context = &log.shared.engine.link.context;
    let config = async_nats::jetstream::stream::Config {
        name: "theirs".to_owned(),
        subjects: vec!["theirs.>".to_owned()],
        max_bytes: 1 << 20,
        ..Default::default()
    };
    context.create_stream(config).await.unwrap();
    context.publish("theirs.a", "hello".into()).await.unwrap().await.unwrap();
    let options = NatsOptions { stream: "theirs".parse().unwrap(), ..options(&[server.port], "") };
    let error = Nats::open(options).await.unwrap_err().to_string();
    assert!(error.contains("nats-stream"), "{error}");
}

#[tokio::test]
async fn a_stream_that_takes_nothing_is_told_until_it_does() {
    let server = Server::start(free_port);
    let log = open(&server).await;
    put(&log, "1").await;
    let context = &log.shared.engine.link.context;
    let allow = async |bytes: i32| {
        let mut config = context.get_stream("tidings").await.unwrap().cached_info().config.clone();
        config.max_message_size = bytes;
        context.update_stream(config).await.unwrap();
    };
    allow(1).await;
    let refused = log.append(vec![event("no room")]).await;
    let Err(AppendError::Unavailable { reason }) = refused else { panic!("{refused:?}") };
    assert!(reason.contains("exceeds maximum"), "{reason}");
    assert!(log.health().is_err());
    allow(-1).await;
    let trying = async {
        while log.health().is_err() {
            // As the hub does every second.
            let _ = log.trim(Timestamp(0)).await;
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(nodes::PATIENCE, trying).await.unwrap();
    assert_eq!(put(&log, "2").await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_far_gets_its_turn() {
    let server = Server::start(free_port);
    let proxy = Proxy::far(server.port, Duration::from_millis(20)).await;
    let (near, far) = (Arc::new(open(&server).await), open_through(&proxy).await);
    let busy: Vec<_> = (0..8)
        .map(|_| {
            let near = Arc::clone(&near);
            tokio::spawn(async move {
                loop {
                    put(&*near, "near").await;
                }
            })
        })
        .collect();
    for _ in 0..10 {
        put(&far, "far").await;
    }
    for task in busy {
        assert!(!task.is_finished());
        task.abort();
    }
}
