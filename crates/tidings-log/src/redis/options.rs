//! What a log in Redis is told when it is opened, and why it may refuse.
//! Knows nothing of how it keeps to it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use redis::{ConnectionInfo, IntoConnectionInfo};
use tidings_core::limits::{LOG_AGE_MAX, LOG_BYTES_MAX};

use super::meet::VERSION;

/// Where and how a log in Redis keeps events.
#[derive(Clone, Debug)]
pub struct RedisOptions {
    /// The server.
    pub address: RedisAddress,
    /// What the names of the log's keys begin with: two logs in one database need two of them.
    pub prefix: RedisPrefix,
    /// Bytes of events. The oldest go first, an entry of the stream at a time.
    pub bytes_max: u64,
    /// How long an event is kept.
    pub age_max: Duration,
    /// Replicas that must have an event before it is acknowledged.
    pub wait_replicas: u32,
    /// A certificate authority that counts instead of the system's own, as PEM.
    pub authority: Option<Vec<u8>>,
}

impl RedisOptions {
    /// The defaults: no replica is waited for, a week and a gibibyte are kept.
    #[must_use]
    pub fn new(address: RedisAddress) -> Self {
        Self {
            address,
            prefix: RedisPrefix::default(),
            bytes_max: LOG_BYTES_MAX,
            age_max: LOG_AGE_MAX,
            wait_replicas: 0,
            authority: None,
        }
    }
}

/// Where a Redis server is: `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`; the Sentinels that
/// know: `redis+sentinel://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]…]/NAME[/DATABASE]`; or servers
/// of a cluster that know: `redis+cluster://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]…]`. With
/// `rediss` by TLS. On this machine also `redis+unix:///PATH`. Prints itself without the password.
#[derive(Clone)]
pub struct RedisAddress {
    /// The server; where others are asked for it, all but its place, which is the first one's.
    pub(super) info: Arc<ConnectionInfo>,
    pub(super) way: Way,
    shown: String,
}

/// How the server is found.
#[derive(Clone, Debug)]
pub(super) enum Way {
    /// It is the one of the address.
    Straight,
    /// Its Sentinels know where the primary of this name is.
    Sentinels {
        /// Where they are.
        hosts: Arc<[ConnectionInfo]>,
        /// The primary's.
        name: Arc<str>,
    },
    /// Each of these servers knows who in their cluster has a key.
    Cluster(Arc<[ConnectionInfo]>),
}

/// The text is no address of a Redis server.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "it is no address of a Redis server ({reason}): write redis://HOST:PORT, \
     rediss://USER:PASSWORD@HOST:PORT/DATABASE, redis+sentinel://HOST:PORT,HOST:PORT/NAME, or \
     redis+cluster://HOST:PORT,HOST:PORT"
)]
pub struct RedisAddressError {
    /// What is wrong. Nothing of the text, which may hold a password.
    reason: &'static str,
}

impl FromStr for RedisAddress {
    type Err = RedisAddressError;

    fn from_str(text: &str) -> Result<Self, RedisAddressError> {
        let (scheme, rest) = text.split_once("://").ok_or(wrong("it has no scheme"))?;
        if rest.contains(['?', '#']) {
            return Err(wrong("it takes nothing after a ? or #"));
        }
        let (info, way) = match scheme.split_once('+') {
            None if is_plain(scheme) => (read(text)?, Way::Straight),
            Some(("redis", "unix")) if rest.starts_with('/') => (read(text)?, Way::Straight),
            Some((plain, "sentinel")) if is_plain(plain) => sentinels(plain, rest)?,
            Some((plain, "cluster")) if is_plain(plain) => cluster(plain, rest)?,
            _ => return Err(wrong("the scheme is neither redis nor rediss")),
        };
        Ok(Self { info: Arc::new(info), way, shown: without_password(text) })
    }
}

fn wrong(reason: &'static str) -> RedisAddressError {
    RedisAddressError { reason }
}

fn is_plain(scheme: &str) -> bool {
    matches!(scheme, "redis" | "rediss")
}

