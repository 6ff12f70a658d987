//! Takes a token apart: what it says, what it allows, whether it counts, and what is odd about it.
//! Knows nothing of how that is shown.

use anyhow::{bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use tidings_core::limits::{TOKEN_BYTES_MAX, TOKEN_SELECTORS_MAX};
use tidings_core::topic::Selector;

use super::times::numeric_date;
use crate::keys::{self, Key};

/// Members of the header by which a token brings or names its own key.
const KEYS_OF_ITS_OWN: [&str; 6] = ["jku", "jwk", "x5u", "x5c", "x5t", "x5t#S256"];

/// The `typ` by which a hub knows its tickets.
const TICKET_TYPE: &str = "tidings-ticket+jwt";

/// The claim in which the rights stand.
pub(super) const RIGHTS: &str = "tidings";

/// A token, explained. `--json` prints it as it is.
#[derive(Debug, Serialize)]
pub(super) struct Explanation {
    pub(super) header: Map<String, Value>,
    /// `None`: what is signed is no JSON object.
    pub(super) claims: Option<Map<String, Value>>,
    #[serde(serialize_with = "rfc_3339")]
    pub(super) issued: Option<Timestamp>,
    #[serde(serialize_with = "rfc_3339")]
    pub(super) not_before: Option<Timestamp>,
    #[serde(serialize_with = "rfc_3339")]
    pub(super) expires: Option<Timestamp>,
    /// Whether now is between these times.
    pub(super) state: State,
    pub(super) publish: Vec<String>,
    pub(super) subscribe: Vec<String>,
    pub(super) payload: Option<Value>,
    pub(super) signature: Signature,
    pub(super) warnings: Vec<String>,
}

/// Whether a token counts now, as far as its times say.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    Current,
    Expired,
    NotYet,
}

/// What is known of the signature.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Signature {
    Right,
    /// There was no key to check it with.
    Unchecked,
    /// Why it does not fit the key.
    Wrong(String),
}

fn rfc_3339<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(|time| time.to_string()).serialize(serializer)
}

/// Takes a token apart, and checks its signature where there are keys.
///
/// # Errors
/// Where the text is no signed token at all.
pub(super) fn explain(token: &str, keys: &[Key], now: Timestamp) -> anyhow::Result<Explanation> {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, claims, signature] = parts[..] else {
        if parts.len() == 5 {
            bail!("this token is encrypted (a JWE): only whom it is for can read it");
        }
        bail!(
            "this is no token: a JWT has three parts with dots between them, and this text has {}",
            parts.len()
        );
    };
    let header = header_of(header)?;
    let Ok(claims) = URL_SAFE_NO_PAD.decode(claims) else {
        bail!("this is no token: its second part is not base64url");
    };
    let claims: Option<Map<String, Value>> = serde_json::from_slice(&claims).ok();
    let mut warnings = Vec::new();
    if token.len() > TOKEN_BYTES_MAX {
        let bytes = token.len();
        warnings.push(format!("it has {bytes} bytes: a hub takes {TOKEN_BYTES_MAX} at most"));
    }
    warn_of_header(&header, &mut warnings);
    let mut explanation = Explanation {
        signature: check(token, &header, signature, keys),
        header,
        claims: None,
        issued: None,
        not_before: None,
        expires: None,
        state: State::Current,
        publish: Vec::new(),
        subscribe: Vec::new(),
        payload: None,
        warnings,
    };
    match claims {
        Some(claims) => {
            explanation.read_times(&claims, now);
            explanation.read_rights(&claims);
            explanation.claims = Some(claims);
        }
        None => explanation.warn("what is signed is no JSON object, so it claims nothing"),
    }
    Ok(explanation)
}

fn header_of(part: &str) -> anyhow::Result<Map<String, Value>> {
    let Ok(bytes) = URL_SAFE_NO_PAD.decode(part) else {
        bail!("this is no token: its first part is not base64url");
    };
    let header = serde_json::from_slice(&bytes);
    ensure!(header.is_ok(), "this is no token: its first part holds no JSON object");
    Ok(header?)
}

fn warn_of_header(header: &Map<String, Value>, warnings: &mut Vec<String>) {
    let text = |name: &str| header.get(name).and_then(Value::as_str);
    match text("alg") {
        None => warnings.push("no alg: a token has to say how it is signed".into()),
        Some(name) if name.eq_ignore_ascii_case("none") => warnings.push(
            "alg is none: nobody has signed it, anybody can make such a one, and every hub \
             refuses it"
                .into(),
        ),
        Some(name) if keys::in_header(name).is_none() => {
            warnings.push(format!("alg {name} is none that Tidings knows"));
        }
        Some(_) => {}
    }
    if text("typ").is_some_and(|typ| typ.eq_ignore_ascii_case(TICKET_TYPE)) {
        warnings.push("it is a ticket, which counts once, as ?ticket= of an address".into());
    } else if let Some(typ) = text("typ")
        && !["jwt", "at+jwt", "application/at+jwt"].contains(&typ.to_ascii_lowercase().as_str())
    {
        warnings.push(format!("typ {typ} says that it is something else than an access token"));
    }
    for name in KEYS_OF_ITS_OWN.iter().filter(|name| header.contains_key(**name)) {
        warnings
            .push(format!("{name} brings or names a key: it is not looked at, as anybody could"));
    }
    if header.contains_key("crit") {
        warnings
            .push("crit asks for what Tidings does not know, and so it has to refuse it".into());
    }
}

