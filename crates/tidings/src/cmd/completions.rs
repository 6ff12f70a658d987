//! `tidings completions`: what a shell needs to complete the command line.
//! Knows nothing of the command line itself: it is made from `cli`.

use clap::CommandFactory;

use crate::cli::{Cli, CompletionsArgs};
use crate::output;

/// Prints the script.
///
/// # Errors
/// Where stdout can't be written.
pub(super) fn run(args: CompletionsArgs) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "tidings", &mut script);
    output::write(&String::from_utf8(script)?)
}
