//! API keys: what they look like, and the hash by which a hub knows them.
//! Knows nothing of files.

use std::fmt::Write as _;

use anyhow::anyhow;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// What they begin with, so that people and scanners know one where they see it.
const PREFIX: &str = "tidings_";

/// More can't be tried out by anybody.
const RANDOM_BYTES: usize = 32;

/// A new one.
///
/// # Errors
/// Where the system has no random numbers.
pub(crate) fn make() -> anyhow::Result<String> {
    let mut bytes = [0; RANDOM_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| anyhow!("no random numbers: {error}"))?;
    Ok(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
}

/// Whether a text is one, as far as its looks say.
pub(crate) fn is_one(text: &str) -> bool {
    text.strip_prefix(PREFIX).is_some_and(|rest| {
        URL_SAFE_NO_PAD.decode(rest).is_ok_and(|bytes| bytes.len() == RANDOM_BYTES)
    })
}

/// What a hub's file keeps of it.
pub(crate) fn hash(key: &str) -> String {
    let hash = digest(&SHA256, key.as_bytes());
    hash.as_ref().iter().fold("sha256:".to_owned(), |mut text, byte| {
        // Writing into a String can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_are_the_same_and_each_is_known_by_its_looks() {
        let (one, other) = (make().unwrap(), make().unwrap());
        assert_ne!(one, other);
        assert_eq!(one.len(), PREFIX.len() + 43);
        assert!(is_one(&one) && is_one(&other));
        for text in ["", "tidings_", "tidings_abc", &one[1..], &format!("{one}A"), "a.b.c"] {
            assert!(!is_one(text), "{text}");
        }
    }

    #[test]
    fn the_hash_is_of_the_whole_text() {
        // FIPS 180-2, appendix B.1.
        let expected = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash("abc"), expected);
    }
}
