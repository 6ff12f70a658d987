//! One event of a publish of many, read from its JSON.
//! Knows nothing of the array or the stream that it stands in.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use tidings_core::event::{
    Data, Event, EventId, EventType, IdError, Retry, RetryError, Topic, TopicError, Topics,
    TopicsError, TypeError,
};

use super::query::{self, hint};

/// The fields of an event, as the API has them.
const FIELDS: [&str; 7] = ["data", "event", "id", "private", "retry", "topic", "topics"];
const DATA: usize = 0;
const EVENT: usize = 1;
const ID: usize = 2;
const PRIVATE: usize = 3;
const RETRY: usize = 4;
const TOPIC: usize = 5;
const TOPICS: usize = 6;

/// Why a JSON text is no event.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum ItemError {
    /// More data than the setting allows.
    #[error("data can have at most {max} bytes (data_bytes_max), this has {bytes}")]
    DataTooLarge {
        /// How much it is.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// The type's own rules.
    #[error(transparent)]
    EventType(TypeError),
    /// The id's own rules.
    #[error(transparent)]
    Id(IdError),
    /// A line that not even data of the largest size could need.
    #[error(
        "the line is longer than an event with {max} bytes of data (data_bytes_max) can be: is \
         there a line break after each event?"
    )]
    LineTooLong {
        /// The bound of data.
        max: usize,
    },
    /// A field that every event has.
    #[error("\"{field}\" is missing{or}")]
    Missing {
        /// The field.
        field: &'static str,
        /// What else would do.
        or: &'static str,
    },
    /// The rules of `retry`.
    #[error(transparent)]
    Retry(RetryError),
    /// An escape of JSON that stands for no character, and so not for UTF-8 either.
    #[error("\"{field}\" has half of a surrogate pair (\\ud800 to \\udfff), which is no character")]
    Surrogate {
        /// The field.
        field: &'static str,
    },
    /// Not JSON, or not an object.
    #[error("not a JSON object of an event: {reason}")]
    Syntax {
        /// What serde_json says.
        reason: String,
    },
    /// The topic's own rules.
    #[error(transparent)]
    Topic(TopicError),
    /// Both at once.
    #[error("give \"topic\" or \"topics\", not both")]
    TopicAndTopics,
    /// The rules of a list of topics.
    #[error(transparent)]
    Topics(TopicsError),
    /// The same field again.
    #[error("\"{field}\" is there twice")]
    Twice {
        /// The field.
        field: &'static str,
    },
    /// A value of another type.
    #[error("\"{field}\" has to be {expected}")]
    Type {
        /// The field.
        field: &'static str,
        /// What it has to be.
        expected: &'static str,
    },
    /// A field that there is not.
    #[error("there is no field {field:?}: {}", hint(field, &FIELDS))]
    Unknown {
        /// Its name.
        field: String,
    },
}

/// Reads an event of at most `data_bytes_max` bytes of data. A string is sent as its characters,
/// anything else as its JSON text, exactly as it stood; data without escapes is a slice of the
/// text. `before` are the topics of the event before it, which most often are the same: then they
/// are shared.
pub(crate) fn parse(
    text: &Bytes,
    data_bytes_max: usize,
    before: Option<&Topics>,
) -> Result<Event, ItemError> {
    let mut fields = Fields::default();
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let parsed = fields.read(&mut deserializer).and_then(|()| deserializer.end());
    if let Some(error) = fields.error {
        return Err(error);
    }
    parsed.map_err(|error| ItemError::Syntax { reason: reason(&error) })?;
    fields.event(text, data_bytes_max, before)
}

/// What serde_json says, without the line: an event is one line, or a part of something.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let message = text.rfind(" at line ").map_or(&*text, |at| &text[..at]);
    match error.column() {
        0 => message.to_owned(),
        column => format!("{message} (at its byte {column})"),
    }
}

