//! How values are read from text, and written as it.
//! Knows nothing of which setting they belong to.

use std::fmt;
use std::num::NonZero;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;
#[cfg(feature = "nats")]
use tidings_log::{NatsAddress, NatsAddressError};
#[cfg(feature = "redis")]
use tidings_log::{RedisAddress, RedisAddressError};
use tidings_server::config::Rate;
use tracing_subscriber::EnvFilter;

/// A day in milliseconds: longer heartbeats and waits are mistakes of units.
pub(super) const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// The longest time for which an age can be kept apart from "for ever".
pub(super) const CENTURY_MS: u64 = 100 * 365 * DAY_MS;

/// More threads than that only cost: no machine has the processors.
pub(super) const THREADS_MAX: usize = 1024;

/// More a second than any hub can do.
const RATE_MAX: u32 = 100_000_000;

/// More replicas than that nobody waits for.
#[cfg(feature = "redis")]
pub(super) const REPLICAS_MAX: u32 = 100;

/// Where events are kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Keep {
    /// In this directory.
    Disk(PathBuf),
    /// In memory.
    Memory,
    /// In NATS JetStream.
    #[cfg(feature = "nats")]
    Nats(NatsAddress),
    /// In a Redis server.
    #[cfg(feature = "redis")]
    Redis(RedisAddress),
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(path) => write!(f, "disk:{}", path.display()),
            Self::Memory => f.write_str("memory"),
            #[cfg(feature = "nats")]
            Self::Nats(address) => address.fmt(f),
            #[cfg(feature = "redis")]
            Self::Redis(address) => address.fmt(f),
        }
    }
}

impl Keep {
    /// Whether other nodes may use the same log.
    pub(crate) fn is_shared(&self) -> bool {
        match self {
            Self::Disk(_) | Self::Memory => false,
            #[cfg(feature = "nats")]
            Self::Nats(_) => true,
            #[cfg(feature = "redis")]
            Self::Redis(_) => true,
        }
    }
}

/// How the program writes its log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum LogFormat {
    Human,
    Json,
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Human => "human",
            Self::Json => "json",
        })
    }
}

/// Reads the one value of a setting that has one.
pub(super) fn read_one<T>(
    slot: &mut T,
    values: &[String],
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<(), String> {
    match values {
        [value] => *slot = read(value)?,
        _ => return Err(format!("takes one value, not {}", values.len())),
    }
    Ok(())
}

/// A duration with its unit, between two bounds in milliseconds.
pub(super) fn duration(text: &str, ms_min: u64, ms_max: u64) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|_| {
        format!("\"{text}\" is no duration: write it with its unit, such as 15s, 500ms or 7days")
    })?;
    let (min, max) = (Duration::from_millis(ms_min), Duration::from_millis(ms_max));
    if duration < min || duration > max {
        let (min, max) = (duration_text(min), duration_text(max));
        return Err(format!("\"{text}\" is out of bounds: {min} to {max}"));
    }
    Ok(duration)
}

pub(crate) fn duration_text(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

/// A number of bytes, with or without a unit.
pub(super) fn bytes(text: &str, min: u64) -> Result<u64, String> {
    let bytes = ByteSize::from_str(text).map(|size| size.as_u64()).map_err(|_| {
        format!("\"{text}\" is no number of bytes: write it such as 64MiB, 1GB or 65536")
    })?;
    if bytes < min {
        return Err(format!("\"{text}\" is too little: at least {}", bytes_text(min)));
    }
    Ok(bytes)
}

/// The largest unit that keeps the number exact.
pub(crate) fn bytes_text(bytes: u64) -> String {
    let mut value = bytes;
    let mut unit = "B";
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if value == 0 || !value.is_multiple_of(1024) {
            break;
        }
        value /= 1024;
        unit = larger;
    }
    format!("{value}{unit}")
}

/// A number, one at least.
pub(super) fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if count > 0 => Ok(count),
        _ => Err(format!("\"{text}\" is no number from 1 on")),
    }
}

/// A number, where 0 means no limit.
pub(super) fn number(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| format!("\"{text}\" is no number from 0 on"))
}

/// So often a second, where 0 means no limit.
pub(super) fn rate(text: &str) -> Result<Rate, String> {
    let rate = text.parse().ok().filter(|rate| *rate <= RATE_MAX).map(Rate);
    rate.ok_or_else(|| format!("\"{text}\" is no number from 0 to {RATE_MAX}"))
}

/// A number of threads.
pub(super) fn threads(text: &str) -> Result<NonZero<usize>, String> {
    let threads: Option<NonZero<usize>> = text.parse().ok();
    let threads = threads.filter(|threads| threads.get() <= THREADS_MAX);
    threads.ok_or_else(|| format!("\"{text}\" is no number from 1 to {THREADS_MAX}"))
}

/// On or off.
pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(format!("\"{text}\" is neither true nor false")),
    }
}

pub(super) fn switch_text(on: bool) -> String {
    if on { "true" } else { "false" }.into()
}

/// A path; an empty text is none.
pub(super) fn path(text: &str) -> Result<Option<PathBuf>, String> {
    Ok((!text.is_empty()).then(|| text.into()))
}

pub(super) fn path_text(path: Option<&PathBuf>) -> String {
    path.map_or_else(String::new, |path| path.display().to_string())
}

/// The permissions of a file, as `chmod` takes them.
pub(super) fn mode(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o777 => Ok(mode),
        _ => Err(format!("\"{text}\" is no file mode: write it as chmod does, such as 660")),
    }
}

pub(super) fn keep(text: &str) -> Result<Keep, String> {
    match text.split_once(':') {
        Some(("disk", path)) if !path.is_empty() => Ok(Keep::Disk(path.into())),
        None if text == "memory" => Ok(Keep::Memory),
        // Not repeated in the error: there may be a password in it.
        #[cfg(feature = "redis")]
        Some((scheme, _)) if scheme.starts_with("redis") => {
            text.parse().map(Keep::Redis).map_err(|error: RedisAddressError| error.to_string())
        }
        #[cfg(not(feature = "redis"))]
        Some((scheme, _)) if scheme.starts_with("redis") => {
            Err("this build has no log in Redis: build it with the feature redis".into())
        }
        #[cfg(feature = "nats")]
        Some(("nats" | "nats+tls" | "tls", _)) => {
            text.parse().map(Keep::Nats).map_err(|error: NatsAddressError| error.to_string())
        }
        #[cfg(not(feature = "nats"))]
        Some(("nats" | "nats+tls" | "tls", _)) => {
            Err("this build has no log in NATS: build it with the feature nats".into())
        }
        _ => Err(format!(
            "\"{text}\" is no place for events: write disk:PATH, such as disk:./tidings-data, \
             memory, redis://HOST:PORT, or nats://HOST:PORT"
        )),
    }
}

pub(super) fn url(text: &str) -> Result<String, String> {
    let known = reqwest::Url::parse(text)
        .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let socket = text.strip_prefix("unix:").is_some_and(|path| !path.is_empty());
    if known || socket {
        Ok(text.into())
    } else {
        Err(format!(
            "\"{text}\" is no URL of a hub: write it such as http://127.0.0.1:3000 or unix:PATH"
        ))
    }
}

pub(super) fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "human" => Ok(LogFormat::Human),
        "json" => Ok(LogFormat::Json),
        _ => Err(format!("\"{text}\" is neither human nor json")),
    }
}

pub(super) fn log_level(text: &str) -> Result<String, String> {
    match EnvFilter::try_new(text) {
        Ok(_) => Ok(text.into()),
        Err(error) => Err(format!("\"{text}\" is no level and no filter: {error}")),
    }
}
