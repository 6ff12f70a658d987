//! The demo's stream: what a first tutorial on Server-Sent Events has.
//! Knows nothing of the hub, and is handed the time: a day of it passes in a test in no time.

use serde::{Deserialize, Serialize};
use tidings_core::cursor::Timestamp;
use tidings_core::event::{Data, Event, EventType, Topic};

/// Makes the events of one second after another.
///
/// Each tick has a number, without holes: a message `Counter: N`, or, every fifth time, an event
/// `alerte` with `level: N`. So whoever reads the stream can count what it missed. Every second
/// tick says how many users are online as well.
#[derive(Debug)]
pub(crate) struct Stream {
    random: u64,
    tick: u64,
    users: u64,
}

/// Every fifth tick is an alert.
const TICKS_PER_ALERT: u64 = 5;

/// Users are counted every two seconds.
const TICKS_PER_COUNT: u64 = 2;

/// By how much the number of users changes at most from one count to the next.
const USERS_STEP_MAX: u64 = 5;

/// How many users are online at the very start.
const USERS: u64 = 42;

/// Anybody can publish to the demo's topics: a number beyond what a browser counts exactly is
/// nobody's to go on from.
const NUMBER_MAX: u64 = 1 << 53;

const ALERTS: [&str; 4] = [
    "The queue of orders is getting long",
    "Node 3 answers slowly",
    "The disk of the archive is 90 % full",
    "Somebody tried ten wrong passwords",
];

/// The data of an `alerte`.
#[derive(Debug, Deserialize, Serialize)]
struct Alert {
    message: String,
    level: u64,
}

/// The data of a count of users.
#[derive(Debug, Deserialize, Serialize)]
struct Users {
    users: u64,
    /// ISO 8601 in UTC with milliseconds, as a browser's `toISOString` writes it.
    timestamp: String,
}

impl Stream {
    /// A stream from its beginning.
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: seed, tick: 0, users: USERS }
    }

    /// A stream that goes on after the last events of an earlier one.
    pub(crate) fn after<'a>(seed: u64, events: impl IntoIterator<Item = &'a Event>) -> Self {
        let mut stream = Self::new(seed);
        for event in events {
            match read(event) {
                Some(Said::Tick(tick)) => stream.tick = tick,
                Some(Said::Users(users)) => stream.users = users,
                None => {}
            }
        }
        stream
    }

    /// The number of the last tick.
    pub(crate) fn last_tick(&self) -> u64 {
        self.tick
    }

    /// What one more second brings: one event or two.
    pub(crate) fn tick(&mut self, now: Timestamp) -> Vec<Event> {
        self.tick += 1;
        let mut events = vec![self.numbered()];
        if self.tick.is_multiple_of(TICKS_PER_COUNT) {
            events.push(self.count_users(now));
        }
        events
    }

    fn numbered(&self) -> Event {
        if !self.tick.is_multiple_of(TICKS_PER_ALERT) {
            return event(format!("Counter: {}", self.tick));
        }
        let turn = (self.tick / TICKS_PER_ALERT) % ALERTS.len() as u64;
        let message = ALERTS[turn as usize].to_owned();
        let mut alert = event(json(&Alert { message, level: self.tick }));
        alert.event_type = Some(EventType::parse("alerte").expect("a plain word is a type"));
        alert
    }

    fn count_users(&mut self, now: Timestamp) -> Event {
        let step = self.next_random() % (2 * USERS_STEP_MAX + 1);
        self.users = (self.users + step).saturating_sub(USERS_STEP_MAX);
        event(json(&Users { users: self.users, timestamp: iso(now) }))
    }

    /// SplitMix64: a walk of users needs no better, and a test gets the same one every time.
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

/// What an event of the stream says, where it is one of the stream's own.
enum Said {
    Tick(u64),
    Users(u64),
}

fn read(event: &Event) -> Option<Said> {
    let data = event.data.as_str();
    let said = match event.event_type.as_ref().map(EventType::as_str) {
        Some("alerte") => Said::Tick(serde_json::from_str::<Alert>(data).ok()?.level),
        Some(_) => return None,
        None => match data.strip_prefix("Counter: ") {
            Some(tick) => Said::Tick(tick.parse().ok()?),
            None => Said::Users(serde_json::from_str::<Users>(data).ok()?.users),
        },
    };
    let (Said::Tick(number) | Said::Users(number)) = said;
    (number < NUMBER_MAX).then_some(said)
}