/// The values as they stood, before their own rules.
#[derive(Default)]
struct Fields<'a> {
    values: [Option<&'a RawValue>; FIELDS.len()],
    /// What is wrong beyond JSON's grammar: serde's errors can carry only texts.
    error: Option<ItemError>,
}

impl<'a> Fields<'a> {
    fn read<D: Deserializer<'a>>(&mut self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }

    /// The value of a field; `null` is as good as none.
    fn value(&self, field: usize) -> Option<&'a str> {
        self.values[field].map(RawValue::get).filter(|text| *text != "null")
    }

    fn text(&self, field: usize) -> Result<Option<Cow<'a, str>>, ItemError> {
        let Some(raw) = self.value(field) else { return Ok(None) };
        let field = FIELDS[field];
        if !raw.starts_with('"') {
            return Err(ItemError::Type { field, expected: "a string" });
        }
        let text: Result<Text<'a>, _> = serde_json::from_str(raw);
        // Its grammar has been checked: only this is left to be wrong.
        text.map(|text| Some(text.0)).map_err(|_| ItemError::Surrogate { field })
    }

    fn typed<T: Deserialize<'a>>(
        &self,
        field: usize,
        expected: &'static str,
    ) -> Result<Option<T>, ItemError> {
        let Some(text) = self.value(field) else { return Ok(None) };
        match serde_json::from_str(text) {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(ItemError::Type { field: FIELDS[field], expected }),
        }
    }

    fn event(
        &self,
        text: &Bytes,
        data_bytes_max: usize,
        before: Option<&Topics>,
    ) -> Result<Event, ItemError> {
        const DIGITS: &str = "a number of milliseconds, such as 3000";
        let retry = self.typed::<u64>(RETRY, DIGITS)?;
        Ok(Event {
            topics: self.topics(before)?,
            event_type: self
                .text(EVENT)?
                .map(|text| EventType::parse(&text))
                .transpose()
                .map_err(ItemError::EventType)?,
            id: self
                .text(ID)?
                .map(|text| EventId::parse(&text))
                .transpose()
                .map_err(ItemError::Id)?,
            retry: retry.map(Retry::from_ms).transpose().map_err(ItemError::Retry)?,
            private: self.typed(PRIVATE, "true or false")?.unwrap_or(false),
            data: self.data(text, data_bytes_max)?,
        })
    }

    fn topics(&self, before: Option<&Topics>) -> Result<Topics, ItemError> {
        let one = self.text(TOPIC)?;
        let several: Option<Vec<Text<'a>>> = self.typed(TOPICS, "a list of strings")?;
        match (one, several) {
            (Some(topic), None) => {
                if let Some(before) = before.filter(|before| before.is_only(&topic)) {
                    return Ok(before.clone());
                }
                Ok(Topics::from(Topic::parse(&topic).map_err(ItemError::Topic)?))
            }
            (None, Some(topics)) => {
                let topics: Result<Vec<Topic>, _> =
                    topics.iter().map(|topic| Topic::parse(&topic.0)).collect();
                Topics::parse(topics.map_err(ItemError::Topic)?).map_err(ItemError::Topics)
            }
            (Some(_), Some(_)) => Err(ItemError::TopicAndTopics),
            (None, None) => Err(ItemError::Missing { field: "topic", or: " (or \"topics\")" }),
        }
    }

    fn data(&self, whole: &Bytes, max: usize) -> Result<Data, ItemError> {
        let Some(raw) = self.values[DATA].map(RawValue::get) else {
            return Err(ItemError::Missing { field: "data", or: " (it may be empty: \"\")" });
        };
        let text = match self.text(DATA) {
            Ok(Some(text)) => text,
            Ok(None) | Err(ItemError::Type { .. }) => Cow::Borrowed(raw),
            Err(error) => return Err(error),
        };
        if text.len() > max {
            return Err(ItemError::DataTooLarge { bytes: text.len(), max });
        }
        Ok(match text {
            Cow::Borrowed(text) => {
                Data::parse(whole.slice_ref(text.as_bytes())).expect("a part of a text is a text")
            }
            Cow::Owned(text) => Data::from(text),
        })
    }
}

