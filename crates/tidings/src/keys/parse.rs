//! Reads keys from the text of a file: PEM, JWK, JWKS, or a secret as it stands.
//! Knows nothing of files.
//!
//! Errors are what follows the file's name in a sentence.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, EncodingKey};
use rcgen::{
    KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256,
};
use serde::Deserialize;
use serde_json::Value;

use super::Key;

const KINDS: &str = "tokens are signed with RSA from 2048 bits, with P-256, P-384 or Ed25519";

/// All keys that the text holds; never none.
pub(super) fn keys(text: &str) -> Result<Vec<Key>, String> {
    if text.trim_start().starts_with("-----BEGIN ") {
        let blocks = text.split("-----BEGIN ").skip(1);
        return blocks.map(|rest| pem(&format!("-----BEGIN {rest}"))).collect();
    }
    if text.trim_start().starts_with('{') {
        return json(text);
    }
    secret(text.trim().as_bytes()).map(|key| vec![key])
}

/// Many bytes as the hash gives are the least (RFC 7518, section 3.2): a shorter secret can be
/// tried out by anybody who has a token.
fn secret(secret: &[u8]) -> Result<Key, String> {
    let algorithms: Vec<_> =
        [(32, Algorithm::HS256), (48, Algorithm::HS384), (64, Algorithm::HS512)]
            .into_iter()
            .filter(|(bytes, _)| secret.len() >= *bytes)
            .map(|(_, algorithm)| algorithm)
            .collect();
    if algorithms.is_empty() {
        return Err(format!(
            "holds a secret of {} bytes, and 32 are the least: make one with \
             `tidings keygen --alg hs256`",
            secret.len()
        ));
    }
    let (sign, check) = (EncodingKey::from_secret(secret), DecodingKey::from_secret(secret));
    Ok(Key { algorithms, sign: Some(sign), check, kid: None })
}

/// A block of a PEM file.
fn pem(text: &str) -> Result<Key, String> {
    let label = text.strip_prefix("-----BEGIN ").and_then(|rest| rest.split("-----").next());
    match label.unwrap_or_default() {
        "PRIVATE KEY" | "RSA PRIVATE KEY" => private_pem(text),
        "PUBLIC KEY" | "RSA PUBLIC KEY" => public_pem(text.as_bytes()),
        "EC PARAMETERS" | "EC PRIVATE KEY" => Err(
            "holds a key in the form of SEC 1: turn it into PKCS #8 with `openssl pkcs8 -topk8 \
                 -nocrypt -in FILE -out NEW.pem`"
                .into(),
        ),
        "ENCRYPTED PRIVATE KEY" => {
            Err("is encrypted: decrypt it with `openssl pkcs8 -in FILE -out NEW.pem` (umask 077)"
                .into())
        }
        "CERTIFICATE" => Err("holds a certificate: take its public key out with `openssl x509 \
                              -pubkey -noout -in FILE`"
            .into()),
        _ => Err("holds PEM, but no key: it has to begin with -----BEGIN PRIVATE KEY----- or \
                  -----BEGIN PUBLIC KEY-----"
            .into()),
    }
}

fn private_pem(text: &str) -> Result<Key, String> {
    let unfit = || format!("holds a private key that is damaged or of another kind: {KINDS}");
    let pair = KeyPair::from_pem(text).map_err(|_| unfit())?;
    let (der, public) = (pair.serialized_der(), pair.public_key_raw());
    let algorithm = pair.algorithm();
    let (algorithms, sign, check) = if *algorithm == PKCS_ED25519 {
        let (sign, check) = (EncodingKey::from_ed_der(der), DecodingKey::from_ed_der(public));
        (vec![Algorithm::EdDSA], sign, check)
    } else if *algorithm == PKCS_RSA_SHA256 {
        let sign = EncodingKey::from_rsa_pem(text.as_bytes()).map_err(|_| unfit())?;
        (AlgorithmFamily::Rsa.algorithms().to_vec(), sign, DecodingKey::from_rsa_der(public))
    } else {
        let algorithm = match algorithm {
            algorithm if *algorithm == PKCS_ECDSA_P256_SHA256 => Algorithm::ES256,
            algorithm if *algorithm == PKCS_ECDSA_P384_SHA384 => Algorithm::ES384,
            _ => return Err(unfit()),
        };
        (vec![algorithm], EncodingKey::from_ec_der(der), DecodingKey::from_ec_der(public))
    };
    Ok(Key { algorithms, sign: Some(sign), check, kid: None })
}

fn public_pem(pem: &[u8]) -> Result<Key, String> {
    let unfit = || format!("holds a public key that is damaged or of another kind: {KINDS}");
    let (algorithms, check) = if let Ok(key) = DecodingKey::from_ed_pem(pem) {
        (vec![Algorithm::EdDSA], key)
    } else if let Ok(key) = DecodingKey::from_ec_pem(pem) {
        // A byte that says "uncompressed", and two coordinates.
        let algorithm = match key.try_get_as_bytes().map(<[u8]>::len) {
            Ok(65) => Algorithm::ES256,
            Ok(97) => Algorithm::ES384,
            _ => return Err(unfit()),
        };
        (vec![algorithm], key)
    } else {
        let key = DecodingKey::from_rsa_pem(pem).map_err(|_| unfit())?;
        (AlgorithmFamily::Rsa.algorithms().to_vec(), key)
    };
    Ok(Key { algorithms, sign: None, check, kid: None })
}

