//! A log in several partitions: streams, cursors and pages over one or several of them.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::body::Body;
use serde_json::{Value, json};
use tidings_core::cursor::Cursor;
use tidings_core::event::Topic;
use tidings_core::limits::PARTITIONS_MAX;
use tidings_core::vector::Vector;
use tidings_log::{Memory, MemoryOptions, partition_of};
use tidings_server::Config;
use tidings_server::auth::Access;

use crate::world::{World, request};

const PARTITIONS: usize = 4;

fn world() -> World {
    World::partitioned(PARTITIONS, Config::default())
}

/// A topic of each partition, of so many.
fn topics(partitions: usize) -> Vec<String> {
    let of = |partition| {
        let mut names = (0..).map(|number| format!("t/{number}"));
        let is_there =
            |name: &String| partition_of(&Topic::parse(name).unwrap(), partitions) == partition;
        names.find(is_there).unwrap()
    };
    (0..partitions).map(of).collect()
}

async fn publish(world: &World, topic: &str, data: &str) -> String {
    let answer = world.post(&format!("/topics/{topic}"), data.to_owned()).await;
    answer["id"].as_str().unwrap().to_owned()
}

/// Publishes so many events, each in the next partition.
async fn publish_all(world: &World, count: usize) -> Vec<String> {
    let topics = topics(PARTITIONS);
    let mut data = Vec::new();
    for number in 0..count {
        publish(world, &topics[number % PARTITIONS], &number.to_string()).await;
        data.push(number.to_string());
    }
    data
}

fn sorted(events: &[(String, String)]) -> Vec<String> {
    let mut data: Vec<String> = events.iter().map(|(_, data)| data.clone()).collect();
    data.sort_by_key(|data| data.parse::<u64>().unwrap());
    data
}

