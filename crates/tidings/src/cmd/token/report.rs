//! `tidings token explain`: reads a token from wherever it is, and shows what it says.
//! Knows nothing of what makes a token odd.

use std::io::{self, IsTerminal, Read};

use anyhow::{Context, bail, ensure};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};
use tidings_server::auth::api_keys;

use super::explain::{Explanation, RIGHTS, Signature, State, explain};
use super::times::{distance, local};
use crate::cli::TokenExplainArgs;
use crate::credential::Secret;
use crate::exit::Usage;
use crate::output::tame;
use crate::{api_key, keys, output};

/// More than this is no token: requests carry a quarter of it.
const TOKEN_BYTES_MAX: u64 = 64 * 1024;

/// Explains a token and prints that.
///
/// # Errors
/// Where there is no token, or its signature is wrong.
pub(super) fn run(args: &TokenExplainArgs) -> anyhow::Result<()> {
    let text = text(args.token.as_ref().map(Secret::expose))?;
    let token = text.trim();
    let token = token.strip_prefix("Bearer ").unwrap_or(token).trim_start();
    if api_key::is_one(token) {
        return of_an_api_key(token, args.json);
    }
    let keys = match &args.key {
        Some(path) => keys::read(path)?,
        None => Vec::new(),
    };
    let now = Timestamp::now();
    let explanation = explain(token, &keys, now)?;
    if args.json {
        output::line(&serde_json::to_string(&explanation)?)?;
    } else {
        output::write(&report(&explanation, now, &TimeZone::system()))?;
    }
    if let Signature::Wrong(reason) = &explanation.signature {
        bail!("the signature is wrong: {}", tame(reason));
    }
    Ok(())
}

/// The token, or all of stdin.
fn text(token: Option<&str>) -> anyhow::Result<String> {
    if let Some(token) = token.filter(|token| *token != "-") {
        return Ok(token.into());
    }
    if token.is_none() && io::stdin().is_terminal() {
        let hint = "no token to explain: pipe it in, or type it after \"-\" (Ctrl-D ends it)";
        return Err(Usage(hint.into()).into());
    }
    let mut text = String::new();
    let stdin = io::stdin().lock();
    stdin.take(TOKEN_BYTES_MAX + 1).read_to_string(&mut text).context("can't read stdin")?;
    ensure!(
        text.len() as u64 <= TOKEN_BYTES_MAX,
        "stdin is no token: it has more than {TOKEN_BYTES_MAX} bytes"
    );
    Ok(text)
}

/// Only the hub's file knows what a key may do; the hash says which of its entries it is.
fn of_an_api_key(key: &str, json: bool) -> anyhow::Result<()> {
    let hash = api_keys::hash(key).to_string();
    if json {
        return output::line(&json!({ "api_key": { "hash": hash } }).to_string());
    }
    output::write(&format!(
        "an API key, not a token: what it may do stands in the hub's file of keys, at\n\
         hash = \"{hash}\"\n"
    ))
}

/// One line for each thing that the token says, then what that comes to.
fn report(explanation: &Explanation, now: Timestamp, zone: &TimeZone) -> String {
    let mut rows = rows(&explanation.header, |_, _| None);
    rows.push(None);
    let time = |time: Timestamp| format!("{}, {}", local(time, zone), distance(time, now));
    if let Some(claims) = &explanation.claims {
        rows.extend(rows_of_claims(explanation, claims, time));
        rows.push(None);
    }
    let list = |selectors: &[String]| match selectors {
        [] => "nothing".into(),
        selectors => tame(&selectors.join("  ")),
    };
    let mut row = |name: &str, value: String| rows.push(Some((name.to_owned(), value)));
    row("may publish", list(&explanation.publish));
    row("may read", list(&explanation.subscribe));
    if let Some(payload) = &explanation.payload {
        row("payload", tame(&payload.to_string()));
    }
    row(
        "signature",
        match &explanation.signature {
            Signature::Right => "right: the key has signed it".into(),
            Signature::Unchecked => "not checked: give the key with --key".into(),
            Signature::Wrong(reason) => format!("WRONG: {}", tame(reason)),
        },
    );
    let width = rows.iter().flatten().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let mut report = String::new();
    for row in &rows {
        if let Some((name, value)) = row {
            report.push_str(&format!("{name:width$}  {value}"));
        }
        report.push('\n');
    }
    for (nth, warning) in explanation.warnings.iter().enumerate() {
        report.push_str(if nth == 0 { "\n" } else { "" });
        report.push_str(&format!("! {}\n", tame(warning)));
    }
    report
}

type Row = Option<(String, String)>;

/// The members of an object, texts as they are and everything else as JSON, unless `other` says
/// it otherwise.
fn rows(members: &Map<String, Value>, other: impl Fn(&str, &Value) -> Option<String>) -> Vec<Row> {
    let shown = |name: &str, value: &Value| match (other(name, value), value) {
        (Some(shown), _) => shown,
        (None, Value::String(text)) => tame(text),
        (None, value) => tame(&value.to_string()),
    };
    members.iter().map(|(name, value)| Some((tame(name), shown(name, value)))).collect()
}

/// The claims, times as people read them; the rights come after them.
fn rows_of_claims(
    explanation: &Explanation,
    claims: &Map<String, Value>,
    time: impl Fn(Timestamp) -> String,
) -> Vec<Row> {
    let mut claims = claims.clone();
    claims.remove(RIGHTS);
    rows(&claims, |name, _| match name {
        "iat" => explanation.issued.map(&time),
        "nbf" => explanation.not_before.map(&time),
        "exp" => explanation.expires.map(|at| match explanation.state {
            State::Expired => format!("{}: EXPIRED", time(at)),
            State::Current | State::NotYet => time(at),
        }),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `header` and `claims` in base64url, with a signature that says nothing.
    fn shown(header: &str, claims: &str, now: &str) -> String {
        use base64::Engine;
        let encode = |text| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
        let token = format!("{}.{}.", encode(header), encode(claims));
        let now = now.parse().unwrap();
        report(&explain(&token, &[], now).unwrap(), now, &TimeZone::UTC)
    }

    #[test]
    fn everything_has_a_line() {
        let claims = r#"{"sub":"7","aud":["a","b"],"iat":0,"exp":3600,
            "tidings":{"publish":["a/*","b"],"payload":{"n":1}}}"#;
        let text = shown(r#"{"alg":"ES256","kid":"k"}"#, claims, "1970-01-01T00:30:00Z");
        assert_eq!(
            text,
            "alg          ES256\n\
             kid          k\n\
             \n\
             aud          [\"a\",\"b\"]\n\
             exp          1970-01-01 01:00:00 +00:00, in 30 minutes\n\
             iat          1970-01-01 00:00:00 +00:00, 30 minutes ago\n\
             sub          7\n\
             \n\
             may publish  a/*  b\n\
             may read     nothing\n\
             payload      {\"n\":1}\n\
             signature    not checked: give the key with --key\n"
        );
        let late = shown(r#"{"alg":"ES256"}"#, claims, "1970-01-01T03:30:00Z");
        assert!(late.contains("01:00:00 +00:00, 2 hours ago: EXPIRED\n"), "{late}");
        assert!(late.ends_with("\n\n! it has expired\n"), "{late}");
    }

    #[test]
    fn a_stranger_s_token_does_not_steer_the_terminal() {
        let claims = r#"{"\u001b[2J":"\u001b[31m","tidings":{"publish":["\u0007"],"\u001bx":1}}"#;
        let text = shown(r#"{"alg":"\u001b]0;x","\u009b":"\r"}"#, claims, "1970-01-01T00:00:00Z");
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    }
}
