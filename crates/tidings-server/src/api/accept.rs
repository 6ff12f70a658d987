//! Which of the representations that there are a client likes best.
//! Knows nothing of what they look like.

use axum::http::{HeaderMap, header};

/// What a subscription's address can answer with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Representation {
    /// `text/event-stream`.
    EventStream,
    /// `application/json`: a page of history.
    History,
    /// `text/html`: a page that shows the topic.
    Page,
}

/// Nothing that there is fits the request's `Accept`.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("what Accept asks for is not to be had here: ask for {offered}")]
pub(crate) struct NotAcceptable {
    offered: String,
}

/// Chooses by q-value, then by how closely the client named it, then by the order of the offers.
/// Without `Accept` it is the first offer.
pub(crate) fn choose(
    headers: &HeaderMap,
    offers: &[Representation],
) -> Result<Representation, NotAcceptable> {
    let mut ranges = Vec::new();
    for value in headers.get_all(header::ACCEPT) {
        // What is not ASCII names no type that there is here.
        ranges.extend(value.to_str().unwrap_or("?").split(',').filter_map(Range::parse));
    }
    if ranges.is_empty() {
        ranges.push(Range { kind: "*", sub: "*", quality: 1000 });
    }
    let mut best: Option<(Liking, Representation)> = None;
    for &offer in offers {
        let liking = liking(&ranges, offer);
        if liking.quality > 0 && best.is_none_or(|(other, _)| liking > other) {
            best = Some((liking, offer));
        }
    }
    best.map(|(_, offer)| offer).ok_or_else(|| NotAcceptable {
        offered: offers.iter().map(|offer| offer.media_type()).collect::<Vec<_>>().join(" or "),
    })
}

/// Whether the client asks for an event stream by its name.
pub(crate) fn names_event_stream(headers: &HeaderMap) -> bool {
    let values =
        headers.get_all(header::ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    let mut ranges = values.flat_map(|value| value.split(',').filter_map(Range::parse));
    ranges.any(|range| {
        range.kind.eq_ignore_ascii_case("text") && range.sub.eq_ignore_ascii_case("event-stream")
    })
}

impl Representation {
    fn media_type(self) -> &'static str {
        match self {
            Self::EventStream => "text/event-stream",
            Self::History => "application/json",
            Self::Page => "text/html",
        }
    }
}

/// One media range of an `Accept` header. Parameters other than `q` are passed over.
#[derive(Clone, Copy, Debug)]
struct Range<'a> {
    kind: &'a str,
    sub: &'a str,
    /// The q-value in thousandths.
    quality: u16,
}

impl<'a> Range<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let media_type = parts.next().filter(|media_type| !media_type.is_empty())?;
        // Some old clients send a lone `*`.
        let (kind, sub) = media_type.split_once('/').unwrap_or((media_type, "*"));
        let quality = parts
            .find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")))
            .map_or(1000, quality);
        Some(Self { kind, sub, quality })
    }

    /// How closely it names the type: 0 not at all, 1 `*/*`, 2 `text/*`, 3 the type itself.
    fn closeness(&self, kind: &str, sub: &str) -> u8 {
        match (self.kind, self.sub) {
            ("*", "*") => 1,
            (k, "*") if k.eq_ignore_ascii_case(kind) => 2,
            (k, s) if k.eq_ignore_ascii_case(kind) && s.eq_ignore_ascii_case(sub) => 3,
            _ => 0,
        }
    }
}

/// A q-value in thousandths; what is none counts as 1, as if it were not there.
fn quality(text: &str) -> u16 {
    match text.parse::<f32>() {
        // In range by the guard: at most 1000.
        Ok(q) if (0.0..=1.0).contains(&q) => (q * 1000.0).round() as u16,
        _ => 1000,
    }
}

/// How much a client likes an offer; the q-value weighs most.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Liking {
    quality: u16,
    closeness: u8,
}

fn liking(ranges: &[Range<'_>], offer: Representation) -> Liking {
    let media_type = offer.media_type();
    let (kind, sub) = media_type.split_once('/').expect("every media type has a slash");
    ranges
        .iter()
        .map(|range| (range.closeness(kind, sub), range.quality))
        .filter(|(closeness, _)| *closeness > 0)
        // The closest range decides, even with a lower q: `text/*;q=0, */*` means no text.
        .max()
        .map_or(Liking { quality: 0, closeness: 0 }, |(closeness, quality)| Liking {
            quality,
            closeness,
        })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;
    use Representation::{EventStream, History, Page};

    fn check(accept: Option<&str>, expected: Option<Representation>) {
        let mut headers = HeaderMap::new();
        if let Some(accept) = accept {
            headers.insert(header::ACCEPT, HeaderValue::from_str(accept).unwrap());
        }
        let chosen = choose(&headers, &[EventStream, History, Page]);
        assert_eq!(chosen.ok(), expected, "{accept:?}");
    }

    #[test]
    fn clients_get_what_they_come_for() {
        // None, curl, fetch.
        check(None, Some(EventStream));
        check(Some(""), Some(EventStream));
        check(Some("*/*"), Some(EventStream));
        check(Some("*"), Some(EventStream));
        check(Some("text/event-stream"), Some(EventStream));
        check(Some("Text/Event-Stream"), Some(EventStream));
        // The address bars of Firefox, Chrome and Safari.
        let bar = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        check(Some(bar), Some(Page));
        // axios.
        check(Some("application/json, text/plain, */*"), Some(History));
        check(Some("application/json"), Some(History));
        // MCP clients.
        check(Some("application/json, text/event-stream"), Some(EventStream));
    }

    #[test]
    fn q_values_and_the_closest_range_decide() {
        check(Some("application/json;q=0.5, text/event-stream;q=0.4"), Some(History));
        check(Some("text/event-stream;q=0, */*"), Some(History));
        check(Some("text/*;q=0, */*"), Some(History));
        check(Some("text/*"), Some(EventStream));
        check(Some("application/*"), Some(History));
        check(Some("text/html;level=1;q=0.3, application/json;q=0.2"), Some(Page));
        check(Some("text/html;q=much, application/json;q=0.9"), Some(Page));
        check(Some("text/html;q=0.001"), Some(Page));
    }

    #[test]
    fn what_fits_nothing_is_an_error_that_names_what_there_is() {
        check(Some("image/png"), None);
        check(Some("text/event-stream;q=0"), None);
        check(Some("*/*;q=0"), None);
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_bytes(b"\xff").unwrap());
        let error = choose(&headers, &[EventStream, History]).unwrap_err();
        assert!(error.to_string().ends_with("text/event-stream or application/json"), "{error}");
    }
}