fn read(text: &str) -> Result<ConnectionInfo, RedisAddressError> {
    text.into_connection_info().map_err(|_| wrong("host, port or database"))
}

/// User and password with their at sign, and what comes after it.
fn split_user(rest: &str) -> (&str, &str) {
    // The last one: a password may have one itself.
    rest.split_at(rest.rfind('@').map_or(0, |at| at + 1))
}

fn sentinels(plain: &str, rest: &str) -> Result<(ConnectionInfo, Way), RedisAddressError> {
    let (user, hosts) = split_user(rest);
    let (hosts, name) = hosts.split_once('/').ok_or(wrong("the primary's name is missing"))?;
    let (name, database) = name.split_once('/').unwrap_or((name, "0"));
    if name.is_empty() || database.contains('/') {
        return Err(wrong("the primary's name is missing"));
    }
    let port = |host: &str| if has_port(host) { "" } else { SENTINEL_PORT };
    let hosts: Arc<[_]> = hosts
        .split(',')
        .map(|host| read(&format!("{plain}://{host}{}", port(host))))
        .collect::<Result<_, _>>()?;
    let server = read(&format!("{plain}://{user}localhost/{database}"))?;
    let first = hosts.first().ok_or(wrong("it names no Sentinel"))?;
    Ok((server.set_addr(first.addr().clone()), Way::Sentinels { hosts, name: name.into() }))
}

fn cluster(plain: &str, rest: &str) -> Result<(ConnectionInfo, Way), RedisAddressError> {
    let (user, hosts) = split_user(rest);
    let (hosts, database) = hosts.split_once('/').unwrap_or((hosts, ""));
    if !matches!(database, "" | "0") {
        return Err(wrong("a cluster has only database 0"));
    }
    let seeds: Arc<[_]> = hosts
        .split(',')
        .map(|host| read(&format!("{plain}://{user}{host}")))
        .collect::<Result<_, _>>()?;
    let first = seeds.first().ok_or(wrong("it names no server"))?;
    Ok((first.clone(), Way::Cluster(seeds)))
}

const SENTINEL_PORT: &str = ":26379";

/// Whether a host is followed by a port; an IPv6 address stands in brackets.
fn has_port(host: &str) -> bool {
    let name_ends = host.rfind(']').map_or(0, |at| at + 1);
    host[name_ends..].contains(':')
}

impl fmt::Display for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl PartialEq for RedisAddress {
    fn eq(&self, other: &Self) -> bool {
        self.shown == other.shown
    }
}

impl Eq for RedisAddress {}

/// The address with stars where the password stands.
fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return String::new() };
    let Some((user, host)) = rest.rsplit_once('@') else { return text.to_owned() };
    match user.split_once(':') {
        Some((name, _)) => format!("{scheme}://{name}:***@{host}"),
        None => format!("{scheme}://{user}@{host}"),
    }
}

/// What the names of a log's keys begin with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RedisPrefix(String);

/// The text is no prefix.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "a prefix is made of 1 to {PREFIX_BYTES_MAX} letters, digits and the signs - _ . : such as \
     tidings or shop:tidings"
)]
pub struct RedisPrefixError;

const PREFIX_BYTES_MAX: usize = 64;

impl FromStr for RedisPrefix {
    type Err = RedisPrefixError;

    fn from_str(text: &str) -> Result<Self, RedisPrefixError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        let fits = (1..=PREFIX_BYTES_MAX).contains(&text.len());
        if fits && text.bytes().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(RedisPrefixError)
        }
    }
}

impl fmt::Display for RedisPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Default for RedisPrefix {
    fn default() -> Self {
        Self("tidings".to_owned())
    }
}

