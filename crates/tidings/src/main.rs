//! The program `tidings`: reads the command line, runs one command, says how it ended.
//! Knows nothing of what the commands do.
//!
//! Read it in this order: [`cli`] is what the user may type, [`settings`] what an operator can
//! set and where from, [`cmd`] one file or folder for each command, [`exit`] how it ends.

mod api_key;
mod cli;
mod client;
mod cmd;
mod credential;
mod exit;
mod keys;
mod logging;
mod memory;
mod output;
mod settings;
mod signals;
mod supervisor;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    memory::share_heaps();
    match cmd::run(cli::Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::report(&error),
    }
}
