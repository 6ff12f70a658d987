//! A query string taken apart, and the nearest known name for one that is unknown.
//! Knows nothing of which parameters there are.

use std::borrow::Cow;

use percent_encoding::percent_decode;

/// One `name=value` of a query, decoded as `application/x-www-form-urlencoded` has it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Pair<'a> {
    /// The name; bytes that are not UTF-8 become U+FFFD, which no known name contains.
    pub(crate) name: Cow<'a, str>,
    /// The value, which need not be UTF-8.
    pub(crate) value: Cow<'a, [u8]>,
}

impl Pair<'_> {
    /// The value as a text, if it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.value).ok()
    }
}

/// The pairs of a query, in their order. A name without `=` has an empty value.
pub(crate) fn pairs(query: Option<&str>) -> impl Iterator<Item = Pair<'_>> {
    query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = match decode(name) {
            Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
            Cow::Owned(bytes) => String::from_utf8_lossy(&bytes).into_owned().into(),
        };
        Pair { name, value: decode(value) }
    })
}

fn decode(text: &str) -> Cow<'_, [u8]> {
    if text.contains('+') {
        let spaced = text.replace('+', " ");
        Cow::Owned(percent_decode(spaced.as_bytes()).collect())
    } else {
        percent_decode(text.as_bytes()).into()
    }
}

/// The known name that this one was probably meant to be.
pub(crate) fn nearest(name: &str, known: &[&'static str]) -> Option<&'static str> {
    // A name longer than this resembles none of ours; and the distance takes quadratic time.
    const NAME_BYTES_MAX: usize = 32;
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let name = name.to_lowercase();
    let name = name.trim_start_matches("tidings-");
    known
        .iter()
        .map(|known| (distance(name, &known.to_lowercase()), *known))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, known)| *distance <= 1 + known.len() / 3)
        .map(|(_, known)| known)
}

/// A clause that names the nearest known name, or all of them.
pub(crate) fn hint(name: &str, known: &[&'static str]) -> String {
    match nearest(name, known) {
        Some(nearest) => format!("did you mean {nearest}?"),
        None => format!("there are {}", known.join(", ")),
    }
}

/// How many characters have to be put in, taken out or replaced (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, a) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &b) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// A stranger's text in an answer, but not at any length.
pub(crate) fn shown(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 64;
    text.chars().take(SHOWN_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(query: &str, expected: &[(&str, &[u8])]) {
        let pairs: Vec<Pair<'_>> = pairs(Some(query)).collect();
        let found: Vec<(&str, &[u8])> =
            pairs.iter().map(|pair| (&*pair.name, &*pair.value)).collect();
        assert_eq!(found, expected, "{query:?}");
    }

    #[test]
    fn pairs_are_decoded_as_forms_are() {
        check("", &[]);
        check("a=1&b=2", &[("a", b"1"), ("b", b"2")]);
        check("a&b=&=c&&", &[("a", b""), ("b", b""), ("", b"c")]);
        check("a=x+y%2Bz%26", &[("a", b"x y+z&")]);
        check("a=b=c", &[("a", b"b=c")]);
        check("a=%ff%", &[("a", b"\xff%")]);
        check("%61=%zz", &[("a", b"%zz")]);
        check("%ff=1", &[("\u{fffd}", b"1")]);
    }

    #[test]
    fn the_nearest_name_is_found_and_none_for_a_stranger() {
        let known = &["event", "id", "private", "retry"];
        for (name, expected) in [
            ("evnt", Some("event")),
            ("events", Some("event")),
            ("ID", Some("id")),
            ("Tidings-Event", Some("event")),
            ("privat", Some("private")),
            ("rety", Some("retry")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, known), expected, "{name:?}");
        }
        assert_eq!(nearest(&"x".repeat(16_000), known), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
