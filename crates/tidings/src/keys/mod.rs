//! Keys that sign tokens and check them: what a file holds, and which algorithms it is good for.
//! Knows nothing of what stands in a token.

mod algorithms;
mod parse;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, anyhow, ensure};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, crypto};
use serde::Serialize;
use tidings_core::limits::KEY_FILE_BYTES_MAX;

pub(crate) use algorithms::{algorithms, in_header, name};

/// A key of a file.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    /// Those that it is good for, the usual one first; never none.
    algorithms: Vec<Algorithm>,
    /// Where it is one that can sign.
    sign: Option<EncodingKey>,
    check: DecodingKey,
    /// What a JWK says that it is called.
    pub(crate) kid: Option<String>,
}

impl Key {
    /// The algorithm that was asked for, or the usual one.
    ///
    /// # Errors
    /// Where the key is not good for it.
    pub(crate) fn algorithm(&self, wanted: Option<Algorithm>) -> anyhow::Result<Algorithm> {
        let Some(wanted) = wanted else { return Ok(self.algorithms[0]) };
        ensure!(
            self.algorithms.contains(&wanted),
            "the key is not good for {}, but for {}: name one of them, or make a key with \
             `tidings keygen --alg {}`",
            name(wanted),
            self.names(),
            name(wanted).to_ascii_lowercase()
        );
        Ok(wanted)
    }

    /// The names of the algorithms.
    pub(crate) fn names(&self) -> String {
        self.algorithms.iter().map(|algorithm| name(*algorithm)).collect::<Vec<_>>().join(", ")
    }

    /// A token.
    ///
    /// # Errors
    /// Where the key is there to check tokens only.
    pub(crate) fn sign(&self, header: &Header, claims: &impl Serialize) -> anyhow::Result<String> {
        let key = self.sign.as_ref().context("a public key can't sign")?;
        jsonwebtoken::encode(header, claims, key).map_err(|error| anyhow!("can't sign: {error}"))
    }

    /// Whether it has signed this: the first two parts of a token with the dot between them.
    ///
    /// # Errors
    /// Where it is no key for this algorithm, and never could have.
    pub(crate) fn has_signed(
        &self,
        algorithm: Algorithm,
        message: &str,
        signature: &str,
    ) -> anyhow::Result<bool> {
        ensure!(
            self.algorithms.contains(&algorithm),
            "the token says {}, the key is for {}",
            name(algorithm),
            self.names()
        );
        let right = crypto::verify(signature, message.as_bytes(), &self.check, algorithm);
        // What is no base64url is no signature.
        Ok(right.unwrap_or(false))
    }
}

/// The keys of a file; never none.
///
/// # Errors
/// Where it can't be read, or holds no key that is good for tokens, with what to do.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<Key>> {
    let shown = path.display();
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(KEY_FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes))
        .with_context(|| format!("can't read the key {shown}"))?;
    ensure!(
        bytes.len() <= KEY_FILE_BYTES_MAX,
        "{shown} is no key: it has more than {KEY_FILE_BYTES_MAX} bytes"
    );
    let text = String::from_utf8(bytes).map_err(|_| {
        anyhow!("{shown} is no text: give a key as PEM, a JWK, or a secret in letters and digits")
    })?;
    parse::keys(&text).map_err(|problem| anyhow!("{shown} {problem}"))
}

/// The one key of a file that signs; its public key may stand there too.
///
/// # Errors
/// As [`read`], and where none or several can sign.
pub(crate) fn read_one(path: &Path) -> anyhow::Result<Key> {
    let shown = path.display();
    let keys = read(path)?;
    let mut sign = keys.into_iter().filter(|key| key.sign.is_some());
    let key = sign.next().with_context(|| {
        format!(
            "{shown} holds a public key, which checks tokens but can't sign them: give the \
             private key that belongs to it, as PEM"
        )
    })?;
    ensure!(sign.next().is_none(), "{shown} holds several keys that sign: give one of them");
    Ok(key)
}
