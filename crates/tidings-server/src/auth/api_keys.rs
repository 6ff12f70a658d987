//! API keys, for servers that publish: a file that names who may what, with hashes of the keys.
//! Knows nothing of requests; who finds a key's text there looks it up here.
//!
//! A key is 32 random bytes, so a plain SHA-256 keeps it as safe as a slow hash would, and a
//! look-up by the hash tells a stranger with a stopwatch nothing that he could use.
//!
//! ```toml
//! [[key]]
//! name = "billing"
//! hash = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
//! publish = ["orders/*"]
//! subscribe = []
//! ```

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use serde::Deserialize;
use tidings_core::limits::API_KEYS_MAX;
use tidings_core::topic::Selectors;

use super::rights::{self, Rights};

/// What the text of every key begins with, by which people and scanners for leaked keys know it.
pub const PREFIX: &str = "tidings_";

/// The hash of a key's text: all that a file keeps of it.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct KeyHash([u8; 32]);

/// A text is no hash of a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeyHashError {
    /// The key itself, which has no business in a file.
    #[error(
        "holds a key itself: put its hash there (tidings keygen --api-key prints both), and make a \
         new key, as this one has been seen"
    )]
    Key,
    /// Something else.
    #[error("has to be \"sha256:\" and 64 hexadecimal digits")]
    Malformed,
}

/// The hash of a key's whole text, its prefix included.
#[must_use]
pub fn hash(key_text: &str) -> KeyHash {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, key_text.as_bytes()).as_ref());
    KeyHash(bytes)
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for KeyHash {
    type Err = KeyHashError;

    fn from_str(text: &str) -> Result<Self, KeyHashError> {
        if text.starts_with(PREFIX) {
            return Err(KeyHashError::Key);
        }
        let digits = text.strip_prefix("sha256:").ok_or(KeyHashError::Malformed)?.as_bytes();
        let mut bytes = [0; 32];
        if digits.len() != 2 * bytes.len() {
            return Err(KeyHashError::Malformed);
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let [high, low] = [pair[0], pair[1]].map(|digit| char::from(digit).to_digit(16));
            let (Some(high), Some(low)) = (high, low) else { return Err(KeyHashError::Malformed) };
            *byte = u8::try_from(16 * high + low).map_err(|_| KeyHashError::Malformed)?;
        }
        Ok(Self(bytes))
    }
}

/// One key of a file.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// What people call it; in logs, it stands for whoever uses the key.
    pub name: Arc<str>,
    /// The hash of its text.
    pub hash: KeyHash,
    /// What it may.
    pub rights: Arc<Rights>,
}

/// The keys of a file.
#[derive(Clone, Debug, Default)]
pub struct ApiKeys {
    keys: HashMap<KeyHash, ApiKey>,
}

/// Why a text is no file of keys. Nothing of a hash or key is told.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ApiKeysError {
    /// A field of a key is wrong.
    #[error("key {name:?}: {field} {reason}")]
    Field {
        /// The key's name.
        name: String,
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The same name again, or the same hash.
    #[error("key {name:?}: another key has the same {field}")]
    Twice {
        /// The key's name.
        name: String,
        /// What is the same.
        field: &'static str,
    },
    /// Not TOML, or not tables of keys.
    #[error("line {line}: {reason}")]
    Syntax {
        /// Where, counted from 1.
        line: usize,
        /// What the parser says.
        reason: String,
    },
    /// More than [`API_KEYS_MAX`].
    #[error("there can be at most {API_KEYS_MAX} API keys (api_keys_max), these are {keys}")]
    TooMany {
        /// How many.
        keys: usize,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    key: Vec<Table>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    name: String,
    hash: String,
    #[serde(default)]
    publish: Vec<String>,
    #[serde(default)]
    subscribe: Vec<String>,
}

impl ApiKeys {
    /// Reads a file's text.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse(text: &str) -> Result<Self, ApiKeysError> {
        let file: File = toml::from_str(text).map_err(|error| ApiKeysError::Syntax {
            line: error.span().map_or(1, |span| line_at(text, span.start)),
            // Not its Display, which quotes the line.
            reason: error.message().to_owned(),
        })?;
        if file.key.len() > API_KEYS_MAX {
            return Err(ApiKeysError::TooMany { keys: file.key.len() });
        }
        let mut names = HashSet::new();
        let mut keys = HashMap::with_capacity(file.key.len());
        for table in file.key {
            let key = table.read()?;
            let name = key.name.to_string();
            if !names.insert(Arc::clone(&key.name)) {
                return Err(ApiKeysError::Twice { name, field: "name" });
            }
            if keys.insert(key.hash, key).is_some() {
                return Err(ApiKeysError::Twice { name, field: "hash" });
            }
        }
        Ok(Self { keys })
    }

    /// The key with this text.
    #[must_use]
    pub fn find(&self, key_text: &str) -> Option<&ApiKey> {
        self.keys.get(&hash(key_text))
    }

    /// The keys, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &ApiKey> {
        self.keys.values()
    }
}

