//! The steps that cargo does: formatting, lints, docs, tests, the release build.

use anyhow::Result;
use cargo_metadata::TargetKind;

use crate::context::{Context, cargo};

/// Whoever reads that a test has failed wants to know of the others too.
const TEST: &[&str] = &["test", "--workspace", "--locked", "--no-fail-fast"];

/// `fmt`: rustfmt has nothing to change.
pub(crate) fn fmt(context: &Context) -> Result<()> {
    context.runner.run(&mut cargo(&["fmt", "--all", "--check"]))
}

/// `clippy`: every target, and a warning is an error.
pub(crate) fn clippy(context: &Context) -> Result<()> {
    context.runner.run(&mut cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ]))
}

/// `docs`: the API docs build without a warning, and their examples run.
pub(crate) fn docs(context: &Context) -> Result<()> {
    let mut doc = cargo(&["doc", "--workspace", "--no-deps", "--locked"]);
    context.runner.run(doc.env("RUSTDOCFLAGS", "-D warnings"))?;
    context.runner.run(&mut cargo(&["test", "--workspace", "--doc", "--locked"]))
}

/// `unit`: the tests beside the code.
pub(crate) fn unit(context: &Context) -> Result<()> {
    context.runner.run(cargo(TEST).args(["--lib", "--bins"]))
}

/// `integration`: the tests in `tests/`, and the examples build.
pub(crate) fn integration(context: &Context) -> Result<()> {
    // First, as a test of the client runs one.
    if has_target(context, &TargetKind::Example) {
        context.runner.run(&mut cargo(&["build", "--workspace", "--examples", "--locked"]))?;
    } else {
        println!("no crate has examples");
    }
    // Cargo refuses a pattern that matches no target.
    if has_target(context, &TargetKind::Test) {
        context.runner.run(cargo(TEST).args(["--test", "*"]))?;
    } else {
        println!("no crate has integration tests in a `tests` directory");
    }
    Ok(())
}

/// `release`: the program as it is shipped.
pub(crate) fn release(context: &Context) -> Result<()> {
    context.runner.run(&mut cargo(&["build", "--release", "--locked", "-p", "tidings"]))
}

/// `crowd`: 10,000 connections to the program as it is shipped. Nothing may be lost, and memory
/// has to come back; how fast it is, is only told.
pub(crate) fn crowd(context: &Context) -> Result<()> {
    let run = ["run", "--release", "--locked", "-p", "tidings-bench", "--", "crowd", "--check"];
    context.runner.run(cargo(&run).arg("--binary").arg(context.release_binary()))
}

fn has_target(context: &Context, kind: &TargetKind) -> bool {
    let targets = context.workspace.packages.iter().flat_map(|package| &package.targets);
    targets.flat_map(|target| &target.kind).any(|found| found == kind)
}
