//! Where a request carries its token: a header, a cookie, or a ticket in its address.
//! Knows nothing of what the token says.

use std::borrow::Cow;

use axum::http::{HeaderMap, HeaderValue, Uri, header};
use percent_encoding::percent_decode_str;
use tidings_core::limits::{TICKET_BYTES_MAX, TOKEN_BYTES_MAX};

use super::refusal::Refusal;

/// What was found. Its `Debug` is not derived: this is what nobody else may see.
#[derive(Clone, Eq, PartialEq)]
pub(super) enum Credential<'a> {
    /// A token or an API key in `Authorization`.
    Bearer(&'a str),
    /// A token or an API key in the cookie.
    Cookie(&'a str),
    /// A ticket in the query.
    Ticket(Cow<'a, str>),
}

/// Names under which people put tokens into addresses.
const TOKEN_PARAMETERS: [&str; 5] = ["token", "access_token", "authorization", "jwt", "api_key"];

/// Finds what a request shows, at most one thing.
pub(super) fn find<'a>(
    uri: &'a Uri,
    headers: &'a HeaderMap,
    cookie_name: &str,
) -> Result<Option<Credential<'a>>, Refusal> {
    let ticket = ticket(uri.query())?;
    let bearer = bearer(headers)?;
    let cookie = cookie(headers, cookie_name)?;
    let found = match (bearer, cookie, ticket) {
        (None, None, None) => return Ok(None),
        (Some(bearer), Some(cookie), None) if bearer == cookie => Credential::Bearer(bearer),
        (Some(_), Some(_), _) => return Err(two("a token in Authorization", "one in a cookie")),
        (Some(_), None, Some(_)) => return Err(two("a token in Authorization", "a ticket")),
        (None, Some(_), Some(_)) => return Err(two("a token in a cookie", "a ticket")),
        (Some(bearer), None, None) => Credential::Bearer(bearer),
        (None, Some(cookie), None) => Credential::Cookie(cookie),
        (None, None, Some(ticket)) => Credential::Ticket(ticket),
    };
    match &found {
        Credential::Bearer(token) | Credential::Cookie(token) if token.len() > TOKEN_BYTES_MAX => {
            Err(Refusal::TooLong { what: "a token", name: "token_bytes_max", max: TOKEN_BYTES_MAX })
        }
        Credential::Ticket(ticket) if ticket.len() > TICKET_BYTES_MAX => Err(Refusal::TooLong {
            what: "a ticket",
            name: "ticket_bytes_max",
            max: TICKET_BYTES_MAX,
        }),
        _ => Ok(Some(found)),
    }
}

fn two(one: &'static str, other: &'static str) -> Refusal {
    Refusal::Two { one, other }
}

/// The token of `Authorization: Bearer`. Other schemes are somebody else's: a proxy's, say, that
/// asks for a password and hands it on.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let mut found = None;
    for value in headers.get_all(header::AUTHORIZATION) {
        let Some(token) = token(value) else { continue };
        if found.is_some_and(|found| found != token) {
            return Err(two("a token in Authorization", "another one there"));
        }
        found = Some(token);
    }
    Ok(found)
}

fn token(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The value of the cookie of this name (RFC 6265, section 5.4). One that is empty is none: so
/// applications take cookies back.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Refusal> {
    let mut found: Option<&str> = None;
    for value in headers.get_all(header::COOKIE) {
        // Cookies of others need not be ASCII.
        let Ok(text) = std::str::from_utf8(value.as_bytes()) else { continue };
        for pair in text.split(';') {
            let Some((theirs, value)) = pair.split_once('=') else { continue };
            let value = value.trim();
            let unquoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
            let value = unquoted.unwrap_or(value);
            if theirs.trim() != name || value.is_empty() {
                continue;
            }
            if found.is_some_and(|found| found != value) {
                return Err(two("a token in a cookie", "another one of the same name"));
            }
            found = Some(value);
        }
    }
    Ok(found)
}

