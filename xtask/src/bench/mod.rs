//! `cargo xtask bench`: gets what Tidings is compared with, builds, and runs the benchmark.
//! Knows what must be there; what is measured, and how, the benchmark itself knows.

mod needs;

use std::ffi::OsString;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::Result;
use clap::Args;

pub(crate) use self::needs::install;
use crate::context::{Context, cargo};

/// All rounds of all works take hours on a small machine.
const SUITE_TIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// What of it to do.
#[derive(Args)]
pub(crate) struct Options {
    /// Do not install what the systems need
    #[arg(long)]
    no_install: bool,
    /// More flags for `tidings-bench suite`: `--smoke`, `--only crowd`, `--systems tidings,nchan`,
    /// `--rounds 1` and others; `-- --help` tells all
    #[arg(value_name = "FLAGS", trailing_var_arg = true, allow_hyphen_values = true)]
    flags: Vec<OsString>,
}

/// The command.
///
/// # Errors
///
/// When something can't be had, or the benchmark fails.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let context = Context::new()?;
    if !options.no_install {
        install(&context)?;
    }
    build(&context)?;
    suite(&context, &options.flags, SUITE_TIME_MAX)?;
    Ok(ExitCode::SUCCESS)
}

/// The step `bench`: everything starts, is published to, and delivers. How fast is not looked at.
pub(crate) fn smoke(context: &Context) -> Result<()> {
    const TIME_MAX: Duration = Duration::from_secs(15 * 60);
    build(context)?;
    let out = context.target.join("bench-smoke").into_os_string();
    let flags = ["--smoke", "--rounds", "1", "--out"].map(OsString::from);
    suite(context, &[&flags[..], &[out]].concat(), TIME_MAX)
}

fn build(context: &Context) -> Result<()> {
    // One after the other: together, the program would get the features that only the benchmark
    // asks for.
    for packages in [&["-p", "tidings"][..], &["-p", "tidings-bench", "-p", "bench-axum"]] {
        context.runner.run(cargo(&["build", "--release", "--locked"]).args(packages))?;
    }
    Ok(())
}

/// Runs the suite with these flags, and with our own where they say nothing.
fn suite(context: &Context, flags: &[OsString], time_max: Duration) -> Result<()> {
    let release = context.target.join("release");
    let ours = [
        ("--binary", context.release_binary()),
        ("--peers", context.root.join(needs::PEERS)),
        ("--out", context.target.join("bench")),
    ];
    let mut command = Command::new(release.join("tidings-bench"));
    command.arg("suite");
    for (flag, path) in ours {
        if !has_flag(flags, flag) {
            command.arg(flag).arg(path);
        }
    }
    context.runner.run_within(command.args(flags), time_max)
}

fn has_flag(flags: &[OsString], name: &str) -> bool {
    flags.iter().any(|flag| {
        let flag = flag.to_string_lossy();
        flag == name || flag.strip_prefix(name).is_some_and(|rest| rest.starts_with('='))
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        options: Options,
    }

    #[test]
    fn flags_go_through() {
        let flags = |line: &str| {
            let options = Cli::try_parse_from(line.split_whitespace()).unwrap().options;
            let flags = options.flags.iter().map(|flag| flag.to_string_lossy().into_owned());
            (options.no_install, flags.collect::<Vec<_>>().join(" "))
        };
        assert_eq!(flags("bench"), (false, String::new()));
        assert_eq!(flags("bench --smoke"), (false, "--smoke".into()));
        assert_eq!(
            flags("bench --no-install -- --only a --help"),
            (true, "--only a --help".into())
        );
        assert_eq!(flags("bench --only a --rounds 1"), (false, "--only a --rounds 1".into()));
    }

    #[test]
    fn what_is_said_is_not_said_again() {
        let flags = ["--smoke", "--out=there"].map(OsString::from);
        assert!(has_flag(&flags, "--out") && has_flag(&flags, "--smoke"));
        assert!(!has_flag(&flags, "--binary") && !has_flag(&flags, "--ou"));
    }
}
