//! What can be typed after `tidings keygen`.
//! Knows nothing of how keys are made.

use std::path::PathBuf;

use clap::Args;
use jsonwebtoken::Algorithm;
use tidings_core::topic::Selector;

use crate::keys;

/// Make a key that signs tokens, or an API key
#[derive(Args, Debug)]
#[command(after_help = KEYGEN_HELP)]
pub(crate) struct KeygenArgs {
    /// The algorithm of the tokens that the key will sign
    #[arg(long, value_name = "ALG", default_value = "es256", value_parser = keys::algorithms(),
        ignore_case = true)]
    pub(crate) alg: Algorithm,
    /// Where to write the key, or - for stdout; the public key goes beside it, as PATH.pub.pem
    /// (less an ending .pem of PATH). No file is ever overwritten [default: jwt.pem, or jwt.secret
    /// for HS256, HS384 and HS512]
    #[arg(long, value_name = "PATH")]
    pub(crate) out: Option<PathBuf>,
    /// Write what the hub needs as a JWK too, beside it as PATH.jwk.json
    #[arg(long)]
    pub(crate) jwk: bool,
    /// The key's id in the JWK [default: made from the key, as in RFC 7638]
    #[arg(long, value_name = "ID", requires = "jwk")]
    pub(crate) kid: Option<String>,
    /// Make an API key of this name instead
    #[arg(long, value_name = "NAME", conflicts_with_all = ["alg", "out", "jwk"])]
    pub(crate) api_key: Option<String>,
    /// A topic or pattern that the API key may publish to; can be given several times
    #[arg(long, value_name = "SELECTOR", value_parser = selector, requires = "api_key")]
    pub(crate) publish: Vec<Selector>,
    /// A topic or pattern whose events it may read, private ones too; can be given several times
    #[arg(long, value_name = "SELECTOR", value_parser = selector, requires = "api_key")]
    pub(crate) subscribe: Vec<Selector>,
    /// Append the API key's entry to this file of the hub [default: print it on stderr]
    #[arg(long, value_name = "FILE.toml", requires = "api_key")]
    pub(crate) file: Option<PathBuf>,
}

const KEYGEN_HELP: &str = "\
Examples:
  tidings keygen                                  jwt.pem signs, jwt.pub.pem is for the hub
  tidings keygen --alg eddsa --out news.pem --jwk
  tidings keygen --alg hs256                      jwt.secret, which both sides have to keep
  tidings keygen --api-key billing --publish 'orders/*' --file keys.toml

With a key of the kinds es, ed, rs and ps the hub can check tokens but not make them. An API key is
for a server of yours that publishes: it is shown once, the hub keeps its hash only.";

/// A topic or a pattern.
pub(super) fn selector(text: &str) -> Result<Selector, String> {
    Selector::parse(text).map_err(|error| error.to_string())
}
