//! Which events a request asks for.
//! Knows nothing of where they are read from.

use axum::http::Uri;
use tidings_core::topic::{Selector, SelectorError, Selectors, SelectorsError};

use crate::config::Config;

use super::path::{self, PathError};
use super::query;

/// Why a request selects nothing.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum SelectError {
    /// No topic at all.
    #[error(
        "name one topic or several: GET /events?topic=a&topic=b/{{id}} (?topic=* for all of them)"
    )]
    None,
    /// A topic that is no text.
    #[error("topic is not UTF-8 when it is percent-decoded")]
    NotUtf8,
    /// A path that names nothing.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The selector's own rules.
    #[error(transparent)]
    Selector(#[from] SelectorError),
    /// The rules of a list of selectors.
    #[error(transparent)]
    Selectors(#[from] SelectorsError),
    /// Topics in two places.
    #[error("the topic stands in the path already: for several, use GET /events?topic=a&topic=b")]
    TopicParameter,
}

/// What `GET /topics/{topic}` selects.
pub(crate) fn from_path(uri: &Uri) -> Result<Selectors, SelectError> {
    if query::pairs(uri.query()).any(|pair| pair.name == "topic") {
        return Err(SelectError::TopicParameter);
    }
    Ok(Selectors::from(Selector::parse(&path::name(uri)?)?))
}

/// What `GET /events?topic=…` selects.
pub(crate) fn from_query(uri: &Uri, config: &Config) -> Result<Selectors, SelectError> {
    let mut selectors = Vec::new();
    for pair in query::pairs(uri.query()).filter(|pair| pair.name == "topic") {
        selectors.push(Selector::parse(pair.text().ok_or(SelectError::NotUtf8)?)?);
    }
    match &config.default_selectors {
        Some(default) if selectors.is_empty() => Ok(default.clone()),
        None if selectors.is_empty() => Err(SelectError::None),
        Some(_) | None => Ok(Selectors::parse(selectors, config.selectors_max)?),
    }
}

/// What an application's own route selects.
pub(crate) fn from_texts<T: AsRef<str>>(
    texts: impl IntoIterator<Item = T>,
    selectors_max: usize,
) -> Result<Selectors, SelectError> {
    let selectors: Result<Vec<Selector>, SelectorError> =
        texts.into_iter().map(|text| Selector::parse(text.as_ref())).collect();
    Ok(Selectors::parse(selectors?, selectors_max)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(uri: &str, expected: Result<&[&str], &str>) {
        let uri: Uri = uri.parse().unwrap();
        let config = Config { selectors_max: 3, ..Config::default() };
        let selected =
            if uri.path() == "/events" { from_query(&uri, &config) } else { from_path(&uri) };
        let selected: Result<Vec<String>, String> = selected
            .map(|selectors| selectors.iter().map(ToString::to_string).collect())
            .map_err(|error| error.to_string());
        match (&selected, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{uri}"),
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{uri}: {found}"),
            _ => panic!("{uri}: {selected:?}, not {expected:?}"),
        }
    }

    #[test]
    fn selectors_come_from_the_path_or_the_query() {
        check("/topics/demo", Ok(&["demo"]));
        check("/topics/orders/%7Bid%7D", Ok(&["orders/{id}"]));
        check("/topics/*", Ok(&["*"]));
        check("/events?topic=a&topic=b/%7Bx%7D&since=10m&topic=a", Ok(&["a", "b/{x}"]));
    }

    #[test]
    fn each_mistake_is_named() {
        check("/events", Err("name one topic or several"));
        check("/events?topics=a", Err("name one topic or several"));
        check("/events?topic=", Err("can't be empty"));
        check("/events?topic=%FF", Err("not UTF-8"));
        check("/events?topic=a*b", Err("only at the end"));
        check("/events?topic=a&topic=b&topic=c&topic=d", Err("at most 3 selectors"));
        check("/topics/a%00", Err("control characters"));
        check("/topics/a?topic=b", Err("GET /events?topic=a&topic=b"));
    }

    #[test]
    fn without_a_topic_the_setting_decides() {
        let default_selectors = Some(Selector::parse("*").unwrap().into());
        let config = Config { default_selectors, ..Config::default() };
        let selectors = from_query(&Uri::from_static("/events"), &config).unwrap();
        assert_eq!(selectors.iter().next().unwrap().to_string(), "*");
    }
}
