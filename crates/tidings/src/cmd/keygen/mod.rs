//! `tidings keygen`: makes keys that sign tokens, and API keys.
//! Knows nothing of tokens, nor of what a hub does with keys.

mod api_key;
mod files;
mod signing;

use crate::cli::KeygenArgs;

/// # Errors
/// Where a key can't be made or written; nothing is overwritten.
pub(super) fn run(args: &KeygenArgs) -> anyhow::Result<()> {
    match &args.api_key {
        Some(name) => api_key::run(name, args),
        None => signing::run(args),
    }
}
