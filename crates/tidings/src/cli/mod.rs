//! What the user may type: commands, arguments and flags.
//! Knows nothing of what they do; flags that are settings come from the table of settings.

mod keygen;
mod token;

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::settings::{
    Client, Demo, Everywhere, Flags, GLOBAL_HEADING, Given, Origin, Serve, TABLE,
};

pub(crate) use keygen::KeygenArgs;
pub(crate) use token::{Expires, TokenArgs, TokenCommand, TokenExplainArgs, TokenMakeArgs, When};

/// An event hub for Server-Sent Events: curl publishes, EventSource listens, nothing is missed.
#[derive(Debug, Parser)]
#[command(name = "tidings", version, max_term_width = 100, after_help = HELP)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) everywhere: GlobalArgs,
}

const HELP: &str = "\
Examples:
  tidings serve                                 a hub on http://127.0.0.1:3000
  tidings publish greetings hello               publish an event
  tidings subscribe greetings                   see events as they come
  tidings demo                                  a hub with something to look at
  tidings keygen                                a key for tokens
  tidings token --key jwt.pem --publish '*'     a token that may publish everything
  tidings bench                                 what a hub does on this machine

Settings come from flags, then TIDINGS_* variables, then tidings.toml: see `tidings config check`.
Exit codes: 0 done, 1 failed, 2 wrong usage or settings, 130 interrupted.";

/// Flags of all commands.
#[derive(Args, Debug)]
pub(crate) struct GlobalArgs {
    /// The settings file [default: tidings.toml where there is one] [env: TIDINGS_CONFIG]
    #[arg(long, value_name = "FILE", global = true, help_heading = GLOBAL_HEADING)]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    flags: Flags<Everywhere>,
    /// Say more about what happens; twice: everything
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "log-level",
        help_heading = GLOBAL_HEADING)]
    verbose: u8,
    /// Say less: warnings only; twice: errors only
    #[arg(short, long, global = true, action = ArgAction::Count,
        conflicts_with_all = ["verbose", "log-level"], help_heading = GLOBAL_HEADING)]
    quiet: u8,
}

impl GlobalArgs {
    /// The settings among them.
    pub(crate) fn given(&self) -> Vec<Given> {
        let mut given = self.flags.given.clone();
        let level = match (self.verbose, self.quiet) {
            (0, 0) => None,
            (0, 1) => Some(("-q", "warn")),
            (0, _) => Some(("-qq", "error")),
            (1, _) => Some(("-v", "debug")),
            _ => Some(("-vv", "trace")),
        };
        let setting = TABLE.iter().find(|setting| setting.key == "log-level");
        if let (Some((flag, level)), Some(setting)) = (level, setting) {
            let origin = Origin::Flag(flag.into());
            given.push(Given { setting, values: vec![level.into()], origin });
        }
        given
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Serve(ServeArgs),
    Publish(PublishArgs),
    Subscribe(SubscribeArgs),
    Demo(DemoArgs),
    Token(TokenArgs),
    Keygen(KeygenArgs),
    Bench(BenchArgs),
    Config(ConfigArgs),
    Completions(CompletionsArgs),
}

/// Run a hub
#[derive(Args, Debug)]
#[command(after_help = SERVE_HELP)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) flags: Flags<Serve>,
}

const SERVE_HELP: &str = "\
Examples:
  tidings serve --listen 127.0.0.1:8080 --log disk:/var/lib/tidings
  tidings serve --log redis://redis.internal:6379       (as one of many nodes)
  tidings serve --log memory --keep-bytes 256MiB --keep-age 1h
  tidings serve --listen 0.0.0.0:443 --tls-cert fullchain.pem --tls-key privkey.pem
  tidings serve --dev-tls --listen unix:/run/tidings.sock --listen 127.0.0.1:3000
  TIDINGS_SYNC=interval:50ms tidings serve

SIGTERM: stops accepting, finishes requests, ends streams evenly over --drain, closes. SIGINT does so
without the drain. A second one ends at once.
SIGUSR2: checks the settings and restarts in place, with the program as it lies on the disk now.";

/// Run a hub with pages and made-up events to look at
#[derive(Args, Debug)]
#[command(after_help = DEMO_HELP)]
pub(crate) struct DemoArgs {
    /// Run N hubs that are one, over a Redis server that the demo starts for itself, behind a front
    /// that hands requests round; the page can cut the hub that it is on
    #[cfg(feature = "redis")]
    #[arg(long, value_name = "N", conflicts_with = "log",
        value_parser = clap::value_parser!(u8).range(2..=NODES_MAX))]
    pub(crate) nodes: Option<u8>,
    #[command(flatten)]
    pub(crate) flags: Flags<Demo>,
}

const DEMO_HELP: &str = "\
Examples:
  tidings demo                        one hub; its page can cut its connection to it
  tidings demo --nodes 3              three hubs; cut one, and see that nothing is missed

