//! What a log in NATS is told when it is opened, and why it may refuse.
//! Knows nothing of how it keeps to it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use async_nats::ServerAddr;
use percent_encoding::percent_decode_str;
use tidings_core::limits::{LOG_AGE_MAX, LOG_BYTES_MAX};

/// Where and how a log in NATS keeps events.
#[derive(Clone, Debug)]
pub struct NatsOptions {
    /// The servers.
    pub address: NatsAddress,
    /// The stream's name: two logs in one account need two of them.
    pub stream: NatsStream,
    /// The JetStream domain, if not the account's own.
    pub domain: Option<NatsDomain>,
    /// Bytes of events. The oldest go first, a run at a time.
    pub bytes_max: u64,
    /// How long an event is kept.
    pub age_max: Duration,
    /// Servers that keep the stream; counts when it is made.
    pub replicas: usize,
    /// The user's credentials, as in a `.creds` file.
    pub credentials: Option<NatsCredentials>,
    /// A file with a certificate authority that counts instead of the system's own, as PEM.
    pub authority: Option<PathBuf>,
}

impl NatsOptions {
    /// The defaults: one server keeps it, a week and a gibibyte.
    #[must_use]
    pub fn new(address: NatsAddress) -> Self {
        Self {
            address,
            stream: NatsStream::default(),
            domain: None,
            bytes_max: LOG_BYTES_MAX,
            age_max: LOG_AGE_MAX,
            replicas: 1,
            credentials: None,
            authority: None,
        }
    }
}

/// Where NATS servers are: `nats://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]…]`, with a token in
/// place of user and password where there is one; with `tls` or `nats+tls` by TLS. Prints itself
/// without password and token.
#[derive(Clone)]
pub struct NatsAddress {
    pub(super) servers: Arc<[ServerAddr]>,
    pub(super) login: Login,
    pub(super) tls: bool,
    shown: String,
}

#[derive(Clone)]
pub(super) enum Login {
    None,
    User { name: String, password: String },
    Token(String),
}

/// The text is no address of NATS servers.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "it is no address of a NATS server ({reason}): write nats://HOST:PORT, \
     nats://USER:PASSWORD@HOST:PORT,HOST:PORT, nats://TOKEN@HOST:PORT, or tls:// with any of them"
)]
pub struct NatsAddressError {
    /// What is wrong. Nothing of the text, which may hold a password.
    reason: &'static str,
}

impl FromStr for NatsAddress {
    type Err = NatsAddressError;

    fn from_str(text: &str) -> Result<Self, NatsAddressError> {
        let wrong = |reason| NatsAddressError { reason };
        let (scheme, rest) = text.split_once("://").ok_or(wrong("it has no scheme"))?;
        let tls = match scheme {
            "nats" => false,
            "tls" | "nats+tls" => true,
            _ => return Err(wrong("the scheme is neither nats nor tls")),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        // The last one: a password may have one itself.
        let (login, hosts) = match rest.rsplit_once('@') {
            None => (Login::None, rest),
            Some((user, hosts)) => (Login::parse(user).ok_or(wrong("user or password"))?, hosts),
        };
        if hosts.contains(['/', '?', '#', '@']) {
            return Err(wrong("it takes nothing after the port"));
        }
        let server = |host: &str| {
            let server = format!("nats://{host}").parse::<ServerAddr>().ok()?;
            (!server.host().is_empty()).then_some(server)
        };
        let servers: Option<Vec<ServerAddr>> = hosts.split(',').map(server).collect();
        let servers = servers.ok_or(wrong("host or port"))?.into();
        let shown = match &login {
            Login::None => format!("{scheme}://{hosts}"),
            Login::User { name, .. } => format!("{scheme}://{name}:***@{hosts}"),
            Login::Token(_) => format!("{scheme}://***@{hosts}"),
        };
        Ok(Self { servers, login, tls, shown })
    }
}

impl Login {
    fn parse(user: &str) -> Option<Self> {
        let decoded = |text: &str| {
            let text = percent_decode_str(text).decode_utf8().ok()?;
            (!text.is_empty()).then(|| text.into_owned())
        };
        Some(match user.split_once(':') {
            Some((name, password)) => {
                Self::User { name: decoded(name)?, password: decoded(password)? }
            }
            None => Self::Token(decoded(user)?),
        })
    }
}

impl fmt::Display for NatsAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for NatsAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl PartialEq for NatsAddress {
    fn eq(&self, other: &Self) -> bool {
        self.shown == other.shown
    }
}

impl Eq for NatsAddress {}

/// What a `.creds` file holds. Never shown.
#[derive(Clone)]
pub struct NatsCredentials(pub(super) String);

impl NatsCredentials {
    /// Takes over what a `.creds` file holds.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for NatsCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A stream's name, which the subjects of its messages begin with too.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NatsStream(String);

/// A name of a JetStream domain.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NatsDomain(String);

/// The text is no name of a stream or domain.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "a name is made of 1 to {NAME_BYTES_MAX} letters, digits and the signs - _ such as tidings or \
     shop_events"
)]
pub struct NatsNameError;

