//! Those who listen: the streams of a measurement, and what opening them costs the hub.
//! Knows nothing of how events are published to them.

use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use reqwest::header::ACCEPT;
use serde::Serialize;
use tidings_bench::crowd::Crowd;
use tokio::time;

use crate::client::{self, Client};

use super::costs::Costs;
use super::plan::Plan;
use super::progress::{counted, shown};
use super::rounded;

/// What a hub may take to come to rest.
const REST_TIME: Duration = Duration::from_millis(500);

/// A hub that takes longer for one publish can't be measured.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

/// What opening the streams came to.
#[derive(Debug, Serialize)]
pub(super) struct Opened {
    pub(super) connections: u64,
    pub(super) expected: u64,
    pub(super) seconds: f64,
    /// Resident memory of the hub before, and when all were there.
    pub(super) memory_bytes_before: Option<f64>,
    pub(super) memory_bytes: Option<f64>,
    pub(super) memory_bytes_per_connection: Option<f64>,
    pub(super) cpu_us_per_connection: Option<f64>,
}

/// One stream comes, gets one event, and leaves. So the hub has done everything once when it is
/// measured, and where it refuses, its own words say why.
///
/// # Errors
/// Where that does not work.
pub(super) async fn rehearse(client: &Client, plan: &Plan) -> anyhow::Result<()> {
    let crowd = start()?;
    crowd.connect(plan.target(0), 1);
    let here = counted(1, || (crowd.counts().open + crowd.counts().refused) as u64).await;
    if !here || crowd.counts().open != 1 {
        return Err(refusal(client, plan).await?);
    }
    let request = client.post(plan.url(client, 0))?.timeout(ANSWER_TIME_MAX).body(plan.data(0));
    let response = request.send().await.map_err(|error| client.unanswered(&error))?;
    client::accepted(response).await?;
    ensure!(counted(1, || crowd.counts().events).await, "an event that was published did not come");
    Ok(())
}

/// Why the hub does not open a stream, in its own words where it has any.
async fn refusal(client: &Client, plan: &Plan) -> anyhow::Result<anyhow::Error> {
    let request = client.get(plan.url(client, 0))?.header(ACCEPT, "text/event-stream");
    let response = request.timeout(ANSWER_TIME_MAX).send().await;
    let response = response.map_err(|error| client.unanswered(&error))?;
    client::accepted(response).await?;
    Ok(anyhow!("the hub does not open a stream"))
}

/// Opens all streams.
///
/// # Errors
/// Where the hub does not take them all.
pub(super) async fn open(client: &Client, plan: &Plan) -> anyhow::Result<(Crowd, Opened)> {
    let crowd = start()?;
    time::sleep(REST_TIME).await;
    let before = Costs::read(client).await?;
    let start = Instant::now();
    for (target, listeners) in plan.targets() {
        crowd.connect(target, listeners as usize);
    }
    let expected = plan.connections;
    let at = || {
        let counts = crowd.counts();
        (counts.open + counts.refused) as u64
    };
    shown("opening streams", expected, at, counted(expected, at)).await?;
    let seconds = start.elapsed().as_secs_f64();
    let connections = crowd.counts().open as u64;
    ensure!(
        connections == expected,
        "the hub opened {connections} of {expected} streams: raise its connections-max and its \
         limit of open files (ulimit -Hn, or LimitNOFILE of its service), or give fewer \
         --connections"
    );
    time::sleep(REST_TIME).await;
    let after = Costs::read(client).await?;
    let each =
        |before: Option<f64>, after: Option<f64>| Some((after? - before?) / connections as f64);
    let opened = Opened {
        connections,
        expected,
        seconds: rounded(seconds),
        memory_bytes_before: before.memory_bytes,
        memory_bytes: after.memory_bytes,
        memory_bytes_per_connection: each(before.memory_bytes, after.memory_bytes).map(rounded),
        cpu_us_per_connection: each(before.cpu_seconds, after.cpu_seconds)
            .map(|seconds| rounded(seconds * 1e6)),
    };
    Ok((crowd, opened))
}

fn start() -> anyhow::Result<Crowd> {
    Crowd::start().context("can't start the thread of the streams")
}