fn json(text: &str) -> Result<Vec<Key>, String> {
    /// As they come: a set may hold keys of kinds that nobody here knows.
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<Value>,
    }
    let value: Value =
        serde_json::from_str(text).map_err(|error| format!("holds no sound JSON: {error}"))?;
    if value.get("keys").is_none() {
        return jwk(value).map(|key| vec![key]);
    }
    let set = Set::deserialize(value).map_err(|error| format!("holds no JWKS: {error}"))?;
    let keys: Vec<_> = set.keys.into_iter().filter_map(|value| jwk(value).ok()).collect();
    if keys.is_empty() {
        return Err(format!("holds no key that is good for tokens: {KINDS}"));
    }
    Ok(keys)
}

fn jwk(value: Value) -> Result<Key, String> {
    let jwk: Jwk = serde_json::from_value(value)
        .map_err(|error| format!("holds JSON, but no JWK (RFC 7517): {error}"))?;
    let damaged = |_| "holds a damaged JWK: its numbers have to be base64url".to_owned();
    let check = DecodingKey::from_jwk(&jwk).map_err(damaged)?;
    let mut key = match &jwk.algorithm {
        AlgorithmParameters::OctetKey(_) => secret(check.try_get_as_bytes().map_err(damaged)?)?,
        parameters => {
            let algorithms = match parameters {
                AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
                    vec![Algorithm::ES256]
                }
                AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => {
                    vec![Algorithm::ES384]
                }
                AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
                    vec![Algorithm::EdDSA]
                }
                AlgorithmParameters::RSA(_) => AlgorithmFamily::Rsa.algorithms().to_vec(),
                _ => return Err(format!("holds a JWK of another kind: {KINDS}")),
            };
            Key { algorithms, sign: None, check, kid: None }
        }
    };
    if let Some(only) = jwk.common.key_algorithm {
        key.algorithms.retain(|algorithm| only == (*algorithm).into());
        if key.algorithms.is_empty() {
            return Err(format!("holds a JWK whose \"alg\" ({only}) does not fit its key"));
        }
    }
    key.kid = jwk.common.key_id;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7515, appendix A.1.
    const SECRET: &str = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUu\
                          TwjAzZr1Z9CAow";

    fn names(text: &str) -> String {
        let keys = keys(text).unwrap();
        keys.iter().map(Key::names).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn the_key_says_what_it_is_good_for() {
        assert_eq!(names(&format!("{}\n", "x".repeat(32))), "HS256");
        assert_eq!(names(&"x".repeat(48)), "HS256, HS384");
        assert_eq!(names(&"x".repeat(64)), "HS256, HS384, HS512");
        for (algorithm, expected) in [
            (&PKCS_ECDSA_P256_SHA256, "ES256"),
            (&PKCS_ECDSA_P384_SHA384, "ES384"),
            (&PKCS_ED25519, "EdDSA"),
            (&PKCS_RSA_SHA256, "RS256, RS384, RS512, PS256, PS384, PS512"),
        ] {
            let pair = KeyPair::generate_for(algorithm).unwrap();
            assert_eq!(names(&pair.serialize_pem()), expected);
            assert_eq!(names(&pair.public_key_pem()), expected);
            let both = [pair.serialize_pem(), pair.public_key_pem()].concat();
            assert_eq!(names(&both), format!("{expected}; {expected}"));
        }
        assert_eq!(names(&format!(r#"{{"kty":"oct","k":"{SECRET}","alg":"HS512"}}"#)), "HS512");
    }

    #[test]
    fn a_set_is_read_past_keys_of_other_kinds() {
        let set = format!(
            r#"{{"keys":[{{"kty":"EC","crv":"secp256k1","x":"AA","y":"AA"}},
                {{"kty":"OKP","crv":"X448","x":"AA"}}, 5, {{"kty":"oct","k":"{SECRET}"}}]}}"#
        );
        assert_eq!(names(&set), "HS256, HS384, HS512");
    }

    #[test]
    fn what_is_no_key_is_said_with_what_to_do() {
        let check = |text: &str, said: &str| {
            let problem = keys(text).unwrap_err();
            assert!(problem.contains(said), "{text}: {problem}");
        };
        check("", "0 bytes, and 32 are the least");
        check("secret\n", "6 bytes");
        check("-----BEGIN EC PRIVATE KEY-----\n", "openssl pkcs8 -topk8");
        check("-----BEGIN ENCRYPTED PRIVATE KEY-----\n", "is encrypted");
        check("-----BEGIN CERTIFICATE-----\n", "openssl x509");
        check("-----BEGIN PGP MESSAGE-----\n", "no key");
        check("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "damaged");
        check("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "damaged");
        check("{", "no sound JSON");
        check("{}", "JWK");
        check(r#"{"keys":[]}"#, "no key that is good for tokens");
        check(r#"{"keys":1}"#, "no JWKS");
        check(r#"{"kty":"oct","k":"c2hvcnQ"}"#, "5 bytes");
        check(r#"{"kty":"oct","k":"???"}"#, "damaged");
        check(r#"{"kty":"EC","crv":"P-521","x":"AA","y":"AA"}"#, "another kind");
        let other = format!(r#"{{"kty":"oct","k":"{SECRET}","alg":"RS256"}}"#);
        check(&other, "does not fit");
    }
}
