//! `tidings bench`: what a hub does and costs, measured from outside.
//! Knows nothing of how a hub works: only its API and its metrics.

mod audience;
mod costs;
mod phase;
mod plan;
mod progress;
mod report;

use anyhow::bail;
use serde::Serialize;
use tidings_bench::load::Pace;
use tidings_bench::measure;

use crate::cli::BenchArgs;
use crate::client::Client;
use crate::output;

use audience::Opened;
use costs::Costs;
use phase::Phase;
use plan::Plan;

/// What came out, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Results {
    url: String,
    connections: u64,
    topics: u64,
    event_bytes: u32,
    publishers: u16,
    opened: Opened,
    steady: Phase,
    fastest: Phase,
    /// What makes a figure doubtful, in one sentence each.
    remarks: Vec<String>,
}

/// Measures, and prints what came out.
///
/// # Errors
/// Where the hub can't be measured, or did not deliver all that it had taken.
pub(super) async fn run(client: &Client, args: BenchArgs) -> anyhow::Result<()> {
    let plan = Plan::new(client, &args).await?;
    measure::raise_open_files(plan.sockets())?;
    let before = Costs::read(client).await?;
    before.room_for(plan.sockets() as u64)?;
    audience::rehearse(client, &plan).await?;

    let (crowd, opened) = audience::open(client, &plan).await?;
    let steady = phase::run(client, &plan, &crowd, Pace::Rate(args.rate)).await?;
    let fastest = phase::run(client, &plan, &crowd, Pace::Free).await?;
    drop(crowd);

    let mut remarks = before.remarks();
    remarks.extend([&steady, &fastest].into_iter().flat_map(Phase::remarks));
    let results = Results {
        url: client.url().to_owned(),
        connections: args.connections,
        topics: args.topics,
        event_bytes: args.event_bytes,
        publishers: args.publishers,
        opened,
        steady,
        fastest,
        remarks,
    };
    if args.json {
        output::line(&serde_json::to_string(&results)?)?;
    } else {
        output::write(&report::text(&results))?;
    }
    results.verdict()
}

impl Results {
    /// # Errors
    /// Where an event that was taken did not reach everybody, or one was not taken.
    fn verdict(&self) -> anyhow::Result<()> {
        for phase in [&self.steady, &self.fastest] {
            if let Some(fault) = phase.fault() {
                bail!(fault);
            }
        }
        Ok(())
    }
}

/// No figure is known to more than three digits after the point.
fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}
