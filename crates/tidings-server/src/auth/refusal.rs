//! Why somebody may not: each rule that can refuse, with a name, and a sentence for the client.
//! Knows nothing of HTTP's status codes, but what RFC 6750 calls the three kinds.
//!
//! A sentence never holds a token, a key or a signature. What a token says of itself (its audience,
//! its selectors) is known to whoever sent it.

use std::fmt;

use tidings_core::cursor::Timestamp;

/// Why a request is refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The token is for somebody else.
    #[error("the token is for {theirs}, not for {ours} (claim aud)")]
    Audience {
        /// What the claim says.
        theirs: String,
        /// What would do.
        ours: String,
    },
    /// A claim that can't be read.
    #[error("the token's claims can't be read: {reason}")]
    Claims {
        /// What is wrong.
        reason: String,
    },
    /// A cookie on a request that may not come from a page of ours.
    #[error(
        "a token in a cookie counts only for pages of this origin and of those in cors-origins, and \
         the request does not say that it is from one (header Origin): send the token as \
         Authorization: Bearer"
    )]
    CookieOrigin,
    /// Its time is over.
    #[error("{what} expired at {}", time(*.at))]
    Expired {
        /// What: "the token", "the ticket".
        what: &'static str,
        /// When.
        at: Timestamp,
    },
    /// A credential where addresses are logged.
    #[error(
        "a token does not belong into an address, which is logged and kept in histories ({name}): \
         send it as Authorization: Bearer, or get a ticket for it with POST /tickets and send that \
         as ?ticket="
    )]
    InQuery {
        /// The parameter.
        name: &'static str,
    },
    /// The token is of another issuer.
    #[error("the token is issued by {theirs}, not by {ours} (claim iss)")]
    Issuer {
        /// What the claim says.
        theirs: String,
        /// What would do.
        ours: String,
    },
    /// The keys that are needed can't be had now.
    #[error("the keys to check the token with can't be fetched now: try again in a moment")]
    KeysUnavailable,
    /// Not a token at all.
    #[error("the token can't be read: {reason}")]
    Malformed {
        /// What is wrong.
        reason: String,
    },
    /// The token never ends.
    #[error(
        "the token has no expiry (claim exp): make one that ends, or set jwt-allow-no-expiry if \
         yours are not to"
    )]
    NoExpiry,
    /// Its time has not come.
    #[error("the token is not valid before {} (claim nbf)", time(*.at))]
    NotYet {
        /// When it begins.
        at: Timestamp,
    },
    /// No right to publish this.
    #[error("no right to publish to {topic:?}: \"publish\" covers {covers}")]
    Publish {
        /// The topic.
        topic: String,
        /// What is covered.
        covers: String,
    },
    /// The signature is wrong.
    #[error("the token's signature is wrong")]
    Signature,
    /// No right to read this.
    #[error("no right to read {selector:?}: \"subscribe\" covers {covers}")]
    Subscribe {
        /// What was asked for.
        selector: String,
        /// What is covered.
        covers: String,
    },
    /// A ticket that is none.
    #[error("the ticket is none of this hub's: get one with POST /tickets")]
    Ticket,
    /// Too many tickets in a short time.
    #[error(
        "too many tickets are in use now (tickets_used_max): try again in a moment, or send the \
         token itself"
    )]
    TicketsUsedMax,
    /// A ticket for a ticket.
    #[error("a ticket is made for a token or an API key, not for {what}")]
    TicketNeedsToken {
        /// What came instead.
        what: &'static str,
    },
    /// Rights that do not fit into an address.
    #[error(
        "the token's rights are too many for a ticket (ticket_bytes_max): use one with fewer or \
         shorter selectors"
    )]
    TicketTooLarge,
    /// A ticket that was used.
    #[error("the ticket was used already, and counts once: get another with POST /tickets")]
    TicketUsed,
    /// Nothing was shown.
    #[error("{action} needs a token: send it as Authorization: Bearer")]
    TokenNeeded {
        /// What does.
        action: &'static str,
    },
    /// More than fits.
    #[error("{what} can have at most {max} bytes ({name})")]
    TooLong {
        /// What: "a token", "a ticket".
        what: &'static str,
        /// The limit's name.
        name: &'static str,
        /// Its bound.
        max: usize,
    },
    /// Two that differ.
    #[error("the request has {one} and {other}, and they differ: send one of them")]
    Two {
        /// Where one is.
        one: &'static str,
        /// Where the other is.
        other: &'static str,
    },
    /// An API key that nobody has.
    #[error("there is no such API key: it was taken out, or mistyped")]
    UnknownApiKey,
    /// A key that nobody knows.
    #[error("no key is known that could have signed the token ({looked_for})")]
    UnknownKey {
        /// By what was looked.
        looked_for: String,
    },
}

/// The kinds of refusals (RFC 6750, section 3.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// `invalid_request`: the request itself is wrong.
    Request,
    /// Nothing was shown, and something is needed.
    Missing,
    /// `invalid_token`: what was shown does not count.
    Token,
    /// `insufficient_scope`: it counts, but not for this.
    Scope,
    /// It can't be said now.
    Unavailable,
}

