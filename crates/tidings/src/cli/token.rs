//! What can be typed after `tidings token`.
//! Knows nothing of how tokens are made and read.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use jsonwebtoken::Algorithm;
use serde_json::Value;
use tidings_core::topic::Selector;

use super::keygen::selector;
use crate::credential::Secret;
use crate::keys;

/// Make a token, or explain one
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true,
    after_help = TOKEN_HELP)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    pub(crate) command: Option<TokenCommand>,
    #[command(flatten)]
    pub(crate) make: TokenMakeArgs,
}

const TOKEN_HELP: &str = "\
Examples:
  tidings keygen                                  a key: jwt.pem, and jwt.pub.pem for the hub
  tidings serve --jwt-key jwt.pub.pem
  tidings token --key jwt.pem --publish 'orders/*' --expires 30days > publisher.token
  tidings token --key jwt.pem --subscribe 'users/7/*' --subject 7 --payload '{\"name\":\"Ada\"}'
  tidings publish orders/42 paid --token-file publisher.token
  tidings token explain < publisher.token

The token goes to stdout. Nothing can take it back before it expires, so let it expire soon.";

/// What can be done with tokens beside making them.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    Explain(TokenExplainArgs),
}

/// What a token says and allows.
#[derive(Args, Debug)]
pub(crate) struct TokenMakeArgs {
    /// The key that signs: a private key as PEM, a secret, or a JWK with a secret
    #[arg(long, value_name = "FILE", required = true)]
    pub(crate) key: Option<PathBuf>,
    /// The algorithm, where the key is good for several [default: HS256 for a secret, RS256 for an
    /// RSA key]
    #[arg(long, value_name = "ALG", value_parser = keys::algorithms(), ignore_case = true,
        hide_possible_values = true)]
    pub(crate) alg: Option<Algorithm>,
    /// A topic or pattern that it may publish to; can be given several times
    #[arg(long, value_name = "SELECTOR", value_parser = selector)]
    pub(crate) publish: Vec<Selector>,
    /// A topic or pattern whose events it may read, private ones too; can be given several times
    #[arg(long, value_name = "SELECTOR", value_parser = selector)]
    pub(crate) subscribe: Vec<Selector>,
    /// When it expires: in 1h, 30days, at 2027-01-31T12:00:00Z, or never (only hubs with
    /// --jwt-allow-no-expiry take such)
    #[arg(long, value_name = "WHEN", default_value = "1h", value_parser = expires)]
    pub(crate) expires: Expires,
    /// When it begins to count, written in the same way [default: at once]
    #[arg(long, value_name = "WHEN", value_parser = when)]
    pub(crate) not_before: Option<When>,
    /// Whom it is for (sub): a user's id, say
    #[arg(long, value_name = "TEXT")]
    pub(crate) subject: Option<String>,
    /// Which hub it is for (aud): one without this name refuses it; can be given several times
    #[arg(long, value_name = "TEXT")]
    pub(crate) audience: Vec<String>,
    /// Who made it (iss), where the hub wants to know
    #[arg(long, value_name = "TEXT")]
    pub(crate) issuer: Option<String>,
    /// What else to say of whoever has it, as JSON
    #[arg(long, value_name = "JSON", value_parser = json)]
    pub(crate) payload: Option<Value>,
    /// The id of the key, by which a hub with several keys finds it [default: the JWK's]
    #[arg(long, value_name = "ID")]
    pub(crate) kid: Option<String>,
}

/// Show what a token says, how long it counts, what it allows, and what is odd about it
#[derive(Args, Debug)]
#[command(after_help = EXPLAIN_HELP)]
pub(crate) struct TokenExplainArgs {
    /// The token; without it, or as "-", stdin is read, so that the token does not stay in the
    /// shell's history
    pub(crate) token: Option<Secret>,
    /// Check the signature with this key: as PEM, as a secret, or as JWK or JWKS
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

const EXPLAIN_HELP: &str = "\
Examples:
  tidings token explain < publisher.token
  wl-paste | tidings token explain --key jwt.pub.pem
  tidings token explain --json < publisher.token | jq -r .expires

Without --key nothing says that the token is genuine. With it the exit code is 1 where the signature
is wrong. An API key is explained too: by the hash that stands for it in the hub's file.";

/// A moment: so long from now, or a point in time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum When {
    After(Duration),
    At(Timestamp),
}

/// When a token ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Expires {
    At(When),
    Never,
}

impl When {
    /// The moment, if it is `now`. `None` where it is beyond all calendars.
    pub(crate) fn from(self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::After(duration) => now.checked_add(duration).ok(),
            Self::At(time) => Some(time),
        }
    }
}

fn when(text: &str) -> Result<When, String> {
    if let Ok(duration) = humantime::parse_duration(text) {
        return Ok(When::After(duration));
    }
    text.parse().map(When::At).map_err(|_| {
        "write it such as 1h or 30days, or as a time such as 2027-01-31T12:00:00Z".into()
    })
}

fn expires(text: &str) -> Result<Expires, String> {
    if text == "never" {
        return Ok(Expires::Never);
    }
    when(text).map(Expires::At).map_err(|problem| format!("{problem}, or never"))
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("that is no JSON: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_people_write_them() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let check = |text: &str, expected: &str| {
            let moment = when(text).unwrap().from(now).unwrap();
            assert_eq!(moment.to_string(), expected, "{text}");
        };
        check("90s", "2026-11-22T12:01:30Z");
        check("30days", "2026-12-22T12:00:00Z");
        check("2027-01-31T12:00:00Z", "2027-01-31T12:00:00Z");
        check("2027-01-31T12:00:00+01:00", "2027-01-31T11:00:00Z");
        assert_eq!(expires("never"), Ok(Expires::Never));
        assert!(when("never").is_err());
        for wrong in ["", "1", "soon", "-1h", "2027-01-31"] {
            assert!(expires(wrong).is_err(), "{wrong}");
        }
        assert_eq!(when("300000000years").unwrap().from(now), None);
    }
}