fn data(history: &Value) -> Vec<&str> {
    let events = history["events"].as_array().unwrap();
    events.iter().map(|event| event["data"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn one_stream_has_the_events_of_all_partitions_and_goes_on_after_each() {
    let world = world();
    let mut stream = world.listen("/events?topic=*", &[]).await;
    let before = stream.headers["tidings-cursor"].to_str().unwrap().to_owned();
    assert_eq!(stream.headers["tidings-resume"], "live");
    let data = publish_all(&world, 40).await;
    let events = stream.events(40).await;
    assert_eq!(sorted(&events), data);
    let mut cursors = vec![before];
    cursors.extend(events.iter().map(|(id, _)| id.clone()));
    for (had, cursor) in cursors.iter().enumerate() {
        assert!(cursor.parse::<Vector>().is_ok() && cursor.len() <= 128, "{cursor}");
        let mut stream = world.listen("/events?topic=*", &[("last-event-id", cursor)]).await;
        assert_eq!(stream.headers["tidings-resume"], "resumed");
        let mut all = events[..had].to_vec();
        all.extend(stream.events(40 - had).await);
        assert_eq!(sorted(&all), data, "after {had}: nothing is missing, nothing comes twice");
    }
}

#[tokio::test]
async fn one_topic_is_as_in_a_hub_of_one_partition() {
    let world = world();
    let topics = topics(PARTITIONS);
    let mut stream = world.listen(&format!("/topics/{}", topics[1]), &[]).await;
    let id = publish(&world, &topics[1], "mine").await;
    publish(&world, &topics[2], "other").await;
    let second = publish(&world, &topics[1], "mine too").await;
    let events = stream.events(2).await;
    assert_eq!(events, [(id.clone(), "mine".into()), (second, "mine too".into())]);
    assert!(id.parse::<Cursor>().is_ok(), "{id}");
    let path = format!("/topics/{}", topics[1]);
    let mut back = world.listen(&path, &[("last-event-id", &id)]).await;
    assert_eq!(back.headers["tidings-resume"], "resumed");
    assert_eq!(back.events(1).await[0].1, "mine too");
}

#[tokio::test]
async fn who_wants_less_than_before_goes_on_there_and_who_wants_more_is_told() {
    let world = world();
    let topics = topics(PARTITIONS);
    let two = format!("/events?topic={}&topic={}", topics[0], topics[1]);
    let mut stream = world.listen(&two, &[]).await;
    for number in 0..4 {
        publish(&world, &topics[number % 2], &number.to_string()).await;
    }
    let events = stream.events(4).await;
    let cursor = [("last-event-id", events[3].0.as_str())];
    publish(&world, &topics[1], "new").await;
    let mut one = world.listen(&format!("/topics/{}", topics[1]), &cursor).await;
    assert_eq!(one.headers["tidings-resume"], "resumed");
    assert_eq!(one.events(1).await[0].1, "new");
    let three = format!("{two}&topic={}", topics[2]);
    let mut more = world.listen(&three, &cursor).await;
    assert_eq!(more.headers["tidings-resume"], "reset");
    let text = more.until("data: new\n\n").await;
    assert!(text.contains("event: tidings.reset"), "{text}");
    // The id of an event says nothing of the other partition.
    let id = publish(&world, &topics[0], "own").await;
    let own = world.listen(&two, &[("last-event-id", &id)]).await;
    assert_eq!(own.headers["tidings-resume"], "reset");
}

#[tokio::test]
async fn what_is_no_place_in_these_logs_is_told() {
    let world = world();
    publish_all(&world, 8).await;
    let elsewhere = World::partitioned(PARTITIONS, Config::default());
    let stream = elsewhere.listen("/events?topic=*", &[]).await;
    let foreign = stream.headers["tidings-cursor"].to_str().unwrap().to_owned();
    let fewer = World::partitioned(2, Config::default());
    let stream = fewer.listen("/events?topic=*", &[]).await;
    let other_number = stream.headers["tidings-cursor"].to_str().unwrap().to_owned();
    for cursor in [&foreign, &other_number, "~AAAA", "k3f9x2ab-1"] {
        let mut stream = world.listen("/events?topic=*", &[("last-event-id", cursor)]).await;
        assert_eq!(stream.headers["tidings-resume"], "reset", "{cursor}");
        let text = stream.until("\n\n").await;
        assert!(text.contains(&format!("\"from\":\"{cursor}\"")), "{text}");
        let after = publish(&world, "t/0", "after").await;
        assert!(!after.is_empty());
        let text = stream.until("after\n\n").await;
        assert_eq!(text.matches("data: ").count(), 2, "only what is new: {text}");
    }
}

#[tokio::test]
async fn what_retention_took_of_one_partition_is_told() {
    let small = MemoryOptions { bytes_max: 8 * 1024, ..MemoryOptions::default() };
    let logs = (0..2).map(|_| Memory::new(small)).collect();
    let world = World::over(logs, Config::default(), Access::open());
    let topics = topics(2);
    let stream = world.listen("/events?topic=*", &[]).await;
    let cursor = stream.headers["tidings-cursor"].to_str().unwrap().to_owned();
    publish(&world, &topics[1], "kept").await;
    for _ in 0..20 {
        publish(&world, &topics[0], &"x".repeat(1024)).await;
    }
    let mut back = world.listen("/events?topic=*", &[("last-event-id", &cursor)]).await;
    assert_eq!(back.headers["tidings-resume"], "reset");
    let text = back.until("data: kept\n\n").await;
    assert!(text.contains("event: tidings.reset") && text.contains("\"missed\":"), "{text}");
}

#[tokio::test]
async fn a_chosen_id_is_one_partition_s_and_a_vector_takes_its_place_in_a_stream_of_several() {
    let world = world();
    let topics = topics(PARTITIONS);
    let mut all = world.listen("/events?topic=*", &[]).await;
    let mut one = world.listen(&format!("/topics/{}", topics[3]), &[]).await;
    let chosen = |number: usize| format!("/topics/{}?id=urn:{number}", topics[3]);
    for number in 0..3 {
        world.post(&chosen(number), number.to_string()).await;
        publish(&world, &topics[0], "other").await;
    }
    let ids: Vec<String> = one.events(3).await.into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, ["urn:0", "urn:1", "urn:2"]);
    let events = all.events(6).await;
    assert!(events.iter().all(|(id, _)| id.parse::<Vector>().is_ok()), "{events:?}");
    let path = format!("/topics/{}", topics[3]);
    let mut back = world.listen(&path, &[("last-event-id", "urn:1")]).await;
    assert_eq!(back.headers["tidings-resume"], "resumed");
    assert_eq!(back.events(1).await[0].1, "2");
    let back = world.listen("/events?topic=*", &[("last-event-id", "urn:1")]).await;
    assert_eq!(back.headers["tidings-resume"], "reset");
    // Nobody may choose an id that says where somebody is.
    let forged = format!("/topics/{}?id={}", topics[3], events[0].0);
    let answer = world.answer(request("POST", &forged, &[], Body::from("x"))).await;
    assert_eq!(answer.status, 400, "{answer:?}");
}

#[tokio::test]
async fn an_event_has_topics_of_one_partition() {
    let world = world();
    let topics = topics(PARTITIONS);
    let event = json!([{"topics": [topics[0], topics[1]], "data": "x"}]);
    let answer = world.answer(request("POST", "/events", &[], event.to_string())).await;
    assert_eq!(answer.status, 400);
    assert!(answer.text.contains("redis-partitions"), "{}", answer.text);
    let batch: Vec<Value> = (0..8)
        .map(|number| json!({"topic": topics[number % PARTITIONS], "data": number.to_string()}))
        .collect();
    let answer = world.post("/events", Value::from(batch).to_string()).await;
    let ids: BTreeSet<String> =
        answer["ids"].as_array().unwrap().iter().map(Value::to_string).collect();
    assert_eq!(ids.len(), 8, "an answer for each: {answer}");
}

#[tokio::test]
async fn a_key_is_known_in_the_partition_of_its_topic() {
    let world = world();
    let topics = topics(PARTITIONS);
    let mut answers = Vec::new();
    for topic in [&topics[0], &topics[0], &topics[1]] {
        let path = format!("/topics/{topic}");
        let key = [("idempotency-key", "k")];
        answers.push(world.answer(request("POST", &path, &key, "x")).await.json());
    }
    assert_eq!(answers[0]["id"], answers[1]["id"]);
    assert_ne!(answers[0]["id"], answers[2]["id"], "another topic, another event");
}

#[tokio::test]
async fn the_last_and_the_pages_are_by_time() {
    let world = world();
    let topics = topics(PARTITIONS);
    for number in 0..20 {
        publish(&world, &topics[number * 7 % PARTITIONS], &number.to_string()).await;
        // So that each has a time of its own.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let expected: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    let last = world.history("/events?topic=*&last=5").await;
    assert_eq!(data(&last), expected[15..]);
    let mut stream = world.listen("/events?topic=*&last=5", &[]).await;
    assert_eq!(sorted(&stream.events(5).await), expected[15..]);
    let mut since = world.listen("/events?topic=*&since=1h", &[]).await;
    assert_eq!(sorted(&since.events(20).await), expected);
    // Page by page, and on as a stream.
    let mut page = world.history("/events?topic=*&since=earliest&limit=3").await;
    let mut seen: Vec<String> = Vec::new();
    for _ in 0..4 {
        seen.extend(data(&page).into_iter().map(str::to_owned));
        let next = page["next"].as_str().unwrap();
        page = world.history(&format!("/events?topic=*&limit=3&last_event_id={next}")).await;
    }
    assert_eq!(seen, expected[..12]);
    let next = page["next"].as_str().unwrap().to_owned();
    seen.extend(data(&page).into_iter().map(str::to_owned));
    let mut stream = world.listen("/events?topic=*", &[("last-event-id", &next)]).await;
    assert_eq!(stream.headers["tidings-resume"], "resumed");
    seen.extend(sorted(&stream.events(5).await));
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn large_events_of_several_partitions_come_whole() {
    let world = World::partitioned(PARTITIONS_MAX, Config::default());
    let topics = topics(PARTITIONS_MAX);
    let mut stream = world.listen("/events?topic=*", &[]).await;
    let mut expected = BTreeSet::new();
    for number in 0..64 {
        let data = format!("{number}\n").repeat(1 + number * 700);
        publish(&world, &topics[number % PARTITIONS_MAX], data.trim_end()).await;
        expected.insert(data.trim_end().to_owned());
    }
    let events = stream.events(64).await;
    assert!(events.iter().all(|(id, _)| id.len() <= 128), "{}", events[0].0);
    let came: BTreeSet<String> = events.into_iter().map(|(_, data)| data).collect();
    assert!(came == expected, "each of them as it was");
}

#[tokio::test]
async fn a_stream_counts_once_and_ends_with_the_hub() {
    let world = world();
    let mut stream = world.listen("/events?topic=*", &[]).await;
    publish_all(&world, 4).await;
    stream.events(4).await;
    world.becomes(|metrics| metrics.subscribers.get() == 1).await;
    drop(stream);
    world.becomes(|metrics| metrics.subscribers.get() == 0).await;
    let stream = world.listen("/events?topic=*", &[]).await;
    world.hub.begin_drain(Duration::ZERO);
    stream.rest().await;
    world.hub.close().await;
    assert_eq!(world.hub.streams(), 0);
}
