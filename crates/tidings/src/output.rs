//! Writes to stdout, piece by piece, and tells a reader that left from a failure.
//! Knows nothing of what is written.

use std::fmt::Write as _;
use std::io::{self, Write};

use crate::exit::ReaderGone;

/// Writes a text and flushes it, so that whoever reads the pipe has it now.
///
/// # Errors
/// [`ReaderGone`] where the pipe is closed, which is no failure; others as they come.
pub(crate) fn write(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(said)
}

/// Writes a line.
///
/// # Errors
/// As [`write()`].
pub(crate) fn line(text: &str) -> anyhow::Result<()> {
    let mut line = String::with_capacity(text.len() + 1);
    line.push_str(text);
    line.push('\n');
    write(&line)
}

/// A stranger's text must not steer the terminal: control characters are shown, not sent.
pub(crate) fn tame(text: &str) -> String {
    let mut tamed = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\t' {
            // Writing into a String can't fail.
            let _ = write!(tamed, "\\x{:02x}", u32::from(c));
        } else {
            tamed.push(c);
        }
    }
    tamed
}

fn said(error: io::Error) -> anyhow::Error {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return ReaderGone.into();
    }
    anyhow::Error::new(error).context("can't write to stdout")
}
