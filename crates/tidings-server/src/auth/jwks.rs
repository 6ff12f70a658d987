//! Keys behind an address (JWKS): fetched, kept, and fetched again when a token names one that is
//! not there. Knows nothing of tokens but that.
//!
//! Only addresses that the operator has named are asked, without following redirects. However many
//! tokens with made-up keys strangers send, an address is asked [`BURST`] times at once and then
//! once in [`JWKS_PAUSE`](tidings_core::limits::JWKS_PAUSE), by one task at a time.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::RwLock;
use reqwest::header::{ACCEPT, HeaderValue};
use reqwest::{Client, Url, redirect};
use tidings_core::limits::{JWKS_AGE_MAX, JWKS_PAUSE, JWKS_TIME_MAX, KEY_FILE_BYTES_MAX};

use super::keys::Keys;

/// Requests to an address that may follow each other at once: keys are changed rarely, but when
/// they are, the first token with the new one should not have to wait.
const BURST: u32 = 3;

/// An address of a JWKS document.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct JwksUrl(Url);

/// A text is no address that keys are fetched from.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "\"{text}\" is no address of keys: write it such as https://id.example/.well-known/jwks.json \
     (http only for this machine: 127.0.0.1, [::1] or localhost), without a user or a password"
)]
pub struct JwksUrlError {
    text: String,
}

impl JwksUrl {
    /// Takes an address whose answers nobody on the way can change.
    ///
    /// # Errors
    /// Where it is none.
    pub fn parse(text: &str) -> Result<Self, JwksUrlError> {
        let url = Url::parse(text).ok().filter(|url| {
            let secure = url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url));
            secure && url.has_host() && url.username().is_empty() && url.password().is_none()
        });
        url.map(Self).ok_or_else(|| JwksUrlError { text: shown(text) })
    }
}

