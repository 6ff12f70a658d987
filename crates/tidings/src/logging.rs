//! Sets up what the program writes about its work, on stderr.
//! Knows nothing of the work.

use std::io::{self, IsTerminal};

use anyhow::anyhow;
use tracing_subscriber::EnvFilter;

use crate::settings::{LogFormat, Settings};

/// From here on `tracing` writes to stderr.
///
/// # Errors
/// Where it was set up before.
pub(crate) fn start(settings: &Settings) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(directives(&settings.log_level))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let set = match settings.log_format {
        LogFormat::Human => builder.with_ansi(colours(&io::stderr())).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    set.map_err(|error| anyhow!("can't set up the log: {error}"))
}

/// Whether colours belong on this stream: on a terminal, unless the user wants none.
pub(crate) fn colours(stream: &impl IsTerminal) -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    stream.is_terminal() && !unwanted
}

/// A level beyond `info` is for our own crates: those below us would drown them.
fn directives(level: &str) -> String {
    match level.to_ascii_lowercase().as_str() {
        "debug" | "trace" => format!("info,tidings={level}"),
        _ => level.into(),
    }
}
