//! The fields of an event, each a type that only its `parse` can make.
//! Knows nothing of the event that holds them.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::limits::{
    EVENT_TYPE_BYTES_MAX, ID_BYTES_MAX, IDEMPOTENCY_KEY_BYTES_MAX, RETRY_MS_MAX, TOPIC_BYTES_MAX,
    TOPICS_PER_EVENT_MAX,
};

/// The name an event is published under: UTF-8 without control characters, not `*`.
/// Slashes make hierarchies (`orders/42`).
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Topic(Arc<str>);

/// Why a text is no topic.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TopicError {
    /// A control character, which no name needs and which could forge a line somewhere.
    #[error("a topic can't contain control characters (there is one at byte {at})")]
    Control {
        /// The byte it starts at.
        at: usize,
    },
    /// Nothing at all.
    #[error("a topic can't be empty")]
    Empty,
    /// More than [`TOPIC_BYTES_MAX`].
    #[error(
        "a topic can have at most {TOPIC_BYTES_MAX} bytes (topic_bytes_max), this one has {bytes}"
    )]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
    /// `*`, which selects all topics and so can't be the name of one.
    #[error("\"*\" selects all topics: publish to a topic by its name")]
    Wildcard,
}

impl Topic {
    /// Takes a name as it is: case counts, nothing is normalised.
    ///
    /// # Errors
    /// See [`TopicError`].
    pub fn parse(text: &str) -> Result<Self, TopicError> {
        match text {
            "" => Err(TopicError::Empty),
            "*" => Err(TopicError::Wildcard),
            _ if text.len() > TOPIC_BYTES_MAX => Err(TopicError::TooLong { bytes: text.len() }),
            _ => match text.find(char::is_control) {
                Some(at) => Err(TopicError::Control { at }),
                None => Ok(Self(text.into())),
            },
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A copy that shares no memory with this one.
    pub(crate) fn unshared(&self) -> Self {
        Self(self.as_str().into())
    }
}

/// One topic or several, at most [`TOPICS_PER_EVENT_MAX`], none twice.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Topics(Arc<[Topic]>);

/// Why a list is no list of topics.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TopicsError {
    /// Not one topic.
    #[error("an event needs at least one topic")]
    None,
    /// More than [`TOPICS_PER_EVENT_MAX`].
    #[error(
        "an event can have at most {TOPICS_PER_EVENT_MAX} topics (topics_per_event_max), this one has {topics}"
    )]
    TooMany {
        /// How many there are.
        topics: usize,
    },
}

impl Topics {
    /// Takes a list; a topic that stands twice counts once.
    ///
    /// # Errors
    /// See [`TopicsError`].
    pub fn parse(mut topics: Vec<Topic>) -> Result<Self, TopicsError> {
        if topics.len() > TOPICS_PER_EVENT_MAX {
            return Err(TopicsError::TooMany { topics: topics.len() });
        }
        let mut kept = 0;
        for at in 0..topics.len() {
            if !topics[..kept].contains(&topics[at]) {
                topics.swap(kept, at);
                kept += 1;
            }
        }
        topics.truncate(kept);
        if topics.is_empty() { Err(TopicsError::None) } else { Ok(Self(topics.into())) }
    }

    /// The topics, in the publisher's order.
    pub fn iter(&self) -> std::slice::Iter<'_, Topic> {
        self.0.iter()
    }

    /// Whether it is this topic and no other.
    #[must_use]
    pub fn is_only(&self, name: &str) -> bool {
        matches!(&*self.0, [topic] if topic.as_str() == name)
    }

    /// The first topic: the event's name where only one can stand.
    #[must_use]
    pub fn first(&self) -> &Topic {
        &self.0[0]
    }
}

impl From<Topic> for Topics {
    fn from(topic: Topic) -> Self {
        Self([topic].into())
    }
}

impl<'a> IntoIterator for &'a Topics {
    type Item = &'a Topic;
    type IntoIter = std::slice::Iter<'a, Topic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The SSE `event` field.
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct EventType(Arc<str>);

/// Types that begin with this are the hub's own (`tidings.reset`).
const OWN_TYPES: &str = "tidings.";

/// Why a text is no event type.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TypeError {
    /// A line break would forge fields in other people's streams; other control characters are
    /// mistakes.
    #[error(
        "an event type can't contain line breaks or control characters (there is one at byte {at})"
    )]
    Control {
        /// The byte it starts at.
        at: usize,
    },
    /// Nothing at all, which on the wire means "no type".
    #[error("an event type can't be empty: leave it out instead")]
    Empty,
    /// One of the hub's own, which clients must be able to trust.
    #[error("event types that begin with \"{OWN_TYPES}\" are the hub's own: choose another name")]
    Reserved,
    /// More than [`EVENT_TYPE_BYTES_MAX`].
    #[error(
        "an event type can have at most {EVENT_TYPE_BYTES_MAX} bytes (event_type_bytes_max), this one has {bytes}"
    )]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
}

impl EventType {
    /// Takes a type as it is.
    ///
    /// # Errors
    /// See [`TypeError`].
    pub fn parse(text: &str) -> Result<Self, TypeError> {
        if text.is_empty() {
            return Err(TypeError::Empty);
        }
        if text.len() > EVENT_TYPE_BYTES_MAX {
            return Err(TypeError::TooLong { bytes: text.len() });
        }
        if let Some(at) = text.find(char::is_control) {
            return Err(TypeError::Control { at });
        }
        if text.starts_with(OWN_TYPES) {
            return Err(TypeError::Reserved);
        }
        Ok(Self(text.into()))
    }

