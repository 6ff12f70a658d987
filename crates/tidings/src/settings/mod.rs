//! What the operator set: defaults, then `tidings.toml`, then the environment, then flags.
//! Knows nothing of what the settings do.
//!
//! Every setting stands once, in [`table`]; its flag, its variable and its key in the file all
//! come from there. Whatever is wrong is collected, so that one run names all of it.

mod access;
mod environment;
mod file;
mod flags;
mod listen;
mod table;
#[cfg(test)]
mod tests;
mod values;

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tidings_core::limits;
use tidings_log::SyncPolicy;
use tidings_server::config::Rate;

use crate::credential::Credential;

pub(crate) use flags::{Client, Demo, Everywhere, Flags, GLOBAL_HEADING, Group, Serve};
pub(crate) use listen::{Listen, Speaks};
pub(crate) use table::{Setting, TABLE};
pub(crate) use values::{Keep, LogFormat, bytes_text, duration_text};

/// The file that is read where none is named.
const FILE: &str = "tidings.toml";

/// The settings, each with one value.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Who may what.
    pub(crate) access: tidings_server::auth::Policy,
    pub(crate) allow_anonymous_publish: bool,
    pub(crate) batch_bytes_max: usize,
    pub(crate) coalesce: Duration,
    /// `None`: no limit.
    pub(crate) connection_life_max: Option<Duration>,
    pub(crate) connections_max: usize,
    pub(crate) connections_per_address_max: usize,
    pub(crate) connects_per_address: Rate,
    /// What client commands show to a hub.
    pub(crate) credential: Credential,
    pub(crate) data_bytes_max: usize,
    pub(crate) dev_tls: bool,
    pub(crate) drain: Duration,
    pub(crate) heartbeat: Duration,
    pub(crate) keep_age: Duration,
    /// `None`: what suits the log.
    pub(crate) keep_bytes: Option<u64>,
    pub(crate) listen: Vec<Listen>,
    pub(crate) log: Keep,
    pub(crate) log_format: LogFormat,
    pub(crate) log_level: String,
    #[cfg(feature = "nats")]
    pub(crate) nats_ca: Option<PathBuf>,
    #[cfg(feature = "nats")]
    pub(crate) nats_credentials: Option<PathBuf>,
    #[cfg(feature = "nats")]
    pub(crate) nats_domain: Option<tidings_log::NatsDomain>,
    #[cfg(feature = "nats")]
    pub(crate) nats_replicas: usize,
    #[cfg(feature = "nats")]
    pub(crate) nats_stream: tidings_log::NatsStream,
    pub(crate) proxy_protocol: bool,
    pub(crate) publish_bytes_in_flight_max: usize,
    pub(crate) publishes_per_address: Rate,
    pub(crate) publishes_per_key: Rate,
    pub(crate) renew_before: Duration,
    #[cfg(feature = "redis")]
    pub(crate) redis_ca: Option<PathBuf>,
    #[cfg(feature = "redis")]
    pub(crate) redis_partitions: usize,
    #[cfg(feature = "redis")]
    pub(crate) redis_prefix: tidings_log::RedisPrefix,
    #[cfg(feature = "redis")]
    pub(crate) redis_wait_replicas: u32,
    pub(crate) retry: Duration,
    pub(crate) selectors_max: usize,
    pub(crate) shards: NonZero<usize>,
    pub(crate) shutdown_time_max: Duration,
    pub(crate) socket_mode: u32,
    pub(crate) streams_per_token_max: usize,
    pub(crate) sync: SyncPolicy,
    pub(crate) tail_bytes_max: usize,
    pub(crate) tls_cert: Option<PathBuf>,
    pub(crate) tls_key: Option<PathBuf>,
    /// Each of them is one that [`tidings_server::peer::Proxies::parse`] takes.
    pub(crate) trusted_proxies: Vec<String>,
    pub(crate) url: String,
    pub(crate) workers: NonZero<usize>,
}