/// The ticket of a query. A token there is refused: addresses stand in the logs of proxies, in
/// histories and in `Referer`.
fn ticket(query: Option<&str>) -> Result<Option<Cow<'_, str>>, Refusal> {
    let mut found: Option<Cow<'_, str>> = None;
    for pair in query.unwrap_or_default().split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if let Some(name) = TOKEN_PARAMETERS.iter().find(|known| known.eq_ignore_ascii_case(name)) {
            return Err(Refusal::InQuery { name });
        }
        if name != "ticket" {
            continue;
        }
        let value = percent_decode_str(value).decode_utf8_lossy();
        if found.as_ref().is_some_and(|found| *found != value) {
            return Err(two("a ticket", "another one"));
        }
        found = Some(value);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(uri: &str, headers: &[(&'static str, &str)], expected: Result<Option<&str>, &str>) {
        let uri: Uri = uri.parse().unwrap();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let found = find(&uri, &map, "tidings_token").map(|found| {
            found.map(|found| match found {
                Credential::Bearer(token) => format!("bearer {token}"),
                Credential::Cookie(token) => format!("cookie {token}"),
                Credential::Ticket(ticket) => format!("ticket {ticket}"),
            })
        });
        match (&found, expected) {
            (Ok(found), Ok(expected)) => {
                assert_eq!(found.as_deref(), expected, "{uri} {headers:?}")
            }
            (Err(refusal), Err(rule)) => assert_eq!(refusal.rule(), rule, "{uri} {headers:?}"),
            _ => panic!("{uri} {headers:?}: {found:?}, not {expected:?}"),
        }
    }

    #[test]
    fn a_token_is_found_where_it_may_stand() {
        check("/", &[], Ok(None));
        check("/", &[("authorization", "Bearer abc")], Ok(Some("bearer abc")));
        check("/", &[("authorization", "bearer  abc ")], Ok(Some("bearer abc")));
        check("/", &[("authorization", "Bearer ")], Ok(None));
        check("/", &[("authorization", "Basic abc")], Ok(None));
        check("/", &[("authorization", "abc")], Ok(None));
        check("/?ticket=a.b", &[], Ok(Some("ticket a.b")));
        check("/?last=1&ticket=a%2Eb&x", &[], Ok(Some("ticket a.b")));
        check("/", &[("cookie", "a=b; tidings_token=x.y; c")], Ok(Some("cookie x.y")));
        check("/", &[("cookie", "a=b"), ("cookie", "tidings_token=\"x\"")], Ok(Some("cookie x")));
        check("/", &[("cookie", "tidings_token=")], Ok(None));
        check("/", &[("cookie", "x_tidings_token=1; tidings_token2=1; tidings_token")], Ok(None));
    }

    #[test]
    fn two_that_differ_are_refused() {
        let (bearer, cookie) = (("authorization", "Bearer a"), ("cookie", "tidings_token=b"));
        check("/", &[bearer, ("cookie", "tidings_token=a")], Ok(Some("bearer a")));
        check("/", &[bearer, bearer], Ok(Some("bearer a")));
        check("/", &[bearer, cookie], Err("two"));
        check("/?ticket=a", &[bearer], Err("two"));
        check("/?ticket=b", &[cookie], Err("two"));
        check("/?ticket=a&ticket=b", &[], Err("two"));
        check("/?ticket=a&ticket=a", &[], Ok(Some("ticket a")));
        check("/", &[bearer, ("authorization", "Bearer b")], Err("two"));
        check("/", &[("cookie", "tidings_token=a; tidings_token=b")], Err("two"));
    }

    #[test]
    fn a_token_in_an_address_is_refused() {
        for query in
            ["token=a", "x=1&access_token=a", "Authorization=Bearer%20a", "jwt=", "api_key"]
        {
            check(&format!("/?{query}"), &[], Err("in_query"));
        }
        check("/?tokens=1&my_token=2", &[], Ok(None));
    }

    #[test]
    fn what_is_too_long_is_refused_before_it_is_read() {
        let token = format!("Bearer {}", "x".repeat(TOKEN_BYTES_MAX + 1));
        check("/", &[("authorization", &token)], Err("token_bytes_max"));
        check(
            &format!("/?ticket={}", "x".repeat(TICKET_BYTES_MAX + 1)),
            &[],
            Err("ticket_bytes_max"),
        );
    }
}
