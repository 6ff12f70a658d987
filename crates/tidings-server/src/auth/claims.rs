//! What a token says, and whether that counts now and here. Pure: the time is handed in.
//! Knows nothing of signatures: whoever asks has checked them.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};
use tidings_core::cursor::Timestamp;

use super::refusal::Refusal;
use super::rights::{self, Rights, shown};

/// The claims that count here (RFC 7519, section 4.1, and our own); all others are passed over.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Claims {
    exp: Option<NumericDate>,
    nbf: Option<NumericDate>,
    aud: Option<OneOrMany>,
    iss: Option<String>,
    sub: Option<String>,
    #[serde(default, deserialize_with = "none_is_empty")]
    tidings: Granted,
}

/// Our own claim, `tidings`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Granted {
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "none_is_empty")]
    pub(super) publish: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "none_is_empty")]
    pub(super) subscribe: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) payload: Option<serde_json::Value>,
}

/// Seconds since 1970, with fractions if its maker likes (RFC 7519, section 2).
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
struct NumericDate(f64);

impl NumericDate {
    fn time(self) -> Timestamp {
        // Saturates, and times before 1970 are 1970: both are long over or long ahead.
        Timestamp((self.0 * 1000.0) as u64)
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn iter(&self) -> std::slice::Iter<'_, String> {
        match self {
            Self::One(one) => std::slice::from_ref(one).iter(),
            Self::Many(many) => many.iter(),
        }
    }
}

fn none_is_empty<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// What is asked of claims.
#[derive(Clone, Debug)]
pub(super) struct Demands {
    /// Who we are; with none, a token that names an audience is refused, as it is not for us.
    pub(super) audiences: Vec<String>,
    /// Whose tokens count; with none, anybody's who has the key.
    pub(super) issuers: Vec<String>,
    /// How far clocks may be off.
    pub(super) skew: Duration,
    /// Whether tokens may never end.
    pub(super) allow_no_expiry: bool,
}

impl Claims {
    /// Reads the part of a token that its signature covers.
    pub(super) fn parse(json: &[u8]) -> Result<Self, Refusal> {
        serde_json::from_slice(json).map_err(|error| claims(error.to_string()))
    }

    /// The rights, if all of it counts.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub(super) fn rights(self, demands: &Demands, now: Timestamp) -> Result<Rights, Refusal> {
        let expires = self.check_times(demands, now)?;
        self.check_audience(&demands.audiences)?;
        self.check_issuer(&demands.issuers)?;
        let rights = self.tidings.rights()?;
        Ok(Rights { subject: self.sub.map(Arc::from), expires, ..rights })
    }

    /// When it ends, skew included: whoever gets that far may go on until then.
    fn check_times(&self, demands: &Demands, now: Timestamp) -> Result<Option<Timestamp>, Refusal> {
        let skew = u64::try_from(demands.skew.as_millis()).unwrap_or(u64::MAX);
        let expires = match self.exp.map(NumericDate::time) {
            None if demands.allow_no_expiry => None,
            None => return Err(Refusal::NoExpiry),
            Some(at) => {
                let expires = Timestamp(at.0.saturating_add(skew));
                if expires <= now {
                    return Err(Refusal::Expired { what: "the token", at });
                }
                Some(expires)
            }
        };
        match self.nbf.map(NumericDate::time) {
            Some(at) if at.0 > now.0.saturating_add(skew) => Err(Refusal::NotYet { at }),
            _ => Ok(expires),
        }
    }

    fn check_audience(&self, ours: &[String]) -> Result<(), Refusal> {
        let named = |theirs: &OneOrMany| theirs.iter().any(|audience| ours.contains(audience));
        match &self.aud {
            None if ours.is_empty() => Ok(()),
            Some(theirs) if named(theirs) => Ok(()),
            // "If the principal processing the claim does not identify itself with a value in the
            // aud claim when this claim is present, then the JWT MUST be rejected" (RFC 7519).
            theirs => Err(Refusal::Audience {
                theirs: theirs.as_ref().map_or_else(|| "nobody".into(), |t| list(t.iter())),
                ours: match ours.is_empty() {
                    true => "this hub, which has no name: set jwt-audience".into(),
                    false => list(ours.iter()),
                },
            }),
        }
    }

    fn check_issuer(&self, ours: &[String]) -> Result<(), Refusal> {
        match &self.iss {
            _ if ours.is_empty() => Ok(()),
            Some(issuer) if ours.contains(issuer) => Ok(()),
            theirs => Err(Refusal::Issuer {
                theirs: theirs.as_deref().map_or_else(|| "nobody".into(), shown),
                ours: list(ours.iter()),
            }),
        }
    }
}

impl Granted {
    /// What it grants, to nobody in particular and without an end.
    pub(super) fn rights(self) -> Result<Rights, Refusal> {
        let read = |name, texts: &[String]| {
            rights::selectors(texts).map_err(|error| claims(format!("tidings.{name}: {error}")))
        };
        Ok(Rights {
            publish: read("publish", &self.publish)?,
            subscribe: read("subscribe", &self.subscribe)?,
            subject: None,
            expires: None,
            payload: self.payload.map(Arc::new),
        })
    }

    /// The other way round.
    pub(super) fn of(rights: &Rights) -> Self {
        let texts = |selectors: &Option<tidings_core::topic::Selectors>| {
            let selectors = selectors.as_ref().map(|selectors| selectors.iter());
            selectors.into_iter().flatten().map(ToString::to_string).collect()
        };
        Self {
            publish: texts(&rights.publish),
            subscribe: texts(&rights.subscribe),
            payload: rights.payload.as_deref().cloned(),
        }
    }
}