impl Refusal {
    /// Which kind it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::InQuery { .. } | Self::TooLong { .. } | Self::Two { .. } => Kind::Request,
            Self::TokenNeeded { .. } | Self::TicketNeedsToken { .. } => Kind::Missing,
            Self::Audience { .. }
            | Self::Claims { .. }
            | Self::Expired { .. }
            | Self::Issuer { .. }
            | Self::Malformed { .. }
            | Self::NoExpiry
            | Self::NotYet { .. }
            | Self::Signature
            | Self::Ticket
            | Self::TicketUsed
            | Self::UnknownApiKey
            | Self::UnknownKey { .. } => Kind::Token,
            Self::CookieOrigin
            | Self::Publish { .. }
            | Self::Subscribe { .. }
            | Self::TicketTooLarge => Kind::Scope,
            Self::KeysUnavailable | Self::TicketsUsedMax => Kind::Unavailable,
        }
    }

    /// The name of the rule, for metrics and logs.
    #[must_use]
    pub fn rule(&self) -> &'static str {
        match self {
            Self::Audience { .. } => "audience",
            Self::Claims { .. } => "claims",
            Self::CookieOrigin => "cookie_origin",
            Self::Expired { .. } => "expired",
            Self::InQuery { .. } => "in_query",
            Self::Issuer { .. } => "issuer",
            Self::KeysUnavailable => "keys_unavailable",
            Self::Malformed { .. } => "malformed",
            Self::NoExpiry => "no_expiry",
            Self::NotYet { .. } => "not_yet",
            Self::Publish { .. } => "publish",
            Self::Signature => "signature",
            Self::Subscribe { .. } => "subscribe",
            Self::Ticket => "ticket",
            Self::TicketsUsedMax => "tickets_used_max",
            Self::TicketNeedsToken { .. } => "ticket_needs_token",
            Self::TicketTooLarge => "ticket_bytes_max",
            Self::TicketUsed => "ticket_used",
            Self::TokenNeeded { .. } => "token_needed",
            Self::TooLong { name, .. } => name,
            Self::Two { .. } => "two",
            Self::UnknownApiKey => "unknown_api_key",
            Self::UnknownKey { .. } => "unknown_key",
        }
    }

    /// The limit that was hit and its bound, if it was one.
    #[must_use]
    pub fn limit(&self) -> Option<(&'static str, usize)> {
        use tidings_core::limits::{TICKET_BYTES_MAX, TICKETS_USED_MAX};
        match self {
            Self::TooLong { name, max, .. } => Some((name, *max)),
            Self::TicketTooLarge => Some(("ticket_bytes_max", TICKET_BYTES_MAX)),
            Self::TicketsUsedMax => Some(("tickets_used_max", TICKETS_USED_MAX)),
            _ => None,
        }
    }

    /// The value of `WWW-Authenticate` (RFC 6750, section 3), where the kind has one.
    #[must_use]
    pub fn challenge(&self) -> Option<String> {
        let error = match self.kind() {
            Kind::Unavailable => return None,
            // "If the request lacks any authentication information, the resource server SHOULD NOT
            // include an error code": so that clients tell it from a token that went bad.
            Kind::Missing => return Some("Bearer realm=\"tidings\"".to_owned()),
            Kind::Request => "invalid_request",
            Kind::Token => "invalid_token",
            Kind::Scope => "insufficient_scope",
        };
        let description = quotable(&self.to_string());
        Some(format!(
            "Bearer realm=\"tidings\", error=\"{error}\", error_description=\"{description}\""
        ))
    }
}

/// What may stand in an `error_description`: printable ASCII without quotes and backslashes.
fn quotable(text: &str) -> String {
    const DESCRIPTION_CHARS_MAX: usize = 300;
    text.chars()
        .take(DESCRIPTION_CHARS_MAX)
        .map(|c| match c {
            '"' | '\\' => '\'',
            ' '..='~' => c,
            _ => '?',
        })
        .collect()
}

/// A time as people read it.
fn time(time: Timestamp) -> impl fmt::Display {
    let time = i64::try_from(time.0).ok();
    time.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .map_or_else(|| "the end of time".to_owned(), |time| format!("{time:.0}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_can_be_quoted_whatever_strangers_wrote() {
        let refusal = Refusal::Audience { theirs: "a\"b\\c\r\nü".into(), ours: "x".repeat(999) };
        let challenge = refusal.challenge().unwrap();
        let begin = "Bearer realm=\"tidings\", error=\"invalid_token\", error_description=\"the token \
                     is for a'b'c???, not for xxx";
        assert!(challenge.starts_with(begin), "{challenge}");
        assert!(challenge.len() < 500 && challenge.bytes().all(|b| matches!(b, b' '..=b'~')));
        assert_eq!(challenge.matches('"').count(), 6);
    }

    #[test]
    fn who_showed_nothing_gets_no_error_code() {
        let refusal = Refusal::TokenNeeded { action: "publishing" };
        assert_eq!(refusal.challenge().unwrap(), "Bearer realm=\"tidings\"");
        assert_eq!(Refusal::KeysUnavailable.challenge(), None);
    }

    #[test]
    fn times_are_told_to_the_second() {
        let at = Timestamp(1_700_000_000_120);
        let refusal = Refusal::Expired { what: "the token", at };
        assert_eq!(refusal.to_string(), "the token expired at 2023-11-14T22:13:20Z");
        assert!(Refusal::NotYet { at: Timestamp(u64::MAX) }.to_string().contains("end of time"));
    }
}
