//! What a subscriber asks for: an exact topic, a pattern, or everything.
//! Knows nothing of who asks.

use std::fmt;
use std::sync::Arc;

use crate::event::{Topic, TopicError, Topics};
use crate::limits::{PATTERN_SEGMENTS_MAX, SELECTOR_BYTES_MAX, SELECTORS_PER_SUBSCRIPTION_MAX};

/// An exact topic (`orders/42`), or a pattern: `{name}` stands for one path segment
/// (`orders/{id}/state`), a `*` at the end for all the rest (`orders/*`), `*` alone for
/// everything.
#[derive(Clone, Eq, Hash, PartialEq)]
pub enum Selector {
    /// This topic and no other.
    Exact(Topic),
    /// All topics of this shape.
    Pattern(Pattern),
}

/// Why a text is no selector.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SelectorError {
    /// A `{` or `}` that is not a whole segment `{name}`.
    #[error(
        "in a selector, {{name}} has to fill a whole path segment, and its name is made of \
         letters, digits and _: \"{segment}\" is neither that nor plain text"
    )]
    Braces {
        /// The segment with the brace.
        segment: String,
    },
    /// More than [`SELECTOR_BYTES_MAX`].
    #[error(
        "a selector can have at most {SELECTOR_BYTES_MAX} bytes (selector_bytes_max), this one has {bytes}"
    )]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
    /// More than [`PATTERN_SEGMENTS_MAX`].
    #[error(
        "a pattern can have at most {PATTERN_SEGMENTS_MAX} path segments (pattern_segments_max), this one has {segments}"
    )]
    TooManySegments {
        /// How many there are.
        segments: usize,
    },
    /// Not even a topic.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// A `*` before the end.
    #[error("in a selector, * can stand only at the end: use {{name}} for one segment before it")]
    WildcardInside,
}

impl Selector {
    /// Reads a selector. A text without `{`, `}` and `*` is an exact topic.
    ///
    /// # Errors
    /// See [`SelectorError`].
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        if text.len() > SELECTOR_BYTES_MAX {
            return Err(SelectorError::TooLong { bytes: text.len() });
        }
        if !text.contains(['{', '}', '*']) {
            return Ok(Self::Exact(Topic::parse(text)?));
        }
        if let Some(at) = text.find(char::is_control) {
            return Err(TopicError::Control { at }.into());
        }
        Ok(Self::Pattern(Pattern::parse(text)?))
    }

    fn unshared(&self) -> Self {
        match self {
            Self::Exact(topic) => Self::Exact(topic.unshared()),
            Self::Pattern(Pattern(parts)) => Self::Pattern(Pattern(Arc::new((**parts).clone()))),
        }
    }

    /// Whether it selects this topic.
    #[must_use]
    pub fn matches(&self, topic: &Topic) -> bool {
        match self {
            Self::Exact(exact) => exact == topic,
            Self::Pattern(pattern) => pattern.matches(topic.as_str()),
        }
    }

    /// Whether it selects every topic that the other one selects.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::Exact(topic)) => self.matches(topic),
            // A pattern has a variable or a wildcard, and so selects more than one topic.
            (Self::Exact(_), Self::Pattern(_)) => false,
            (Self::Pattern(pattern), Self::Pattern(other)) => pattern.covers(other),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(topic) => topic.fmt(f),
            Self::Pattern(pattern) => f.write_str(&pattern.0.text),
        }
    }
}

impl fmt::Debug for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

/// A selector with variables or a wildcard, taken apart. Cheap to clone.
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct Pattern(Arc<Parts>);

#[derive(Clone, Eq, Hash, PartialEq)]
pub(super) struct Parts {
    text: Box<str>,
    /// The segments before the tail: a text, or `None` for a variable.
    pub(super) segments: Box<[Option<Box<str>>]>,
    /// With a `*` at the end: what the rest after the segments begins with.
    pub(super) tail: Option<Box<str>>,
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, SelectorError> {
        let (body, wildcard) = match text.strip_suffix('*') {
            Some(body) => (body, true),
            None => (text, false),
        };
        if body.contains('*') {
            return Err(SelectorError::WildcardInside);
        }
        let mut segments = Vec::new();
        let mut parts = body.split('/').peekable();
        let mut tail = None;
        while let Some(part) = parts.next() {
            if wildcard && parts.peek().is_none() {
                literal(part)?;
                tail = Some(part.into());
                break;
            }
            segments.push(segment(part)?);
        }
        if segments.len() > PATTERN_SEGMENTS_MAX {
            return Err(SelectorError::TooManySegments { segments: segments.len() });
        }
        Ok(Self(Arc::new(Parts { text: text.into(), segments: segments.into(), tail })))
    }