tidings.toml and most TIDINGS_* variables do not count here: they describe a real hub, whose log the
demo must not fill.";

/// Publish one event, each line of stdin, or a file of them
#[derive(Args, Debug)]
#[command(after_help = PUBLISH_HELP)]
pub(crate) struct PublishArgs {
    /// The topic, such as orders/42
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    pub(crate) topic: Option<String>,
    /// What to publish; without it, or as "-", stdin is read (less one line break at its end)
    #[arg(allow_hyphen_values = true, conflicts_with_all = ["file", "lines"])]
    pub(crate) data: Option<String>,
    /// The event's type, by which browsers choose their listener
    #[arg(long, value_name = "TYPE", conflicts_with = "file")]
    pub(crate) event: Option<String>,
    /// The event's id [default: one that the hub makes]
    #[arg(long, conflicts_with_all = ["file", "lines"])]
    pub(crate) id: Option<String>,
    /// How long clients shall wait before they reconnect, such as 5s (or milliseconds)
    #[arg(long, value_name = "DURATION", value_parser = retry, conflicts_with = "file")]
    pub(crate) retry: Option<Duration>,
    /// Only for subscribers who are allowed to read private events of this topic
    #[arg(long, conflicts_with = "file")]
    pub(crate) private: bool,
    /// An Idempotency-Key: publishing again under the same key publishes nothing new
    #[arg(long, conflicts_with = "lines")]
    pub(crate) key: Option<String>,
    /// Publish each line of stdin as an event, as it comes
    #[arg(long, conflicts_with = "file")]
    pub(crate) lines: bool,
    /// Publish a file of events, one JSON object a line; "-" is stdin
    #[arg(long, short, value_name = "FILE.ndjson")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) client: Flags<Client>,
}

const PUBLISH_HELP: &str = "\
Examples:
  tidings publish greetings hello
  tidings publish orders/42 '{\"state\":\"paid\"}' --event changed
  date | tidings publish clock
  tail -f access.log | tidings publish log --lines
  tidings publish --file events.ndjson

A line of the file: {\"topic\": \"orders/42\", \"event\": \"changed\", \"data\": {\"state\": \"paid\"}}
(topic or topics; event, id, retry and private as you like; data that is no text is sent as its
JSON). The ids of what was published are printed, one a line.";

/// Print events as they come, and reconnect where the connection breaks
#[derive(Args, Debug)]
#[command(after_help = SUBSCRIBE_HELP)]
pub(crate) struct SubscribeArgs {
    /// Topics (orders/42), patterns (orders/{id}, orders/*), or "*" for everything
    #[arg(required = true, value_name = "TOPIC")]
    pub(crate) topics: Vec<String>,
    /// Begin with the last N events
    #[arg(long, value_name = "N", conflicts_with_all = ["since", "last_event_id"])]
    pub(crate) last: Option<usize>,
    /// Begin at a time: earliest, 10m ago, or a time such as 2026-11-20T12:00:00Z
    #[arg(long, value_name = "WHEN", conflicts_with = "last_event_id")]
    pub(crate) since: Option<String>,
    /// Begin after the event with this id
    #[arg(long, value_name = "ID")]
    pub(crate) last_event_id: Option<String>,
    /// Print one JSON object a line: {"id","event","data"}. This is the default where stdout is
    /// not a terminal
    #[arg(long)]
    pub(crate) json: bool,
    /// Print for people even where stdout is not a terminal
    #[arg(long, conflicts_with = "json")]
    pub(crate) pretty: bool,
    /// Run `sh -c CMD` for each event, one after the other: data on stdin, id and type in
    /// TIDINGS_ID and TIDINGS_EVENT. Events are printed only with --json or --pretty then
    #[arg(long, value_name = "CMD")]
    pub(crate) exec: Option<String>,
    /// What to do when CMD fails; it is reported in any case
    #[arg(long, value_name = "WHAT", requires = "exec", default_value = "continue")]
    pub(crate) exec_fail: ExecFail,
    /// End after N events
    #[arg(long, short = 'n', value_name = "N")]
    pub(crate) count: Option<u64>,
    /// Silence after which the connection counts as dead; more than the hub's heartbeat
    #[arg(long, value_name = "DURATION", default_value = "45s", value_parser = duration)]
    pub(crate) idle_timeout: Duration,
    #[command(flatten)]
    pub(crate) client: Flags<Client>,
}

const SUBSCRIBE_HELP: &str = "\
Examples:
  tidings subscribe greetings
  tidings subscribe orders/42 'users/{id}' --last 10
  tidings subscribe 'orders/*' --json | jq .data
  tidings subscribe deploys --exec './deploy.sh \"$TIDINGS_ID\"' --exec-fail stop";

/// What a failed `--exec` command means.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum ExecFail {
    /// Go on with the next event.
    Continue,
    /// End with an error.
    Stop,
}

