//! What somebody may: publish where, read where, until when.
//! Knows nothing of how they showed it.

use std::fmt;
use std::sync::{Arc, LazyLock};

use tidings_core::cursor::Timestamp;
use tidings_core::limits::TOKEN_SELECTORS_MAX;
use tidings_core::topic::{Selector, SelectorError, Selectors};

/// What a token, a ticket or an API key allows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rights {
    /// The topics that may be published to.
    pub publish: Option<Selectors>,
    /// The topics whose private events may be read; and, where reading needs a token, all that may
    /// be read.
    pub subscribe: Option<Selectors>,
    /// Who it is: the token's `sub`, or the name of the API key.
    pub subject: Option<Arc<str>>,
    /// Until when it counts; `None`: until it is taken out of a file.
    pub expires: Option<Timestamp>,
    /// What the token's maker wants applications to know, as it stood in `tidings.payload`.
    pub payload: Option<Arc<serde_json::Value>>,
}

/// Why a list of texts gives no rights.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RightsError {
    /// One of them is no selector.
    #[error("{text:?}: {error}")]
    Selector {
        /// The text.
        text: String,
        /// What is wrong with it.
        error: SelectorError,
    },
    /// More than [`TOKEN_SELECTORS_MAX`].
    #[error(
        "there can be at most {TOKEN_SELECTORS_MAX} selectors (token_selectors_max), these are {selectors}"
    )]
    TooMany {
        /// How many.
        selectors: usize,
    },
}

/// Reads the selectors of a right; none at all is no right.
pub(super) fn selectors(texts: &[String]) -> Result<Option<Selectors>, RightsError> {
    if texts.len() > TOKEN_SELECTORS_MAX {
        return Err(RightsError::TooMany { selectors: texts.len() });
    }
    let parsed: Result<Vec<Selector>, RightsError> = texts
        .iter()
        .map(|text| {
            Selector::parse(text)
                .map_err(|error| RightsError::Selector { text: shown(text), error })
        })
        .collect();
    Ok(Selectors::parse(parsed?, TOKEN_SELECTORS_MAX).ok())
}

/// Everything: the private events of all topics that are asked for.
static ALL: LazyLock<Arc<Selectors>> =
    LazyLock::new(|| Arc::new(Selector::parse("*").expect("a selector").into()));

impl Rights {
    /// Of which topics private events may be seen by somebody who asks for these.
    ///
    /// Where all that is asked for is covered, whatever is selected may be seen, so those who ask
    /// for the same get the same filter, whatever else their tokens allow: a shard then keeps one
    /// for all of them.
    #[must_use]
    pub fn private(&self, asked: &Selectors) -> Option<Arc<Selectors>> {
        let allowed = self.subscribe.as_ref()?;
        if asked.iter().all(|selector| allowed.cover(selector)) {
            return Some(Arc::clone(&ALL));
        }
        Some(Arc::new(allowed.clone()))
    }

    /// Whether it counted until before this time.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

/// Some selectors in a sentence, not at any length.
pub(super) struct Listed<'a>(pub(super) Option<&'a Selectors>);

/// More than these are only counted.
const LISTED_MAX: usize = 5;

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(selectors) = self.0 else { return f.write_str("nothing") };
        let count = selectors.iter().len();
        for (at, selector) in selectors.iter().take(LISTED_MAX).enumerate() {
            let joint = match at {
                0 => "",
                _ if at + 1 == count => " and ",
                _ => ", ",
            };
            write!(f, "{joint}{}", shown(&selector.to_string()))?;
        }
        match count.saturating_sub(LISTED_MAX) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// A stranger's text in a sentence, not at any length.
pub(super) fn shown(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 64;
    let mut shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights(texts: &[&str]) -> Option<Selectors> {
        let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
        selectors(&texts).unwrap()
    }

    #[test]
    fn those_who_may_see_all_that_they_ask_for_have_the_same_filter() {
        let one = Rights { subscribe: rights(&["users/1/*", "news"]), ..Rights::default() };
        let other = Rights { subscribe: rights(&["users/2/*", "news"]), ..Rights::default() };
        let news = rights(&["news"]).unwrap();
        assert_eq!(one.private(&news), other.private(&news));
        let more = rights(&["news", "weather"]).unwrap();
        assert_eq!(one.private(&more).as_deref(), one.subscribe.as_ref());
        assert_eq!(Rights::default().private(&news), None);
    }

    #[test]
    fn lists_are_told_in_a_sentence() {
        for (texts, expected) in [
            (&[][..], "nothing"),
            (&["a"], "a"),
            (&["a", "b"], "a and b"),
            (&["a", "b", "c"], "a, b and c"),
            (&["a", "b", "c", "d", "e", "f", "g"], "a, b, c, d, e and 2 more"),
        ] {
            assert_eq!(Listed(rights(texts).as_ref()).to_string(), expected);
        }
        let long = "x".repeat(1000);
        assert!(Listed(rights(&[&long]).as_ref()).to_string().len() < 100);
    }

    #[test]
    fn what_is_no_right_is_named() {
        let error = selectors(&["a".to_owned(), "a*b".to_owned()]).unwrap_err().to_string();
        assert!(
            error.starts_with("\"a*b\": in a selector, * can stand only at the end"),
            "{error}"
        );
        let many = vec!["a".to_owned(); TOKEN_SELECTORS_MAX + 1];
        assert!(selectors(&many).unwrap_err().to_string().contains("token_selectors_max"));
    }
}