    pub(super) fn parts(&self) -> &Parts {
        &self.0
    }

    /// Whether a topic of this name has the pattern's shape.
    #[must_use]
    pub fn matches(&self, topic: &str) -> bool {
        let Parts { segments, tail, .. } = self.parts();
        let mut rest = Some(topic);
        for segment in segments {
            let Some(text) = rest else { return false };
            let (head, next) = split(text);
            let fits = match segment {
                Some(literal) => **literal == *head,
                None => !head.is_empty(),
            };
            if !fits {
                return false;
            }
            rest = next;
        }
        match (tail, rest) {
            (Some(prefix), Some(rest)) => rest.starts_with(&**prefix),
            (Some(_), None) => false,
            (None, rest) => rest.is_none(),
        }
    }

    /// Whether all topics of the other one's shape have this one's.
    fn covers(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.parts(), other.parts());
        if ours.segments.len() > theirs.segments.len() {
            // They may end before our last segment, or go on where we want an end.
            return false;
        }
        let (same, rest) = theirs.segments.split_at(ours.segments.len());
        let fit = ours.segments.iter().zip(same).all(|pair| match pair {
            (Some(ours), Some(theirs)) => ours == theirs,
            (Some(_), None) => false,
            (None, Some(theirs)) => !theirs.is_empty(),
            (None, None) => true,
        });
        fit && match (&ours.tail, rest.first()) {
            (None, Some(_)) => false,
            (None, None) => theirs.tail.is_none(),
            (Some(prefix), Some(Some(literal))) => literal.starts_with(&**prefix),
            (Some(prefix), Some(None)) => prefix.is_empty(),
            (Some(prefix), None) => {
                theirs.tail.as_ref().is_some_and(|tail| tail.starts_with(&**prefix))
            }
        }
    }
}

/// The first segment, and what follows its slash: `None` where there is none.
pub(super) fn split(text: &str) -> (&str, Option<&str>) {
    match text.split_once('/') {
        Some((head, rest)) => (head, Some(rest)),
        None => (text, None),
    }
}

fn segment(text: &str) -> Result<Option<Box<str>>, SelectorError> {
    let name = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
    match name {
        Some(name) if !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_') => {
            Ok(None)
        }
        _ => literal(text).map(|text| Some(text.into())),
    }
}

fn literal(text: &str) -> Result<&str, SelectorError> {
    if text.contains(['{', '}']) {
        Err(SelectorError::Braces { segment: text.to_owned() })
    } else {
        Ok(text)
    }
}

/// What one subscriber asks for: one selector or several, none twice. Cheap to clone.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Selectors(Listed);

/// Most subscribers have one selector, which needs no list.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum Listed {
    One(Selector),
    Many(Arc<[Selector]>),
}

/// Why a list is no list of selectors.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SelectorsError {
    /// Not one.
    #[error("say what to subscribe to: at least one topic")]
    None,
    /// More than the bound that was given.
    #[error(
        "a subscription can have at most {max} selectors (selectors_per_subscription_max), this one has {selectors}"
    )]
    TooMany {
        /// How many there are.
        selectors: usize,
        /// How many there can be.
        max: usize,
    },
}

impl Selectors {
    /// Takes a list of at most `max`; a selector that stands twice counts once.
    ///
    /// # Errors
    /// See [`SelectorsError`].
    pub fn parse(selectors: Vec<Selector>, max: usize) -> Result<Self, SelectorsError> {
        if selectors.len() > max {
            return Err(SelectorsError::TooMany { selectors: selectors.len(), max });
        }
        let mut unique: Vec<Selector> = Vec::with_capacity(selectors.len());
        for selector in selectors {
            if !unique.contains(&selector) {
                unique.push(selector);
            }
        }
        Self::collect(unique).ok_or(SelectorsError::None)
    }

    /// Whether an event with these topics is selected.
    #[must_use]
    pub fn matches(&self, topics: &Topics) -> bool {
        self.iter().any(|selector| topics.iter().any(|topic| selector.matches(topic)))
    }

