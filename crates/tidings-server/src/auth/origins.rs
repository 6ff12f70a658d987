//! Whose pages may do what: origins that are allowed, and which one a request comes from.
//! Knows nothing of what is done for them.

use std::fmt;

use axum::http::{HeaderMap, HeaderValue, Uri, header};
use tidings_core::limits::ORIGINS_MAX;

/// The origins whose pages may do more than those of strangers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Origins {
    /// Pages of any origin may read, without credentials; none may publish.
    Any,
    /// Pages of these origins may read and publish, with cookies; those of others nothing.
    Listed(Vec<String>),
}

/// Why a text is no origin.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum OriginError {
    /// Not scheme, host and perhaps port.
    #[error(
        "{text:?} is no origin: write it as browsers send it, such as https://app.example or \
         http://localhost:5173, or * for all of them"
    )]
    Malformed {
        /// What it is.
        text: String,
    },
    /// `*` and others.
    #[error("* stands for all origins: name it alone, or name the others")]
    StarAndOthers,
    /// More than [`ORIGINS_MAX`].
    #[error("there can be at most {ORIGINS_MAX} origins (origins_max), these are {origins}")]
    TooMany {
        /// How many.
        origins: usize,
    },
}

/// Where a request comes from, as browsers tell it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Standing {
    /// From a page of another origin.
    Foreign,
    /// From a page of another origin, which is allowed.
    Listed,
    /// From a page of this origin.
    Own,
    /// From no page, or from one of this origin by a plain GET: nothing is said.
    Unsaid,
}

impl Origins {
    /// Reads a list: origins, or `*` alone, or `none` alone.
    ///
    /// # Errors
    /// See [`OriginError`].
    pub fn parse(texts: &[String]) -> Result<Self, OriginError> {
        match texts {
            [] => return Ok(Self::Listed(Vec::new())),
            [one] if one == "*" => return Ok(Self::Any),
            [one] if one == "none" => return Ok(Self::Listed(Vec::new())),
            _ if texts.len() > ORIGINS_MAX => {
                return Err(OriginError::TooMany { origins: texts.len() });
            }
            _ if texts.iter().any(|text| text == "*") => return Err(OriginError::StarAndOthers),
            _ => {}
        }
        let origins: Result<Vec<String>, OriginError> =
            texts.iter().map(|text| origin(text)).collect();
        Ok(Self::Listed(origins?))
    }

    /// Where a request comes from. Clients that are no browsers send neither header.
    pub(crate) fn standing(&self, uri: &Uri, headers: &HeaderMap) -> Standing {
        if !headers.contains_key(header::ORIGIN) {
            return match headers.get("sec-fetch-site").map(HeaderValue::as_bytes) {
                Some(b"cross-site" | b"same-site") => Standing::Foreign,
                Some(b"same-origin") => Standing::Own,
                _ => Standing::Unsaid,
            };
        }
        let origins = headers.get_all(header::ORIGIN);
        if origins.iter().all(|origin| is_own(origin, uri, headers)) {
            return Standing::Own;
        }
        let listed = origins.iter().all(|origin| self.lists(origin));
        if listed { Standing::Listed } else { Standing::Foreign }
    }

    fn lists(&self, origin: &HeaderValue) -> bool {
        match self {
            Self::Any => false,
            Self::Listed(origins) => {
                let text = origin.to_str().unwrap_or_default();
                origins.iter().any(|listed| listed.eq_ignore_ascii_case(text))
            }
        }
    }
}

impl fmt::Display for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Listed(origins) if origins.is_empty() => f.write_str("none"),
            Self::Listed(origins) => f.write_str(&origins.join(",")),
        }
    }
}

/// An origin as browsers send it: without a path, and without the scheme's own port.
fn origin(text: &str) -> Result<String, OriginError> {
    let error = || OriginError::Malformed { text: text.to_owned() };
    let lower = text.to_ascii_lowercase();
    let (scheme, host) = lower.split_once("://").ok_or_else(error)?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    let host = match scheme {
        "https" => host.strip_suffix(":443").unwrap_or(host),
        "http" => host.strip_suffix(":80").unwrap_or(host),
        _ => host,
    };
    let is_host = !host.is_empty()
        && host.bytes().all(|b| b.is_ascii_graphic() && !b"/?#@*,\"'<>\\".contains(&b));
    if is_scheme && is_host { Ok(format!("{scheme}://{host}")) } else { Err(error()) }
}

