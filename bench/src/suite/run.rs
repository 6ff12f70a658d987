//! Runs the works: each case with each system that can do it, in rounds, one system at a time.
//! Knows nothing of what the works do.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, ensure};

use super::results::{CaseResult, Described, Results, Row};
use super::{plots, tables};
use crate::figure::Sample;
use crate::measure::{self, Machine};
use crate::subject::{Place, SYSTEMS, System};
use crate::works::{Case, Scale, WORKS, Work};
use crate::{isolate, report};

/// What is wanted.
#[derive(Clone, Debug)]
pub struct Options {
    /// The program `tidings`.
    pub tidings: PathBuf,
    /// The peers' settings and their npm packages.
    pub peers: PathBuf,
    /// Where results, report and plots are written.
    pub out: PathBuf,
    /// Works or cases, by name; none: all.
    pub works: Vec<String>,
    /// Systems by name; none: all.
    pub systems: Vec<String>,
    /// How often each case is run.
    pub rounds: usize,
    /// How much is done.
    pub scale: Scale,
    /// Keeps the results that are there, and replaces only the cases that are run.
    pub add: bool,
}

/// The bare loop before and after may differ so much; else something else was going on.
const LIMITS_DIFFER_MAX: f64 = 0.10;

/// Connections that one process may be asked to hold.
const CONNECTIONS_MAX: usize = 19_000;

struct Suite {
    options: Options,
    place: Place,
    systems: Vec<&'static System>,
    results: Results,
}

/// Runs what is wanted and writes `results.json`, `report.md` and the plots. `false`: something
/// did not work; the report says what.
///
/// # Errors
/// Where it can't even begin, or nothing can be written.
pub fn run(options: Options) -> anyhow::Result<bool> {
    if options.scale == Scale::Smoke {
        measure::hurry();
    }
    let connections = options.scale.pick(CONNECTIONS_MAX, 200);
    let open_files = measure::raise_open_files(connections)?;
    let wanted = wanted(&options)?;
    let mut suite = Suite::new(options, open_files)?;
    let (inside, outside): (Vec<_>, Vec<_>) =
        wanted.into_iter().partition(|(_, case)| case.isolated);
    if isolate::is_inside() {
        suite.cases(&inside)?;
        return Ok(true);
    }
    suite.cases(&outside)?;
    suite.isolated(&inside)?;
    suite.write()
}

fn wanted(options: &Options) -> anyhow::Result<Vec<(&'static Work, Case)>> {
    let scale = options.scale;
    let all = WORKS.iter().flat_map(|work| (work.cases)(scale).into_iter().map(move |c| (work, c)));
    let named = |work: &Work, case: &Case| {
        options.works.is_empty()
            || options.works.iter().any(|name| name == work.name || *name == case.name)
    };
    let wanted: Vec<_> = all.filter(|(work, case)| named(work, case)).collect();
    ensure!(!wanted.is_empty(), "there is no such work: {}", names().join(", "));
    Ok(wanted)
}

fn names() -> Vec<&'static str> {
    WORKS.iter().map(|work| work.name).collect()
}

impl Suite {
    fn new(options: Options, open_files: u64) -> anyhow::Result<Self> {
        let known = |name: &String| SYSTEMS.iter().any(|system| system.name == *name);
        if let Some(unknown) = options.systems.iter().find(|name| !known(name)) {
            let names: Vec<&str> = SYSTEMS.iter().map(|system| system.name).collect();
            anyhow::bail!("there is no system {unknown}: {}", names.join(", "));
        }
        let wanted = |system: &&System| {
            options.systems.is_empty() || options.systems.iter().any(|name| name == system.name)
        };
        let systems: Vec<&'static System> = SYSTEMS.iter().filter(wanted).collect();
        fs::create_dir_all(&options.out)
            .with_context(|| format!("can't make {}", options.out.display()))?;
        let out = fs::canonicalize(&options.out)?;
        let place = Place {
            tidings: options.tidings.clone(),
            peers: options.peers.clone(),
            scratch: out.join("scratch"),
        };
        let had = if options.add { Results::load(&results_file(&out))? } else { None };
        let described = describe(&systems, &place)?;
        let mut results = had.unwrap_or_else(|| Results {
            date: jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string(),
            machine: Machine::this().to_string(),
            open_files,
            ..Results::default()
        });
        // The isolated cases are a part of the run that starts them.
        if !isolate::is_inside() {
            results.commands.push(std::env::args().skip(1).collect::<Vec<_>>().join(" "));
        }
        described.into_iter().for_each(|system| results.describe(system));
        Ok(Self { options: Options { out, ..options }, place, systems, results })
    }