    /// Whether one of them selects this topic.
    #[must_use]
    pub fn matches_topic(&self, topic: &Topic) -> bool {
        self.iter().any(|selector| selector.matches(topic))
    }

    /// Whether one of them selects all that the selector does. Several that do so only together
    /// do not count.
    #[must_use]
    pub fn cover(&self, selector: &Selector) -> bool {
        self.iter().any(|ours| ours.covers(selector))
    }

    /// The topics, where all selectors are exact: a log can then use its index by topic.
    #[must_use]
    pub fn exact(&self) -> Option<Vec<&Topic>> {
        self.iter()
            .map(|selector| match selector {
                Selector::Exact(topic) => Some(topic),
                Selector::Pattern(_) => None,
            })
            .collect()
    }

    /// The selectors.
    pub fn iter(&self) -> std::slice::Iter<'_, Selector> {
        match &self.0 {
            Listed::One(selector) => std::slice::from_ref(selector).iter(),
            Listed::Many(selectors) => selectors.iter(),
        }
    }

    /// A copy that shares no memory with this one: for a thread that keeps what another has made
    /// among much that is soon freed, and would so keep all of it from being given back.
    #[must_use]
    pub fn unshared(&self) -> Self {
        let copies = self.iter().map(Selector::unshared).collect();
        Self::collect(copies).expect("there is one at least")
    }

    fn collect(mut unique: Vec<Selector>) -> Option<Self> {
        match unique.len() {
            0 | 1 => unique.pop().map(Self::from),
            _ => Some(Self(Listed::Many(unique.into()))),
        }
    }
}

