//! `cargo xtask test`: the steps, in order, and what became of each.
//! Knows when a step runs; what it does is in the modules beside this one.

mod fuzz;
mod install;
mod node;
mod report;
mod rust;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, anyhow};
use clap::Args;
use clap::builder::PossibleValuesParser;

use self::report::{Report, summary};
use crate::context::Context;
use crate::{bench, licences, tidy};

/// One thing that `cargo xtask test` does.
struct Step {
    name: &'static str,
    about: &'static str,
    /// Steps whose failure leaves this one nothing to work with.
    needs: &'static [&'static str],
    run: fn(&Context) -> Result<()>,
}

/// In the order in which they run: what is quick and often wrong comes first.
const STEPS: &[Step] = &[
    Step {
        name: "install",
        about: "Chromium, Python, curl, Redis, npm packages, what the benchmark compares with",
        needs: &[],
        run: install::run,
    },
    Step { name: "fmt", about: "rustfmt has nothing to change", needs: &[], run: rust::fmt },
    Step { name: "clippy", about: "no warning anywhere", needs: &[], run: rust::clippy },
    Step { name: "tidy", about: "the structure of the code", needs: &[], run: tidy::step },
    Step {
        name: "licences",
        about: "every dependency's licence and source against deny.toml",
        needs: &[],
        run: licences::step,
    },
    Step { name: "docs", about: "the API docs and their examples", needs: &[], run: rust::docs },
    Step { name: "unit", about: "unit tests", needs: &[], run: rust::unit },
    Step {
        name: "integration",
        about: "integration tests; the examples build",
        needs: &[],
        run: rust::integration,
    },
    Step {
        name: "js",
        about: "the JavaScript client: types, build, tests, sizes",
        needs: &[],
        run: node::client,
    },
    Step {
        name: "release",
        about: "the release binary, for the steps that follow",
        needs: &[],
        run: rust::release,
    },
    Step {
        name: "browser",
        about: "EventSource and our client in Chromium against the release binary",
        needs: &["js", "release"],
        run: node::browser,
    },
    Step {
        name: "clients",
        about: "other people's clients against the release binary",
        needs: &["release"],
        run: node::clients,
    },
    Step {
        name: "crowd",
        about: "10,000 connections get every event, and their memory comes back",
        needs: &["release"],
        run: rust::crowd,
    },
    Step {
        name: "bench",
        about: "every system does every work of the benchmark once, at a tiny scale",
        needs: &["release"],
        run: bench::smoke,
    },
    Step { name: "fuzz", about: "the fuzz targets, briefly", needs: &[], run: fuzz::run },
];

/// What of it to do.
#[derive(Args, Default)]
#[command(after_help = steps_help())]
pub(crate) struct Options {
    /// Only this step; may be given several times, the steps keep their order.
    #[arg(long, value_name = "STEP", value_delimiter = ',', hide_possible_values = true)]
    #[arg(value_parser = PossibleValuesParser::new(STEPS.iter().map(|step| step.name)))]
    only: Vec<String>,
    /// Leave out the step `install`.
    #[arg(long)]
    no_install: bool,
}

impl Options {
    fn wants(&self, step: &Step) -> bool {
        let named = self.only.is_empty() || self.only.iter().any(|name| name == step.name);
        named && !(self.no_install && step.name == "install")
    }
}

/// Runs the steps; one that fails does not keep the independent ones from running.
///
/// # Errors
///
/// When it cannot even begin. What fails later is in the summary and the exit code.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let context = Context::new()?;
    let steps: Vec<&Step> = STEPS.iter().filter(|step| options.wants(step)).collect();
    let mut reports: Vec<Report> = Vec::with_capacity(steps.len());
    for (index, step) in steps.iter().enumerate() {
        println!("\n==> [{}/{}] {}: {}", index + 1, steps.len(), step.name, step.about);
        let started = Instant::now();
        let outcome = match failed_need(step, &reports) {
            Some(need) => Err(anyhow!("not run, because `{need}` failed")),
            None => (step.run)(&context),
        };
        let report = Report::new(step.name, started.elapsed(), outcome);
        println!("<== {report}");
        reports.push(report);
        if context.runner.interrupted() {
            break;
        }
    }
    print!("{}", summary(&reports, steps.len()));
    let all_passed = reports.len() == steps.len() && reports.iter().all(Report::passed);
    Ok(if all_passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn failed_need(step: &Step, reports: &[Report]) -> Option<&'static str> {
    let failed = |need: &&str| reports.iter().any(|r| r.name == *need && !r.passed());
    step.needs.iter().copied().find(failed)
}

fn steps_help() -> String {
    let mut help = String::from("Steps:\n");
    for step in STEPS {
        help.push_str(&format!("  {:<12} {}\n", step.name, step.about));
    }
    help
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_need_names_an_earlier_step() {
        for (index, step) in STEPS.iter().enumerate() {
            for need in step.needs {
                assert!(STEPS[..index].iter().any(|earlier| earlier.name == *need), "{need}");
            }
        }
    }

    #[test]
    fn options_choose_the_steps() {
        let chosen = |only: &[&str], no_install| -> Vec<&str> {
            let only = only.iter().map(ToString::to_string).collect();
            let options = Options { only, no_install };
            STEPS.iter().filter(|step| options.wants(step)).map(|step| step.name).collect()
        };
        assert_eq!(chosen(&[], false).len(), STEPS.len());
        assert_eq!(chosen(&[], true)[0], "fmt");
        assert_eq!(chosen(&["tidy", "fmt"], false), ["fmt", "tidy"]);
    }

    #[test]
    fn a_step_is_not_run_on_what_its_need_did_not_make() {
        let browser = STEPS.iter().find(|step| step.name == "browser").unwrap();
        let report = |outcome| Report::new("release", Duration::ZERO, outcome);
        assert_eq!(failed_need(browser, &[report(Ok(()))]), None);
        assert_eq!(failed_need(browser, &[report(Err(anyhow!("no")))]), Some("release"));
        assert_eq!(failed_need(browser, &[]), None, "`--only browser` is the caller's choice");
    }
}