fn check(token: &str, header: &Map<String, Value>, signature: &str, keys: &[Key]) -> Signature {
    if keys.is_empty() {
        return Signature::Unchecked;
    }
    let name = header.get("alg").and_then(Value::as_str).unwrap_or_default();
    let Some(algorithm) = keys::in_header(name) else {
        return Signature::Wrong("no key can check a token of this alg".into());
    };
    let message = token.rsplit_once('.').map_or("", |(message, _)| message);
    let kid = header.get("kid").and_then(Value::as_str);
    let candidates = candidates(keys, kid);
    if let ([], Some(kid)) = (&candidates[..], kid) {
        return Signature::Wrong(format!("it names the key {kid:?}, and no key here is called so"));
    }
    let mut reason = String::new();
    for key in candidates {
        match key.has_signed(algorithm, message, signature) {
            Ok(true) => return Signature::Right,
            Ok(false) => reason = "it was not made with this key, or was changed since".into(),
            Err(error) if reason.is_empty() => reason = error.to_string(),
            Err(_) => {}
        }
    }
    Signature::Wrong(reason)
}

/// The keys that a hub would try: those that the token names; those without a name, if none is
/// called so; all, if it names none.
fn candidates<'a>(keys: &'a [Key], kid: Option<&str>) -> Vec<&'a Key> {
    let of = |wanted: Option<&str>| -> Vec<&'a Key> {
        keys.iter().filter(|key| key.kid.as_deref() == wanted).collect()
    };
    match (kid, of(kid)) {
        (None, _) => keys.iter().collect(),
        (Some(_), named) if named.is_empty() => of(None),
        (Some(_), named) => named,
    }
}

impl Explanation {
    fn warn(&mut self, warning: impl Into<String>) {
        self.warnings.push(warning.into());
    }

    fn read_times(&mut self, claims: &Map<String, Value>, now: Timestamp) {
        self.issued = self.time(claims, "iat");
        self.not_before = self.time(claims, "nbf");
        self.expires = self.time(claims, "exp");
        if self.expires.is_some_and(|time| time <= now) {
            self.state = State::Expired;
            self.warn("it has expired");
        } else if self.not_before.is_some_and(|time| time > now) {
            self.state = State::NotYet;
            self.warn("it does not count yet");
        }
        if claims.get("exp").is_none_or(Value::is_null) {
            self.warn("no exp: it never expires, and a hub without jwt-allow-no-expiry refuses it");
        }
        if let (Some(from), Some(to)) = (self.not_before, self.expires)
            && to <= from
        {
            self.warn("it expires before it begins to count");
        }
        if self.issued.is_some_and(|time| time > now) {
            self.warn("iat is in the future: a clock is wrong, here or where it was made");
        }
    }

    fn time(&mut self, claims: &Map<String, Value>, name: &str) -> Option<Timestamp> {
        let claim = claims.get(name).filter(|claim| !claim.is_null())?;
        let time = numeric_date(claim);
        if time.is_none() {
            self.warn(format!("{name} is no time: it has to be seconds since 1970, a number"));
        }
        time
    }

    fn read_rights(&mut self, claims: &Map<String, Value>) {
        for name in ["publish", "subscribe"].iter().filter(|name| claims.contains_key(**name)) {
            self.warn(format!("{name} stands beside \"{RIGHTS}\", where nobody looks for it"));
        }
        let rights = match claims.get(RIGHTS) {
            None | Some(Value::Null) => {
                return self.warn(format!("no claim \"{RIGHTS}\": it allows nothing"));
            }
            Some(Value::Object(rights)) => rights,
            Some(_) => return self.warn(format!("\"{RIGHTS}\" is no JSON object")),
        };
        self.publish = self.selectors(rights, "publish");
        self.subscribe = self.selectors(rights, "subscribe");
        self.payload = rights.get("payload").cloned();
        for name in rights.keys() {
            if !["publish", "subscribe", "payload"].contains(&name.as_str()) {
                self.warn(format!("\"{RIGHTS}\" holds \"{name}\", which nobody reads"));
            }
        }
        if self.publish.is_empty() && self.subscribe.is_empty() {
            self.warn("it allows nothing: neither publish nor subscribe names a topic");
        }
    }

