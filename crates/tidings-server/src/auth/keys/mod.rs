//! The keys that tokens are checked with: read from PEM, JWK, a JWKS document or a shared secret.
//! Knows nothing of tokens but the `kid` and the algorithm that they name.
//!
//! The algorithms are a matter of the key, never of the token: an RSA key checks RS* and PS*, a
//! secret HS*, and so on (RFC 8725, section 3.1). So a token that was signed by HS256 with the text
//! of a public key as its secret finds no key.

use std::fmt;

use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RsaParameters, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, OctetKeyParameters, PublicKeyUse,
};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use serde::Deserialize as _;
use serde_json::Value;
use tidings_core::limits::{JWT_KEYS_MAX, JWT_KEYS_TRIED_MAX};

/// One key.
#[derive(Clone)]
pub(super) struct Key {
    /// Its name, where it has one.
    pub(super) kid: Option<String>,
    /// All that it may check: never of two families.
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) decoding: DecodingKey,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("kid", &self.kid)
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}

/// Some keys.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys(Vec<Key>);

/// Why a text holds no keys. Nothing of the text is told.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeysError {
    /// A PEM block of another kind.
    #[error("holds a PEM block \"{label}\": what is needed is a public key (\"PUBLIC KEY\")")]
    Block {
        /// What its first line says.
        label: String,
    },
    /// JSON that is no JWK and no JWKS document.
    #[error("is no JWK and no set of them: {reason}")]
    Json {
        /// What is wrong.
        reason: String,
    },
    /// A public key without what says so.
    #[error(
        "looks like a key without its BEGIN and END lines, or one of SSH: a secret made of a public \
         key would let anybody make tokens. For PEM, keep those lines (ssh-keygen -e -m pkcs8 makes \
         it of a key of SSH)"
    )]
    Mistaken,
    /// Nothing that can be used.
    #[error("holds no key that can check tokens: {reason}")]
    None {
        /// Why not.
        reason: String,
    },
    /// A private key, which the hub needs not and should not have.
    #[error(
        "holds a private key: give the hub only the public one, and keep the private one with \
         whoever makes tokens (openssl pkey -pubout makes one of the other)"
    )]
    Private,
    /// A secret that can be guessed.
    #[error(
        "holds a secret of {bytes} bytes: it needs at least {SECRET_BYTES_MIN}, all of them random"
    )]
    Short {
        /// How long it is.
        bytes: usize,
    },
    /// A secret that is more than a line.
    #[error("is neither PEM nor JSON, and a secret is one line of text")]
    Lines,
    /// Not text.
    #[error("is not UTF-8: write a secret as text, in base64 say")]
    NotText,
    /// More than [`JWT_KEYS_MAX`].
    #[error("holds more than {JWT_KEYS_MAX} keys (jwt_keys_max)")]
    TooMany,
    /// A key that is too weak or of no kind that is known.
    #[error("holds a key that can't be used: {reason}")]
    Unusable {
        /// Why not.
        reason: String,
    },
}

/// The least that HS256 may have (RFC 7518, section 3.2).
const SECRET_BYTES_MIN: usize = 32;

impl Keys {
    /// Reads a file: PEM public keys, a JWK, a JWKS document, else a secret.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, KeysError> {
        let text = std::str::from_utf8(bytes).map_err(|_| KeysError::NotText)?.trim();
        let keys = if text.contains("-----BEGIN ") {
            pem(text)?
        } else if text.starts_with('{') {
            json(text)?
        } else {
            vec![secret(text)?]
        };
        if keys.len() > JWT_KEYS_MAX { Err(KeysError::TooMany) } else { Ok(Self(keys)) }
    }

    /// Reads the document behind a JWKS address, of which all keys are somebody else's matter: what
    /// can't be used is passed over.
    pub(super) fn parse_jwks(bytes: &[u8]) -> Result<Self, KeysError> {
        let text = std::str::from_utf8(bytes).map_err(|_| KeysError::NotText)?;
        let keys = json(text)?;
        // What anybody can fetch is no secret.
        let is_public = |key: &Key| key.decoding.family() != AlgorithmFamily::Hmac;
        let keys: Vec<Key> = keys.into_iter().filter(is_public).take(JWT_KEYS_MAX).collect();
        match keys.is_empty() {
            true => Err(KeysError::None { reason: "there is no public key".to_owned() }),
            false => Ok(Self(keys)),
        }
    }

    /// The key of a secret, which is text.
    pub(super) fn secret(text: &str) -> Result<Self, KeysError> {
        Ok(Self(vec![secret(text)?]))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Key> {
        self.0.iter()
    }
}