const NAME_BYTES_MAX: usize = 64;

fn name(text: &str) -> Result<String, NatsNameError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let fits = (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(plain);
    if fits { Ok(text.to_owned()) } else { Err(NatsNameError) }
}

impl FromStr for NatsStream {
    type Err = NatsNameError;

    fn from_str(text: &str) -> Result<Self, NatsNameError> {
        name(text).map(Self)
    }
}

impl FromStr for NatsDomain {
    type Err = NatsNameError;

    fn from_str(text: &str) -> Result<Self, NatsNameError> {
        name(text).map(Self)
    }
}

impl fmt::Display for NatsStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for NatsDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for NatsDomain {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Default for NatsStream {
    fn default() -> Self {
        Self("tidings".to_owned())
    }
}

/// Why a log in NATS was not opened.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NatsError {
    /// It can't be reached, or refuses.
    #[error("can't open the log in NATS at {address}: {reason}")]
    Unreachable {
        /// Where, without the password.
        address: String,
        /// What is the matter.
        reason: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_without_their_secrets() {
        for (text, shown) in [
            ("nats://127.0.0.1", "nats://127.0.0.1"),
            ("nats://a:1,b,[::1]:2", "nats://a:1,b,[::1]:2"),
            ("tls://hub:secret@nats.example/", "tls://hub:***@nats.example"),
            ("nats+tls://hub:p%40s@a", "nats+tls://hub:***@a"),
            ("nats://secret@a", "nats://***@a"),
        ] {
            let address: NatsAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), shown);
            assert_eq!(format!("{address:?}"), shown);
            assert_eq!(shown.parse::<NatsAddress>().unwrap(), address, "it can be read back");
        }
        assert_eq!(format!("{:?}", NatsCredentials::new("secret".into())), "***");
    }

    #[test]
    fn servers_users_and_tokens_are_found() {
        let address: NatsAddress = "tls://hub:p%40s:s@a:1,[::1]".parse().unwrap();
        let places: Vec<_> = address.servers.iter().map(|s| (s.host(), s.port())).collect();
        assert_eq!(places, [("a", 1), ("::1", 4222)]);
        assert!(address.tls);
        let Login::User { name, password } = address.login else { panic!("a user") };
        assert_eq!((&*name, &*password), ("hub", "p@s:s"));
        let address: NatsAddress = "nats://t%2Fk@a".parse().unwrap();
        assert!(matches!(address.login, Login::Token(token) if token == "t/k"));
    }

    #[test]
    fn what_is_no_address_is_told_without_repeating_it() {
        for text in [
            "127.0.0.1:4222",
            "http://hub:secret@127.0.0.1",
            "nats://",
            "nats://hub:secret@",
            "nats://hub:secret@a,",
            "nats://hub:secret@a:port",
            "nats://hub:secret@a/stream",
            "nats://hub:secret@a?x=y",
            "nats://:secret@a",
            "nats://secret:@a",
        ] {
            let error = text.parse::<NatsAddress>().unwrap_err().to_string();
            assert!(error.contains("nats://HOST:PORT") && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_name_can_t_break_out_of_its_place() {
        assert!("shop_events-2".parse::<NatsStream>().is_ok());
        for text in ["", "a.b", "a b", "*", ">", "a/b", "a\nb", &"x".repeat(65)] {
            assert!(text.parse::<NatsStream>().is_err(), "{text:?}");
            assert!(text.parse::<NatsDomain>().is_err(), "{text:?}");
        }
    }
}