    /// Those that are sound.
    fn selectors(&mut self, rights: &Map<String, Value>, name: &str) -> Vec<String> {
        let list = match rights.get(name) {
            None | Some(Value::Null) => return Vec::new(),
            Some(Value::Array(list)) => list,
            Some(_) => {
                self.warn(format!("{name} is no list of topics and patterns"));
                return Vec::new();
            }
        };
        if list.len() > TOKEN_SELECTORS_MAX {
            self.warn(format!(
                "{name} lists {} topics and patterns: a hub takes {TOKEN_SELECTORS_MAX} at most",
                list.len()
            ));
        }
        let mut selectors = Vec::new();
        for selector in list {
            match selector.as_str().map(Selector::parse) {
                Some(Ok(selector)) => selectors.push(selector.to_string()),
                Some(Err(error)) => {
                    self.warn(format!("{name}: {selector} is no selector: {error}"))
                }
                None => self.warn(format!("{name}: {selector} is no text")),
            }
        }
        selectors
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_000_000;

    fn part(value: &Value) -> String {
        URL_SAFE_NO_PAD.encode(value.to_string())
    }

    fn explained(header: Value, claims: Value) -> Explanation {
        let token = format!("{}.{}.c2ln", part(&header), part(&claims));
        explain(&token, &[], Timestamp::from_second(NOW).unwrap()).unwrap()
    }

    #[test]
    fn a_sound_token_has_no_warnings() {
        let explanation = explained(
            json!({ "alg": "ES256", "typ": "JWT" }),
            json!({
                "iat": NOW, "nbf": NOW, "exp": NOW + 1, "sub": "7",
                "tidings": { "publish": ["a"], "subscribe": ["b/{x}", "*"], "payload": 5 },
            }),
        );
        assert_eq!(explanation.warnings, [""; 0]);
        assert_eq!(explanation.publish, ["a"]);
        assert_eq!(explanation.subscribe, ["b/{x}", "*"]);
        assert_eq!(explanation.payload, Some(json!(5)));
        assert_eq!(explanation.state, State::Current);
        assert_eq!(explanation.signature, Signature::Unchecked);
    }

    #[test]
    fn what_is_odd_is_said() {
        let header = json!({ "alg": "HS256" });
        let rights = json!({ "publish": ["a"] });
        let check = |header: &Value, claims: Value, said: &str| {
            let warnings = explained(header.clone(), claims).warnings;
            assert!(warnings.iter().any(|warning| warning.contains(said)), "{said}: {warnings:?}");
        };
        let good = json!({ "exp": NOW + 9, "tidings": rights });
        for (header, said) in [
            (json!({}), "no alg"),
            (json!({ "alg": "none" }), "nobody has signed it"),
            (json!({ "alg": "ES512" }), "ES512 is none that"),
            (json!({ "alg": "es256" }), "es256 is none that"),
            (json!({ "alg": "HS256", "typ": "id+jwt" }), "something else"),
            (json!({ "alg": "HS256", "typ": "tidings-ticket+jwt" }), "is a ticket"),
            (json!({ "alg": "HS256", "jku": "https://x" }), "jku brings"),
            (json!({ "alg": "HS256", "crit": ["b64"] }), "crit"),
        ] {
            check(&header, good.clone(), said);
        }
        for (claims, said) in [
            (json!({ "tidings": rights }), "never expires"),
            (json!({ "exp": NOW, "tidings": rights }), "has expired"),
            (json!({ "exp": "x", "tidings": rights }), "exp is no time"),
            (json!({ "exp": NOW + 9, "nbf": NOW + 1, "tidings": rights }), "does not count yet"),
            (json!({ "exp": NOW + 9, "nbf": NOW + 9, "tidings": rights }), "expires before"),
            (json!({ "exp": NOW + 9, "iat": NOW + 9, "tidings": rights }), "future"),
            (json!({ "exp": null, "tidings": rights }), "never expires"),
            (json!({ "exp": NOW + 9, "tidings": null }), "no claim"),
            (json!({ "exp": NOW + 9, "tidings": { "publish": null } }), "allows nothing"),
            (json!({ "exp": NOW + 9 }), "no claim \"tidings\""),
            (json!({ "exp": NOW + 9, "tidings": [] }), "no JSON object"),
            (json!({ "exp": NOW + 9, "tidings": {} }), "allows nothing"),
            (json!({ "exp": NOW + 9, "publish": ["a"], "tidings": rights }), "stands beside"),
            (json!({ "exp": NOW + 9, "tidings": { "pubish": ["a"] } }), "\"pubish\""),
            (json!({ "exp": NOW + 9, "tidings": { "publish": "a" } }), "no list"),
            (json!({ "exp": NOW + 9, "tidings": { "publish": ["a/{"] } }), "no selector"),
            (json!({ "exp": NOW + 9, "tidings": { "publish": [1] } }), "is no text"),
            (json!("text"), "no JSON object"),
        ] {
            check(&header, claims, said);
        }
    }

    #[test]
    fn what_is_no_token_is_said() {
        let check = |token: &str, said: &str| {
            let error = explain(token, &[], Timestamp::now()).unwrap_err().to_string();
            assert!(error.contains(said), "{token}: {error}");
        };
        check("", "this text has 1");
        check("a.b", "this text has 2");
        check("a.b.c.d.e", "encrypted");
        check("=.e30.", "first part is not base64url");
        check("e30.?.", "second part is not base64url");
        check("NQ.e30.", "no JSON object");
    }
}
