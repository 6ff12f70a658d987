//! What comes out of a stream: an event, and what it says to serde.
//! Knows nothing of how it came.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tidings_core::sse::Message;

/// One event.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Event {
    /// `message` where the stream did not say.
    pub event_type: String,
    /// What was sent, its lines joined by LF.
    pub data: String,
    /// The place to go on after: the last id that the stream gave, or nothing.
    pub id: Arc<str>,
}

/// Something between two events of the stream is gone (`tidings.reset`): load what the events
/// were to keep up to date.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[non_exhaustive]
pub struct Gap {
    /// What this client had.
    pub from: String,
    /// The event that follows.
    pub oldest: String,
    /// How many positions of the log lie between, of all topics, if that is known.
    pub missed: Option<u64>,
}

/// The type of the event by which a hub says that something is gone.
const RESET: &str = "tidings.reset";

/// The type of the event by which a hub says that the token, and so the stream, will end.
const RENEW: &str = "tidings.renew";

impl Event {
    /// The data as JSON.
    ///
    /// # Errors
    /// Where it is no JSON, or not of this type.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(&self.data)
    }

    /// The event as one of an enum's variants, by its type: what the enum calls
    /// `#[serde(tag = "event", content = "data")]`.
    ///
    /// ```
    /// # use serde::Deserialize;
    /// #[derive(Deserialize)]
    /// #[serde(tag = "event", content = "data", rename_all = "snake_case")]
    /// enum Order {
    ///     Updated { total: u32 },
    ///     Cancelled(String),
    /// }
    /// # fn show(event: &tidings_client::Event) -> Result<(), serde_json::Error> {
    /// match event.typed()? {
    ///     Order::Updated { total } => println!("{total}"),
    ///     Order::Cancelled(why) => println!("{why}"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Where the data is no JSON, or not what the variant of this type holds, or where no variant
    /// has the type.
    pub fn typed<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        let data: serde_json::Value = self.json()?;
        serde_json::from_value(serde_json::json!({ "event": self.event_type, "data": data }))
    }

    /// What is gone, if the event is a hub's word that something is.
    #[must_use]
    pub fn reset(&self) -> Option<Gap> {
        if self.event_type == RESET { self.json().ok() } else { None }
    }

    /// In what time the hub will end the stream, if the event is its word that the token ends.
    /// A token that is a function is asked for anew by itself.
    #[must_use]
    pub fn renew(&self) -> Option<Duration> {
        #[derive(Deserialize)]
        struct Renew {
            expires_in: u64,
        }
        if self.event_type != RENEW {
            return None;
        }
        let renew: Renew = self.json().ok()?;
        Some(Duration::from_secs(renew.expires_in))
    }
}

impl From<Message> for Event {
    fn from(Message { event_type, id, data }: Message) -> Self {
        Self { event_type, data, id }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(event_type: &str, data: &str) -> Event {
        Event { event_type: event_type.into(), data: data.into(), id: "1".into() }
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(tag = "event", content = "data", rename_all = "snake_case")]
    enum Order {
        Updated { total: u32 },
        Cancelled(String),
    }

    #[test]
    fn the_type_chooses_the_variant() {
        let updated = event("updated", r#"{"total":3}"#).typed::<Order>();
        assert_eq!(updated.unwrap(), Order::Updated { total: 3 });
        let cancelled = event("cancelled", r#""why""#).typed::<Order>();
        assert_eq!(cancelled.unwrap(), Order::Cancelled("why".into()));
        assert!(event("other", "1").typed::<Order>().is_err());
        assert!(event("updated", "no json").typed::<Order>().is_err());
    }

    #[test]
    fn a_hub_s_words_are_understood_and_only_those() {
        let data = r#"{"from":"a-1","oldest":"a-9","missed":7}"#;
        let gap = Gap { from: "a-1".into(), oldest: "a-9".into(), missed: Some(7) };
        assert_eq!(event("tidings.reset", data).reset(), Some(gap));
        assert_eq!(event("message", data).reset(), None);
        let renew = event("tidings.renew", r#"{"expires_in":60}"#).renew();
        assert_eq!(renew, Some(Duration::from_secs(60)));
        assert_eq!(event("tidings.renew", "no json").renew(), None);
    }
}