fn event(data: String) -> Event {
    Event::new(Topic::parse(super::TOPIC).expect("a plain word is a topic"), Data::from(data))
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("texts and numbers are JSON")
}

fn iso(time: Timestamp) -> String {
    // Beyond the year 9999 only a broken clock says anything.
    let ms = i64::try_from(time.0).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::MAX);
    format!("{time:.3}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-02T03:04:05Z.
    const START: u64 = 1_767_323_045_000;

    fn run(mut stream: Stream, ticks: u64) -> Vec<Vec<Event>> {
        (1..=ticks).map(|tick| stream.tick(Timestamp(START + tick * 1000))).collect()
    }

    fn said(events: &[Event]) -> Vec<(Option<&str>, &str)> {
        events
            .iter()
            .map(|event| (event.event_type.as_ref().map(EventType::as_str), event.data.as_str()))
            .collect()
    }

    #[test]
    fn a_counter_every_second_and_every_fifth_an_alert_instead() {
        for (at, events) in run(Stream::new(7), 1_000).iter().enumerate() {
            let tick = at as u64 + 1;
            let (event_type, data) = said(events)[0];
            if tick.is_multiple_of(5) {
                assert_eq!(event_type, Some("alerte"));
                let alert: Alert = serde_json::from_str(data).unwrap();
                assert_eq!(alert.level, tick);
                assert!(!alert.message.is_empty());
            } else {
                assert_eq!((event_type, data), (None, format!("Counter: {tick}").as_str()));
            }
        }
    }

    #[test]
    fn users_every_two_seconds_and_never_below_0() {
        let seconds = run(Stream::new(3), 100_000);
        let mut counts = Vec::new();
        for (at, events) in seconds.iter().enumerate() {
            let counted = (at + 1).is_multiple_of(2);
            assert_eq!(events.len(), 1 + usize::from(counted));
            if counted {
                let (event_type, data) = said(events)[1];
                assert_eq!(event_type, None, "users come as messages");
                // A number below 0 would not parse.
                counts.push(serde_json::from_str::<Users>(data).unwrap().users);
            }
        }
        assert!(counts.contains(&0), "this walk reaches the ground");
        assert!(counts.windows(2).all(|pair| pair[0].abs_diff(pair[1]) <= USERS_STEP_MAX));
    }

    #[test]
    fn on_the_wire_it_is_what_the_tutorial_has() {
        let seconds = run(Stream::new(1), 5);
        assert_eq!(said(&seconds[0]), [(None, "Counter: 1")]);
        let users = said(&seconds[1])[1].1;
        assert!(users.starts_with(r#"{"users":"#), "{users}");
        assert!(users.ends_with(r#","timestamp":"2026-01-02T03:04:07.000Z"}"#), "{users}");
        let alert = r#"{"message":"Node 3 answers slowly","level":5}"#;
        assert_eq!(said(&seconds[4]), [(Some("alerte"), alert)]);
    }

    #[test]
    fn goes_on_after_a_restart() {
        for cut in [1, 2, 5, 10] {
            let whole: Vec<Event> = run(Stream::new(9), cut).concat();
            let users = whole.iter().rev().find_map(|event| match read(event) {
                Some(Said::Users(users)) => Some(users),
                _ => None,
            });
            let stream = Stream::after(4, &whole);
            assert_eq!(stream.last_tick(), cut);
            assert_eq!(stream.users, users.unwrap_or(USERS));
        }
        assert_eq!(Stream::after(4, []).last_tick(), 0);
    }

    #[test]
    fn what_others_publish_to_the_topic_is_not_gone_on_from() {
        let others = [
            "Counter: 18446744073709551615",
            "Counter: -1",
            "Counter: 9007199254740992",
            "Counter: many",
            r#"{"users":-4,"timestamp":"now"}"#,
            r#"{"users":1e300,"timestamp":"now"}"#,
            "hello",
            "",
        ];
        let mut events: Vec<Event> = run(Stream::new(9), 3).concat();
        let users = Stream::after(4, &events).users;
        events.extend(others.map(|data| event(data.to_owned())));
        let mut stream = Stream::after(4, &events);
        assert_eq!((stream.last_tick(), stream.users), (3, users));
        assert_eq!(said(&stream.tick(Timestamp(START)))[0], (None, "Counter: 4"));
    }
}
