//! API keys: how they are made, and what they look like.
//! Knows nothing of files.

use anyhow::anyhow;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tidings_server::auth::api_keys::PREFIX;

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
}
