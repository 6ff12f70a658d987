//! The table of settings: one entry each, from which flags, variables, keys and help are made.
//! Knows nothing of where values come from.

use std::time::Duration;

use tidings_core::limits;
use tidings_log::SyncPolicyError;
use tidings_server::peer::Proxies;

use super::listen::Listen;
use super::values::{
    self, bytes, bytes_text, count, duration, duration_text, read_one, switch_text,
};
use super::{Settings, access};
use crate::credential::Credential;

/// One setting.
#[derive(Debug)]
pub(crate) struct Setting {
    /// Its name: the key in the file, and after `--` the flag.
    pub(crate) key: &'static str,
    pub(crate) shape: Shape,
    pub(crate) scope: Scope,
    pub(crate) help: &'static str,
    /// Takes a value; the error is a sentence about it.
    pub(crate) read: fn(&mut Settings, &[String]) -> Result<(), String>,
    /// The value as it would be written.
    pub(crate) show: fn(&Settings) -> String,
}

/// How a setting is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Shape {
    /// A list of values of this name.
    Many(&'static str),
    /// One value of this name.
    One(&'static str),
    /// The same, but a file of settings does not take it, and nobody is shown it.
    Secret(&'static str),
    /// On or off; as a flag, its presence means on.
    Switch,
}

/// Which commands a setting is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Scope {
    /// Those that talk to a hub.
    Client,
    /// All.
    Everywhere,
    /// `serve`, but not as a flag, which others could see in ps.
    ServeSecret,
    /// `serve`.
    Serve,
    /// `serve` and `demo`.
    ServeAndDemo,
}

impl Setting {
    /// The name of its environment variable.
    pub(crate) fn variable(&self) -> String {
        format!("TIDINGS_{}", self.key.replace('-', "_").to_ascii_uppercase())
    }
}

/// All settings, in the order in which help and `config check` show them.
pub(crate) static TABLE: &[Setting] = &[
    Setting {
        key: "listen",
        shape: Shape::Many("ADDRESS"),
        scope: Scope::ServeAndDemo,
        help: "Where to listen: HOST:PORT (port 0 takes a free one) or unix:PATH. With a \
               certificate HOST:PORT speaks TLS, unless it is written http://HOST:PORT. Can be \
               given several times",
        read: |settings, values| {
            let listen: Result<Vec<_>, _> = values.iter().map(|text| Listen::parse(text)).collect();
            settings.listen = listen?;
            if settings.listen.is_empty() {
                return Err("name at least one address, such as 127.0.0.1:3000".into());
            }
            Ok(())
        },
        show: |settings| {
            let listen: Vec<_> = settings.listen.iter().map(ToString::to_string).collect();
            listen.join(",")
        },
    },
    Setting {
        key: "socket-mode",
        shape: Shape::One("MODE"),
        scope: Scope::Serve,
        help: "Who may connect to a Unix socket, as chmod takes it",
        read: |settings, values| read_one(&mut settings.socket_mode, values, values::mode),
        show: |settings| format!("{:o}", settings.socket_mode),
    },
    Setting {
        key: "tls-cert",
        shape: Shape::One("FILE"),
        scope: Scope::Serve,
        help: "Speak TLS with this certificate: a PEM file, your own certificate first, then those \
               that vouch for it. Read again when it changes",
        read: |settings, values| read_one(&mut settings.tls_cert, values, values::path),
        show: |settings| values::path_text(settings.tls_cert.as_ref()),
    },
    Setting {
        key: "tls-key",
        shape: Shape::One("FILE"),
        scope: Scope::Serve,
        help: "The certificate's private key, a PEM file without a password",
        read: |settings, values| read_one(&mut settings.tls_key, values, values::path),
        show: |settings| values::path_text(settings.tls_key.as_ref()),
    },
    Setting {
        key: "dev-tls",
        shape: Shape::Switch,
        scope: Scope::ServeAndDemo,
        help: "Speak TLS with a certificate for localhost that is made here and that nobody \
               vouches for: to try HTTP/2 in browsers on this machine",
        read: |settings, values| read_one(&mut settings.dev_tls, values, values::switch),
        show: |settings| switch_text(settings.dev_tls),
    },
    Setting {
        key: "trusted-proxies",
        shape: Shape::Many("ADDRESS"),
        scope: Scope::Serve,
        help: "Proxies that are believed when they tell who their client is (Forwarded, \
               X-Forwarded-For): an IP address, a network such as 10.0.0.0/8, or unix. Can be \
               given several times",
        read: |settings, values| {
            let values: Vec<&str> = values.iter().map(|text| text.trim()).collect();
            let values: Vec<&str> = values.into_iter().filter(|text| !text.is_empty()).collect();
            Proxies::parse(values.iter().copied()).map_err(|error| error.to_string())?;
            settings.trusted_proxies = values.into_iter().map(str::to_owned).collect();
            Ok(())
        },
        show: |settings| settings.trusted_proxies.join(","),
    },
    Setting {
        key: "proxy-protocol",
        shape: Shape::Switch,
        scope: Scope::Serve,
        help: "Connections of the trusted proxies begin with a PROXY protocol header (version 1 or \
               2) that tells who their client is",
        read: |settings, values| read_one(&mut settings.proxy_protocol, values, values::switch),
        show: |settings| switch_text(settings.proxy_protocol),
    },
    Setting {
        key: "log",
        shape: Shape::One("WHERE"),
        scope: Scope::ServeAndDemo,
        help: "Where events are kept: disk:PATH (a directory, made if it is not there), memory \
               (forgotten at exit), redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE] (rediss by \
               TLS; redis+unix:///PATH; redis+sentinel://HOST,HOST/NAME asks Sentinels, \
               redis+cluster://HOST,HOST a Redis Cluster) or \
               nats://[USER:PASSWORD@]HOST[:PORT],HOST… (tls by TLS), where many nodes are one hub",
        read: |settings, values| read_one(&mut settings.log, values, values::keep),
        show: |settings| settings.log.to_string(),
    },
    Setting {
        key: "sync",
        shape: Shape::One("WHEN"),
        scope: Scope::Serve,
        help: "When a log on disk is synced: always (before a publish is acknowledged: survives a \
               power cut), interval:100ms, or never (both survive the death of the process)",
        read: |settings, values| {
            read_one(&mut settings.sync, values, |text| {
                text.parse().map_err(|error: SyncPolicyError| error.to_string())
            })
        },
        show: |settings| settings.sync.to_string(),
    },
    #[cfg(feature = "redis")]
    Setting {
        key: "redis-partitions",
        shape: Shape::One("N"),
        scope: Scope::Serve,
        help: "Partitions of the log in Redis, each with the topics that fall to it: the same for all \
               nodes, and for ever. For a Redis Cluster whose servers are to share the load",
        read: |settings, values| {
            read_one(&mut settings.redis_partitions, values, |text| match text.parse() {
                Ok(partitions @ 1..=limits::PARTITIONS_MAX) => Ok(partitions),
                _ => Err(format!(
                    "\"{text}\" is no number of partitions from 1 to {}",
                    limits::PARTITIONS_MAX
                )),
            })
        },
        show: |settings| settings.redis_partitions.to_string(),
    },
    #[cfg(feature = "redis")]
    Setting {
        key: "redis-prefix",
        shape: Shape::One("NAME"),
        scope: Scope::Serve,
        help: "What the names of the log's keys in Redis begin with: nodes with the same are one hub",
        read: |settings, values| {
            read_one(&mut settings.redis_prefix, values, |text| {
                text.parse().map_err(|error: tidings_log::RedisPrefixError| error.to_string())
            })
        },
        show: |settings| settings.redis_prefix.to_string(),
    },
    #[cfg(feature = "redis")]
    Setting {
        key: "redis-wait-replicas",
        shape: Shape::One("N"),
        scope: Scope::Serve,
        help: "Replicas of Redis that must have an event before its publish is acknowledged",
        read: |settings, values| {
            read_one(&mut settings.redis_wait_replicas, values, |text| match text.parse() {
                Ok(replicas) if replicas <= values::REPLICAS_MAX => Ok(replicas),
                _ => Err(format!(
                    "\"{text}\" is no number of replicas from 0 to {}",
                    values::REPLICAS_MAX
                )),
            })
        },
        show: |settings| settings.redis_wait_replicas.to_string(),
    },
    #[cfg(feature = "redis")]
    Setting {
        key: "redis-ca",
        shape: Shape::One("FILE"),
        scope: Scope::Serve,
        help: "The certificate authority of a rediss:// server, as PEM; the system's own unless set",
        read: |settings, values| {
            read_one(&mut settings.redis_ca, values, |text| {
                Ok((!text.is_empty()).then(|| text.into()))
            })
        },
        show: |settings| {
            settings.redis_ca.as_ref().map_or_else(String::new, |path| path.display().to_string())
        },
    },
    #[cfg(feature = "nats")]
    Setting {
        key: "nats-stream",
        shape: Shape::One("NAME"),
        scope: Scope::Serve,
        help: "The log's stream in NATS: nodes with the same are one hub",
        read: |settings, values| {
            read_one(&mut settings.nats_stream, values, |text| {
                text.parse().map_err(|error: tidings_log::NatsNameError| error.to_string())
            })
        },
        show: |settings| settings.nats_stream.to_string(),
    },
    #[cfg(feature = "nats")]
    Setting {
        key: "nats-replicas",
        shape: Shape::One("N"),
        scope: Scope::Serve,
        help: "NATS servers that keep the stream, 1, 3 or 5; counts when the stream is made",
        read: |settings, values| {
            read_one(&mut settings.nats_replicas, values, |text| match text.parse() {
                Ok(replicas @ (1 | 3 | 5)) => Ok(replicas),
                _ => Err(format!("\"{text}\" is no number of servers: 1, 3 or 5")),
            })
        },
        show: |settings| settings.nats_replicas.to_string(),
    },
    #[cfg(feature = "nats")]
    Setting {
        key: "nats-credentials",
        shape: Shape::One("FILE"),
        scope: Scope::Serve,
        help: "The credentials of this node's user in NATS, as nsc writes them (.creds)",
        read: |settings, values| read_one(&mut settings.nats_credentials, values, values::path),
        show: |settings| values::path_text(settings.nats_credentials.as_ref()),
    },
    #[cfg(feature = "nats")]
    Setting {
        key: "nats-ca",
        shape: Shape::One("FILE"),
        scope: Scope::Serve,
        help: "The certificate authority of a tls:// server of NATS, as PEM; the system's own unless \
               set",
        read: |settings, values| read_one(&mut settings.nats_ca, values, values::path),
        show: |settings| values::path_text(settings.nats_ca.as_ref()),
    },
    #[cfg(feature = "nats")]
    Setting {
        key: "nats-domain",
        shape: Shape::One("NAME"),
        scope: Scope::Serve,
        help: "The JetStream domain that the stream is in, if not the server's own",
        read: |settings, values| {
            read_one(&mut settings.nats_domain, values, |text| {
                let parsed = (!text.is_empty()).then(|| text.parse()).transpose();
                parsed.map_err(|error: tidings_log::NatsNameError| error.to_string())
            })
        },
        show: |settings| {
            settings.nats_domain.as_ref().map_or_else(String::new, ToString::to_string)
        },
    },
    Setting {
        key: "keep-bytes",
        shape: Shape::One("BYTES"),
        scope: Scope::ServeAndDemo,
        help: "What the log keeps at most; the oldest events go first. For a log in memory 64MiB \
               unless set",
        read: |settings, values| {
            let mut kept = 0;
            read_one(&mut kept, values, |text| bytes(text, 1024))?;
            settings.keep_bytes = Some(kept);
            Ok(())
        },
        show: |settings| bytes_text(settings.keep_bytes()),
    },
    Setting {
        key: "keep-age",
        shape: Shape::One("DURATION"),
        scope: Scope::ServeAndDemo,
        help: "How long the log keeps an event",
        read: |settings, values| {
            read_one(&mut settings.keep_age, values, |text| duration(text, 1, values::CENTURY_MS))
        },
        show: |settings| duration_text(settings.keep_age),
    },
    Setting {
        key: "heartbeat",
        shape: Shape::One("DURATION"),
        scope: Scope::Serve,
        help: "Silence after which a stream gets a heartbeat, which keeps proxies from closing it",
        read: |settings, values| {
            read_one(&mut settings.heartbeat, values, |text| duration(text, 10, values::DAY_MS))
        },
        show: |settings| duration_text(settings.heartbeat),
    },
    Setting {
        key: "coalesce",
        shape: Shape::One("DURATION"),
        scope: Scope::Serve,
        help: "How long an event waits for others to leave in the same write, such as 5ms: fewer \
               and larger packets, each event later by up to that. What comes faster than it can \
               be written is joined without it",
        read: |settings, values| {
            let ms_max = u64::try_from(limits::COALESCE_MAX.as_millis()).unwrap_or(u64::MAX);
            read_one(&mut settings.coalesce, values, |text| duration(text, 0, ms_max))
        },
        show: |settings| duration_text(settings.coalesce),
    },
    Setting {
        key: "retry",
        shape: Shape::One("DURATION"),
        scope: Scope::Serve,
        help: "How long clients are told to wait before they reconnect; each gets its own within \
               ±20 %",
        read: |settings, values| {
            read_one(&mut settings.retry, values, |text| duration(text, 1, values::DAY_MS))
        },
        show: |settings| duration_text(settings.retry),
    },
    Setting {
        key: "shards",
        shape: Shape::One("N"),
        scope: Scope::Serve,
        help: "Threads that write to subscribers; as many as there are CPUs unless set",
        read: |settings, values| read_one(&mut settings.shards, values, values::threads),
        show: |settings| settings.shards.to_string(),
    },
    Setting {
        key: "workers",
        shape: Shape::One("N"),
        scope: Scope::ServeAndDemo,
        help: "Threads that answer requests; half as many as there are CPUs unless set. Subscribers \
               cost them nothing once they are connected",
        read: |settings, values| read_one(&mut settings.workers, values, values::threads),
        show: |settings| settings.workers.to_string(),
    },
    Setting {
        key: "data-bytes-max",
        shape: Shape::One("BYTES"),
        scope: Scope::Serve,
        help: "The data of one event at most",
        read: |settings, values| read_one(&mut settings.data_bytes_max, values, size),
        show: |settings| bytes_text(settings.data_bytes_max as u64),
    },
    Setting {
        key: "batch-bytes-max",
        shape: Shape::One("BYTES"),
        scope: Scope::Serve,
        help: "The body of a publish of many as a JSON array at most",
        read: |settings, values| read_one(&mut settings.batch_bytes_max, values, size),
        show: |settings| bytes_text(settings.batch_bytes_max as u64),
    },
    Setting {
        key: "selectors-max",
        shape: Shape::One("N"),
        scope: Scope::Serve,
        help: "Topics and patterns of one subscription at most",
        read: |settings, values| read_one(&mut settings.selectors_max, values, count),
        show: |settings| settings.selectors_max.to_string(),
    },
    Setting {
        key: "connections-max",
        shape: Shape::One("N"),
        scope: Scope::Serve,
        help: "Open connections at most. The limit of open files is raised as far as the system \
               allows",
        read: |settings, values| read_one(&mut settings.connections_max, values, count),
        show: |settings| settings.connections_max.to_string(),
    },
    Setting {
        key: "connections-per-address-max",
        shape: Shape::One("N"),
        scope: Scope::Serve,
        help: "Open connections of one address at most; 0: no such limit. This machine has none, \
               and an IPv6 network of 64 bits is one address",
        read: |settings, values| {
            read_one(&mut settings.connections_per_address_max, values, values::number)
        },
        show: |settings| settings.connections_per_address_max.to_string(),
    },
    Setting {
        key: "connects-per-address",
        shape: Shape::One("N"),
        scope: Scope::Serve,
        help: "New connections a second from one address, of which 10 seconds' worth may come at \
               once; 0: no such limit",
        read: |settings, values| read_one(&mut settings.connects_per_address, values, values::rate),
        show: |settings| settings.connects_per_address.0.to_string(),
    },
    Setting {
        key: "publish-bytes-in-flight-max",
        shape: Shape::One("BYTES"),
        scope: Scope::Serve,
        help: "Bytes of publishers' requests that are held at once, from when they come until they \
               are kept; beyond it publishers wait",
        read: |settings, values| read_one(&mut settings.publish_bytes_in_flight_max, values, size),
        show: |settings| bytes_text(settings.publish_bytes_in_flight_max as u64),
    },
    Setting {
        key: "publishes-per-address",
        shape: Shape::One("N"),
        scope: Scope::Serve,
        help: "Events a second that may be published from one address without a token or key, of \
               which 10 seconds' worth may come at once; 0: no such limit",
        read: |settings, values| {
            read_one(&mut settings.publishes_per_address, values, values::rate)
        },
        show: |settings| settings.publishes_per_address.0.to_string(),
    },
    Setting {
        key: "publishes-per-key",
        shape: Shape::One("N"),
        scope: Scope::Serve,
        help: "Events a second that may be published with the tokens of one subject, or with one \
               API key, of which 10 seconds' worth may come at once; 0: no such limit",
        read: |settings, values| read_one(&mut settings.publishes_per_key, values, values::rate),
        show: |settings| settings.publishes_per_key.0.to_string(),
    },
    Setting {
        key: "streams-per-token-max",
        shape: Shape::One("N"),
        scope: Scope::Serve,
        help: "Open event streams with the tokens of one subject, or with one API key, at most; 0: \
               no such limit",
        read: |settings, values| {
            read_one(&mut settings.streams_per_token_max, values, values::number)
        },
        show: |settings| settings.streams_per_token_max.to_string(),
    },
    Setting {
        key: "tail-bytes-max",
        shape: Shape::One("BYTES"),
        scope: Scope::Serve,
        help: "Recent events kept ready in memory for those who come back",
        read: |settings, values| read_one(&mut settings.tail_bytes_max, values, size),
        show: |settings| bytes_text(settings.tail_bytes_max as u64),
    },
    Setting {
        key: "connection-life-max",
        shape: Shape::One("DURATION"),
        scope: Scope::Serve,
        help: "How long a connection lasts at most, and a stream on it; each gets its own time from \
               four fifths of it on. 0: as long as its client likes",
        read: |settings, values| {
            let mut life = Duration::ZERO;
            read_one(&mut life, values, |text| duration(text, 0, values::CENTURY_MS))?;
            settings.connection_life_max = Some(life).filter(|life| !life.is_zero());
            Ok(())
        },
        show: |settings| duration_text(settings.connection_life_max.unwrap_or_default()),
    },
    Setting {
        key: "renew-before",
        shape: Shape::One("DURATION"),
        scope: Scope::Serve,
        help: "How long before a stream ends with its token its client gets tidings.renew",
        read: |settings, values| {
            read_one(&mut settings.renew_before, values, |text| duration(text, 0, values::DAY_MS))
        },
        show: |settings| duration_text(settings.renew_before),
    },
    Setting {
        key: "drain",
        shape: Shape::One("DURATION"),
        scope: Scope::Serve,
        help: "Over how long SIGTERM ends the streams, one after the other; 0 ends them at once, as \
               SIGINT does",
        read: |settings, values| {
            read_one(&mut settings.drain, values, |text| duration(text, 0, values::DAY_MS))
        },
        show: |settings| duration_text(settings.drain),
    },
    Setting {
        key: "shutdown-time-max",
        shape: Shape::One("DURATION"),
        scope: Scope::Serve,
        help: "How long a shutdown waits, after the drain, for what is still being written",
        read: |settings, values| {
            read_one(&mut settings.shutdown_time_max, values, |text| {
                duration(text, 0, values::DAY_MS)
            })
        },
        show: |settings| duration_text(settings.shutdown_time_max),
    },
    Setting {
        key: "allow-anonymous-publish",
        shape: Shape::Switch,
        scope: Scope::ServeAndDemo,
        help: "Let anybody publish who reaches the hub, although it listens beyond this machine or \
               has keys to check tokens with",
        read: |settings, values| {
            read_one(&mut settings.allow_anonymous_publish, values, values::switch)
        },
        show: |settings| switch_text(settings.allow_anonymous_publish),
    },
    access::JWT_KEY,
    access::JWT_SECRET,
    access::JWKS_URL,
    access::JWT_AUDIENCE,
    access::JWT_ISSUER,
    access::JWT_SKEW,
    access::JWT_ALLOW_NO_EXPIRY,
    access::API_KEYS,
    access::ANONYMOUS_SUBSCRIBE,
    access::COOKIE_NAME,
    access::CORS_ORIGINS,
    access::TICKET_TIME,
    access::TICKET_KEY,
    Setting {
        key: "url",
        shape: Shape::One("URL"),
        scope: Scope::Client,
        help: "The hub to talk to: http://…, https://… or unix:PATH",
        read: |settings, values| read_one(&mut settings.url, values, values::url),
        show: |settings| settings.url.clone(),
    },
    Setting {
        key: "token",
        shape: Shape::Secret("TOKEN"),
        scope: Scope::Client,
        help: "A token or an API key to show to the hub. Whoever may run ps here sees this flag: \
               the variable and --token-file keep it to yourself",
        read: |settings, values| read_one(&mut settings.credential, values, Credential::parse),
        show: |settings| match settings.credential {
            Credential::Text(_) => "(hidden)".into(),
            Credential::File(_) | Credential::None => String::new(),
        },
    },
    Setting {
        key: "token-file",
        shape: Shape::One("FILE"),
        scope: Scope::Client,
        help: "A file with the token or API key. It is read again for each request, so that a \
               renewed one counts",
        read: |settings, values| {
            read_one(&mut settings.credential, values, |path| {
                Ok(if path.is_empty() { Credential::None } else { Credential::File(path.into()) })
            })
        },
        show: |settings| match &settings.credential {
            Credential::File(path) => path.display().to_string(),
            Credential::None | Credential::Text(_) => String::new(),
        },
    },
    Setting {
        key: "log-format",
        shape: Shape::One("FORMAT"),
        scope: Scope::Everywhere,
        help: "How the program writes what it does, on stderr: human or json",
        read: |settings, values| read_one(&mut settings.log_format, values, values::log_format),
        show: |settings| settings.log_format.to_string(),
    },
    Setting {
        key: "log-level",
        shape: Shape::One("LEVEL"),
        scope: Scope::Everywhere,
        help: "How much of it: error, warn, info, debug, trace, or a filter such as \
               info,tidings_server::http=trace. RUST_LOG counts where TIDINGS_LOG_LEVEL is not set",
        read: |settings, values| read_one(&mut settings.log_level, values, values::log_level),
        show: |settings| settings.log_level.clone(),
    },
];

fn size(text: &str) -> Result<usize, String> {
    usize::try_from(bytes(text, 1)?).map_err(|_| format!("\"{text}\" is more than fits here"))
}
