//! How the program ends: which error means which exit code.
//! Knows nothing of what went wrong beyond these kinds.

use std::process::ExitCode;

use crate::settings::Problems;

/// Something went wrong.
const FAILURE: u8 = 1;

/// What was typed or set can't be meant; clap ends with it too.
const USAGE: u8 = 2;

/// What the user typed or set is wrong: trying again won't help.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

/// A signal asked a client command to end.
#[derive(Debug)]
pub(crate) struct Interrupted {
    /// Its number.
    pub(crate) signal: u8,
}

/// Whoever read our output has seen enough (`tidings subscribe … | head -1`).
#[derive(Debug)]
pub(crate) struct ReaderGone;

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ended by signal {}", self.signal)
    }
}

impl std::fmt::Display for ReaderGone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("nobody reads the output")
    }
}

impl std::error::Error for Usage {}
impl std::error::Error for Interrupted {}
impl std::error::Error for ReaderGone {}

/// Tells the user about an error, unless it is none, and gives the exit code.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    let code = code(error);
    if let Some(code) = code.quiet() {
        return ExitCode::from(code);
    }
    for line in format!("{error:#}").lines() {
        eprintln!("tidings: {line}");
    }
    ExitCode::from(code.0)
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Code(u8);

impl Code {
    /// The code, where there is nothing to tell.
    fn quiet(self) -> Option<u8> {
        (self.0 == 0 || self.0 > 128).then_some(self.0)
    }
}

fn code(error: &anyhow::Error) -> Code {
    for cause in error.chain() {
        if let Some(interrupted) = cause.downcast_ref::<Interrupted>() {
            return Code(128 + interrupted.signal);
        }
        if cause.is::<ReaderGone>() {
            return Code(0);
        }
        if cause.is::<Usage>() || cause.is::<Problems>() {
            return Code(USAGE);
        }
    }
    Code(FAILURE)
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn each_kind_of_error_has_its_code() {
        let usage: anyhow::Result<()> = Err(Usage("a flag".into()).into());
        assert_eq!(code(&usage.context("while reading").unwrap_err()), Code(2));
        assert_eq!(code(&Problems(vec!["a key".into()]).into()), Code(2));
        assert_eq!(code(&Interrupted { signal: 2 }.into()), Code(130));
        assert_eq!(code(&ReaderGone.into()), Code(0));
        assert_eq!(code(&anyhow!("anything else")), Code(1));
    }
}