/// Whether an origin is the one that the request went to. The scheme is not compared: behind a
/// proxy that speaks TLS we can't know it.
fn is_own(origin: &HeaderValue, uri: &Uri, headers: &HeaderMap) -> bool {
    let Some((scheme, origin)) = origin.to_str().ok().and_then(|text| text.split_once("://"))
    else {
        return false;
    };
    let host = match uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => headers.get(header::HOST).and_then(|host| host.to_str().ok()),
    };
    // Browsers leave a scheme's own port out of the origin; others may spell it out.
    let port = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
    let plain = |host: &str| host.strip_suffix(port).unwrap_or(host).to_ascii_lowercase();
    host.is_some_and(|host| plain(host) == plain(origin))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Standing::{Foreign, Listed, Own, Unsaid};

    fn check(origin: Option<&str>, site: Option<&str>, host: &str, expected: Standing) {
        let mut headers = HeaderMap::new();
        let fields = [("origin", origin), ("sec-fetch-site", site), ("host", Some(host))];
        for (name, value) in fields {
            if let Some(value) = value {
                headers.insert(name, value.parse().unwrap());
            }
        }
        let uri = Uri::from_static("/topics/demo");
        let listed = ["https://app.example", "http://localhost:8000"].map(str::to_owned);
        let origins = Origins::parse(&listed).unwrap();
        assert_eq!(origins.standing(&uri, &headers), expected, "{origin:?} {site:?} {host}");
        let any = Origins::Any.standing(&uri, &headers);
        let expected = if expected == Listed { Foreign } else { expected };
        assert_eq!(any, expected, "{origin:?} {site:?} {host}");
    }

    #[test]
    fn only_pages_of_this_origin_are_own() {
        check(None, None, "localhost:3000", Unsaid);
        check(Some("http://localhost:3000"), None, "localhost:3000", Own);
        check(Some("http://LOCALHOST:3000"), None, "localhost:3000", Own);
        check(Some("https://hub.example"), None, "hub.example", Own);
        check(Some("https://hub.example"), None, "hub.example:443", Own);
        check(Some("http://[::1]:3000"), None, "[::1]:3000", Own);
        check(Some("http://localhost:5173"), None, "localhost:3000", Foreign);
        check(Some("https://hub.example"), None, "hub.example:80", Foreign);
        check(Some("https://evil.example"), None, "hub.example", Foreign);
        check(Some("https://hub.example.evil.example"), None, "hub.example", Foreign);
        check(Some("null"), None, "null", Foreign);
        check(Some(""), None, "", Foreign);
    }

    #[test]
    fn listed_origins_are_so_exactly() {
        check(Some("https://app.example"), None, "hub.example", Listed);
        check(Some("https://APP.example"), None, "hub.example", Listed);
        check(Some("http://app.example"), None, "hub.example", Foreign);
        check(Some("https://app.example:8443"), None, "hub.example", Foreign);
        check(Some("https://app.example.evil.example"), None, "hub.example", Foreign);
        check(Some("https://evil-app.example"), None, "hub.example", Foreign);
        check(Some("http://localhost:8000"), Some("same-site"), "localhost:3000", Listed);
    }

    #[test]
    fn without_an_origin_the_browsers_word_counts() {
        check(None, Some("cross-site"), "a", Foreign);
        check(None, Some("same-site"), "a", Foreign);
        check(None, Some("same-origin"), "a", Own);
        check(None, Some("none"), "a", Unsaid);
        check(Some("http://a"), Some("same-site"), "a", Own);
    }

    #[test]
    fn over_http2_the_authority_is_the_host() {
        let mut headers = HeaderMap::new();
        headers.insert(header::ORIGIN, HeaderValue::from_static("https://a.example"));
        let uri = Uri::from_static("https://a.example/topics/x");
        assert_eq!(Origins::Any.standing(&uri, &headers), Own);
        headers.insert(header::ORIGIN, HeaderValue::from_static("https://b.example"));
        assert_eq!(Origins::Any.standing(&uri, &headers), Foreign);
        // All of several have to be ours.
        headers.append(header::ORIGIN, HeaderValue::from_static("https://a.example"));
        assert_eq!(Origins::Any.standing(&uri, &headers), Foreign);
    }

    #[test]
    fn a_list_is_origins_or_a_word() {
        let parse = |texts: &[&str]| {
            let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
            Origins::parse(&texts).map(|origins| origins.to_string())
        };
        assert_eq!(parse(&["*"]).unwrap(), "*");
        assert_eq!(parse(&["none"]).unwrap(), "none");
        assert_eq!(parse(&[]).unwrap(), "none");
        let two = parse(&["HTTPS://App.example:443", "http://[::1]:80"]).unwrap();
        assert_eq!(two, "https://app.example,http://[::1]");
        assert_eq!(parse(&["*", "https://a"]), Err(OriginError::StarAndOthers));
        for text in
            ["", "null", "app.example", "https://", "https://a/", "https://*.a", "https://a b"]
        {
            assert!(parse(&[text]).is_err(), "{text}");
        }
    }
}
