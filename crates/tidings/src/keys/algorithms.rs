//! The algorithms of tokens by their names, which RFC 7518 and RFC 8037 give them.
//! Knows nothing of keys.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use jsonwebtoken::Algorithm;

/// All that the hub knows.
const ALGORITHMS: [(&str, Algorithm); 12] = [
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
    ("HS256", Algorithm::HS256),
    ("HS384", Algorithm::HS384),
    ("HS512", Algorithm::HS512),
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
];

/// Reads one from the command line, in small letters or large ones.
pub(crate) fn algorithms() -> impl TypedValueParser<Value = Algorithm> {
    let values = ALGORITHMS.iter().map(|(name, _)| {
        let value = PossibleValue::new(name.to_ascii_lowercase());
        if *name == "EdDSA" { value.alias("ed25519") } else { value }
    });
    PossibleValuesParser::new(values).map(|text| match text.to_ascii_lowercase().as_str() {
        "ed25519" => Algorithm::EdDSA,
        name => named(name).expect("the parser lets only these names through"),
    })
}

/// The algorithm of this name, however it is written.
fn named(text: &str) -> Option<Algorithm> {
    let find = |(name, _): &&(&str, Algorithm)| name.eq_ignore_ascii_case(text);
    ALGORITHMS.iter().find(find).map(|(_, algorithm)| *algorithm)
}

/// The algorithm of this name in a token's header.
pub(crate) fn in_header(text: &str) -> Option<Algorithm> {
    // Names in tokens are case-sensitive (RFC 7515, section 4.1.1).
    ALGORITHMS.iter().find(|(name, _)| *name == text).map(|(_, algorithm)| *algorithm)
}

/// Its name.
pub(crate) fn name(algorithm: Algorithm) -> &'static str {
    let find = |(_, known): &&(&str, Algorithm)| *known == algorithm;
    // The library may learn more of them than the hub takes.
    ALGORITHMS.iter().find(find).map_or("another algorithm", |(name, _)| name)
}