impl From<Selector> for Selectors {
    fn from(selector: Selector) -> Self {
        const { assert!(SELECTORS_PER_SUBSCRIPTION_MAX >= 1) };
        Self(Listed::One(selector))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(selector: &str, yes: &[&str], no: &[&str]) {
        let parsed = Selector::parse(selector).unwrap();
        assert_eq!(parsed.to_string(), selector);
        for topic in yes {
            assert!(parsed.matches(&Topic::parse(topic).unwrap()), "{selector} ~ {topic}");
        }
        for topic in no {
            assert!(!parsed.matches(&Topic::parse(topic).unwrap()), "{selector} !~ {topic}");
        }
    }

    #[test]
    fn exact_topics_match_byte_for_byte() {
        check("orders/42", &["orders/42"], &["orders/4", "orders/42/", "Orders/42", "orders"]);
    }

    #[test]
    fn a_variable_is_one_segment_that_is_not_empty() {
        check(
            "orders/{id}",
            &["orders/42", "orders/{id}", "orders/ü"],
            &["orders", "orders/", "orders/42/x", "x/orders/42"],
        );
        check("{a}/x/{b_1}", &["1/x/2"], &["1/y/2", "/x/2", "1/x/", "1/x/2/3"]);
        check("{a}", &["x"], &["x/y"]);
    }

    #[test]
    fn a_wildcard_is_all_the_rest() {
        check("*", &["a", "a/b", "/", "a/*"], &[]);
        check("orders/*", &["orders/1", "orders/1/2", "orders/"], &["orders", "order/1"]);
        check("orders/4*", &["orders/4", "orders/42/x"], &["orders/5", "orders"]);
        check("{a}/b*", &["x/b", "x/bc/d"], &["x/c", "x", "/b"]);
    }

    #[test]
    fn what_is_neither_is_refused_with_a_reason() {
        let error = |text: &str| Selector::parse(text).unwrap_err();
        assert_eq!(error(""), TopicError::Empty.into());
        assert_eq!(error("a\nb"), TopicError::Control { at: 1 }.into());
        assert_eq!(error("a\n*"), TopicError::Control { at: 1 }.into());
        assert_eq!(error("a/*/b"), SelectorError::WildcardInside);
        assert_eq!(error("a*b"), SelectorError::WildcardInside);
        for text in ["x-{id}", "{}", "{a", "a}", "{a b}", "a/{b}c*"] {
            assert!(matches!(error(text), SelectorError::Braces { .. }), "{text}");
        }
        let segments = PATTERN_SEGMENTS_MAX + 1;
        assert_eq!(
            error(&vec!["{a}"; segments].join("/")),
            SelectorError::TooManySegments { segments }
        );
        assert_eq!(
            error(&"x".repeat(SELECTOR_BYTES_MAX + 1)),
            SelectorError::TooLong { bytes: SELECTOR_BYTES_MAX + 1 }
        );
    }

    #[test]
    fn a_selector_covers_what_selects_no_more() {
        for (ours, theirs, expected) in [
            ("*", "*", true),
            ("*", "a", true),
            ("*", "{x}/*", true),
            ("a", "a", true),
            ("a", "b", false),
            ("a/1", "a/{x}", false),
            ("a/{x}", "a/1", true),
            ("a/{x}", "a/{y}", true),
            ("a/{x}", "a/", false),
            ("a/{x}", "a/{y}/b", false),
            ("a/{x}", "a/*", false),
            ("a/{x}", "a/1*", false),
            ("{x}/{y}", "a/{y}", true),
            ("{x}/b", "/{y}", false),
            ("{x}/{y}", "/{y}", false),
            ("a/*", "a/{x}", true),
            ("a/*", "a/{x}/b*", true),
            ("a/*", "a/b*", true),
            ("a/*", "a", false),
            ("a/*", "*", false),
            ("a/*", "ab/*", false),
            ("a/b*", "a/*", false),
            ("a/b*", "a/bc*", true),
            ("a/b*", "a/bc/{x}", true),
            ("a/b*", "a/{x}", false),
            ("{x}/*", "a/*", true),
            ("{x}/*", "a*", false),
        ] {
            let [a, b] = [ours, theirs].map(|text| Selector::parse(text).unwrap());
            assert_eq!(a.covers(&b), expected, "{ours} covers {theirs}");
        }
    }

    /// Selectors whose literals are made of two letters, so that they often meet.
    fn selector() -> impl Strategy<Value = Selector> {
        let segment = prop_oneof![3 => "[ab]{0,2}", 2 => Just("{x}".to_owned())];
        let end = prop_oneof![2 => Just(""), 1 => Just("/*"), 1 => Just("/a*"), 1 => Just("/ab*")];
        let shaped = (prop::collection::vec(segment, 1..4), end)
            .prop_map(|(segments, end)| segments.join("/") + end);
        prop_oneof![9 => shaped, 1 => Just("*".to_owned()), 1 => Just("a*".to_owned())]
            .prop_filter_map("an empty topic", |text| Selector::parse(&text).ok())
    }

    /// Topics that a selector selects, of letters that no other selector has.
    fn expansions(selector: &Selector) -> Vec<Topic> {
        let text = selector.to_string().replace("{x}", "zz");
        let texts = match text.strip_suffix('*') {
            Some(begun) => {
                ["", "zz", "zz/zz", "/zz", "/"].map(|rest| begun.to_owned() + rest).into()
            }
            None => vec![text],
        };
        texts.iter().filter_map(|text| Topic::parse(text).ok()).collect()
    }

    proptest! {
        /// Covering is what it says, by the topics that the two select: neither more, which would
        /// give rights away, nor less.
        #[test]
        fn covering_is_selecting_all_that_the_other_selects(
            ours in selector(),
            theirs in selector(),
            topic in "[abz]{0,2}(/[abz]{0,2}){0,3}",
        ) {
            let all = expansions(&theirs).iter().all(|topic| ours.matches(topic));
            prop_assert_eq!(ours.covers(&theirs), all, "{} and {}", ours, theirs);
            if let Ok(topic) = Topic::parse(&topic) {
                prop_assert!(
                    !ours.covers(&theirs) || !theirs.matches(&topic) || ours.matches(&topic)
                );
            }
        }

        #[test]
        fn a_pattern_matches_its_own_expansion(
            parts in prop::collection::vec("[a-z]{1,4}", 1..6),
            variables in prop::collection::vec(any::<bool>(), 6),
        ) {
            let topic = Topic::parse(&parts.join("/")).unwrap();
            let pattern: Vec<String> = parts.iter().zip(variables)
                .map(|(part, variable)| if variable { "{x}".into() } else { part.clone() })
                .collect();
            prop_assert!(Selector::parse(&pattern.join("/")).unwrap().matches(&topic));
            let wildcard = format!("{}*", parts[0]);
            prop_assert!(Selector::parse(&wildcard).unwrap().matches(&topic));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,64}") {
            let _ = Selector::parse(&text);
        }
    }
}
