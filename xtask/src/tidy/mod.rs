//! `cargo xtask tidy`: what compiler and linter do not see of the project's own rules.
//! Knows which checks there are; each is in a module beside this one.

mod crates;
mod layers;
mod links;
mod rust;
mod sizes;
mod tree;
mod words;

use std::fmt;
use std::process::ExitCode;

use anyhow::{Result, bail};
use cargo_metadata::{Metadata, MetadataCommand};

use self::tree::SourceFile;
use crate::context::{self, Context};

/// One thing that is wrong, and what to do.
#[derive(Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Finding {
    /// From the repository's root.
    path: String,
    /// Counted from 1.
    line: usize,
    message: String,
}

impl Finding {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// The command.
///
/// # Errors
///
/// When the repository cannot be read. Findings are in the exit code.
pub(crate) fn run() -> Result<ExitCode> {
    let root = context::root();
    let workspace = MetadataCommand::new().current_dir(&root).no_deps().exec()?;
    let findings = print_findings(&workspace)?;
    Ok(if findings == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The same as a step of `cargo xtask test`.
pub(crate) fn step(context: &Context) -> Result<()> {
    match print_findings(&context.workspace)? {
        0 => Ok(()),
        findings => bail!("{findings} finding(s)"),
    }
}

fn print_findings(workspace: &Metadata) -> Result<usize> {
    let files = tree::read(workspace.workspace_root.as_std_path())?;
    let mut findings = crates::check(&crates::packages(workspace), &files);
    findings.extend(check(&files));
    findings.sort();
    for finding in &findings {
        println!("{finding}");
    }
    println!("tidy: {} files read, {} finding(s)", files.len(), findings.len());
    Ok(findings.len())
}

/// All checks that need no more than the files.
fn check(files: &[SourceFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        words::check(file, &mut findings);
    }
    links::check(files, &mut findings);
    for file in files.iter().filter(|file| file.is_rust_of_ours()) {
        sizes::check_lines(file, &mut findings);
        match rust::parse(file) {
            Ok(parsed) => {
                sizes::check(file, &parsed, &mut findings);
                layers::check(file, &parsed, &mut findings);
            }
            Err(finding) => findings.push(finding),
        }
    }
    findings
}