fn claims(reason: String) -> Refusal {
    Refusal::Claims { reason }
}

fn list<'a>(texts: impl Iterator<Item = &'a String>) -> String {
    const LISTED_MAX: usize = 5;
    let texts: Vec<String> = texts.take(LISTED_MAX).map(|text| shown(text)).collect();
    texts.join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn demands() -> Demands {
        let skew = Duration::from_secs(30);
        Demands { audiences: Vec::new(), issuers: Vec::new(), skew, allow_no_expiry: false }
    }

    fn rights(json: &str, demands: &Demands) -> Result<Rights, Refusal> {
        Claims::parse(json.as_bytes())?.rights(demands, NOW)
    }

    fn rule(json: &str, demands: &Demands) -> Option<&'static str> {
        rights(json, demands).err().map(|refusal| refusal.rule())
    }

    #[test]
    fn rights_are_what_the_token_says() {
        let json = r#"{"exp": 1700000100, "sub": "alice", "iat": 1, "jti": "x", "other": {},
                       "tidings": {"publish": ["a"], "subscribe": ["b/*", "c"], "payload": {"n": 1},
                       "later": 1}}"#;
        let rights = rights(json, &demands()).unwrap();
        assert_eq!(rights.publish.unwrap().iter().len(), 1);
        assert_eq!(rights.subscribe.unwrap().iter().len(), 2);
        assert_eq!(rights.subject.as_deref(), Some("alice"));
        assert_eq!(rights.expires, Some(Timestamp(1_700_000_130_000)), "with the skew");
        assert_eq!(*rights.payload.unwrap(), serde_json::json!({"n": 1}));
    }

    #[test]
    fn without_rights_there_are_none() {
        for tidings in
            ["", r#","tidings":null"#, r#","tidings":{}"#, r#","tidings":{"publish":[]}"#]
        {
            let rights = rights(&format!("{{\"exp\":1800000000{tidings}}}"), &demands()).unwrap();
            assert_eq!((rights.publish, rights.subscribe), (None, None));
        }
    }

    #[test]
    fn times_count_to_the_skew_and_no_further() {
        let check = |json: &str, expected| assert_eq!(rule(json, &demands()), expected, "{json}");
        check(r#"{"exp":1700000000}"#, None);
        check(r#"{"exp":1699999971}"#, None);
        check(r#"{"exp":1699999970}"#, Some("expired"));
        check(r#"{"exp":1699999970.5}"#, None);
        check(r#"{"exp":0}"#, Some("expired"));
        check(r#"{"exp":-1}"#, Some("expired"));
        check(r#"{"exp":1e300}"#, None);
        check(r#"{"exp":1800000000,"nbf":1700000030}"#, None);
        check(r#"{"exp":1800000000,"nbf":1700000031}"#, Some("not_yet"));
        check(r#"{"exp":1800000000,"nbf":1e99}"#, Some("not_yet"));
        check(r#"{"exp":"1800000000"}"#, Some("claims"));
        check(r#"{"exp":1800000000,"nbf":"soon"}"#, Some("claims"));
        check("{}", Some("no_expiry"));
        check(r#"{"exp":null}"#, Some("no_expiry"));
        let endless = Demands { allow_no_expiry: true, ..demands() };
        assert_eq!(rights("{}", &endless).unwrap().expires, None);
        assert_eq!(rule(r#"{"exp":1}"#, &endless), Some("expired"));
    }

    #[test]
    fn a_token_is_for_us() {
        let ours = Demands { audiences: vec!["hub".into(), "hub2".into()], ..demands() };
        let check = |aud: &str, demands: &Demands, expected| {
            let json = format!("{{\"exp\":1800000000{aud}}}");
            assert_eq!(rule(&json, demands), expected, "{json}");
        };
        check(r#","aud":"hub""#, &ours, None);
        check(r#","aud":["x","hub2"]"#, &ours, None);
        check(r#","aud":"Hub""#, &ours, Some("audience"));
        check(r#","aud":[]"#, &ours, Some("audience"));
        check("", &ours, Some("audience"));
        check(r#","aud":"hub""#, &demands(), Some("audience"));
        check(r#","aud":7"#, &ours, Some("claims"));
        let ours = Demands { issuers: vec!["https://id.example".into()], ..demands() };
        check(r#","iss":"https://id.example""#, &ours, None);
        check(r#","iss":"https://id.example/""#, &ours, Some("issuer"));
        check("", &ours, Some("issuer"));
        check(r#","iss":"anybody""#, &demands(), None);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (json, expected) in [
            ("", "EOF"),
            ("[]", "invalid"),
            (r#"{"exp":1,"exp":1800000000}"#, "duplicate field"),
            (r#"{"exp":1800000000,"tidings":{"publish":"a"}}"#, "sequence"),
            (
                r#"{"exp":1800000000,"tidings":{"publish":["a*b"]}}"#,
                "tidings.publish: \"a*b\": in a",
            ),
            (
                r#"{"exp":1800000000,"tidings":{"subscribe":[""]}}"#,
                "tidings.subscribe: \"\": a topic",
            ),
        ] {
            let error = rights(json, &demands()).unwrap_err().to_string();
            assert!(error.contains(expected), "{json}: {error}");
        }
    }
}