impl fmt::Display for JwksUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text of an operator's that may have a password in it.
fn shown(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((_, host)) => format!("…@{host}"),
        None => text.to_owned(),
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// The keys behind one address.
#[derive(Debug)]
pub(super) struct Remote {
    url: JwksUrl,
    client: Client,
    state: RwLock<State>,
    /// Whoever asks has it.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct State {
    keys: Arc<Keys>,
    /// When they came.
    came: Option<Instant>,
    pace: Pace,
}

/// Why there are no new keys.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("{0}")]
    Keys(#[from] super::keys::KeysError),
    #[error("can't be asked: {}", causes(.0))]
    Request(#[from] reqwest::Error),
    #[error("answers {0}, not 200")]
    Status(u16),
    #[error("answers with more than {KEY_FILE_BYTES_MAX} bytes (key_file_bytes_max)")]
    TooLarge,
}

/// An error with what is behind it, as reqwest says only that something went wrong.
fn causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

impl Remote {
    /// Asks nobody yet.
    ///
    /// # Errors
    /// Where TLS can't be set up.
    pub(super) fn new(url: JwksUrl) -> Result<Arc<Self>, reqwest::Error> {
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .timeout(JWKS_TIME_MAX)
            .pool_max_idle_per_host(0);
        // A proxy of the environment's is for what is beyond this machine.
        let client = if is_loopback(&url.0) { client.no_proxy() } else { client };
        let state = State { keys: Arc::default(), came: None, pace: Pace::default() };
        Ok(Arc::new(Self {
            url,
            client: client.build()?,
            state: RwLock::new(state),
            asking: tokio::sync::Mutex::default(),
        }))
    }

    /// The keys that are known now. Old ones are asked for again, behind the caller's back.
    pub(super) fn keys(self: &Arc<Self>) -> Arc<Keys> {
        let now = Instant::now();
        let (keys, old) = {
            let state = self.state.read();
            let old = state.came.is_some_and(|came| now - came >= JWKS_AGE_MAX);
            (Arc::clone(&state.keys), old && state.pace.allows(now))
        };
        if old && self.asking.try_lock().is_ok() {
            tokio::spawn(Arc::clone(self).ask());
        }
        keys
    }

    /// Whether keys have ever come.
    pub(super) fn has_keys(&self) -> bool {
        self.state.read().came.is_some()
    }

    /// Asks for new keys, unless that was done too often of late, and waits for the answer: that
    /// of another's question, if one is under way. Cancel safe; the question goes on.
    pub(super) async fn refresh(self: &Arc<Self>) {
        let asked = Instant::now();
        let is_asking = self.asking.try_lock().is_err();
        if is_asking || self.state.read().pace.allows(asked) {
            let remote = Arc::clone(self);
            let question = tokio::spawn(async move {
                let _asking = remote.asking.lock().await;
                // Somebody else's answer came meanwhile.
                let came = remote.state.read().came;
                if came.is_none_or(|came| came < asked) {
                    remote.ask_now().await;
                }
            });
            let _ = question.await;
        }
    }

    async fn ask(self: Arc<Self>) {
        let _asking = self.asking.lock().await;
        self.ask_now().await;
    }

    async fn ask_now(&self) {
        if !self.state.write().pace.take(Instant::now()) {
            return;
        }
        match self.fetch().await {
            Ok(keys) => {
                tracing::debug!(url = %self.url, keys = keys.iter().count(), "keys fetched");
                let mut state = self.state.write();
                state.keys = Arc::new(keys);
                state.came = Some(Instant::now());
            }
            Err(error) => {
                tracing::error!(url = %self.url, "{error}; the keys known before still count");
            }
        }
    }

    async fn fetch(&self) -> Result<Keys, FetchError> {
        let accept = HeaderValue::from_static("application/jwk-set+json, application/json");
        let mut response =
            self.client.get(self.url.0.clone()).header(ACCEPT, accept).send().await?;
        if response.status() != 200 {
            return Err(FetchError::Status(response.status().as_u16()));
        }
        let mut bytes = Vec::new();
        while let Some(piece) = response.chunk().await? {
            if bytes.len() + piece.len() > KEY_FILE_BYTES_MAX {
                return Err(FetchError::TooLarge);
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(Keys::parse_jwks(&bytes)?)
    }
}

/// [`BURST`] at once, then one in each pause (a token bucket, told by the time at which it would
/// be full again).
#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    full: Option<Instant>,
}

impl Pace {
    fn allows(&self, now: Instant) -> bool {
        let missing = self.full.map_or(Duration::ZERO, |full| full.saturating_duration_since(now));
        missing <= JWKS_PAUSE * (BURST - 1)
    }

    fn take(&mut self, now: Instant) -> bool {
        let allowed = self.allows(now);
        if allowed {
            self.full = Some(self.full.map_or(now, |full| full.max(now)) + JWKS_PAUSE);
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_that_nobody_on_the_way_can_change() {
        for text in [
            "https://id.example/jwks",
            "https://id.example:8443/a?b=c",
            "http://127.0.0.1:9/jwks",
            "http://127.1.2.3/",
            "http://localhost:8080/jwks",
            "http://[::1]:1/",
        ] {
            assert_eq!(JwksUrl::parse(text).unwrap().to_string(), text);
        }
        for text in [
            "",
            "/jwks",
            "id.example/jwks",
            "http://id.example/jwks",
            "http://localhost.evil.example/",
            "http://10.0.0.1/",
            "ftp://id.example/",
            "file:///etc/passwd",
            "https://user:secret@id.example/",
            "https://user@id.example/",
        ] {
            let error = JwksUrl::parse(text).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn an_address_is_asked_at_a_pace() {
        let start = Instant::now();
        let mut pace = Pace::default();
        let mut take = |after: Duration| pace.take(start + after);
        let pause = JWKS_PAUSE;
        for _ in 0..BURST {
            assert!(take(Duration::ZERO));
        }
        assert!(!take(Duration::ZERO));
        assert!(!take(pause / 2));
        assert!(take(pause));
        assert!(!take(pause));
        assert!(take(pause * 2));
        assert!(!take(pause * 2));
        for _ in 0..BURST {
            assert!(take(pause * 100));
        }
        assert!(!take(pause * 100));
    }
}
