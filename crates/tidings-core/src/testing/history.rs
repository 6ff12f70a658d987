//! All that was ever published in a world, and how much of it the log still keeps.
//! Knows nothing of who reads it.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::cursor::{Cursor, Incarnation, Position};
use crate::event::{Data, EventId, EventType, Topics};
use crate::shard::{Delivery, Filter, Page};
use crate::sse::{Frame, Message};

/// A log that forgets only for its readers: what is trimmed stays here to be compared with.
#[derive(Debug)]
pub struct History {
    incarnation: Incarnation,
    published: Vec<Published>,
    /// Every position that was the oldest kept one, the present one included.
    oldests: BTreeSet<Position>,
    frame_bytes_max: usize,
}

/// What one publish says; its text is made up.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Event {
    /// What it is published under.
    pub topics: Topics,
    /// Only for those who may see private events.
    pub private: bool,
    /// About how many bytes of data it has.
    pub bytes: usize,
}

#[derive(Debug)]
struct Published {
    delivery: Arc<Delivery>,
    /// What a client has to see.
    message: Message,
}

/// The bounds of one page, so that replays take several.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageBounds {
    /// Selected events in it.
    pub(super) events_max: usize,
    /// Positions that are looked at for it.
    pub(super) positions_max: usize,
}

impl History {
    pub(super) fn new(incarnation: Incarnation) -> Self {
        Self {
            incarnation,
            published: Vec::new(),
            oldests: BTreeSet::from([Position::FIRST]),
            frame_bytes_max: 0,
        }
    }

    /// Which log it is.
    #[must_use]
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// The position that the next event will have.
    #[must_use]
    pub fn tail(&self) -> Position {
        Position(self.published.len() as u64 + 1)
    }

    /// The oldest position that can be read.
    #[must_use]
    pub fn oldest(&self) -> Position {
        *self.oldests.last().expect("there was one from the start")
    }

    /// Whether this was the oldest position at some time.
    #[must_use]
    pub fn was_oldest(&self, position: Position) -> bool {
        self.oldests.contains(&position)
    }

    /// The longest frame so far, in bytes.
    #[must_use]
    pub fn frame_bytes_max(&self) -> usize {
        self.frame_bytes_max
    }

    /// Appends an event. Every third has an id of its publisher's, every fifth a type.
    pub(super) fn append(&mut self, event: &Event) -> Position {
        let position = self.tail();
        let cursor = Cursor { incarnation: self.incarnation, position, print: None };
        let id = position.0.is_multiple_of(3).then(|| format!("{OWN_ID}{position}"));
        let event_type = position.0.is_multiple_of(5).then(|| format!("type-{}", position.0 % 2));
        let data = text(position, event.bytes);
        let message = Message {
            event_type: event_type.clone().unwrap_or_else(|| "message".into()),
            id: id.clone().unwrap_or_else(|| cursor.to_string()).into(),
            data: data.clone(),
        };
        let published = crate::event::Event {
            topics: event.topics.clone(),
            event_type: event_type.map(|t| EventType::parse(&t).expect("a plain word")),
            id: id.map(|id| EventId::parse(&id).expect("a plain word")),
            retry: None,
            private: event.private,
            data: Data::from(data),
        };
        let frame = Frame::event(cursor, &published);
        self.frame_bytes_max = self.frame_bytes_max.max(frame.chunk().len());
        let (topics, private) = (published.topics, published.private);
        let delivery = Arc::new(Delivery { position, print: None, topics, private, frame });
        self.published.push(Published { delivery, message });
        position
    }

    /// Forgets the oldest events.
    pub(super) fn trim(&mut self, events: usize) {
        let oldest = Position(self.oldest().0.saturating_add(events as u64)).min(self.tail());
        self.oldests.insert(oldest);
    }

    /// Events from `head` on, whoever they are for: what a follower of the log gets.
    pub(super) fn run(&self, head: Position, events_max: usize) -> Vec<Arc<Delivery>> {
        let run = self.published[offset(head)..].iter().take(events_max);
        run.map(|published| published.delivery.clone()).collect()
    }

    /// A page, as a log would answer it.
    pub(super) fn read(&self, from: Position, filter: &Filter, bounds: PageBounds) -> Page {
        if from < self.oldest() {
            return Page::Trimmed { oldest: self.oldest() };
        }
        let (mut events, mut next) = (Vec::new(), from);
        while next < self.tail()
            && events.len() < bounds.events_max
            && next.0 - from.0 < bounds.positions_max as u64
        {
            if self.is_for(next, filter) {
                events.push(self.published[offset(next)].delivery.clone());
            }
            next = next.next();
        }
        Page::Events { events, next }
    }

    /// Whether a subscriber has to get the event at a position: by a scan, without any index.
    #[must_use]
    pub fn is_for(&self, position: Position, filter: &Filter) -> bool {
        let delivery = &self.published[offset(position)].delivery;
        let allowed = filter.private.as_ref();
        filter.selectors.matches(&delivery.topics)
            && (!delivery.private || allowed.is_some_and(|a| a.matches(&delivery.topics)))
    }

    /// The first position that a subscriber has to get, of those from `from` on before `to`.
    #[must_use]
    pub fn first_for(&self, from: Position, to: Position, filter: &Filter) -> Option<Position> {
        (from.0..to.0).map(Position).find(|&position| self.is_for(position, filter))
    }

    /// What a client has to see of an event.
    #[must_use]
    pub fn message(&self, position: Position) -> &Message {
        &self.published[offset(position)].message
    }

    /// The position that an id stands for, as a hub's index of ids would find it.
    ///
    /// # Panics
    /// Where no such id was ever sent.
    #[must_use]
    pub fn resolve(&self, id: &str) -> Position {
        let position = match id.strip_prefix(OWN_ID) {
            Some(digits) => Position(digits.parse().expect("an id that was never given")),
            None => {
                let cursor: Cursor = id.parse().expect("an id that was never given");
                assert_eq!(cursor.incarnation, self.incarnation, "a cursor of another log");
                cursor.position
            }
        };
        assert!(position < self.tail(), "an id of an event that is not there yet");
        position
    }
}

/// What an id of a publisher's begins with.
const OWN_ID: &str = "urn:";

fn offset(position: Position) -> usize {
    usize::try_from(position.0 - 1).expect("a test's log is short")
}

/// Made-up data with line breaks and letters of several bytes, different for every position.
fn text(position: Position, bytes: usize) -> String {
    const LINE: &str = "ein Satz über nichts, der eine Zeile füllt → und endet\n";
    let mut text = format!("{position}\n");
    while text.len() < bytes {
        let room = bytes - text.len();
        let end = (0..=room.min(LINE.len())).rev().find(|&at| LINE.is_char_boundary(at));
        match &LINE[..end.unwrap_or(0)] {
            "" => break,
            piece => text.push_str(piece),
        }
    }
    text
}
