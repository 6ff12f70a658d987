//! Passes on what a program prints, and remembers the lines that tell what failed.
//! Knows nothing of the program but how test runners and compilers say it.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// Enough to know what failed, few enough to stay at the end of a log.
const LINES_MAX: usize = 12;

/// The lines of a program's output that tell what failed, so that they need not be looked for
/// among thousands.
#[derive(Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    /// Passes on what comes, line by line, until there is no more.
    pub(crate) fn pass(
        &self,
        from: impl Read + Send + 'static,
        mut to: impl Write + Send + 'static,
    ) -> JoinHandle<()> {
        let heard = self.clone();
        thread::spawn(move || {
            let mut from = BufReader::new(from);
            let mut line = Vec::new();
            while from.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
                // Where nobody takes it, the program is to go on all the same.
                let _ = to.write_all(&line).and_then(|()| to.flush());
                heard.hear(&String::from_utf8_lossy(&line));
                line.clear();
            }
        })
    }

    fn hear(&self, line: &str) {
        // Of Rust's tests and their panics, of Node's tests, of compilers.
        let line = line.trim();
        let tells = line.starts_with("test ") && line.ends_with("FAILED")
            || line.contains(" panicked at ")
            || line.starts_with("✖ ")
            || line.starts_with("error");
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tells && lines.len() < LINES_MAX && !lines.iter().any(|known| known == line) {
            lines.push(line.to_owned());
        }
    }

    /// These lines, each on one of its own.
    pub(crate) fn telling(&self) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(|line| format!("\n  {line}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn what_failed_is_remembered_once() {
        let heard = Heard::default();
        let printed = "test a::b ... ok\ntest a::c ... FAILED\n✖ tabs\ntest a::c ... FAILED\n";
        heard.pass(printed.as_bytes(), io::sink()).join().unwrap();
        assert_eq!(heard.telling(), "\n  test a::c ... FAILED\n  ✖ tabs");
    }
}