impl Default for Settings {
    fn default() -> Self {
        let hub = tidings_server::Config::default();
        Self {
            access: tidings_server::auth::Policy::default(),
            allow_anonymous_publish: false,
            batch_bytes_max: hub.batch_bytes_max,
            coalesce: hub.coalesce,
            connection_life_max: hub.connection_life_max,
            connections_max: hub.connections_max,
            connections_per_address_max: hub.connections_per_address_max,
            connects_per_address: hub.connects_per_address,
            credential: Credential::None,
            data_bytes_max: hub.data_bytes_max,
            dev_tls: false,
            drain: hub.drain,
            heartbeat: hub.heartbeat,
            keep_age: limits::LOG_AGE_MAX,
            keep_bytes: None,
            listen: vec![Listen::Tcp { address: "127.0.0.1:3000".into(), speaks: Speaks::Either }],
            log: Keep::Disk("./tidings-data".into()),
            log_format: LogFormat::Human,
            log_level: "info".into(),
            #[cfg(feature = "nats")]
            nats_ca: None,
            #[cfg(feature = "nats")]
            nats_credentials: None,
            #[cfg(feature = "nats")]
            nats_domain: None,
            #[cfg(feature = "nats")]
            nats_replicas: 1,
            #[cfg(feature = "nats")]
            nats_stream: tidings_log::NatsStream::default(),
            proxy_protocol: false,
            publish_bytes_in_flight_max: hub.publish_bytes_in_flight_max,
            publishes_per_address: hub.publishes_per_address,
            publishes_per_key: hub.publishes_per_key,
            renew_before: hub.renew_before,
            #[cfg(feature = "redis")]
            redis_ca: None,
            #[cfg(feature = "redis")]
            redis_partitions: 1,
            #[cfg(feature = "redis")]
            redis_prefix: tidings_log::RedisPrefix::default(),
            #[cfg(feature = "redis")]
            redis_wait_replicas: 0,
            retry: hub.retry,
            selectors_max: hub.selectors_max,
            shards: hub.shards,
            shutdown_time_max: hub.shutdown_time_max,
            socket_mode: 0o660,
            streams_per_token_max: hub.streams_per_token_max,
            sync: SyncPolicy::Always,
            tail_bytes_max: hub.tail_bytes_max,
            tls_cert: None,
            tls_key: None,
            trusted_proxies: Vec::new(),
            url: "http://127.0.0.1:3000".into(),
            workers: half_of_the_processors(),
        }
    }
}

/// The shards do most of what a hub does. One thread that answers requests does so at half the
/// price of two that hand them to each other, until it has all it can do.
fn half_of_the_processors() -> NonZero<usize> {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    NonZero::new(processors / 2).unwrap_or(NonZero::<usize>::MIN)
}

impl Settings {
    /// What the log keeps, in bytes.
    pub(crate) fn keep_bytes(&self) -> u64 {
        self.keep_bytes.unwrap_or(match self.log {
            Keep::Disk(_) => limits::LOG_BYTES_MAX,
            Keep::Memory => limits::MEMORY_LOG_BYTES_MAX,
            #[cfg(feature = "nats")]
            Keep::Nats(_) => limits::LOG_BYTES_MAX,
            #[cfg(feature = "redis")]
            Keep::Redis(_) => limits::LOG_BYTES_MAX,
        })
    }

    /// Who may what.
    pub(crate) fn access(&self) -> tidings_server::auth::Policy {
        tidings_server::auth::Policy {
            anonymous_publish: self.allow_anonymous_publish,
            ..self.access.clone()
        }
    }

    /// The part that the hub takes.
    pub(crate) fn hub(&self) -> tidings_server::Config {
        tidings_server::Config {
            batch_bytes_max: self.batch_bytes_max,
            coalesce: self.coalesce,
            connection_life_max: self.connection_life_max,
            connections_max: self.connections_max,
            connections_per_address_max: self.connections_per_address_max,
            connects_per_address: self.connects_per_address,
            data_bytes_max: self.data_bytes_max,
            drain: self.drain,
            heartbeat: self.heartbeat,
            publish_bytes_in_flight_max: self.publish_bytes_in_flight_max,
            publishes_per_address: self.publishes_per_address,
            publishes_per_key: self.publishes_per_key,
            renew_before: self.renew_before,
            retry: self.retry,
            selectors_max: self.selectors_max,
            shards: self.shards,
            shutdown_time_max: self.shutdown_time_max,
            streams_per_token_max: self.streams_per_token_max,
            tail_bytes_max: self.tail_bytes_max,
            ..tidings_server::Config::default()
        }
    }
}

/// Where a value came from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Origin {
    Default,
    Environment(String),
    File { name: String, line: usize },
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Environment(name) => f.write_str(name),
            Self::File { name, line } => write!(f, "{name}:{line}"),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

