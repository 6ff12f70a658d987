//! The step `fuzz`: every target of the fuzz crate runs for a few seconds.
//! Knows how to build libFuzzer's targets with a stable compiler; not what they test.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use cargo_metadata::{MetadataCommand, Package, TargetKind};

use crate::context::{Context, cargo, find_program};

const MANIFEST: &str = "fuzz/Cargo.toml";
/// Enough to fail on what a change broke; the long search is for other machines.
const TARGET_SECONDS: u32 = 5;
/// What the sanitizers need a nightly compiler for is not needed to guide the search: these
/// flags, which `cargo fuzz --sanitizer none` sets too, make the coverage counters.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Ccodegen-units=1 --cfg fuzzing";

/// Runs each target briefly, or checks that it still compiles where that is all we can do.
pub(crate) fn run(context: &Context) -> Result<()> {
    let manifest = context.root.join(MANIFEST);
    ensure!(manifest.is_file(), "there is no `{MANIFEST}`");
    let package = package(&manifest)?;
    let uses_libfuzzer = package.dependencies.iter().any(|d| d.name == "libfuzzer-sys");
    // libFuzzer itself is C++.
    let compiler = find_program("c++").or_else(|| find_program("clang++"));
    if !uses_libfuzzer || compiler.is_none() {
        println!("no libFuzzer or no C++ compiler: only checking that the targets compile");
        return context.runner.run(&mut cargo(&["check", "--locked", "--manifest-path", MANIFEST]));
    }
    let built = context.target.join("fuzz");
    build(context, &built)?;
    for target in package.targets.iter().filter(|t| t.kind.contains(&TargetKind::Bin)) {
        run_target(context, &built, &target.name)?;
    }
    Ok(())
}

fn package(manifest: &Path) -> Result<Package> {
    let metadata = MetadataCommand::new().manifest_path(manifest).no_deps().exec()?;
    metadata.packages.into_iter().next().with_context(|| format!("`{MANIFEST}` has no package"))
}

fn build(context: &Context, built: &Path) -> Result<()> {
    // Naming the host as the target keeps the flags away from build scripts and macros, which
    // could not be linked with them.
    let mut build = cargo(&["build", "--release", "--locked", "--manifest-path", MANIFEST]);
    build.args(["--target", &host()?, "--target-dir"]).arg(built);
    build.env("RUSTFLAGS", COVERAGE).env("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true");
    build.env("CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS", "true");
    context.runner.run(&mut build)
}

fn run_target(context: &Context, built: &Path, name: &str) -> Result<()> {
    let found = built.join("corpus").join(name);
    let crashes = built.join("crashes").join(name);
    fs::create_dir_all(&found)?;
    fs::create_dir_all(&crashes)?;
    let mut command = Command::new(built.join(host()?).join("release").join(name));
    command.arg(format!("-max_total_time={TARGET_SECONDS}"));
    command.args(["-timeout=5", "-rss_limit_mb=2048", "-print_final_stats=0"]);
    // The slash at the end makes it a directory.
    command.arg(format!("-artifact_prefix={}/", crashes.display()));
    // libFuzzer adds what it finds to the first directory and only reads the others.
    command.arg(found);
    for seeds in ["fuzz/seeds", "fuzz/corpus"] {
        let directory = context.root.join(seeds).join(name);
        if directory.is_dir() {
            command.arg(directory);
        }
    }
    context.runner.run(&mut command)
}

fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("cannot run rustc")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc does not say which host it is for")?.to_owned())
}