/// The keys that a token of this header may have been signed with: those of its `kid`; where none
/// has it, or it names none, those that have no name, and all of them if it names none.
pub(super) fn candidates<'a>(
    keys: &[&'a Key],
    kid: Option<&str>,
    algorithm: Algorithm,
) -> Vec<&'a Key> {
    let fits = |key: &&&'a Key| key.algorithms.contains(&algorithm);
    let named = |key: &&&'a Key| kid.is_some() && key.kid.as_deref() == kid;
    if keys.iter().any(|key| named(&key)) {
        return keys.iter().filter(named).filter(fits).copied().collect();
    }
    let unnamed = |key: &&&'a Key| kid.is_none() || key.kid.is_none();
    keys.iter().filter(unnamed).filter(fits).copied().take(JWT_KEYS_TRIED_MAX).collect()
}

// ---- PEM -------------------------------------------------------------------------------------

fn pem(text: &str) -> Result<Vec<Key>, KeysError> {
    let mut keys = Vec::new();
    for part in text.split("-----BEGIN ").skip(1) {
        let label = part.split("-----").next().unwrap_or_default();
        if label.ends_with("PRIVATE KEY") {
            return Err(KeysError::Private);
        }
        if !matches!(label, "PUBLIC KEY" | "RSA PUBLIC KEY") {
            let label = label.chars().take(40).filter(|c| !c.is_control()).collect();
            return Err(KeysError::Block { label });
        }
        let block = format!("-----BEGIN {part}");
        let block = block.as_bytes();
        let decoding = DecodingKey::from_rsa_pem(block)
            .or_else(|_| DecodingKey::from_ec_pem(block))
            .or_else(|_| DecodingKey::from_ed_pem(block))
            .map_err(|_| unusable("it is neither RSA nor on P-256, P-384 or Ed25519"))?;
        keys.push(public(decoding, None, None)?);
    }
    Ok(keys)
}

fn unusable(reason: &str) -> KeysError {
    KeysError::Unusable { reason: reason.to_owned() }
}

/// A public key, checked as far as can be without a signature.
fn public(
    decoding: DecodingKey,
    kid: Option<String>,
    only: Option<Algorithm>,
) -> Result<Key, KeysError> {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    let bytes = decoding.try_get_as_bytes().unwrap_or_default();
    let parses = |algorithm: &'static dyn VerificationAlgorithm| {
        ParsedPublicKey::new(algorithm, bytes).is_ok()
    };
    let algorithms: &[Algorithm] = match decoding.family() {
        AlgorithmFamily::Hmac => return Err(unusable("a secret is no public key")),
        AlgorithmFamily::Rsa => {
            is_rsa(&decoding)?;
            &[RS256, RS384, RS512, PS256, PS384, PS512]
        }
        // By their lengths, as both are a byte and two coordinates.
        AlgorithmFamily::Ec if bytes.len() == 65 && parses(&ECDSA_P256_SHA256_FIXED) => &[ES256],
        AlgorithmFamily::Ec if bytes.len() == 97 && parses(&ECDSA_P384_SHA384_FIXED) => &[ES384],
        AlgorithmFamily::Ec => return Err(unusable("its curve is neither P-256 nor P-384")),
        AlgorithmFamily::Ed if bytes.len() == 32 && parses(&ED25519) => &[EdDSA],
        AlgorithmFamily::Ed => return Err(unusable("it is no key of Ed25519")),
    };
    let algorithms = restrict(algorithms, only)?;
    Ok(Key { kid, algorithms, decoding })
}

/// Of what a kind of key can check, what this one says it is for.
fn restrict(
    algorithms: &[Algorithm],
    only: Option<Algorithm>,
) -> Result<Vec<Algorithm>, KeysError> {
    match only {
        None => Ok(algorithms.to_vec()),
        Some(only) if algorithms.contains(&only) => Ok(vec![only]),
        Some(_) => Err(unusable("its \"alg\" is not one for this kind of key")),
    }
}

fn is_rsa(decoding: &DecodingKey) -> Result<(), KeysError> {
    const BITS: &str = "an RSA key needs 2048 to 8192 bits";
    match decoding.kind() {
        jsonwebtoken::DecodingKeyKind::SecretOrDer(der) => {
            let bits = RsaParameters::public_modulus_len(der).unwrap_or_default();
            let wanted = &RSA_PKCS1_2048_8192_SHA256;
            if !(wanted.min_modulus_len()..=wanted.max_modulus_len()).contains(&bits) {
                return Err(unusable(BITS));
            }
        }
        jsonwebtoken::DecodingKeyKind::RsaModulusExponent { n, e } => {
            let components = signature::RsaPublicKeyComponents { n, e };
            let significant = n.iter().position(|byte| *byte != 0).map_or(0, |at| n.len() - at);
            if !(256..=1024).contains(&significant) || n.first() == Some(&0) {
                return Err(unusable(BITS));
            }
            // An exponent of 1 makes every signature right.
            if components.e.is_empty() || **components.e == [1] || components.e[0] == 0 {
                return Err(unusable("its exponent is none"));
            }
        }
    }
    Ok(())
}

