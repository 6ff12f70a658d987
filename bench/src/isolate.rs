//! A network of its own, in which the servers have the first processor and the client has the
//! second, with the receiver's TCP work: on plain loopback the sender pays for that too.
//! Knows nothing of what is measured.
//!
//! The program starts itself again through `unshare`, `ip` and `taskset`; nothing outside is
//! changed. Beyond some 1,000 connections the queue between the two overflows: the report says
//! how many segments had to be sent again, and where that is not 0, it measures nothing.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, ensure};

/// Says that this process is inside already. Not `TIDINGS_…`: those are the settings of a hub.
const INSIDE: &str = "BENCH_IS_ISOLATED";

/// Lets the loopback device hand its receiving work to the second processor.
const SCRIPT: &str = "ip link set lo up && mount -t sysfs sysfs /sys && \
                      echo 2 > /sys/class/net/lo/queues/rx-0/rps_cpus && exec taskset -c 1 \"$@\"";

/// Whether this process is inside.
#[must_use]
pub fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Says why this process can't be started inside, where it can't.
///
/// # Errors
/// Where there are no two processors, or the system does not let us.
pub fn can() -> anyhow::Result<()> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    ensure!(processors >= 2, "to be isolated needs two processors");
    // In a user namespace the kernel refuses to move the receiving work.
    ensure!(rustix::process::geteuid().is_root(), "to be isolated needs root: run it with sudo");
    let tried = Command::new("unshare").args(["-nm", "sh", "-c", SCRIPT, "sh", "true"]).output();
    let tried = tried.context("can't start unshare (of util-linux)")?;
    let said = String::from_utf8_lossy(&tried.stderr);
    ensure!(tried.status.success(), "no network of its own is to be had: {}", said.trim());
    Ok(())
}

/// A command that starts this program again inside, as a process that ends with this one; it
/// lacks the arguments.
///
/// # Errors
/// Where this program can't be found.
pub fn again() -> anyhow::Result<Command> {
    inside(ends_with_us("unshare"))
}

fn inside(mut unshare: Command) -> anyhow::Result<Command> {
    let program = std::env::current_exe().context("can't find this program")?;
    unshare.args(["-nm", "sh", "-c", SCRIPT, "sh"]).arg(program).env(INSIDE, "1");
    Ok(unshare)
}

/// Starts this program again inside, with the same arguments, and does not come back.
///
/// # Errors
/// As [`can`].
pub fn enter() -> anyhow::Result<std::convert::Infallible> {
    can()?;
    let error = inside(Command::new("unshare"))?.args(std::env::args_os().skip(1)).exec();
    Err(error).context("can't start unshare (of util-linux)")
}

/// A command for a server: on the first processor, where this process is inside. The server is
/// told to end when this process does, however that comes about.
#[must_use]
pub fn server(program: impl AsRef<OsStr>) -> Command {
    if !is_inside() {
        return ends_with_us(program);
    }
    let mut command = ends_with_us("taskset");
    command.args(["-c", "0"]).arg(program);
    command
}

/// The kernel sends it a `SIGTERM` when the thread that started it ends.
fn ends_with_us(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "--"]).arg(program);
    command
}
