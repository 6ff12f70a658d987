//! Makes keys that sign tokens: the file for whoever makes tokens, and the one for the hub.
//! Knows nothing of tokens.

use std::path::Path;

use anyhow::{Context, anyhow};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256, RsaKeySize};

use super::files::{self, NewFile, Readers, beside};
use crate::cli::KeygenArgs;
use crate::exit::Usage;
use crate::{keys, output};

/// Where keys go that nobody named a place for.
const PRIVATE_KEY: &str = "jwt.pem";
const SECRET: &str = "jwt.secret";

/// A key: what signs, and what checks.
struct Pair {
    /// What goes to whoever makes tokens.
    signs: String,
    /// What goes to the hub; `None`: the same.
    checks: Option<String>,
    jwk: Jwk,
}

/// Makes a key, writes its files and says what to do with them.
///
/// # Errors
/// Where it can't be made, or a file can't be written or is there already.
pub(super) fn run(args: &KeygenArgs) -> anyhow::Result<()> {
    let is_secret = args.alg.family() == AlgorithmFamily::Hmac;
    let pair = if is_secret { secret(args.alg)? } else { key_pair(args.alg)? };
    let jwk = described(pair.jwk, args)?;
    if args.out.as_deref() == Some(Path::new("-")) {
        if args.jwk {
            return Err(Usage("--jwk needs files: leave out --out -".into()).into());
        }
        return output::write(&[pair.signs, pair.checks.unwrap_or_default()].concat());
    }
    let usual = if is_secret { SECRET } else { PRIVATE_KEY };
    let path = args.out.clone().unwrap_or_else(|| usual.into());
    let ending = if is_secret { ".secret" } else { ".pem" };
    let signs = NewFile { path: path.clone(), text: pair.signs, readers: Readers::Owner };
    let mut new = vec![signs];
    if let Some(text) = pair.checks {
        let path = beside(&path, ending, ".pub.pem");
        new.push(NewFile { path, text, readers: Readers::Everybody });
    }
    if args.jwk {
        let path = beside(&path, ending, ".jwk.json");
        let readers = if is_secret { Readers::Owner } else { Readers::Everybody };
        let text = format!("{}\n", serde_json::to_string_pretty(&jwk)?);
        new.push(NewFile { path, text, readers });
    }
    files::write(&new)?;
    output::write(&advice(&new, is_secret, args))
}

/// A secret is text, and counts as it stands: with base64url, all that is random is in characters
/// that survive variables, files and copying.
fn secret(algorithm: Algorithm) -> anyhow::Result<Pair> {
    let mut bytes = vec![0; secret_bytes(algorithm)];
    getrandom::fill(&mut bytes).map_err(|error| anyhow!("no random numbers: {error}"))?;
    let text = URL_SAFE_NO_PAD.encode(bytes);
    let check = DecodingKey::from_secret(text.as_bytes());
    let jwk = Jwk::from_decoding_key(&check, Some(algorithm))?;
    Ok(Pair { signs: format!("{text}\n"), checks: None, jwk })
}

/// As long as the hash at least (RFC 7518, section 3.2), before it becomes text and so a third
/// longer. Not a multiple of three: whole Base64 could be taken for a public key.
fn secret_bytes(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::HS512 => 64,
        Algorithm::HS384 => 49,
        _ => 32,
    }
}

fn key_pair(algorithm: Algorithm) -> anyhow::Result<Pair> {
    let pair = generate(algorithm).context("can't make a key")?;
    let raw = pair.public_key_raw();
    let check = match algorithm.family() {
        AlgorithmFamily::Ec => DecodingKey::from_ec_der(raw),
        AlgorithmFamily::Ed => DecodingKey::from_ed_der(raw),
        AlgorithmFamily::Rsa | AlgorithmFamily::Hmac => DecodingKey::from_rsa_der(raw),
    };
    let jwk = Jwk::from_decoding_key(&check, Some(algorithm))?;
    Ok(Pair { signs: pair.serialize_pem(), checks: Some(pair.public_key_pem()), jwk })
}

fn generate(algorithm: Algorithm) -> anyhow::Result<KeyPair> {
    let pair = match algorithm {
        Algorithm::ES256 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
        Algorithm::ES384 => KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384),
        Algorithm::EdDSA => {
            // The newer form, with the public key in it, is one that OpenSSL and most of what
            // makes tokens can't read.
            let der = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new())
                .map_err(|_| anyhow!("the cryptography library refuses"))?;
            KeyPair::try_from(der.as_ref())
        }
        // 3072 bits are what is recommended beyond 2030 (NIST SP 800-57, part 1).
        _ => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_3072),
    };
    Ok(pair?)
}

/// The JWK with what others want to know: what it is for, and what it is called.
fn described(mut jwk: Jwk, args: &KeygenArgs) -> anyhow::Result<Jwk> {
    let thumbprint = || jwk.thumbprint(ThumbprintHash::SHA256);
    let kid = match &args.kid {
        Some(kid) => kid.clone(),
        None => thumbprint()?,
    };
    jwk.common.key_id = Some(kid);
    jwk.common.public_key_use = Some(PublicKeyUse::Signature);
    Ok(jwk)
}

/// What to do with each file, a line each.
fn advice(new: &[NewFile], is_secret: bool, args: &KeygenArgs) -> String {
    let paths: Vec<String> =
        new.iter().map(|file| quoted(&file.path.display().to_string())).collect();
    let algorithm = keys::name(args.alg);
    let key = &paths[0];
    let hub = if is_secret { key } else { &paths[1] };
    let mut advice = if is_secret {
        format!(
            "{key} is the secret, for {algorithm}: whoever has it can check tokens, and make \
             them.\n"
        )
    } else {
        format!(
            "{key} is the private key, for {algorithm}: it makes tokens, so keep it where they \
             are made.\n{hub} is the public key, for the hub: it can only check them.\n"
        )
    };
    if let (true, Some(jwk)) = (args.jwk, paths.last()) {
        advice.push_str(&format!("{jwk} is the same for the hub, as a JWK.\n"));
    }
    // What `tidings token` takes by itself need not be said.
    let mut flags = match args.alg.family() {
        AlgorithmFamily::Hmac | AlgorithmFamily::Rsa
            if !matches!(args.alg, Algorithm::HS256 | Algorithm::RS256) =>
        {
            format!(" --alg {}", algorithm.to_ascii_lowercase())
        }
        _ => String::new(),
    };
    if let Some(kid) = &args.kid {
        flags.push_str(&format!(" --kid {}", quoted(kid)));
    }
    advice.push_str(&format!(
        "\n  tidings token --key {key}{flags} --subscribe 'news/*'\n  tidings serve --jwt-key \
         {hub}\n"
    ));
    advice
}

/// As a shell takes it for one word.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:@%+=,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.into();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}
