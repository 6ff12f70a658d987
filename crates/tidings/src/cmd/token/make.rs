//! `tidings token`: makes a token.
//! Knows nothing of how keys are read.

use anyhow::{Context, ensure};
use jiff::Timestamp;
use jsonwebtoken::Header;
use serde::Serialize;
use serde_json::Value;
use tidings_core::limits::{TOKEN_BYTES_MAX, TOKEN_SELECTORS_MAX};

use crate::cli::{Expires, TokenMakeArgs, When};
use crate::exit::Usage;
use crate::{keys, output};

/// What a token says; the names are those of RFC 7519, section 4.1.
#[derive(Debug, Serialize)]
struct Claims<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<Audience<'a>>,
    iat: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    nbf: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
    tidings: Rights<'a>,
}

/// One name stands for itself, as most libraries want it.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Audience<'a> {
    One(&'a str),
    Several(&'a [String]),
}

/// What it allows.
#[derive(Debug, Serialize)]
struct Rights<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    publish: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subscribe: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a Value>,
}

/// Makes one and prints it.
///
/// # Errors
/// Where what it is to say can't be meant, or the key can't sign it.
pub(super) fn run(args: &TokenMakeArgs) -> anyhow::Result<()> {
    let path = args.key.as_deref().context("name the key that signs with --key")?;
    let claims = Claims::new(args, Timestamp::now())?;
    let key = keys::read_one(path)?;
    let algorithm = key.algorithm(args.alg)?;
    let mut header = Header::new(algorithm);
    header.kid = args.kid.clone().or_else(|| key.kid.clone());
    let token = key.sign(&header, &claims)?;
    ensure!(
        token.len() <= TOKEN_BYTES_MAX,
        "the token has {} bytes, and a hub takes {TOKEN_BYTES_MAX} at most (token_bytes_max): name \
         fewer selectors, or say less in --payload",
        token.len()
    );
    output::line(&token)
}

impl<'a> Claims<'a> {
    /// # Errors
    /// [`Usage`] where they contradict each other, or allow nothing.
    fn new(args: &'a TokenMakeArgs, now: Timestamp) -> Result<Self, Usage> {
        if args.publish.is_empty() && args.subscribe.is_empty() {
            return Err(Usage(
                "a token that allows nothing is of no use: say what with --publish SELECTOR or \
                 --subscribe SELECTOR (\"*\" is everything)"
                    .into(),
            ));
        }
        for (flag, selectors) in [("--publish", &args.publish), ("--subscribe", &args.subscribe)] {
            if selectors.len() > TOKEN_SELECTORS_MAX {
                return Err(Usage(format!(
                    "{flag} can be given {TOKEN_SELECTORS_MAX} times at most \
                     (token_selectors_max): patterns such as orders/* say more"
                )));
            }
        }
        let nbf = args.not_before.map(|when| moment(when, "--not-before", now)).transpose()?;
        let exp = match args.expires {
            Expires::Never => None,
            Expires::At(when) => Some(moment(when, "--expires", now)?),
        };
        if let Some(exp) = exp
            && exp <= nbf.unwrap_or(now)
        {
            return Err(Usage("--expires is before the token begins to count".into()));
        }
        let texts = |selectors: &[tidings_core::topic::Selector]| {
            selectors.iter().map(ToString::to_string).collect()
        };
        Ok(Self {
            iss: args.issuer.as_deref(),
            sub: args.subject.as_deref(),
            aud: match &args.audience[..] {
                [] => None,
                [one] => Some(Audience::One(one)),
                several => Some(Audience::Several(several)),
            },
            iat: now.as_second(),
            nbf: nbf.map(Timestamp::as_second),
            exp: exp.map(Timestamp::as_second),
            tidings: Rights {
                publish: texts(&args.publish),
                subscribe: texts(&args.subscribe),
                payload: args.payload.as_ref(),
            },
        })
    }
}

fn moment(when: When, flag: &str, now: Timestamp) -> Result<Timestamp, Usage> {
    when.from(now).ok_or_else(|| Usage(format!("{flag} is further away than calendars go")))
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;
    use crate::cli::{Cli, Command};

    fn claims(flags: &[&str]) -> Result<Value, String> {
        let cli = Cli::parse_from([&["tidings", "token", "--key=k"], flags].concat());
        let Command::Token(args) = cli.command else { panic!("token") };
        let now = Timestamp::from_second(1_000_000).unwrap();
        let claims = Claims::new(&args.make, now).map_err(|usage| usage.0)?;
        Ok(serde_json::to_value(claims).unwrap())
    }

    #[test]
    fn the_flags_become_claims() {
        assert_eq!(
            claims(&["--publish=a/*", "--publish=b"]).unwrap(),
            json!({
                "iat": 1_000_000, "exp": 1_003_600,
                "tidings": { "publish": ["a/*", "b"] },
            })
        );
        assert_eq!(
            claims(&[
                "--subscribe={user}/x",
                "--expires=never",
                "--not-before=1m",
                "--subject=7",
                "--issuer=me",
                "--audience=hub",
                "--payload={\"a\":[1]}",
            ])
            .unwrap(),
            json!({
                "iss": "me", "sub": "7", "aud": "hub", "iat": 1_000_000, "nbf": 1_000_060,
                "tidings": { "subscribe": ["{user}/x"], "payload": { "a": [1] } },
            })
        );
        let two = claims(&["--subscribe=a", "--audience=b", "--audience=c"]).unwrap();
        assert_eq!(two["aud"], json!(["b", "c"]));
    }

    #[test]
    fn what_can_not_be_meant_is_said() {
        assert!(claims(&[]).unwrap_err().contains("--publish SELECTOR"));
        let late = ["--publish=a", "--not-before=2h", "--expires=1h"];
        assert!(claims(&late).unwrap_err().contains("before the token begins"));
        assert!(claims(&["--publish=a", "--expires=0s"]).is_err());
        let many = claims(&["--publish=a"; TOKEN_SELECTORS_MAX + 1]);
        assert!(many.unwrap_err().contains("token_selectors_max"));
        let far = ["--publish=a", "--expires=90000years"];
        assert!(claims(&far).unwrap_err().contains("--expires is further"));
    }
}