    /// The type.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An id that a publisher chose.
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct EventId(Arc<str>);

/// Why a text is no id.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum IdError {
    /// A line break would forge fields, a NUL makes clients ignore the id, other control
    /// characters do not pass a header.
    #[error(
        "an id can't contain line breaks, NUL or other control characters (there is one at byte {at})"
    )]
    Control {
        /// The byte it starts at.
        at: usize,
    },
    /// Nothing at all, which on the wire would make clients forget their place.
    #[error("an id can't be empty: leave it out instead")]
    Empty,
    /// A space at an end, which HTTP strips from the `Last-Event-ID` header.
    #[error("an id can't begin or end with a space: it would be lost in the Last-Event-ID header")]
    Space,
    /// More than [`ID_BYTES_MAX`].
    #[error("an id can have at most {ID_BYTES_MAX} bytes (id_bytes_max), this one has {bytes}")]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
}

impl EventId {
    /// Takes an id as it is.
    ///
    /// # Errors
    /// See [`IdError`].
    pub fn parse(text: &str) -> Result<Self, IdError> {
        if text.is_empty() {
            return Err(IdError::Empty);
        }
        if text.len() > ID_BYTES_MAX {
            return Err(IdError::TooLong { bytes: text.len() });
        }
        if let Some(at) = text.find(char::is_control) {
            return Err(IdError::Control { at });
        }
        if text.starts_with(' ') || text.ends_with(' ') {
            return Err(IdError::Space);
        }
        Ok(Self(text.into()))
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The SSE `retry` field, in milliseconds.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Retry(u32);

/// Why a text or a number is no `retry`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RetryError {
    /// Something else than ASCII digits, which clients ignore in silence.
    #[error("retry is a number of milliseconds in digits only, such as 3000")]
    NotDigits,
    /// More than [`RETRY_MS_MAX`].
    #[error("retry can be at most {RETRY_MS_MAX} ms, one day (retry_ms_max)")]
    TooLong,
}

impl Retry {
    /// Takes a number of milliseconds.
    ///
    /// # Errors
    /// [`RetryError::TooLong`] beyond a day.
    pub fn from_ms(ms: u64) -> Result<Self, RetryError> {
        match u32::try_from(ms) {
            Ok(ms) if ms <= RETRY_MS_MAX => Ok(Self(ms)),
            _ => Err(RetryError::TooLong),
        }
    }

    /// Takes digits, as the standard has it: no sign, leading zeros allowed.
    ///
    /// # Errors
    /// See [`RetryError`].
    pub fn parse(text: &str) -> Result<Self, RetryError> {
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(RetryError::NotDigits);
        }
        // Digits that do not fit 64 bits are too long all the same.
        Self::from_ms(text.parse().unwrap_or(u64::MAX))
    }

    /// Milliseconds.
    #[must_use]
    pub fn as_ms(self) -> u32 {
        self.0
    }
}

/// What an event says: any UTF-8, empty included. Cheap to clone.
#[derive(Clone, Eq, PartialEq)]
pub struct Data(Bytes);

/// The bytes are not UTF-8, the only encoding that Server-Sent Events have.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("data must be UTF-8 (it is not from byte {at} on): send binary data as base64, say")]
pub struct DataError {
    /// The first byte that does not belong.
    pub at: usize,
}

impl Data {
    /// Takes bytes without copying them. How much is too much is for the door to say, which
    /// knows the setting.
    ///
    /// # Errors
    /// [`DataError`] where they are not UTF-8.
    pub fn parse(bytes: impl Into<Bytes>) -> Result<Self, DataError> {
        let bytes = bytes.into();
        match std::str::from_utf8(&bytes) {
            Ok(_) => Ok(Self(bytes)),
            Err(error) => Err(DataError { at: error.valid_up_to() }),
        }
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// The text. Checks the bytes again, so it is for pages and prints, not for the fan-out.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("parse() took only UTF-8")
    }

    /// The same data in memory of its own. A publisher's data may be a slice of the buffer that it
    /// was received in, and twenty kept bytes must not keep half a megabyte alive.
    #[must_use]
    pub fn unshared(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }
}

impl From<String> for Data {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&'static str> for Data {
    fn from(text: &'static str) -> Self {
        Self(Bytes::from_static(text.as_bytes()))
    }
}

/// What makes a repeated publish the same publish (the `Idempotency-Key` header).
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct IdempotencyKey(Arc<str>);

/// Why a text is no idempotency key.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeyError {
    /// Something else than visible ASCII.
    #[error("an Idempotency-Key is made of visible ASCII characters, such as a UUID")]
    NotVisible,
    /// Nothing at all.
    #[error("an Idempotency-Key can't be empty: leave it out instead")]
    Empty,
    /// More than [`IDEMPOTENCY_KEY_BYTES_MAX`].
    #[error(
        "an Idempotency-Key can have at most {IDEMPOTENCY_KEY_BYTES_MAX} bytes (idempotency_key_bytes_max), this one has {bytes}"
    )]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
}

impl IdempotencyKey {
    /// Takes a key as it is.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        if text.is_empty() {
            return Err(KeyError::Empty);
        }
        if text.len() > IDEMPOTENCY_KEY_BYTES_MAX {
            return Err(KeyError::TooLong { bytes: text.len() });
        }
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(KeyError::NotVisible);
        }
        Ok(Self(text.into()))
    }

    /// The key of the `index`-th event of a batch that was sent under this one.
    #[must_use]
    pub fn nth(&self, index: usize) -> Self {
        Self(format!("{}#{index}", self.0).into())
    }

    /// The key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

macro_rules! text_formats {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.as_str())
            }
        }
    )*};
}

text_formats!(Data, EventId, EventType, Topic);
