//! What can happen in a world, as values: written down by a test or made of bytes.
//! Knows nothing of how it is done.

use std::time::Duration;

use crate::event::{Topic, Topics};
use crate::limits::{PASS_EVENTS_MAX, SELECTORS_PER_SUBSCRIPTION_MAX};
use crate::shard::Framing;
use crate::topic::{Selector, Selectors};

use super::Event;

/// One thing that happens. Clients and shards are counted round: with three clients, number 4 is
/// number 1. Where nothing can be done, nothing is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Op {
    /// So many events are appended to the log.
    Publish {
        /// All of them alike.
        event: Event,
        /// How many.
        count: usize,
    },
    /// The next events from the log reach a shard.
    Deliver {
        /// Which shard.
        shard: usize,
        /// How many at the most; [`PASS_EVENTS_MAX`] in any case.
        events_max: usize,
    },
    /// A shard gives those who are behind their turn.
    Turn {
        /// Which shard.
        shard: usize,
    },
    /// Somebody new subscribes.
    Subscribe(Subscription),
    /// A client reads nothing any more.
    Stall {
        /// Which client.
        client: usize,
        /// What its connection still takes before it is full.
        room_bytes: usize,
    },
    /// A client reads all that comes again.
    Resume {
        /// Which client.
        client: usize,
    },
    /// A client reads some bytes.
    Drain {
        /// Which client.
        client: usize,
        /// How many bytes.
        bytes: usize,
    },
    /// A shard is told that a connection is writable, whether it is or not.
    Nudge {
        /// Whose connection.
        client: usize,
    },
    /// A connection breaks, which the hub learns when it writes.
    Sever {
        /// Whose connection.
        client: usize,
    },
    /// A client leaves, and the hub sees it.
    Disconnect {
        /// Which client.
        client: usize,
    },
    /// A client whose connection is gone comes back with its last event id.
    Reconnect {
        /// Which client.
        client: usize,
        /// To which shard.
        shard: usize,
    },
    /// Retention takes the oldest events.
    Trim {
        /// How many.
        events: usize,
    },
    /// How the log answers from now on.
    Read(Reads),
    /// Pages that were asked for and not answered at once arrive.
    Answer {
        /// At which shard.
        shard: usize,
        /// How many.
        pages: usize,
        /// Those that were asked for last come first.
        newest_first: bool,
    },
    /// Time passes, and every timeout in it is handled in its time.
    Advance {
        /// How much.
        time: Duration,
    },
    /// A shard ends one stream.
    EndOne {
        /// Whose stream.
        client: usize,
    },
    /// A shard ends all streams.
    EndAll {
        /// Which shard.
        shard: usize,
    },
    /// A shard begins to end all streams, one after the other.
    EndEvenly {
        /// Which shard.
        shard: usize,
        /// Over how long.
        time: Duration,
    },
}

/// How the log answers a wish to read.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Reads {
    /// At once.
    #[default]
    Prompt,
    /// Later, with what was there when it was asked.
    Early,
    /// Later, with what is there when it answers.
    Late,
    /// Not at all, once; then at once.
    Failed,
}

/// Somebody who subscribes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Subscription {
    /// At which shard.
    pub shard: usize,
    /// To what.
    pub selectors: Selectors,
    /// From where.
    pub start: Start,
    /// How its bytes are framed.
    pub framing: Framing,
    /// Of which topics it may see private events.
    pub private: Option<Selectors>,
    /// What its connection holds when nobody reads: where it is short, writes are cut.
    pub room_bytes: usize,
    /// After how long it is told that its stream ends.
    pub renew: Option<Duration>,
    /// After how long its stream ends.
    pub ends: Option<Duration>,
}

/// Where a subscription starts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Start {
    /// At the oldest event that is kept.
    Earliest,
    /// With the next event.
    Tail,
    /// At this position, kept or not.
    At(u64),
}

impl Subscription {
    /// To one selector, from now on, by HTTP/1.1, with room for everything.
    ///
    /// # Panics
    /// Where it is no selector.
    #[must_use]
    pub fn to(selector: &str) -> Self {
        Self {
            shard: 0,
            selectors: Selector::parse(selector).expect("a selector").into(),
            start: Start::Tail,
            framing: Framing::Chunked,
            private: None,
            room_bytes: usize::MAX,
            renew: None,
            ends: None,
        }
    }
}

