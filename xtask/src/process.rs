//! Starts a program, waits for it, and ends it and all that it started when we are told to stop.
//! Knows nothing of what the programs are for.

use std::io::{self, IsTerminal as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::heard::Heard;

/// A cold release build on a small machine takes a quarter of it; what takes longer hangs.
const COMMAND_TIME_MAX: Duration = Duration::from_secs(60 * 60);
/// Enough for a server to drain and for a browser to remove its profile.
const END_TIME_MAX: Duration = Duration::from_secs(5);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Starts programs in one directory, each in a process group of its own.
pub(crate) struct Runner {
    directory: PathBuf,
    /// What programs print passes through here: nobody watches it go by.
    listens: bool,
    interrupted: Arc<AtomicBool>,
}

impl Runner {
    /// From here on Ctrl-C ends the running program instead of this one.
    ///
    /// # Errors
    ///
    /// When the signals cannot be caught.
    pub(crate) fn new(directory: PathBuf) -> Result<Self> {
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&interrupted))
                .context("cannot catch signals")?;
        }
        Ok(Self { directory, listens: !io::stdout().is_terminal(), interrupted })
    }

    /// Whether somebody asked us to stop.
    pub(crate) fn interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    /// Runs one program to its end; what it prints goes straight through.
    ///
    /// # Errors
    ///
    /// When it cannot be started, does not succeed, takes too long, or is interrupted. Where our
    /// own output is no terminal, the error repeats which tests failed.
    pub(crate) fn run(&self, command: &mut Command) -> Result<()> {
        self.run_within(command, COMMAND_TIME_MAX)
    }

    /// The same for one that may take longer, or must not.
    ///
    /// # Errors
    ///
    /// As [`Runner::run`].
    pub(crate) fn run_within(&self, command: &mut Command, time_max: Duration) -> Result<()> {
        let line = command_line(command);
        if self.interrupted() {
            bail!("`{line}` was not started: interrupted");
        }
        println!("$ {line}");
        // A group of its own, so that a browser or server which a test left behind ends too.
        // It may not read the terminal then, so that nothing waits for an answer.
        command.current_dir(&self.directory).stdin(Stdio::null()).process_group(0);
        if self.listens {
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
        }
        let mut child = command.spawn().with_context(|| format!("cannot start `{line}`"))?;
        let heard = Heard::default();
        let out = child.stdout.take().map(|out| heard.pass(out, io::stdout()));
        let err = child.stderr.take().map(|err| heard.pass(err, io::stderr()));
        let status =
            self.wait(&mut child, time_max).with_context(|| format!("`{line}` was ended"))?;
        // Not for ever: what the program has left running may hold its output open.
        let ended = Instant::now();
        let passing = || [&out, &err].into_iter().flatten().any(|thread| !thread.is_finished());
        while passing() && ended.elapsed() < END_TIME_MAX {
            thread::sleep(POLL_INTERVAL);
        }
        if !status.success() {
            bail!("`{line}` ended with {status}{}", heard.telling());
        }
        Ok(())
    }

    fn wait(&self, child: &mut Child, time_max: Duration) -> Result<ExitStatus> {
        let started = Instant::now();
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            if self.interrupted() {
                end_group(child)?;
                bail!("interrupted");
            }
            if started.elapsed() > time_max {
                end_group(child)?;
                bail!("it took longer than {} minutes", time_max.as_secs() / 60);
            }
            thread::sleep(POLL_INTERVAL);
        }
    }
}

/// Asks the child's whole group to end, waits a little, then kills what is left of it.
fn end_group(child: &mut Child) -> Result<()> {
    let group = Pid::from_child(child);
    // The group may be gone by itself at any moment: that is what we want, not an error.
    kill_process_group(group, Signal::TERM).ok();
    let asked = Instant::now();
    while asked.elapsed() < END_TIME_MAX {
        let reaped = child.try_wait()?.is_some();
        if reaped && test_kill_process_group(group).is_err() {
            return Ok(());
        }
        thread::sleep(POLL_INTERVAL);
    }
    kill_process_group(group, Signal::KILL).ok();
    child.wait()?;
    Ok(())
}

/// The command as a person would type it, near enough to read.
pub(crate) fn command_line(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    let mut line = name.to_string_lossy().into_owned();
    for argument in command.get_args() {
        let argument = argument.to_string_lossy();
        line.push(' ');
        if argument.contains([' ', '*', '\'']) {
            line.push_str(&format!("{argument:?}"));
        } else {
            line.push_str(&argument);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runner() -> Runner {
        let interrupted = Arc::new(AtomicBool::new(false));
        Runner { directory: std::env::temp_dir(), listens: true, interrupted }
    }

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_failing_program_is_an_error_that_names_it() {
        assert!(runner().run(&mut shell("exit 0")).is_ok());
        let error = runner().run(&mut shell("exit 3")).unwrap_err().to_string();
        assert!(error.contains("exit 3") && error.contains("exit status: 3"), "{error}");
        let missing = runner().run(&mut Command::new("no-such-program-here")).unwrap_err();
        assert!(missing.to_string().contains("cannot start"), "{missing}");
    }

    #[test]
    fn what_a_program_leaves_behind_does_not_hold_us_up() {
        runner().run(&mut shell("sleep 6 &")).unwrap();
    }

    #[test]
    fn an_interrupt_ends_the_program_and_what_it_started() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        // The child only waits; the one that leaves a trace is the child's child.
        let grandchild = "trap 'touch ended; exit' TERM; touch ready; sleep 600 & wait";
        let mut command = shell(&format!("({grandchild}) & wait"));
        let mut child = command.current_dir(directory.path()).process_group(0).spawn().unwrap();
        while !path("ready").exists() {
            thread::sleep(POLL_INTERVAL);
        }
        let runner = runner();
        runner.interrupted.store(true, Ordering::Relaxed);
        let error = runner.wait(&mut child, COMMAND_TIME_MAX).unwrap_err().to_string();
        assert_eq!(error, "interrupted");
        assert!(path("ended").exists());
    }

    #[test]
    fn a_command_is_shown_as_typed() {
        assert_eq!(command_line(&shell("a b")), r#"sh -c "a b""#);
        assert_eq!(command_line(Command::new("/bin/ls").arg("-l")), "ls -l");
    }
}
