//! What developers and CI run: `cargo xtask test`, `tidy`, `bench`, `ci`.
//! Knows the names of the commands; the work of each is in its own module.

mod bench;
mod context;
mod heard;
mod install;
mod licences;
mod process;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Checks of the Tidings repository: the same on your desk and in CI.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what the tests need, then run every check.
    Test(test::Options),
    /// Check the structure: directions, sizes, forbidden words, links.
    Tidy,
    /// Compare Tidings with other systems; see CONTRIBUTING.md.
    Bench(bench::Options),
    /// What CI runs: `test` with all its steps.
    Ci,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Test(options) => test::run(&options),
        Command::Tidy => tidy::run(),
        Command::Bench(options) => bench::run(&options),
        Command::Ci => test::run(&test::Options::default()),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
