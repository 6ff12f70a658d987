//! How an event is printed: for people, or as one JSON object a line.
//! Knows nothing of where events come from.

use jiff::Zoned;
use owo_colors::{OwoColorize, Style as Paint};
use serde::{Deserialize, Serialize};
use tidings_client::Event;

use crate::output::{self, tame};

/// How events are printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Style {
    Json,
    Pretty { colours: bool },
}

#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    event: &'a str,
    data: &'a str,
}

impl Style {
    /// Prints an event, flushed.
    ///
    /// # Errors
    /// Where stdout can't be written.
    pub(super) fn print(self, event: &Event) -> anyhow::Result<()> {
        let Event { event_type, id, data, .. } = event;
        match self {
            Self::Json => {
                let line = Line { id, event: event_type, data };
                output::line(&serde_json::to_string(&line)?)
            }
            Self::Pretty { colours } => {
                let time = Zoned::now().strftime("%H:%M:%S").to_string();
                output::line(&pretty(&time, event, colours))
            }
        }
    }
}

/// Time, type and id in one line, with the data behind it where that is one line too, and below
/// it where it is not.
fn pretty(time: &str, event: &Event, colours: bool) -> String {
    let paint = |text: &str, paint: Paint| {
        let text = tame(text);
        if colours { text.style(paint).to_string() } else { text }
    };
    let mut text = paint(time, Paint::new().dimmed());
    text.push(' ');
    text.push_str(&paint(&event.event_type, Paint::new().cyan().bold()));
    if !event.id.is_empty() {
        text.push(' ');
        text.push_str(&paint(&event.id, Paint::new().dimmed()));
    }
    if event.data.contains('\n') {
        for line in event.data.split('\n') {
            text.push_str("\n    ");
            text.push_str(&tame(line));
        }
    } else if !event.data.is_empty() {
        text.push_str("  ");
        text.push_str(&tame(&event.data));
    }
    text
}

/// What a hub says about a gap, for people.
pub(super) fn reset(data: &str) -> String {
    #[derive(Deserialize)]
    struct Reset {
        from: String,
        missed: Option<u64>,
    }
    match serde_json::from_str::<Reset>(data) {
        Ok(Reset { from, missed: Some(missed) }) => {
            format!("{missed} events after {} are gone: the hub kept them no longer", tame(&from))
        }
        Ok(Reset { from, missed: None }) => {
            format!("events after {} may be gone: the hub does not know that id", tame(&from))
        }
        Err(_) => "some events are gone, the hub says".into(),
    }
}

/// What a hub says about the end of a token, for people.
pub(super) fn renew(data: &str) -> String {
    #[derive(Deserialize)]
    struct Renew {
        expires_in: u64,
    }
    let when = match serde_json::from_str::<Renew>(data) {
        Ok(Renew { expires_in }) => format!("in {expires_in} s"),
        Err(_) => "soon".into(),
    };
    format!(
        "the token ends {when}, and the stream with it; a new one in its file counts from then on"
    )
}

#[cfg(test)]
mod tests {
    use tidings_client::Message;

    use super::*;

    fn event(event_type: &str, id: &str, data: &str) -> Event {
        Message { event_type: event_type.into(), id: id.into(), data: data.into() }.into()
    }

    #[test]
    fn events_are_printed_on_one_line_if_they_have_one() {
        let check = |event: Event, expected: &str| {
            assert_eq!(pretty("12:00:00", &event, false), expected);
        };
        check(event("changed", "k-1", "hello"), "12:00:00 changed k-1  hello");
        check(event("message", "", ""), "12:00:00 message");
        check(event("message", "1", "a\n\nb"), "12:00:00 message 1\n    a\n    \n    b");
    }

    #[test]
    fn nothing_published_steers_the_terminal() {
        let text = pretty("t", &event("\x1b[2J", "\x07", "\x1b]0;x\x07\u{9b}1m\tok"), true);
        let own = text.replace("\x1b[", "");
        assert!(!own.contains(['\x1b', '\x07', '\u{9b}']), "{text:?}");
        assert!(text.contains("\\x1b]0;x\\x07\\x9b1m\tok"));
    }

    #[test]
    fn a_gap_is_put_into_words() {
        assert!(reset(r#"{"from":"a-1","oldest":"a-9","missed":7}"#).starts_with("7 events after"));
        assert!(reset(r#"{"from":"a-1","oldest":"b-0"}"#).contains("may be gone"));
        assert!(reset("?").contains("some events are gone"));
    }

    #[test]
    fn the_end_of_a_token_is_put_into_words() {
        assert!(renew(r#"{"expires_in":60}"#).starts_with("the token ends in 60 s"));
        assert!(renew("?").starts_with("the token ends soon"));
    }
}