/// A string, copied only where it has escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> Visitor<'a> for &mut Fields<'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with the fields of an event")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key_seed(Name)? {
            let error = match name {
                Ok(field) if self.values[field].is_none() => {
                    self.values[field] = Some(map.next_value()?);
                    continue;
                }
                Ok(field) => ItemError::Twice { field: FIELDS[field] },
                Err(field) => ItemError::Unknown { field },
            };
            self.error = Some(error);
            return Err(de::Error::custom("see the error beside it"));
        }
        Ok(())
    }
}

/// A field's name: which of [`FIELDS`] it is, or the text that is none of them.
struct Name;

impl<'a> DeserializeSeed<'a> for Name {
    type Value = Result<usize, String>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Result<usize, String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(FIELDS.iter().position(|field| *field == name).ok_or_else(|| query::shown(name)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAX: usize = 100;

    fn read(text: &[u8], max: usize) -> Result<Event, ItemError> {
        parse(&Bytes::copy_from_slice(text), max, None)
    }

    fn event(text: &str) -> Event {
        read(text.as_bytes(), MAX).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn error(text: &str) -> String {
        read(text.as_bytes(), MAX).unwrap_err().to_string()
    }

    #[test]
    fn every_field_is_read() {
        let event = event(
            r#" {"topics":["a","b/1"],"event":"ü","id":"x","retry":3000,"private":true,
                 "data":"one\ntwo"} "#,
        );
        let topics: Vec<&str> = event.topics.iter().map(Topic::as_str).collect();
        assert_eq!(topics, ["a", "b/1"]);
        assert_eq!(event.event_type.unwrap().as_str(), "ü");
        assert_eq!(event.id.unwrap().as_str(), "x");
        assert_eq!(event.retry.unwrap().as_ms(), 3000);
        assert!(event.private);
        assert_eq!(event.data.as_str(), "one\ntwo");
    }

    #[test]
    fn data_that_is_no_string_is_sent_as_it_stood() {
        for (json, data) in [
            (r#"{ "b" : 1.0, "a":[ ] }"#, r#"{ "b" : 1.0, "a":[ ] }"#),
            ("null", "null"),
            ("1e400", "1e400"),
            ("12345678901234567890123", "12345678901234567890123"),
            (r#""""#, ""),
            (r#""\u00fc\u0000""#, "ü\0"),
            ("[\n1\n]", "[\n1\n]"),
        ] {
            let event = event(&format!(r#"{{"topic":"a","data":{json}}}"#));
            assert_eq!(event.data.as_str(), data);
        }
    }

    #[test]
    fn what_can_be_shared_is() {
        let text = Bytes::from_static(br#"{"topic":"a","data":"plain"}"#);
        let first = parse(&text, MAX, None).unwrap();
        assert!(text.as_ptr_range().contains(&first.data.as_bytes().as_ptr()));
        let second = parse(&text, MAX, Some(&first.topics)).unwrap();
        assert!(std::ptr::eq(second.topics.first(), first.topics.first()));
        let other = Bytes::from_static(br#"{"topics":["a","b"],"data":""}"#);
        let other = parse(&other, MAX, Some(&first.topics)).unwrap();
        assert_eq!(other.topics.iter().count(), 2);
        assert!(!other.topics.is_only("a") && first.topics.is_only("a"));
        assert_eq!(parse(&text, MAX, Some(&other.topics)).unwrap(), first);
    }

    #[test]
    fn null_is_as_good_as_none() {
        let nulls = r#"{"topic":"a","topics":null,"event":null,"id":null,"retry":null,
                        "private":null,"data":""}"#;
        assert_eq!(event(nulls), event(r#"{"data":"","topic":"a"}"#));
    }

    #[test]
    fn each_mistake_is_named() {
        for (text, expected) in [
            (r#"{"topic":"a"}"#, "\"data\" is missing"),
            (r#"{"data":"x"}"#, "\"topic\" is missing (or \"topics\")"),
            (r#"{"topic":"a","topics":["b"],"data":1}"#, "not both"),
            (r#"{"topics":[],"data":1}"#, "at least one topic"),
            (r#"{"topics":"a","data":1}"#, "a list of strings"),
            (r#"{"topic":7,"data":1}"#, "\"topic\" has to be a string"),
            (r#"{"topic":"","data":1}"#, "can't be empty"),
            (r#"{"topic":"*","data":1}"#, "selects all topics"),
            (r#"{"topic":"a\nb","data":1}"#, "control characters"),
            (r#"{"topic":"a","event":"x\ny","data":1}"#, "line breaks"),
            (r#"{"topic":"a","event":"tidings.x","data":1}"#, "the hub's own"),
            (r#"{"topic":"a","id":"\u0000","data":1}"#, "NUL"),
            (r#"{"topic":"a","retry":"3000","data":1}"#, "milliseconds"),
            (r#"{"topic":"a","retry":-1,"data":1}"#, "milliseconds"),
            (r#"{"topic":"a","retry":1.5,"data":1}"#, "milliseconds"),
            (r#"{"topic":"a","retry":99999999999,"data":1}"#, "one day"),
            (r#"{"topic":"a","private":"yes","data":1}"#, "true or false"),
            (r#"{"topic":"a","data":1,"data":2}"#, "\"data\" is there twice"),
            (r#"{"topic":"a","dta":1}"#, "did you mean data?"),
            (r#"{"tpoic":"a","data":1}"#, "did you mean topic?"),
            (r#"{"topic":"a","colour":1}"#, "there are data, event, id,"),
            (r#"{"topic":"a","data":"\ud800"}"#, "\"data\" has half of a surrogate pair"),
            (r#"{"topic":"\udc00","data":1}"#, "\"topic\" has half"),
            (r#"{"topic":"a","data":1"#, "EOF while parsing"),
            (r#"{"topic":"a","data":1} x"#, "trailing characters (at its byte 24)"),
            ("[]", "expected an object with the fields of an event"),
            ("7", "expected an object"),
            ("", "EOF"),
        ] {
            let error = error(text);
            assert!(error.contains(expected), "{text}: {error}");
        }
        assert!(read(b"{\"topic\":\"a\",\"data\":\"\xff\"}", MAX).is_err());
        let long = format!(r#"{{"topic":"a","data":"{}"}}"#, "x".repeat(MAX + 1));
        assert!(error(&long).contains("data_bytes_max"));
        assert!(error(&format!("{{{:?}:1}}", "x".repeat(9000))).len() < 300);
    }

    #[test]
    fn depth_is_no_danger() {
        let deep = "[".repeat(100_000);
        assert!(read(format!(r#"{{"topic":"a","data":{deep}"#).as_bytes(), MAX).is_err());
        let closed = format!(r#"{{"topic":"a","data":{deep}{}}}"#, "]".repeat(100_000));
        assert!(error(&closed).contains("data_bytes_max"));
    }

    proptest! {
        #[test]
        fn what_serde_json_writes_comes_back(topic in "[^\\pC*]{1,20}", data in any::<String>()) {
            let text = serde_json::json!({ "topic": topic, "data": data }).to_string();
            let event = read(text.as_bytes(), 1 << 20).unwrap();
            prop_assert_eq!(event.topics.first().as_str(), topic);
            prop_assert_eq!(event.data.as_str(), data);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64),
                                  text in "[{}\\[\\]\",:a-d0-9\\\\]{0,40}") {
            let _ = read(&bytes, MAX);
            let _ = read(text.as_bytes(), MAX);
        }
    }
}
