//! `tidings token`: makes tokens, and explains them.
//! Knows nothing of hubs: both are done on this machine alone.

mod explain;
mod make;
mod report;
mod times;

use crate::cli::{TokenArgs, TokenCommand};

/// # Errors
/// Where there is no token to make or to explain, or its signature is wrong.
pub(super) fn run(args: &TokenArgs) -> anyhow::Result<()> {
    match &args.command {
        Some(TokenCommand::Explain(args)) => report::run(args),
        None => make::run(&args.make),
    }
}