/// Few enough that many events meet many selectors.
const TOPICS: [&str; 8] = ["a", "b", "a/1", "a/2", "a/1/x", "b/1/x", "c", "c/"];
const SELECTORS: [&str; 12] = [
    "a",
    "b",
    "a/1",
    "c",
    "*",
    "a/*",
    "a/{n}",
    "{any}",
    "{any}/1*",
    "{any}/{n}/x",
    "b/{n}/x",
    "c/*",
];

impl Op {
    /// Makes an operation of eight bytes; any eight make one, and likely ones come often.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 8]) -> Self {
        let [kind, who, amount, much, ..] = bytes;
        let (client, shard) = (usize::from(who), usize::from(who));
        let amount = usize::from(amount);
        match kind % 32 {
            0..=4 => Self::Publish { event: event(bytes), count: 1 },
            5 => Self::Publish { event: Event { bytes: 20, ..event(bytes) }, count: amount % 100 },
            6..=10 => Self::Deliver { shard, events_max: amount % (2 * PASS_EVENTS_MAX) },
            11..=14 => Self::Turn { shard },
            15..=16 => Self::Subscribe(subscription(bytes)),
            // Full at once, in the middle of a frame, or after some.
            17..=18 => Self::Stall {
                client,
                room_bytes: amount.saturating_sub(64) * usize::from(much) / 16,
            },
            19 => Self::Resume { client },
            20..=21 => Self::Drain { client, bytes: amount * if much < 16 { 256 } else { 1 } },
            22 => Self::Nudge { client },
            23 if much < 64 => Self::Sever { client },
            23 => Self::Disconnect { client },
            24..=25 => Self::Reconnect { client, shard: usize::from(much) },
            26 => Self::Trim { events: amount % 16 },
            27 => Self::Read(match amount % 8 {
                0..=3 => Reads::Prompt,
                4..=5 => Reads::Early,
                6 => Reads::Late,
                _ => Reads::Failed,
            }),
            28..=29 => Self::Answer { shard, pages: amount % 8, newest_first: much % 2 == 1 },
            30 => Self::Advance { time: Duration::from_millis(100 * amount as u64) },
            _ if much < 112 => Self::EndOne { client },
            _ if much < 144 => Self::EndAll { shard },
            _ if much < 176 => {
                Self::EndEvenly { shard, time: Duration::from_millis(40 * amount as u64) }
            }
            _ => Self::Advance { time: Duration::from_millis(amount as u64) },
        }
    }
}

fn event([_, _, _, first, second, private, bytes, large]: [u8; 8]) -> Event {
    let mut topics = vec![pick(&TOPICS, first)];
    if second < 64 {
        topics.push(pick(&TOPICS, second));
    }
    let topics = topics.into_iter().map(|text| Topic::parse(text).expect("a topic")).collect();
    Event {
        topics: Topics::parse(topics).expect("one or two"),
        private: private < 64,
        // Now and then one that is too large to be joined with others.
        bytes: usize::from(bytes) * if large < 4 { 300 } else { 1 },
    }
}

fn subscription([_, shard, first, second, start, framing, room, large]: [u8; 8]) -> Subscription {
    let mut selectors = vec![pick(&SELECTORS, first)];
    if second < 96 {
        selectors.push(pick(&SELECTORS, second));
    }
    let selectors =
        selectors.into_iter().map(|text| Selector::parse(text).expect("a selector")).collect();
    let private = Selector::parse(pick(&SELECTORS, framing >> 2)).expect("a selector");
    Subscription {
        shard: usize::from(shard),
        selectors: Selectors::parse(selectors, SELECTORS_PER_SUBSCRIPTION_MAX).expect("one or two"),
        start: match start {
            0..64 => Start::Earliest,
            64..128 => Start::Tail,
            _ => Start::At(u64::from(start - 127)),
        },
        framing: if framing & 1 == 0 { Framing::Chunked } else { Framing::Raw },
        private: (framing & 2 != 0).then(|| private.into()),
        room_bytes: 16 + usize::from(room) * if large < 192 { 256 } else { 1 },
        renew: (framing & 4 != 0).then(|| Duration::from_millis(60 * u64::from(room))),
        ends: (framing & 8 != 0).then(|| Duration::from_millis(90 * u64::from(framing))),
    }
}

fn pick<'a>(among: &[&'a str], by: u8) -> &'a str {
    among[usize::from(by) % among.len()]
}
