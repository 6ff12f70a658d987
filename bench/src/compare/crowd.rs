//! `crowd`: a hub with a crowd beside the bare loop with the same crowd, in the same run.
//! Knows nothing of how the result is printed.

use std::path::PathBuf;
use std::time::Duration;

use super::audience::{Audience, Pace};
use super::crowd_report::print;
use super::round::{Round, round};
use crate::measure::{self, Memory};
use crate::subject::{Limit, Subject, Tidings};

/// What is wanted.
#[derive(Clone, Debug)]
pub struct Options {
    /// The program.
    pub binary: PathBuf,
    /// More flags for `tidings serve`.
    pub flags: Vec<String>,
    /// The crowd and its events.
    pub pace: Pace,
    /// How often the loop, the hub and the loop again have their turn.
    pub blocks: usize,
}

/// What came out.
#[derive(Debug)]
pub struct Result {
    /// What was wanted.
    pub options: Options,
    /// The limit of open files.
    pub open_files: u64,
    /// One for each block.
    pub blocks: Vec<Block>,
}

/// The loop, the hub, and the loop again.
#[derive(Debug)]
pub struct Block {
    /// The loop before and after.
    pub limits: [Round; 2],
    /// The hub.
    pub hub: Hub,
}

/// What was measured of the hub.
#[derive(Debug)]
pub struct Hub {
    /// The crowd and its events.
    pub round: Round,
    /// Its memory right after it has started.
    pub fresh: Memory,
    /// Its memory when it has done everything once, for one subscriber: what "the start" means.
    /// By then the pages of its program that it needs have been read.
    pub start: Memory,
    /// The same crowd a second time, with one event.
    pub again: Round,
    /// CPU of one publish that nobody listens to.
    pub publish_cpu: Duration,
    /// Writes to sockets that it says it has made in the round.
    pub writes: u64,
}

/// So much more memory than at the start may stay resident when all have left. Some does, since
/// the allocator gives back whole pages only: from run to run between 4 and 10 %.
const LEFT_SHARE_MAX: f64 = 0.2;

/// So much may the same crowd take a second time, beside the first: pages that are used in part
/// are some of it, and all that was kept for those who had left would come on top.
const AGAIN_SHARE_MAX: f64 = 1.5;

/// Nothing takes longer on a machine that works.
const STEP_TIME_MAX: Duration = Duration::from_secs(60);

/// Measures, prints the report, and says what of it is wrong: in one sentence each.
///
/// # Errors
/// Where it can't be measured.
pub fn run(options: Options) -> anyhow::Result<Vec<String>> {
    let open_files = measure::raise_open_files(options.pace.connections)?;
    let mut blocks = Vec::new();
    for _ in 0..options.blocks {
        let before = round(&mut Limit::start()?, options.pace)?;
        let hub = hub(&options)?;
        let after = round(&mut Limit::start()?, options.pace)?;
        blocks.push(Block { limits: [before, after], hub });
    }
    let result = Result { options, open_files, blocks };
    print(&result);
    Ok(result.blocks.iter().flat_map(|block| block.wrong(&result.options)).collect())
}

fn hub(options: &Options) -> anyhow::Result<Hub> {
    let mut tidings = Tidings::start(&options.binary, &options.flags)?;
    let process = tidings.process();
    measure::settle(process, STEP_TIME_MAX)?;
    let fresh = measure::memory(process)?;
    Audience::warm(&mut tidings, options.pace.event_bytes)?;
    let publish_cpu = publish_cpu(&mut tidings, options.pace)?;
    let start = measure::memory(process)?;
    let written = tidings.counter("tidings_writes_total")?;
    let measured = round(&mut tidings, options.pace)?;
    let writes = tidings.counter("tidings_writes_total")? - written;
    let again = round(&mut tidings, Pace { events: 1, ..options.pace })?;
    Ok(Hub { round: measured, fresh, start, again, publish_cpu, writes })
}

/// CPU of one publish that nobody listens to.
fn publish_cpu(tidings: &mut Tidings, pace: Pace) -> anyhow::Result<Duration> {
    let process = tidings.process();
    let before = measure::cpu(process)?;
    for _ in 0..pace.events {
        tidings.publish_to_nobody(pace.event_bytes)?;
    }
    let cpu = measure::cpu(process)?.saturating_sub(before);
    tidings.counter("tidings_writes_total")?;
    measure::settle(process, STEP_TIME_MAX)?;
    Ok(cpu / u32::try_from(pace.events.max(1))?)
}

impl Hub {
    /// What stays when all have left, as a share of the start.
    pub(super) fn left_share(&self) -> f64 {
        self.more(self.round.left) / self.start.resident as f64
    }

    /// What the crowd takes the second time, as a share of the first.
    pub(super) fn again_share(&self) -> f64 {
        self.more(self.again.came.memory) / self.more(self.round.came.memory)
    }

    /// Resident memory beyond the start.
    fn more(&self, memory: Memory) -> f64 {
        memory.resident as f64 - self.start.resident as f64
    }
}

/// Fewer connections say nothing about memory.
const CROWD: usize = 1_000;

impl Block {
    /// What is not as it has to be, whatever the machine.
    fn wrong(&self, options: &Options) -> Vec<String> {
        let Pace { connections, events, .. } = options.pace;
        let mut wrong = Vec::new();
        let expected = connections as u64 * events;
        let named = [("the loop", &self.limits[0]), ("Tidings", &self.hub.round)];
        for (name, round) in named.into_iter().chain([("the loop", &self.limits[1])]) {
            let counts = &round.counts;
            if counts.events != expected || counts.faults() > 0 {
                wrong.push(format!(
                    "{name} delivered {} of {expected} events, {} lost, {} out of order, {} others, \
                     {} streams cut, {} malformed",
                    counts.events,
                    counts.lost,
                    counts.misplaced,
                    counts.foreign,
                    counts.cut + counts.ended,
                    counts.malformed
                ));
            }
        }
        // A handful of connections takes less than what any process needs now and then.
        if connections >= CROWD {
            let (left, again) = (self.hub.left_share(), self.hub.again_share());
            if left > LEFT_SHARE_MAX {
                let percent = left * 100.0;
                wrong.push(format!("{percent:.0} % more memory than at the start stays behind"));
            }
            if again > AGAIN_SHARE_MAX {
                let percent = again * 100.0;
                wrong
                    .push(format!("a second crowd takes {percent:.0} % of the first one's memory"));
            }
        }
        wrong
    }

    /// CPU per delivery of the hub, by that of the loop.
    pub(super) fn ratio(&self) -> f64 {
        let limit =
            self.limits.iter().map(|round| round.delivered.cpu_per_event_us()).sum::<f64>() / 2.0;
        self.hub.round.delivered.cpu_per_event_us() / limit
    }
}
