//! What a shard promises, each promise told in a few lines. That positions come in order, once
//! and without gaps, the clients check themselves.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::cursor::Position;
use crate::event::{Topic, Topics};
use crate::limits::{CLOSING_TIME_MAX, HEARTBEAT, JOIN_BYTES_MAX};
use crate::shard::{Counts, Framing, Page};
use crate::testing::{Event, Op, RETRY_MS, Reads, Settings, Start, Subscription, World};
use crate::topic::{Selector, Selectors};

fn world() -> World {
    World::new(Settings::default())
}

/// Somebody live on `selector`, with nothing counted before.
fn live(world: &mut World, selector: &str) -> usize {
    subscribed(world, Subscription::to(selector))
}

fn subscribed(world: &mut World, subscription: Subscription) -> usize {
    let client = world.subscribe(subscription);
    world.run();
    world.take_counts(0);
    client
}

fn publish(world: &mut World, topic: &str, bytes: usize, count: usize) {
    let topics = Topic::parse(topic).unwrap().into();
    world.apply(&Op::Publish { event: Event { topics, private: false, bytes }, count });
}

const DELIVER: Op = Op::Deliver { shard: 0, events_max: usize::MAX };
const TURN: Op = Op::Turn { shard: 0 };

#[test]
fn a_replay_goes_over_into_live_without_a_gap() {
    let mut world = World::new(Settings { page_events_max: 2, ..Settings::default() });
    publish(&mut world, "a", 20, 5);
    world.apply(&DELIVER);
    let client = world.subscribe(Subscription { start: Start::At(2), ..Subscription::to("a") });
    world.apply(&TURN);
    assert_eq!(world.client(client).positions(), [2, 3]);
    publish(&mut world, "a", 20, 2);
    world.apply(&DELIVER);
    assert_eq!(world.client(client).positions(), [2, 3], "behind, it reads and is not pushed to");
    world.apply(&TURN);
    world.apply(&TURN);
    world.apply(&TURN);
    publish(&mut world, "a", 20, 1);
    world.apply(&DELIVER);
    assert_eq!(world.client(client).positions(), [2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn those_who_come_back_to_the_same_place_share_their_pages() {
    let mut world = World::new(Settings { page_events_max: 3, ..Settings::default() });
    publish(&mut world, "a", 20, 5);
    world.apply(&DELIVER);
    let places = [2, 2, 1, 2];
    let clients = places.map(|place| {
        world.subscribe(Subscription { start: Start::At(place), ..Subscription::to("a") })
    });
    world.run();
    for (client, place) in clients.into_iter().zip(places) {
        let expected: Vec<u64> = (place..=5).collect();
        assert_eq!(world.client(client).positions(), expected);
    }
}

#[test]
fn a_page_may_run_ahead_of_the_live_events() {
    let mut world = world();
    let client = world.subscribe(Subscription::to("a"));
    publish(&mut world, "a", 20, 3);
    world.apply(&TURN);
    assert_eq!(world.client(client).positions(), [1, 2, 3]);
    publish(&mut world, "a", 20, 1);
    world.apply(&DELIVER);
    assert_eq!(world.client(client).positions(), [1, 2, 3, 4], "the first three came once");
}

#[test]
fn who_lags_catches_up_and_is_live_again() {
    let mut world = world();
    let client = live(&mut world, "a");
    world.apply(&Op::Stall { client, room_bytes: 100 });
    publish(&mut world, "a", 60, 10);
    world.run();
    assert!(world.client(client).connection().unwrap().is_blocked());
    assert_eq!(world.take_counts(0).lagged, 1);
    for _ in 0..200 {
        world.apply(&Op::Drain { client, bytes: 7 });
        world.run();
        world.check();
    }
    publish(&mut world, "a", 20, 1);
    world.settle();
    assert_eq!(world.client(client).positions(), (1..=11).collect::<Vec<u64>>());
}

#[test]
fn who_stalls_delays_nobody() {
    let mut world = world();
    let stalled = live(&mut world, "a");
    let others: Vec<usize> = (0..3).map(|_| live(&mut world, "a")).collect();
    world.apply(&Op::Stall { client: stalled, room_bytes: 10 });
    publish(&mut world, "a", 100, 5);
    world.apply(&DELIVER);
    for other in others {
        assert_eq!(world.client(other).positions(), [1, 2, 3, 4, 5], "in the same pass");
    }
    world.settle();
}

#[test]
fn who_is_overtaken_by_retention_is_told_what_is_gone() {
    let mut world = world();
    let client = live(&mut world, "a");
    publish(&mut world, "a", 20, 2);
    world.run();
    world.apply(&Op::Stall { client, room_bytes: 0 });
    publish(&mut world, "a", 20, 10);
    world.run();
    world.apply(&Op::Trim { events: 7 });
    world.settle();
    assert_eq!(world.client(client).positions(), [1, 2, 8, 9, 10, 11, 12]);
    assert_eq!(world.client(client).gaps(), [(3, 8)]);
}

#[test]
fn who_comes_back_too_late_is_told_what_is_gone() {
    let mut world = world();
    let client = live(&mut world, "a");
    publish(&mut world, "a", 20, 2);
    world.run();
    world.apply(&Op::Disconnect { client });
    publish(&mut world, "a", 20, 8);
    world.apply(&Op::Trim { events: 5 });
    world.apply(&Op::Reconnect { client, shard: 0 });
    world.settle();
    assert_eq!(world.client(client).positions(), [1, 2, 6, 7, 8, 9, 10]);
    assert_eq!(world.client(client).gaps(), [(3, 6)]);
}

#[test]
fn a_reset_that_found_no_room_at_all_still_tells_the_whole_gap() {
    let mut world = world();
    let client = live(&mut world, "a");
    world.apply(&Op::Stall { client, room_bytes: 0 });
    publish(&mut world, "a", 20, 10);
    world.run();
    world.apply(&Op::Trim { events: 5 });
    // The page says that it is trimmed, and not a byte of the reset fits.
    world.apply(&Op::Nudge { client });
    world.run();
    assert_eq!(world.take_counts(0).resets, 0, "it has not been told");
    world.settle();
    assert_eq!(world.client(client).gaps(), [(1, 6)]);
    assert_eq!(world.client(client).positions(), [6, 7, 8, 9, 10]);
    assert_eq!(world.take_counts(0).resets, 1);
}

#[test]
fn a_reset_that_was_cut_is_finished_and_not_repeated() {
    let mut world = world();
    let client = live(&mut world, "a");
    publish(&mut world, "a", 20, 10);
    world.apply(&Op::Trim { events: 5 });
    world.apply(&Op::Disconnect { client });
    world.apply(&Op::Reconnect { client, shard: 0 });
    world.apply(&Op::Stall { client, room_bytes: 40 });
    world.run();
    // Retention goes on while the client reads of the first gap: that is a second one.
    world.apply(&Op::Trim { events: 2 });
    world.settle();
    assert_eq!(world.client(client).gaps(), [(1, 6), (6, 8)]);
    assert_eq!(world.client(client).positions(), [8, 9, 10]);
}

#[test]
fn sixteen_events_leave_in_one_write() {
    let mut world = world();
    let client = live(&mut world, "a");
    publish(&mut world, "a", 150, 16);
    world.run();
    let counts = world.take_counts(0);
    assert_eq!((counts.writes, counts.delivered), (1, 16));
    assert_eq!(world.client(client).positions().len(), 16);
}

#[test]
fn a_replay_of_sixteen_leaves_in_one_write() {
    let mut world = world();
    publish(&mut world, "a", 150, 16);
    subscribed(&mut world, Subscription::to("b"));
    world.subscribe(Subscription { start: Start::Earliest, ..Subscription::to("a") });
    world.run();
    let counts = world.take_counts(0);
    assert_eq!((counts.writes, counts.delivered), (1, 16));
}

#[test]
fn large_frames_are_written_one_by_one_and_not_copied() {
    let mut world = world();
    let first = live(&mut world, "a");
    let second = live(&mut world, "a");
    publish(&mut world, "a", JOIN_BYTES_MAX, 2);
    world.run();
    assert_eq!(world.take_counts(0).writes, 4);
    publish(&mut world, "a", JOIN_BYTES_MAX / 2, 3);
    world.run();
    assert_eq!(world.take_counts(0).writes, 6, "two of them do not fit into one write");
    assert_eq!(offered(&world, first), offered(&world, second));
}

#[test]
fn who_gets_the_same_shares_the_bytes() {
    let mut world = world();
    let raw = || Subscription { framing: Framing::Raw, ..Subscription::to("*") };
    let chunked: Vec<usize> = ["a", "a", "*", "{x}"].map(|s| live(&mut world, s)).to_vec();
    let raw: Vec<usize> = (0..3).map(|_| subscribed(&mut world, raw())).collect();
    for events in [1, 5] {
        publish(&mut world, "a", 150, events);
        world.run();
        let places = |clients: &[usize]| -> BTreeSet<(usize, usize)> {
            clients.iter().map(|&client| offered(&world, client)).collect()
        };
        assert_eq!(places(&chunked).len(), 1, "of {events}");
        assert_eq!(places(&raw).len(), 1, "of {events}");
    }
}

/// Where in memory lies what a client was offered last, and how long it is.
fn offered(world: &World, client: usize) -> (usize, usize) {
    let bytes = &world.client(client).connection().unwrap().last_offer;
    (bytes.as_ptr() as usize, bytes.len())
}

#[test]
fn a_heartbeat_comes_within_the_interval() {
    let mut world = world();
    let client = live(&mut world, "a");
    world.apply(&Op::Advance { time: HEARTBEAT / 2 });
    assert_eq!(world.take_counts(0).heartbeats, 0, "a connection begins with its head");
    world.apply(&Op::Advance { time: HEARTBEAT / 2 });
    assert_eq!(world.take_counts(0).heartbeats, 1);
    world.apply(&Op::Advance { time: 10 * HEARTBEAT });
    let heartbeats = world.client(client).connection().unwrap().heartbeats;
    assert!((11..=14).contains(&heartbeats), "{heartbeats}");
}

#[test]
fn no_heartbeat_comes_right_after_an_event() {
    let mut world = world();
    live(&mut world, "a");
    // An event always comes just before a heartbeat would.
    for _ in 0..20 {
        world.apply(&Op::Advance { time: HEARTBEAT * 3 / 4 });
        publish(&mut world, "a", 20, 1);
        world.run();
    }
    assert_eq!(world.take_counts(0).heartbeats, 0);
}

#[test]
fn heartbeats_are_spread_over_a_fifth_of_the_interval() {
    let mut world = world();
    for _ in 0..100 {
        world.subscribe(Subscription::to("a"));
    }
    world.run();
    publish(&mut world, "a", 20, 1);
    world.run();
    let mut most = 0;
    for _ in 0..100 {
        world.apply(&Op::Advance { time: HEARTBEAT / 100 });
        most = most.max(world.take_counts(0).heartbeats);
    }
    assert!(most <= 30, "{most} of 100 at once");
}

#[test]
fn who_stalls_gets_no_heartbeats_piled_up() {
    let mut world = world();
    let client = live(&mut world, "a");
    world.apply(&Op::Stall { client, room_bytes: 3 });
    world.apply(&Op::Advance { time: 10 * HEARTBEAT });
    assert_eq!(world.take_counts(0).heartbeats, 1);
    world.apply(&Op::Resume { client });
    world.apply(&Op::Advance { time: HEARTBEAT });
    world.settle();
}

#[test]
fn nobody_needs_waking_when_nobody_is_there() {
    let mut world = world();
    let client = live(&mut world, "a");
    world.apply(&Op::Disconnect { client });
    world.apply(&Op::Advance { time: Duration::from_secs(24 * 60 * 60) });
    let client = live(&mut world, "a");
    world.check();
    world.apply(&Op::Advance { time: HEARTBEAT });
    assert_eq!(world.client(client).connection().unwrap().heartbeats, 1);
    assert_eq!(world.take_counts(0).heartbeats, 1);
}

#[test]
fn the_end_comes_after_the_frame_that_was_cut() {
    let mut world = world();
    let cut = live(&mut world, "a");
    let other = live(&mut world, "a");
    world.apply(&Op::Stall { client: cut, room_bytes: 30 });
    publish(&mut world, "a", 100, 3);
    world.run();
    world.apply(&Op::EndAll { shard: 0 });
    assert!(world.client(other).is_ended());
    assert!(world.client(cut).connection().is_some(), "it is owed the rest of its frame");
    world.apply(&Op::Drain { client: cut, bytes: 20 });
    assert!(world.client(cut).connection().is_some(), "still not whole");
    world.apply(&Op::Resume { client: cut });
    assert!(world.client(cut).is_ended());
    assert_eq!(world.client(cut).positions(), [1], "the others it gets when it comes back");
    world.apply(&Op::Reconnect { client: cut, shard: 0 });
    world.settle();
    assert_eq!(world.client(cut).positions(), [1, 2, 3]);
}

/// Somebody live on `a` whose stream ends after a minute, with word of it after half of one.
fn mortal(world: &mut World) -> usize {
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    let subscription = Subscription::to("a");
    subscribed(world, Subscription { renew: seconds(30), ends: seconds(60), ..subscription })
}

#[test]
fn a_stream_ends_in_time_after_a_word_in_time() {
    let mut world = world();
    let client = mortal(&mut world);
    publish(&mut world, "a", 20, 2);
    publish(&mut world, "b", 20, 3);
    world.run();
    world.apply(&Op::Advance { time: Duration::from_secs(29) });
    assert_eq!(world.client(client).renewals(), [0; 0]);
    world.apply(&Op::Advance { time: Duration::from_secs(1) });
    assert_eq!(world.client(client).renewals(), [30]);
    world.apply(&Op::Advance { time: Duration::from_millis(29_900) });
    assert!(world.client(client).connection().is_some());
    world.apply(&Op::Advance { time: Duration::from_millis(100) });
    assert!(world.client(client).is_ended());
    assert_eq!(world.client(client).retry_ms(), None, "its own retry holds");
    let counts = world.take_counts(0);
    assert_eq!((counts.renewals, counts.expired, counts.delivered), (1, 1, 2));
    // The word's id is behind the events of others too, and nothing is missed after it.
    publish(&mut world, "a", 20, 1);
    world.apply(&Op::Reconnect { client, shard: 0 });
    assert_eq!(world.client(client).interest().next, Position(1));
    world.settle();
    assert_eq!(world.client(client).positions(), [1, 2, 6]);
}

#[test]
fn word_of_the_end_waits_for_a_connection_that_takes_it() {
    let mut world = world();
    let client = mortal(&mut world);
    world.apply(&Op::Stall { client, room_bytes: 50 });
    publish(&mut world, "a", 100, 1);
    world.run();
    world.apply(&Op::Advance { time: Duration::from_secs(40) });
    assert_eq!(world.take_counts(0).renewals, 0);
    world.apply(&Op::Resume { client });
    world.apply(&Op::Advance { time: Duration::from_secs(1) });
    let told = world.client(client).renewals();
    assert!(matches!(told, [18..=20]), "{told:?}");
    world.settle();
}

#[test]
fn who_does_not_take_the_rest_of_its_frame_is_cut_off_in_the_end() {
    let mut world = world();
    let client = mortal(&mut world);
    world.apply(&Op::Stall { client, room_bytes: 50 });
    publish(&mut world, "a", 100, 1);
    world.run();
    world.apply(&Op::Advance { time: Duration::from_secs(60) });
    assert!(world.client(client).connection().is_some(), "it may finish its frame");
    world.apply(&Op::Advance { time: CLOSING_TIME_MAX });
    assert!(world.client(client).connection().is_none());
    assert!(!world.client(client).is_ended());
    world.apply(&Op::Reconnect { client, shard: 0 });
    world.settle();
    assert_eq!(world.client(client).positions(), [1]);
}

#[test]
fn a_drain_ends_streams_at_even_distances_and_tells_each_when_to_come_back() {
    let mut world = world();
    let clients: Vec<usize> = (0..100).map(|_| live(&mut world, "a")).collect();
    let gone = mortal(&mut world);
    world.apply(&Op::Advance { time: Duration::from_secs(55) });
    world.apply(&Op::EndEvenly { shard: 0, time: Duration::from_secs(20) });
    let there = |world: &World| {
        clients.iter().filter(|&&client| world.client(client).connection().is_some()).count()
    };
    for tenth in 0..=10 {
        // Events go on for those who are still there.
        publish(&mut world, "a", 20, 1);
        world.run();
        world.check();
        let left = there(&world);
        assert!(left.abs_diff(100 - 10 * tenth) <= 2, "{left} are left after {tenth} tenths");
        world.apply(&Op::Advance { time: Duration::from_secs(2) });
    }
    assert!(world.client(gone).is_ended(), "its time came first");
    let told: BTreeSet<u64> = clients
        .iter()
        .map(|&client| {
            assert!(world.client(client).is_ended());
            world.client(client).retry_ms().unwrap()
        })
        .collect();
    assert!(told.len() > 50, "each has its own");
    let range = u64::from(*RETRY_MS.start())..=u64::from(*RETRY_MS.end());
    assert!(told.iter().all(|retry_ms| range.contains(retry_ms)));
    let counts = world.take_counts(0);
    assert_eq!((counts.drained, counts.expired), (100, 1));
    for &client in &clients {
        world.apply(&Op::Reconnect { client, shard: 0 });
    }
    world.settle();
    let all: Vec<u64> = (1..=11).collect();
    assert!(clients.iter().all(|&client| world.client(client).positions() == all));
}

#[test]
fn a_drain_of_a_few_does_not_take_its_whole_time() {
    let mut world = world();
    let clients = [(); 3].map(|()| live(&mut world, "a"));
    world.apply(&Op::EndEvenly { shard: 0, time: Duration::from_secs(3600) });
    world.apply(&Op::Advance { time: Duration::ZERO });
    assert!(world.client(clients[0]).is_ended());
    assert!(!world.client(clients[1]).is_ended());
    world.apply(&Op::Advance { time: Duration::from_secs(2) });
    assert!(clients.iter().all(|&client| world.client(client).is_ended()));
}

#[test]
fn one_of_ten_thousand_topics_concerns_one_of_ten_thousand_subscribers() {
    let mut world = world();
    for number in 0..10_000 {
        world.subscribe(Subscription::to(&format!("orders/{number}")));
    }
    world.run();
    world.take_counts(0);
    publish(&mut world, "orders/4711", 20, 1);
    world.run();
    let counts = world.take_counts(0);
    assert_eq!((counts.writes, counts.delivered), (1, 1));
    assert_eq!(world.client(4711).positions(), [1]);
    world.end();
}

#[test]
fn a_slots_new_owner_gets_nothing_that_was_for_the_old_one() {
    let mut world = world();
    publish(&mut world, "secret", 20, 1);
    world.apply(&Op::Read(Reads::Early));
    let old = Subscription { start: Start::Earliest, ..Subscription::to("secret") };
    let old = world.subscribe(old);
    world.apply(&TURN);
    let stale = world.client(old).connection().unwrap().id;
    world.apply(&Op::Disconnect { client: old });
    world.apply(&Op::Read(Reads::Prompt));
    let new = live(&mut world, "a");
    let id = world.client(new).connection().unwrap().id;
    assert_eq!(id.slot, stale.slot, "the case that is meant");
    assert_ne!(id, stale);

    // The page that the old owner had asked for comes, and word of its connection.
    world.apply(&Op::Answer { shard: 0, pages: 1, newest_first: false });
    world.hand_page(0, stale, Page::Failed);
    world.hand_page(0, stale, Page::Trimmed { oldest: Position(2) });
    world.tell_writable(0, stale);
    world.run();
    assert_eq!(world.take_counts(0), Counts::default());
    publish(&mut world, "a", 20, 1);
    world.settle();
    assert_eq!(world.client(new).positions(), [2]);
}

#[test]
fn private_events_are_only_for_those_who_may_see_them() {
    let mut world = world();
    let anybody = live(&mut world, "*");
    let allowed = |text: &str| Some(Selector::parse(text).unwrap().into());
    let may_see = |text: &str| Subscription { private: allowed(text), ..Subscription::to("*") };
    let somebody = subscribed(&mut world, may_see("a/*"));
    let of_another = subscribed(&mut world, may_see("b"));
    let event = |topics: &[&str], private| {
        let topics = topics.iter().map(|text| Topic::parse(text).unwrap()).collect();
        Event { topics: Topics::parse(topics).unwrap(), private, bytes: 20 }
    };
    let events = [
        event(&["a/1"], true),
        event(&["a/1"], false),
        event(&["b", "a/2"], true),
        event(&["c"], true),
    ];
    for event in events {
        world.apply(&Op::Publish { event, count: 1 });
    }
    world.run();
    let later = |private| Subscription { start: Start::Earliest, private, ..Subscription::to("*") };
    let anybody_later = world.subscribe(later(None));
    let somebody_later = world.subscribe(later(allowed("a/*")));
    world.settle();
    for (client, expected) in [
        (anybody, &[2][..]),
        (somebody, &[1, 2, 3]),
        (of_another, &[2, 3]),
        (anybody_later, &[2]),
        (somebody_later, &[1, 2, 3]),
    ] {
        assert_eq!(world.client(client).positions(), expected);
    }
}

#[test]
fn an_event_comes_once_however_many_selectors_fit_it() {
    let mut world = world();
    let selectors = ["a/1", "a/*", "*", "a/{x}"].map(|text| Selector::parse(text).unwrap());
    let selectors = Selectors::parse(selectors.to_vec(), 4).unwrap();
    let client = subscribed(&mut world, Subscription { selectors, ..Subscription::to("*") });
    publish(&mut world, "a/1", 20, 1);
    world.run();
    assert_eq!(world.take_counts(0).delivered, 1);
    assert_eq!(world.client(client).positions(), [1]);
}

#[test]
fn a_log_that_cannot_be_read_costs_a_reconnect_and_no_event() {
    let mut world = world();
    publish(&mut world, "a", 20, 3);
    let client = world.subscribe(Subscription { start: Start::Earliest, ..Subscription::to("a") });
    world.apply(&Op::Read(Reads::Failed));
    world.apply(&TURN);
    assert!(world.client(client).connection().is_none());
    assert!(!world.client(client).is_ended(), "cut off, not ended: it is to come back");
    world.apply(&Op::Reconnect { client, shard: 0 });
    world.settle();
    assert_eq!(world.client(client).positions(), [1, 2, 3]);
}

#[test]
fn a_broken_connection_is_found_at_the_next_write_and_freed() {
    let mut world = world();
    let broken = live(&mut world, "a");
    let other = live(&mut world, "a");
    world.apply(&Op::Sever { client: broken });
    publish(&mut world, "a", 20, 1);
    world.run();
    world.check();
    assert!(world.client(broken).connection().is_none());
    assert_eq!(world.client(other).positions(), [1]);
    world.apply(&Op::Sever { client: other });
    world.apply(&Op::Advance { time: HEARTBEAT });
    assert!(world.client(other).connection().is_none(), "a heartbeat finds it too");
    world.check();
}