/// Why a log in Redis was not opened.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RedisError {
    /// The certificate authority is none.
    #[error("the certificate authority for Redis can't be used ({reason}): it has to be PEM")]
    Authority {
        /// What is wrong.
        reason: String,
    },
    /// It can't be reached, or refuses.
    #[error("can't open the log in Redis at {address}: {reason}")]
    Unreachable {
        /// Where, without the password.
        address: String,
        /// What is the matter.
        reason: String,
    },
    /// A format that this program does not know.
    #[error(
        "the log in Redis has format {found}, and this program knows only format {VERSION}: use \
         the version of Tidings that wrote it, or another redis-prefix"
    )]
    Version {
        /// What it says.
        found: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_without_their_passwords() {
        for (text, shown) in [
            ("redis://127.0.0.1", "redis://127.0.0.1"),
            ("redis://localhost:6380/3", "redis://localhost:6380/3"),
            ("rediss://hub:secret@redis.example/0", "rediss://hub:***@redis.example/0"),
            ("redis://:p%40ss@[::1]:1", "redis://:***@[::1]:1"),
            ("redis+unix:///run/redis.sock", "redis+unix:///run/redis.sock"),
            ("redis+sentinel://a,b:1,[::1]/main", "redis+sentinel://a,b:1,[::1]/main"),
            ("rediss+sentinel://u:s@a,b/main/2", "rediss+sentinel://u:***@a,b/main/2"),
            ("redis+cluster://a,b:1,[::1]", "redis+cluster://a,b:1,[::1]"),
            ("rediss+cluster://u:s@a,b/", "rediss+cluster://u:***@a,b/"),
        ] {
            let address: RedisAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), shown);
            assert_eq!(format!("{address:?}"), shown);
            assert_eq!(shown.parse::<RedisAddress>().unwrap(), address, "it can be read back");
        }
    }

    #[test]
    fn sentinels_have_places_of_their_own() {
        let text = "redis+sentinel://u:s@a,b:1,[::1],[::1]:2/main/2";
        let address: RedisAddress = text.parse().unwrap();
        let Way::Sentinels { hosts, name } = &address.way else { panic!("{:?}", address.way) };
        let places: Vec<_> = hosts.iter().map(|host| host.addr().to_string()).collect();
        assert_eq!(places, ["a:26379", "b:1", "::1:26379", "::1:2"]);
        assert_eq!(&**name, "main");
        assert_eq!(address.info.redis_settings().db(), 2);
        assert_eq!(address.info.redis_settings().password(), Some("s"));
        assert_eq!(hosts[0].redis_settings().password(), None);
    }

    #[test]
    fn servers_of_a_cluster_share_a_user() {
        let address: RedisAddress = "redis+cluster://u:s@a,b:1,[::1]:2/0".parse().unwrap();
        let Way::Cluster(seeds) = &address.way else { panic!("{:?}", address.way) };
        let places: Vec<_> = seeds.iter().map(|seed| seed.addr().to_string()).collect();
        assert_eq!(places, ["a:6379", "b:1", "::1:2"]);
        assert!(seeds.iter().all(|seed| seed.redis_settings().password() == Some("s")));
    }

    #[test]
    fn what_is_no_address_is_told_without_repeating_it() {
        for text in [
            "127.0.0.1:6379",
            "http://:secret@127.0.0.1",
            "redis://:secret@127.0.0.1/many",
            "redis://:secret@127.0.0.1:port",
            "redis://:secret@127.0.0.1?protocol=resp3",
            "redis://",
            "redis+unix://run/redis.sock",
            "redis+unix:///run/redis.sock?pass=secret",
            "redis+sentinel://:secret@a,b",
            "redis+sentinel://:secret@a,b/",
            "redis+sentinel://:secret@a,b/main/x",
            "redis+sentinel://:secret@a,:x/main",
            "nats+sentinel://:secret@a/main",
            "redis+cluster://:secret@",
            "redis+cluster://:secret@a,",
            "redis+cluster://:secret@a/3",
            "redis+cluster+tls://:secret@a",
        ] {
            let error = text.parse::<RedisAddress>().unwrap_err().to_string();
            assert!(error.contains("redis://HOST:PORT") && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_prefix_can_t_break_out_of_its_place() {
        assert!("shop:tidings".parse::<RedisPrefix>().is_ok());
        for text in ["", "a}b", "{a", "a b", "a\nb", &"x".repeat(65)] {
            assert!(text.parse::<RedisPrefix>().is_err(), "{text:?}");
        }
    }
}
