//! Keeps the demo's children from outliving it, however it ends.
//! Knows nothing of what they do.

use tokio::process::Command;

/// Has the child be killed when the thread that starts it ends, and with that at the latest when
/// its process does, be it by `kill -9`. And it gets a process group of its own: a Ctrl-C at the
/// terminal is for the demo, which ends its children in its own order.
pub(super) fn leash(command: &mut Command) -> &mut Command {
    command.kill_on_drop(true).process_group(0);
    die_with_parent(command);
    command
}

#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
fn die_with_parent(command: &mut Command) {
    use std::io::{Error, ErrorKind};

    use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};

    let parent = getpid();
    let die = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // Should it have died before, nobody is left who would tell.
        if getppid() == Some(parent) { Ok(()) } else { Err(Error::from(ErrorKind::NotFound)) }
    };
    // SAFETY: it runs between fork and exec, where nothing may be called that takes locks or
    // allocates: it makes two system calls and nothing else. There is no safe way to call it.
    unsafe { command.pre_exec(die) };
}

/// Other systems have no such signal: there only an orderly end takes them along.
#[cfg(not(target_os = "linux"))]
fn die_with_parent(_: &mut Command) {}