impl Table {
    fn read(self) -> Result<ApiKey, ApiKeysError> {
        let name = self.name;
        let wrong = |field, reason| ApiKeysError::Field { name: name.clone(), field, reason };
        if name.is_empty() || name.chars().any(char::is_control) {
            return Err(wrong("name", "has to be a text without control characters".to_owned()));
        }
        let hash = self.hash.parse().map_err(|e: KeyHashError| wrong("hash", e.to_string()))?;
        let selectors = |field, texts: &[String]| -> Result<Option<Selectors>, ApiKeysError> {
            rights::selectors(texts).map_err(|error| wrong(field, format!("is wrong: {error}")))
        };
        let publish = selectors("publish", &self.publish)?;
        let subscribe = selectors("subscribe", &self.subscribe)?;
        let name: Arc<str> = name.as_str().into();
        let subject = Some(Arc::clone(&name));
        let rights = Rights { publish, subscribe, subject, expires: None, payload: None };
        Ok(ApiKey { name, hash, rights: Arc::new(rights) })
    }
}

fn line_at(text: &str, byte: usize) -> usize {
    text.as_bytes()[..byte.min(text.len())].iter().filter(|b| **b == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of "abc": FIPS 180-2, and `printf abc | sha256sum`.
    const HASH: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn error(text: &str) -> String {
        ApiKeys::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn a_key_is_found_by_its_text() {
        let text = format!(
            "[[key]]\nname = \"billing\"\nhash = \"{}\"\npublish = [\"orders/*\"]\nsubscribe = []\n",
            hash("tidings_a")
        );
        let keys = ApiKeys::parse(&text).unwrap();
        let key = keys.find("tidings_a").unwrap();
        assert_eq!(&*key.name, "billing");
        assert_eq!(key.rights.publish.as_ref().unwrap().iter().len(), 1);
        assert!(key.rights.subscribe.is_none());
        assert!(keys.find("tidings_b").is_none());
        assert_eq!(keys.iter().count(), 1);
        assert_eq!(ApiKeys::parse("").unwrap().iter().count(), 0);
    }

    #[test]
    fn a_hash_is_what_every_other_tool_makes_of_it() {
        assert_eq!(hash("abc").to_string(), HASH);
        assert_eq!(HASH.parse(), Ok(hash("abc")));
        assert_eq!(HASH.to_uppercase().replace("SHA", "sha").parse(), Ok(hash("abc")));
        for text in ["", "sha256:", &HASH[..70], &format!("{HASH}0"), &HASH[7..]] {
            assert_eq!(text.parse::<KeyHash>(), Err(KeyHashError::Malformed), "{text}");
        }
    }

    #[test]
    fn each_mistake_is_named_without_what_is_secret() {
        let key = |fields: &str| format!("[[key]]\nname = \"a\"\n{fields}");
        let hashed = key(&format!("hash = \"{HASH}\"\n"));
        for (text, expected) in [
            ("key", "line 1: "),
            ("[key]\nname = 1", "line 1: "),
            ("[[key]]\nhash = \"x\"", "missing field `name`"),
            (&*key("hash = \"x\""), "key \"a\": hash has to be \"sha256:\""),
            (&*key("hash = \"tidings_secret\""), "key \"a\": hash holds a key itself"),
            (&*format!("{hashed}publish = [\"a*b\"]"), "key \"a\": publish is wrong: \"a*b\": in"),
            (&*format!("{hashed}subscribe = \"a\""), "line 4: "),
            (&*format!("{hashed}publsh = []"), "unknown field `publsh`"),
            (&*format!("{hashed}{hashed}"), "another key has the same name"),
            (&*format!("{hashed}{}", hashed.replace("\"a\"", "\"b\"")), "the same hash"),
        ] {
            let error = error(text);
            assert!(error.contains(expected), "{text}: {error}");
            assert!(!error.contains("secret") && !error.contains(&HASH[7..]), "{error}");
        }
        let many = "[[key]]\nname = \"\"\nhash = \"\"\n".repeat(API_KEYS_MAX + 1);
        assert!(error(&many).contains("api_keys_max"));
    }
}
