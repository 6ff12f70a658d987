//! Reads `Forwarded` (RFC 7239) and `X-Forwarded-For` from the right, as proxies append to them.
//! Knows nothing of whom to believe.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What one proxy says of whoever connected to it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Hop {
    /// Its address; `None`: the proxy does not tell, or not so that it can be read.
    pub(super) ip: Option<IpAddr>,
    /// It spoke TLS.
    pub(super) secure: bool,
}

/// The hops in all lines of a header, the nearest first.
pub(super) fn hops(headers: &HeaderMap, name: &HeaderName) -> impl Iterator<Item = Hop> {
    let standard = *name == header::FORWARDED;
    // Lines can't be read from their end; there are at most as many as a head may have.
    let lines: Vec<&HeaderValue> = headers.get_all(name).iter().collect();
    lines.into_iter().rev().flat_map(|line| from_the_right(line.as_bytes())).map(move |element| {
        match standard {
            true => standard_hop(element),
            false => Hop { ip: node(element.trim()), secure: false },
        }
    })
}

/// Whether the nearest proxy says that its client spoke TLS.
pub(super) fn proto_is_https(headers: &HeaderMap) -> bool {
    let last = headers.get_all(X_FORWARDED_PROTO).iter().next_back();
    let nearest = last.and_then(|line| from_the_right(line.as_bytes()).next());
    nearest.is_some_and(|proto| proto.trim().eq_ignore_ascii_case("https"))
}

/// What stands between commas, last first. A comma in a quoted string parts it too: no address
/// has one, and what is broken by it can't be read.
fn from_the_right(line: &[u8]) -> impl Iterator<Item = &str> {
    line.rsplit(|byte| *byte == b',').map(|element| std::str::from_utf8(element).unwrap_or(""))
}

/// `for="[2001:db8::1]:4711";proto=https;by=…`
fn standard_hop(element: &str) -> Hop {
    let mut hop = Hop { ip: None, secure: false };
    for pair in element.split(';') {
        let Some((name, value)) = pair.split_once('=') else { continue };
        let value = value.trim();
        let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        let value = quoted.unwrap_or(value);
        match name.trim() {
            name if name.eq_ignore_ascii_case("for") => hop.ip = node(value),
            name if name.eq_ignore_ascii_case("proto") => {
                hop.secure = value.eq_ignore_ascii_case("https");
            }
            _ => {}
        }
    }
    hop
}

/// An address with or without a port and brackets.
fn node(text: &str) -> Option<IpAddr> {
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let with_port = || text.parse().ok().map(|address: SocketAddr| address.ip());
    let ip: IpAddr = text.parse().ok().or_else(bare).or_else(with_port)?;
    Some(ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(name: &HeaderName, line: &str, expected: &[(&str, bool)]) {
        let mut headers = HeaderMap::new();
        headers.append(name, HeaderValue::from_str(line).unwrap());
        let found: Vec<_> = hops(&headers, name)
            .map(|hop| (hop.ip.map_or("-".into(), |ip| ip.to_string()), hop.secure))
            .collect();
        let expected: Vec<_> = expected.iter().map(|(ip, on)| ((*ip).to_owned(), *on)).collect();
        assert_eq!(found, expected, "{line}");
    }

    #[test]
    fn the_examples_of_rfc_7239() {
        let check = |line: &str, expected: &[(&str, bool)]| {
            check(&header::FORWARDED, line, expected);
        };
        check("for=\"_gazonk\"", &[("-", false)]);
        check("For=\"[2001:db8:cafe::17]:4711\"", &[("2001:db8:cafe::17", false)]);
        check("for=192.0.2.60;proto=http;by=203.0.113.43", &[("192.0.2.60", false)]);
        check(
            "for=192.0.2.43, for=198.51.100.17",
            &[("198.51.100.17", false), ("192.0.2.43", false)],
        );
        check(
            "for=192.0.2.43,for=\"[2001:db8:cafe::17]\",for=unknown",
            &[("-", false), ("2001:db8:cafe::17", false), ("192.0.2.43", false)],
        );
        check("proto=https;for=\"192.0.2.1:8080\"", &[("192.0.2.1", true)]);
        check("", &[("-", false)]);
    }

    #[test]
    fn the_usual_header_in_the_ways_that_proxies_write_it() {
        let check = |line: &str, expected: &[&str]| {
            let expected: Vec<_> = expected.iter().map(|ip| (*ip, false)).collect();
            check(&X_FORWARDED_FOR, line, &expected);
        };
        check("192.0.2.43, 2001:db8::1", &["2001:db8::1", "192.0.2.43"]);
        // Azure's gateways write a port, others brackets.
        check("192.0.2.43:5000", &["192.0.2.43"]);
        check("[2001:db8::1]", &["2001:db8::1"]);
        check("[2001:db8::1]:443", &["2001:db8::1"]);
        check("unknown", &["-"]);
        check("1.2.3.4.5", &["-"]);
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_read_without_harm(line in "[ -~]{0,200}") {
            let mut headers = HeaderMap::new();
            headers.append(header::FORWARDED, HeaderValue::from_str(&line).unwrap());
            headers.append(X_FORWARDED_FOR, HeaderValue::from_str(&line).unwrap());
            let standard = hops(&headers, &header::FORWARDED).count();
            prop_assert_eq!(standard, hops(&headers, &X_FORWARDED_FOR).count());
        }
    }
}
