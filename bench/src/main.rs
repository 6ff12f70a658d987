//! The program `tidings-bench`: reads the command line and runs one measurement.
//! Knows nothing of how it is done.

use std::io::{Read, stdin};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use tidings_bench::compare::{Pace, crowd};
use tidings_bench::crowd::{Crowd, Target};
use tidings_bench::works::Scale;
use tidings_bench::{isolate, limit, measure, suite};

/// Measures a hub beside the limit of the machine.
#[derive(Debug, Parser)]
#[command(name = "tidings-bench", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Crowd(CrowdArgs),
    Suite(SuiteArgs),
    Report(ReportArgs),
    Hold(HoldArgs),
    /// The bare loop, as a process of its own: started by the others
    #[command(hide = true)]
    Limit,
}

/// A crowd comes, gets events, and leaves: CPU per delivery and per connection, memory per idle
/// connection and when all have left, beside a bare loop in the same run
#[derive(Args, Debug)]
struct CrowdArgs {
    /// Subscribers
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    connections: usize,
    /// Events, each sent to all
    #[arg(long, value_name = "N", default_value_t = 100)]
    events: u64,
    /// Data of each event
    #[arg(long, value_name = "BYTES", default_value_t = 150)]
    event_bytes: usize,
    /// Events a second at most; unless set 20, or fewer where that were over 50,000 deliveries
    #[arg(long, value_name = "N")]
    rate: Option<f64>,
    /// How often the loop, the hub and the loop again have their turn
    #[arg(long, value_name = "N", default_value_t = 1)]
    blocks: usize,
    /// The program to measure, built with --release
    #[arg(long, value_name = "FILE", default_value = "target/release/tidings")]
    binary: PathBuf,
    /// Fail where an event was lost, repeated or out of order, or the memory of those who left does
    /// not come back, or the same crowd takes more of it a second time; never for speed
    #[arg(long)]
    check: bool,
    /// Give the servers the first processor and the client, with the receiver's TCP work, the
    /// second, in a network of their own; for 1,000 connections at most
    #[arg(long)]
    isolate: bool,
    /// More flags for `tidings serve`, after `--`
    #[arg(last = true, value_name = "FLAGS")]
    flags: Vec<String>,
}

/// All works with all systems, in turn: what `cargo xtask bench` runs
#[derive(Args, Debug)]
struct SuiteArgs {
    /// Only this work or case; may be given several times
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// Only this system; may be given several times
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    systems: Vec<String>,
    /// How often each case is run
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: u16,
    /// Next to no work: shows that everything runs, and measures nothing
    #[arg(long)]
    smoke: bool,
    /// Keep the results that are there, and replace only the cases that are run now
    #[arg(long)]
    add: bool,
    /// The program to measure, built with --release
    #[arg(long, value_name = "FILE", default_value = "target/release/tidings")]
    binary: PathBuf,
    /// The peers' settings, with their npm packages installed
    #[arg(long, value_name = "DIR", default_value = "bench/peers")]
    peers: PathBuf,
    /// Where results.json, report.md and the plots are written
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    out: PathBuf,
}

/// Writes the report and the plots of a suite again, from its results
#[derive(Args, Debug)]
struct ReportArgs {
    /// Where results.json is
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    out: PathBuf,
}

/// Opens streams on any server and keeps them until the input ends, for a look at it meanwhile
#[derive(Args, Debug)]
struct HoldArgs {
    /// The server, such as 127.0.0.1:3000
    address: SocketAddr,
    /// What to ask it for
    #[arg(long, value_name = "PATH", default_value = "/topics/bench/crowd")]
    path: String,
    /// Subscribers
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    connections: usize,
}

/// Deliveries a second that leave any machine room to breathe.
const DELIVERIES_PER_SECOND: f64 = 50_000.0;
const RATE_MAX: f64 = 20.0;

fn main() -> ExitCode {
    let ended = match Cli::parse().command {
        Command::Crowd(args) => run_crowd(args),
        Command::Suite(args) => run_suite(args),
        Command::Report(args) => suite::report(&args.out).map(|()| ExitCode::SUCCESS),
        Command::Hold(args) => hold(&args),
        Command::Limit => limit::run().map(|()| ExitCode::SUCCESS),
    };
    ended.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(2)
    })
}

fn run_crowd(args: CrowdArgs) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(args.connections > 0 && args.events > 0, "a crowd and an event at least");
    if args.isolate && !isolate::is_inside() {
        isolate::enter()?;
    }
    let rate = args.rate.unwrap_or(DELIVERIES_PER_SECOND / args.connections as f64);
    let rate = if args.rate.is_none() { rate.min(RATE_MAX) } else { rate };
    anyhow::ensure!(rate > 0.0, "--rate has to be more than 0");
    let pace = Pace {
        connections: args.connections,
        events: args.events,
        together: 1,
        event_bytes: args.event_bytes,
        rate,
    };
    let options =
        crowd::Options { binary: args.binary, flags: args.flags, pace, blocks: args.blocks.max(1) };
    let wrong = crowd::run(options)?;
    for sentence in &wrong {
        eprintln!("wrong: {sentence}");
    }
    Ok(if args.check && !wrong.is_empty() { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

fn run_suite(args: SuiteArgs) -> anyhow::Result<ExitCode> {
    let all_worked = suite::run(suite::Options {
        tidings: args.binary,
        peers: args.peers,
        out: args.out,
        works: args.only,
        systems: args.systems,
        rounds: usize::from(args.rounds),
        scale: if args.smoke { Scale::Smoke } else { Scale::Full },
        add: args.add,
    })?;
    Ok(if all_worked { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// A crowd that is not there by then will not come.
const HOLD_TIME_MAX: Duration = Duration::from_secs(120);

fn hold(args: &HoldArgs) -> anyhow::Result<ExitCode> {
    measure::raise_open_files(args.connections)?;
    let crowd = Crowd::start()?;
    crowd.connect(Target::new(args.address, &args.path, "", 0), args.connections);
    let here = crowd.wait(HOLD_TIME_MAX, |counts| counts.open + counts.refused >= args.connections);
    println!("{:?}", crowd.counts());
    anyhow::ensure!(here, "not all streams could be opened");
    stdin().read_to_end(&mut Vec::new())?;
    println!("{:?}", crowd.counts());
    Ok(ExitCode::SUCCESS)
}