    fn cases(&mut self, cases: &[(&'static Work, Case)]) -> anyhow::Result<()> {
        for (at, (work, case)) in cases.iter().enumerate() {
            eprintln!("[{}/{}] {}", at + 1, cases.len(), case.name);
            let result = self.case(work, case)?;
            self.results.put(result);
            self.results.save(&results_file(&self.options.out))?;
        }
        Ok(())
    }

    fn case(&self, work: &Work, case: &Case) -> anyhow::Result<CaseResult> {
        let limit = &SYSTEMS[0];
        let takes_part = self.systems.iter().any(|system| system.name == limit.name);
        let limit = (case.beside_limit && takes_part).then_some(limit);
        let others = self.systems.iter().copied();
        let others: Vec<&System> = others
            .filter(|system| system.name != SYSTEMS[0].name && system.can(case.needs))
            .collect();
        let row = |system: &System| Row {
            system: system.name.to_owned(),
            title: system.title.to_owned(),
            series: Vec::new(),
            remarks: Vec::new(),
            failures: Vec::new(),
        };
        let mut rows: Vec<Row> = limit.into_iter().chain(others.iter().copied()).map(row).collect();
        let mut noisy_rounds = 0;
        for round in 0..self.options.rounds {
            let before = limit.map(|limit| self.turn(limit, case, round));
            let first = usize::from(limit.is_some());
            for (at, system) in others.iter().enumerate() {
                rows[first + at].add(round, &self.turn(system, case, round));
            }
            let after = limit.map(|limit| self.turn(limit, case, round));
            if let (Some(before), Some(after)) = (before, after) {
                noisy_rounds += usize::from(differ(&before, &after));
                rows[0].add(round, &before);
                rows[0].add(round, &after);
            }
        }
        Ok(CaseResult {
            name: case.name.clone(),
            title: case.title.clone(),
            work: work.name.to_owned(),
            rows,
            missing: None,
            noisy_rounds,
        })
    }

    /// One system does the case once.
    fn turn(&self, system: &System, case: &Case, round: usize) -> anyhow::Result<Sample> {
        let started = Instant::now();
        let outcome = empty(&self.place.scratch).and_then(|()| {
            let subject = system.start(&self.place);
            let mut subject = subject.with_context(|| format!("{} did not start", system.title))?;
            (case.run)(subject.as_mut())
        });
        let (round, rounds) = (round + 1, self.options.rounds);
        let time = report::seconds(started.elapsed());
        let what = outcome.as_ref().map_or_else(|error| format!("{error:#}"), |_| String::new());
        eprintln!("  round {round}/{rounds}  {:<14} {time:>7}  {what}", system.name);
        outcome
    }

    /// Starts this program again in a network of its own, for these cases.
    fn isolated(&mut self, cases: &[(&'static Work, Case)]) -> anyhow::Result<()> {
        if cases.is_empty() {
            return Ok(());
        }
        if let Err(error) = isolate::can() {
            for (work, case) in cases {
                eprintln!("{}: not run: {error}", case.name);
                self.results.put(CaseResult {
                    name: case.name.clone(),
                    title: case.title.clone(),
                    work: work.name.to_owned(),
                    rows: Vec::new(),
                    missing: Some(error.to_string()),
                    noisy_rounds: 0,
                });
            }
            return Ok(());
        }
        self.results.save(&results_file(&self.options.out))?;
        let names: Vec<&str> = cases.iter().map(|(_, case)| case.name.as_str()).collect();
        let status = isolate::again()?.args(self.arguments(&names)).status()?;
        ensure!(status.success(), "the isolated cases ended with {status}");
        let results = Results::load(&results_file(&self.options.out))?;
        self.results = results.context("the isolated cases left no results")?;
        Ok(())
    }

    /// The command line that runs these cases with the same options and adds their results.
    fn arguments(&self, names: &[&str]) -> Vec<std::ffi::OsString> {
        let options = &self.options;
        let mut arguments: Vec<std::ffi::OsString> = vec!["suite".into(), "--add".into()];
        let mut flag = |name: &str, value: &std::ffi::OsStr| {
            arguments.push(name.into());
            arguments.push(value.into());
        };
        flag("--binary", options.tidings.as_os_str());
        flag("--peers", options.peers.as_os_str());
        flag("--out", options.out.as_os_str());
        flag("--rounds", options.rounds.to_string().as_ref());
        names.iter().for_each(|name| flag("--only", name.as_ref()));
        options.systems.iter().for_each(|name| flag("--systems", name.as_ref()));
        if options.scale == Scale::Smoke {
            arguments.push("--smoke".into());
        }
        arguments
    }

    fn write(&self) -> anyhow::Result<bool> {
        let out = &self.options.out;
        let _ = fs::remove_dir_all(&self.place.scratch);
        self.results.save(&results_file(out))?;
        write(&self.results, out)?;
        Ok(!self.results.cases.iter().any(CaseResult::failed))
    }
}

/// Writes the report and the plots from the `results.json` that is there.
///
/// # Errors
/// Where it is not there or can't be read, or nothing can be written.
pub fn report(out: &Path) -> anyhow::Result<()> {
    let results = Results::load(&results_file(out))?;
    let results = results.with_context(|| format!("no results.json in {}", out.display()))?;
    write(&results, out)
}

fn write(results: &Results, out: &Path) -> anyhow::Result<()> {
    let text = tables::markdown(results);
    fs::write(out.join("report.md"), &text).context("can't write the report")?;
    let plots = plots::draw(results, out)?;
    print!("{text}");
    eprintln!("written to {}: report.md, {}", out.display(), plots.join(", "));
    Ok(())
}

/// Makes a directory anew.
fn empty(directory: &Path) -> anyhow::Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory).context("can't empty the scratch directory")?;
    }
    fs::create_dir_all(directory).context("can't make the scratch directory")
}

fn results_file(out: &Path) -> PathBuf {
    out.join("results.json")
}

fn describe(systems: &[&System], place: &Place) -> anyhow::Result<Vec<Described>> {
    let described = systems.iter().map(|system| {
        let version = system.version(place).with_context(|| {
            format!("{} is not installed (`--systems` leaves it out)", system.title)
        })?;
        Ok(Described {
            name: system.name.to_owned(),
            title: system.title.to_owned(),
            version,
            settings: system.settings.to_owned(),
        })
    });
    described.collect()
}

/// Whether the first cost of two runs of the loop differs by more than it may.
fn differ(before: &anyhow::Result<Sample>, after: &anyhow::Result<Sample>) -> bool {
    let (Ok(before), Ok(after)) = (before, after) else { return true };
    let costs = before.values().iter().zip(after.values()).filter(|(one, _)| one.0.cost);
    costs.map(|(one, other)| (one.1 / other.1 - 1.0).abs()).any(|share| share > LIMITS_DIFFER_MAX)
}
