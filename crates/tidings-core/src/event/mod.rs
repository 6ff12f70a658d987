//! What is published, parsed at the door: whoever holds one of these types has nothing left to
//! check. Knows nothing of how events travel or where they are kept.

mod fields;
#[cfg(test)]
mod tests;

pub use fields::{
    Data, DataError, EventId, EventType, IdError, IdempotencyKey, KeyError, Retry, RetryError,
    Topic, TopicError, Topics, TopicsError, TypeError,
};

/// One event as its publisher sent it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Event {
    /// The names it is published under: one or more.
    pub topics: Topics,
    /// The SSE `event` field; without it, browsers call `onmessage`.
    pub event_type: Option<EventType>,
    /// The id that the publisher chose; without it, the hub gives it its cursor.
    pub id: Option<EventId>,
    /// The SSE `retry` field: the wait before a reconnect that clients are told with this event.
    pub retry: Option<Retry>,
    /// Only for subscribers whose token covers one of the topics.
    pub private: bool,
    /// What it says. May be empty.
    pub data: Data,
}

impl Event {
    /// A public event without type, id or retry.
    #[must_use]
    pub fn new(topics: impl Into<Topics>, data: Data) -> Self {
        Self {
            topics: topics.into(),
            event_type: None,
            id: None,
            retry: None,
            private: false,
            data,
        }
    }

    /// What it weighs in a log or a queue, in bytes: its texts and a little for the rest.
    #[must_use]
    pub fn weight(&self) -> usize {
        let topics: usize = self.topics.iter().map(|topic| topic.as_str().len()).sum();
        let event_type = self.event_type.as_ref().map_or(0, |t| t.as_str().len());
        let id = self.id.as_ref().map_or(0, |id| id.as_str().len());
        topics + event_type + id + self.data.as_bytes().len() + EVENT_BYTES
    }
}

/// The fixed part of an event in memory, roughly: handles, counters, one slot in a ring.
const EVENT_BYTES: usize = 160;
