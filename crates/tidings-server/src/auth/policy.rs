//! What an operator can set about who may what, with its defaults.
//! Knows nothing of requests.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use tidings_core::limits::{JWT_SKEW, TICKET_TIME};

use super::files::FileError;
use super::jwks::JwksUrl;
use super::keys::KeysError;
use super::origins::Origins;

/// Who may what. `Policy::default()` has no keys: whoever reaches the hub may publish and listen.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Files with the keys of tokens: PEM, JWK, JWKS, or a secret.
    pub jwt_keys: Vec<PathBuf>,
    /// A secret that tokens are signed with.
    pub jwt_secret: Option<Secret>,
    /// Addresses of keys.
    pub jwks_urls: Vec<JwksUrl>,
    /// The audiences that we are.
    pub jwt_audiences: Vec<String>,
    /// The issuers whose tokens count; with none, anybody's who has the key.
    pub jwt_issuers: Vec<String>,
    /// How far clocks may be off.
    pub jwt_skew: Duration,
    /// Whether tokens may never end.
    pub jwt_allow_no_expiry: bool,
    /// The file with API keys.
    pub api_keys: Option<PathBuf>,
    /// Whether public topics may be read without a token.
    pub anonymous_subscribe: bool,
    /// Whether anybody may publish although there are keys.
    pub anonymous_publish: bool,
    /// The cookie that a token may be in.
    pub cookie_name: String,
    /// Whose pages may do what.
    pub cors_origins: Origins,
    /// How long a ticket is valid.
    pub ticket_time: Duration,
    /// The file with the secret of tickets; without it, one of the process's own.
    pub ticket_key: Option<PathBuf>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            jwt_keys: Vec::new(),
            jwt_secret: None,
            jwks_urls: Vec::new(),
            jwt_audiences: Vec::new(),
            jwt_issuers: Vec::new(),
            jwt_skew: JWT_SKEW,
            jwt_allow_no_expiry: false,
            api_keys: None,
            anonymous_subscribe: true,
            anonymous_publish: false,
            cookie_name: "tidings_token".to_owned(),
            cors_origins: Origins::Any,
            ticket_time: TICKET_TIME,
            ticket_key: None,
        }
    }
}

impl Policy {
    /// Whether there is anything that a token or an API key could be checked with.
    #[must_use]
    pub fn has_keys(&self) -> bool {
        !self.jwt_keys.is_empty()
            || self.jwt_secret.is_some()
            || !self.jwks_urls.is_empty()
            || self.api_keys.is_some()
    }
}

/// A text that no log and no error shows.
#[derive(Clone, Eq, PartialEq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text to itself.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Why a policy can't be put into force.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// A name that no cookie can have.
    #[error("\"{name}\" is no name of a cookie: letters, digits, _ and - will do")]
    CookieName {
        /// What it is.
        name: String,
    },
    /// A file with keys.
    #[error(transparent)]
    File(#[from] FileError),
    /// Reading needs a token, and no token counts.
    #[error(
        "without anonymous-subscribe nobody could read, as there are no keys to check tokens with: \
         set jwt-key, jwks-url or api-keys too"
    )]
    NobodyCanRead,
    /// The system has no random numbers.
    #[error("there are no random numbers for a key of tickets: {0}")]
    Random(getrandom::Error),
    /// The secret of the settings.
    #[error("TIDINGS_JWT_SECRET {0}")]
    Secret(KeysError),
    /// No client for addresses of keys.
    #[error("jwks-url needs TLS, which can't be set up: {0}")]
    Tls(reqwest::Error),
}
