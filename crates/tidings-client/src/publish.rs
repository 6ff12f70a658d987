//! An event that is to be published: its data, and what it has beside it.
//! Knows nothing of how it gets to a hub.

use std::time::Duration;

use serde::Serialize;

use crate::error::Error;

/// An event on its way to a hub.
#[derive(Clone, Debug, Default, Serialize)]
#[must_use]
pub struct Publish {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) topic: Option<String>,
    pub(crate) data: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) event: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    /// Milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) private: Option<bool>,
    #[serde(skip)]
    pub(crate) idempotency_key: Option<String>,
}

impl Publish {
    /// Text, as it is.
    pub fn text(data: impl Into<String>) -> Self {
        Self { data: data.into(), ..Self::default() }
    }

    /// A value as its JSON.
    ///
    /// # Errors
    /// [`Error::Json`] where it has none.
    pub fn json(value: &impl Serialize) -> Result<Self, Error> {
        Ok(Self::text(serde_json::to_string(value).map_err(Error::Json)?))
    }

    /// The topic, for [`Hub::publish_many`](crate::Hub::publish_many).
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.topic = Some(topic.into());
        self
    }

    /// The event's type.
    pub fn event(mut self, event_type: impl Into<String>) -> Self {
        self.event = Some(event_type.into());
        self
    }

    /// An id of one's own in place of the hub's.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// How long subscribers are to wait before they reconnect.
    pub fn retry(mut self, retry: Duration) -> Self {
        self.retry = Some(u64::try_from(retry.as_millis()).unwrap_or(u64::MAX));
        self
    }

    /// Only for subscribers with the right to see it.
    pub fn private(mut self) -> Self {
        self.private = Some(true);
        self
    }

    /// The same key within ten minutes is stored once. Without one each call makes its own.
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into());
        self
    }
}

impl From<&str> for Publish {
    fn from(data: &str) -> Self {
        Self::text(data)
    }
}

impl From<String> for Publish {
    fn from(data: String) -> Self {
        Self::text(data)
    }
}