/// Measure a hub: connections, events a second, latency, memory, CPU
#[derive(Args, Debug)]
#[command(after_help = BENCH_HELP)]
pub(crate) struct BenchArgs {
    /// The hub, the same as --url
    #[arg(value_name = "URL", conflicts_with = "url")]
    hub: Option<String>,
    /// Event streams that are held open
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = connections())]
    pub(crate) connections: u64,
    /// Topics, over which streams and events are spread evenly
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = connections())]
    pub(crate) topics: u64,
    /// Events a second while the latency is measured
    #[arg(long, value_name = "N", default_value_t = 20.0, value_parser = rate)]
    pub(crate) rate: f64,
    /// How long events are published, first at the rate, then as fast as the hub takes them
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    pub(crate) time: Duration,
    /// Connections that publish, each with one publish under way
    #[arg(long, value_name = "N", default_value_t = 64,
        value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(crate) publishers: u16,
    /// Data of each event
    #[arg(long, value_name = "BYTES", default_value_t = 150,
        value_parser = clap::value_parser!(u32).range(50..=64 * 1024 * 1024))]
    pub(crate) event_bytes: u32,
    /// What the names of the topics begin with; a part that no run has twice follows
    #[arg(long, value_name = "TOPIC", default_value = "bench")]
    pub(crate) topic_prefix: String,
    /// Print the results as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// Load a hub on another machine, which must be yours
    #[arg(long)]
    pub(crate) allow_remote: bool,
    #[command(flatten)]
    client: Flags<Client>,
}

impl BenchArgs {
    /// The settings among them.
    pub(crate) fn given(&self) -> Vec<Given> {
        let mut given = self.client.given.clone();
        let setting = TABLE.iter().find(|setting| setting.key == "url");
        if let (Some(url), Some(setting)) = (&self.hub, setting) {
            let origin = Origin::Flag("URL".into());
            given.push(Given { setting, values: vec![url.clone()], origin });
        }
        given
    }
}

const BENCH_HELP: &str = "\
Examples:
  tidings bench
  tidings bench http://127.0.0.1:8080 --connections 10000 --rate 5
  tidings bench --topics 100 --time 30s --json

It opens the streams, publishes at the rate, then as fast as the hub takes it, and checks that each
event reaches each stream. What the hub costs is read from its own /metrics. The events stay in the
hub's log as long as it keeps any. Run it on a hub that has nothing else to do, from another machine
where you can: the client takes as much of a processor as the hub.";

/// Look at the settings
#[derive(Args, Debug)]
pub(crate) struct ConfigArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: ConfigCommand,
}

/// What can be done with the settings.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    Check(ConfigCheckArgs),
}

/// Check the settings, and print each with where it comes from
#[derive(Args, Debug)]
pub(crate) struct ConfigCheckArgs {
    /// The file [default: as for `serve`]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) flags: Flags<Serve>,
}

/// Print the completions for a shell
#[derive(Args, Debug)]
#[command(after_help = COMPLETIONS_HELP)]
pub(crate) struct CompletionsArgs {
    /// Which shell
    pub(crate) shell: clap_complete::Shell,
}

const COMPLETIONS_HELP: &str = "\
Examples:
  tidings completions bash > ~/.local/share/bash-completion/completions/tidings
  tidings completions zsh > \"${fpath[1]}/_tidings\"
  tidings completions fish > ~/.config/fish/completions/tidings.fish";

/// More hubs than this show nothing more.
#[cfg(feature = "redis")]
const NODES_MAX: i64 = 9;

/// More than this no machine has files for.
const CONNECTIONS_MAX: u64 = 1_000_000;

fn connections() -> impl clap::builder::TypedValueParser<Value = u64> {
    clap::value_parser!(u64).range(1..=CONNECTIONS_MAX)
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (0.01..=1e6).contains(&rate) => Ok(rate),
        _ => Err("write a number of events from 0.01 to 1000000".into()),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("write it with its unit, such as 45s or 500ms".into()),
    }
}

/// A duration, or milliseconds as the wire has them.
fn retry(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(ms) => Ok(Duration::from_millis(ms)),
        Err(_) => humantime::parse_duration(text)
            .map_err(|_| "write it such as 5s, or in milliseconds such as 5000".into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn settings_can_stand_before_and_after_the_command() {
        for line in [
            ["tidings", "--log-format", "json", "serve", "--listen", "127.0.0.1:1"],
            ["tidings", "serve", "--listen", "127.0.0.1:1", "--log-format", "json"],
        ] {
            let cli = Cli::try_parse_from(line).unwrap();
            let [given] = &cli.everywhere.given()[..] else { panic!("one global flag") };
            assert_eq!(given.values, ["json"]);
            let Command::Serve(serve) = cli.command else { panic!("serve") };
            assert_eq!(serve.flags.given.len(), 1);
        }
    }
}
