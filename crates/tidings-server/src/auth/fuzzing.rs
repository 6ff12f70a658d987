//! What the fuzz targets run: each takes any bytes and panics where a promise is broken.
//! Knows nothing of fuzzers, so that ordinary tests run the same over random bytes.

use std::sync::LazyLock;
use std::time::Duration;

use tidings_core::cursor::Timestamp;

use super::api_keys::ApiKeys;
use super::claims::{Claims, Demands};
use super::keys::Keys;
use super::refusal::Refusal;
use super::token::{self, Unchecked};

static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    Keys::parse(b"a-secret-that-nobody-has-guessed-so-far").expect("it is long enough")
});

/// Whatever stands where a token should, it is refused with a sentence: nobody guesses a signature.
/// And whatever claims a signature covers, they give rights or a reason.
///
/// # Panics
/// Where it is not so.
pub fn tokens(bytes: &[u8]) {
    let demands = Demands {
        audiences: vec!["hub".to_owned()],
        issuers: Vec::new(),
        skew: Duration::from_secs(30),
        allow_no_expiry: bytes.first().is_some_and(|byte| byte % 2 == 0),
    };
    let now = Timestamp(1_700_000_000_000);
    let text = String::from_utf8_lossy(bytes);
    if let Ok(token) = Unchecked::parse(&text) {
        let keys: Vec<_> = KEYS.iter().collect();
        let refusal = token::rights(&token, &keys, &demands, now).expect_err("nobody has the key");
        tell(&refusal);
    }
    match Claims::parse(bytes).and_then(|claims| claims.rights(&demands, now)) {
        Ok(rights) => assert!(!rights.is_over(now), "it counts for some time"),
        Err(refusal) => tell(&refusal),
    }
}

/// What a client is told fits a header, whatever the token had in it.
fn tell(refusal: &Refusal) {
    assert!(!refusal.to_string().is_empty() && !refusal.rule().is_empty());
    let challenge = refusal.challenge().unwrap_or_default();
    assert!(challenge.bytes().all(|byte| matches!(byte, b' '..=b'~')) && challenge.len() < 1000);
}

/// Whatever a file of keys or an answer with a JWKS document holds, it is keys or a reason.
///
/// # Panics
/// Where it is not so.
pub fn keys(bytes: &[u8]) {
    for keys in [Keys::parse(bytes), Keys::parse_jwks(bytes)].into_iter().flatten() {
        for key in keys.iter() {
            assert!(!key.algorithms.is_empty(), "each key checks something");
            let family = key.decoding.family();
            assert!(key.algorithms.iter().all(|algorithm| algorithm.family() == family));
        }
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        match ApiKeys::parse(text) {
            Ok(keys) => keys.iter().for_each(|key| assert!(!key.name.is_empty())),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_bytes_make_them_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            text in r#"[{}\[\]":,.a-z0-9=-]{0,80}"#,
        ) {
            tokens(&bytes);
            keys(&bytes);
            tokens(text.as_bytes());
            keys(text.as_bytes());
        }
    }
}