// ---- JWK and JWKS (RFC 7517) -----------------------------------------------------------------

/// The keys of a document, or of one JWK. In a set, those that can't be used are passed over: one
/// for encryption, or of a curve that is not known here, stands there for others.
fn json(text: &str) -> Result<Vec<Key>, KeysError> {
    let document: Value = serde_json::from_str(text)
        .map_err(|error| KeysError::Json { reason: error.to_string() })?;
    let Some(set) = document.get("keys") else {
        return Ok(vec![jwk(&document)?]);
    };
    let set = set
        .as_array()
        .ok_or_else(|| KeysError::Json { reason: "\"keys\" is no list".to_owned() })?;
    let mut keys = Vec::new();
    let mut last = None;
    for value in set {
        match jwk(value) {
            Ok(key) => keys.push(key),
            Err(KeysError::Private) => return Err(KeysError::Private),
            Err(error) => last = Some(error),
        }
    }
    if keys.is_empty() {
        let reason = last.map_or_else(|| "the set is empty".to_owned(), |e| e.to_string());
        return Err(KeysError::None { reason });
    }
    Ok(keys)
}

fn jwk(value: &Value) -> Result<Key, KeysError> {
    let jwk =
        Jwk::deserialize(value).map_err(|error| KeysError::Json { reason: error.to_string() })?;
    let common = jwk.common.clone();
    if common.public_key_use.is_some_and(|it| it != PublicKeyUse::Signature) {
        return Err(unusable("it is not for signatures (\"use\")"));
    }
    if common.key_operations.is_some_and(|it| !it.contains(&KeyOperations::Verify)) {
        return Err(unusable("it is not for checking signatures (\"key_ops\")"));
    }
    let only = common.key_algorithm.map(Algorithm::try_from).transpose();
    let only =
        only.map_err(|_| unusable("its \"alg\" is none of RS*, PS*, ES256, ES384, EdDSA, HS*"))?;
    if let AlgorithmParameters::OctetKey(OctetKeyParameters { value, .. }) = &jwk.algorithm {
        // The key's own bytes: here they need not be text.
        let bytes = URL_SAFE_NO_PAD.decode(value).map_err(|_| unusable("\"k\" is no base64url"))?;
        let algorithms = restrict(&hmac(&bytes)?, only)?;
        let decoding = DecodingKey::from_secret(&bytes);
        return Ok(Key { kid: common.key_id, algorithms, decoding });
    }
    if value.get("d").is_some() {
        return Err(KeysError::Private);
    }
    match &jwk.algorithm {
        AlgorithmParameters::EllipticCurve(key)
            if !matches!(key.curve, EllipticCurve::P256 | EllipticCurve::P384) =>
        {
            return Err(unusable("its curve is neither P-256 nor P-384"));
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve != EllipticCurve::Ed25519 => {
            return Err(unusable("its curve is not Ed25519"));
        }
        _ => {}
    }
    let decoding = DecodingKey::from_jwk(&jwk)
        .map_err(|_| unusable("it is neither RSA nor on P-256, P-384 or Ed25519"))?;
    public(decoding, common.key_id, only)
}

// ---- Shared secrets --------------------------------------------------------------------------

fn secret(text: &str) -> Result<Key, KeysError> {
    if text.contains(['\n', '\r']) {
        return Err(KeysError::Lines);
    }
    if is_mistaken(text) {
        return Err(KeysError::Mistaken);
    }
    let algorithms = hmac(text.as_bytes())?;
    Ok(Key { kid: None, algorithms, decoding: DecodingKey::from_secret(text.as_bytes()) })
}

/// What a secret of this length may check: it has to be as long as the hash (RFC 7518, 3.2).
fn hmac(secret: &[u8]) -> Result<Vec<Algorithm>, KeysError> {
    let bytes = secret.len();
    if bytes < SECRET_BYTES_MIN {
        return Err(KeysError::Short { bytes });
    }
    let lengths = [(32, Algorithm::HS256), (48, Algorithm::HS384), (64, Algorithm::HS512)];
    Ok(lengths.into_iter().filter(|(min, _)| bytes >= *min).map(|(_, hs)| hs).collect())
}

/// Whether a text is a public key, which everybody knows, and so no secret.
fn is_mistaken(text: &str) -> bool {
    let of_ssh = ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"];
    if of_ssh.iter().any(|begins| text.starts_with(begins)) {
        return true;
    }
    // DER: a sequence (0x30) whose length is that of all that follows.
    let Ok(der) = STANDARD.decode(text) else { return false };
    match &*der {
        [0x30, 0x82, high, low, rest @ ..] => {
            usize::from(*high) << 8 | usize::from(*low) == rest.len()
        }
        [0x30, 0x81, length, rest @ ..] => usize::from(*length) == rest.len(),
        [0x30, length @ ..=0x7f, rest @ ..] => usize::from(*length) == rest.len(),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