/// One setting as one source has it: texts, not yet read.
#[derive(Clone)]
pub(crate) struct Given {
    pub(crate) setting: &'static Setting,
    pub(crate) values: Vec<String>,
    pub(crate) origin: Origin,
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = matches!(self.setting.shape, table::Shape::Secret(_));
        let values: &dyn fmt::Debug = if secret { &"(hidden)" } else { &self.values };
        f.debug_struct("Given")
            .field("setting", &self.setting.key)
            .field("values", values)
            .field("origin", &self.origin)
            .finish()
    }
}

/// The settings, and where each came from.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    pub(crate) settings: Settings,
    /// The file that was read.
    pub(crate) file: Option<PathBuf>,
    origins: BTreeMap<&'static str, Origin>,
}

impl Loaded {
    /// Where the value of this setting came from.
    pub(crate) fn origin(&self, setting: &Setting) -> Origin {
        self.origins.get(setting.key).cloned().unwrap_or(Origin::Default)
    }
}

/// All that is wrong with the settings, a sentence each.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Problems(pub(crate) Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Problems {}

/// Reads the file and the environment, and puts the flags on top.
///
/// # Errors
/// Everything that is wrong, at once.
pub(crate) fn load(flags: &[Given], file: Option<&Path>) -> Result<Loaded, Problems> {
    let environment = variables();
    let path = file_path(file, &environment);
    let mut problems = Problems::default();
    let text = match &path {
        None => String::new(),
        Some(path) => std::fs::read_to_string(path).unwrap_or_else(|error| {
            problems.0.push(format!("can't read {}: {error}", path.display()));
            String::new()
        }),
    };
    let name = path.as_deref().unwrap_or(Path::new(FILE)).display().to_string();
    let mut given = Vec::new();
    for (read, wrong) in [file::read(&name, &text), environment::read(&environment)] {
        given.extend(read);
        problems.0.extend(wrong);
    }
    given.extend_from_slice(flags);
    match merge(Settings::default(), &given) {
        Ok(loaded) if problems.0.is_empty() => Ok(Loaded { file: path, ..loaded }),
        Ok(_) => Err(problems),
        Err(wrong) => {
            problems.0.extend(wrong.0);
            Err(problems)
        }
    }
}

/// The settings of a demo: its flags, and how the program writes its log. The file and most
/// variables describe a real hub, whose log a demo must not fill with its own events.
///
/// # Errors
/// Everything that is wrong, at once.
pub(crate) fn load_demo(flags: &[Given]) -> Result<Loaded, Problems> {
    let (mut given, _) = environment::read(&variables());
    given.retain(|given| Everywhere::has(given.setting));
    given.extend_from_slice(flags);
    merge(Demo::defaults(), &given)
}

fn variables() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| {
            // Other programs' variables may be anything; ours are ASCII.
            Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
        })
        .collect()
}

/// Puts what is given over the defaults; of what is given, the later wins.
///
/// # Errors
/// Every value that can't be read, with where it stands.
pub(crate) fn merge(defaults: Settings, given: &[Given]) -> Result<Loaded, Problems> {
    let mut settings = defaults;
    let mut origins = BTreeMap::new();
    let mut problems = Problems::default();
    for Given { setting, values, origin } in given {
        match (setting.read)(&mut settings, values) {
            Ok(()) => {
                origins.insert(setting.key, origin.clone());
            }
            Err(problem) => problems.0.push(match origin {
                Origin::File { .. } => format!("{origin}: {}: {problem}", setting.key),
                _ => format!("{origin}: {problem}"),
            }),
        }
    }
    if problems.0.is_empty() { Ok(Loaded { settings, file: None, origins }) } else { Err(problems) }
}

/// The file to read: the one that was named, even where there is none, or the usual one where
/// there is one.
fn file_path(named: Option<&Path>, environment: &[(String, String)]) -> Option<PathBuf> {
    if let Some(path) = named {
        return Some(path.into());
    }
    if let Some((_, path)) = environment.iter().find(|(name, _)| name == environment::CONFIG) {
        return Some(path.into());
    }
    Path::new(FILE).exists().then(|| FILE.into())
}

/// The known name nearest to this one, where one is near enough to be meant.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

fn did_you_mean<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    nearest(name, known).map_or_else(String::new, |known| format!(": did you mean \"{known}\"?"))
}
