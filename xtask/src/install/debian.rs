//! Debian's packages, each only where what it brings is missing; by `sudo` where we are not root.
//! Knows that some start services by themselves, and ends those again.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, ensure};

use crate::context::{Context, find_program};

/// A package of Debian's, and how to tell that we need not ask for it.
pub(crate) struct Debian {
    pub(crate) package: &'static str,
    /// What for, in a few words.
    pub(crate) why: &'static str,
    /// Whether what it brings is there: it may have come another way.
    pub(crate) present: fn() -> bool,
    /// What it starts when it is installed, and nobody has asked for.
    pub(crate) services: &'static [&'static str],
}

/// Installs what is missing of these.
///
/// # Errors
///
/// When that can't be done, or does not help.
pub(crate) fn install(context: &Context, needs: &[Debian]) -> Result<()> {
    let missing: Vec<&Debian> = needs.iter().filter(|need| !(need.present)()).collect();
    if missing.is_empty() {
        println!("nothing to get from Debian");
        return Ok(());
    }
    for need in &missing {
        println!("missing: {} ({})", need.package, need.why);
    }
    let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    ensure!(
        find_program("apt-get").is_some(),
        "this is not Debian: install {} by your system's means",
        packages.join(", ")
    );
    ensure!(
        is_root() || quietly(Command::new("sudo").args(["-n", "true"])),
        "may not install packages: not root, and `sudo -n` does not work; run this, then try \
         again:\n  sudo apt-get update && sudo apt-get install {}",
        packages.join(" ")
    );
    let services = missing.iter().flat_map(|need| need.services).copied();
    let unasked: Vec<&str> = services.filter(|service| !is_running(service)).collect();
    // A source that does not answer need not be the one that has the packages.
    if let Err(error) = context.runner.run(&mut as_root(apt(&["update"]))) {
        println!("going on all the same: {error:#}");
    }
    let mut install = apt(&["install", "--yes", "--no-install-recommends"]);
    install.args(&packages);
    context.runner.run(&mut as_root(install))?;
    end_services(context, &unasked)?;
    let still: Vec<&str> =
        missing.iter().filter(|need| !(need.present)()).map(|need| need.package).collect();
    ensure!(still.is_empty(), "apt-get succeeded, and yet these are missing: {}", still.join(", "));
    Ok(())
}

/// `apt-get` that asks nothing, and waits for another that is at work instead of failing.
fn apt(arguments: &[&str]) -> Command {
    let mut command = Command::new("env");
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet"]);
    command.args(["-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0"]).args(arguments);
    command
}

/// Ends services that did not run before, and keeps them from starting with the machine.
fn end_services(context: &Context, services: &[&str]) -> Result<()> {
    for service in services.iter().filter(|service| is_running(service)) {
        println!("{service} was started, and is not to run by itself");
        let mut end;
        if has_systemd() {
            end = Command::new("systemctl");
            end.args(["disable", "--now", service]);
        } else {
            end = Command::new("service");
            end.args([service, "stop"]);
        }
        context.runner.run(&mut as_root(end))?;
    }
    Ok(())
}

fn is_running(service: &str) -> bool {
    if has_systemd() {
        return quietly(Command::new("systemctl").args(["is-active", "--quiet", service]));
    }
    quietly(Command::new("service").args([service, "status"]))
}

fn has_systemd() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn as_root(command: Command) -> Command {
    if is_root() { command } else { with_sudo(&command) }
}

fn with_sudo(command: &Command) -> Command {
    let mut sudo = Command::new("sudo");
    sudo.arg("-n").arg(command.get_program()).args(command.get_args());
    sudo
}

/// Whether a command succeeds; one that cannot be started does not.
pub(crate) fn quietly(command: &mut Command) -> bool {
    let silent = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    silent.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::command_line;

    #[test]
    fn sudo_runs_the_same_command() {
        let line = command_line(&with_sudo(&apt(&["update"])));
        assert!(line.starts_with("sudo -n env DEBIAN_FRONTEND=noninteractive apt-get"), "{line}");
        assert!(line.ends_with(" update"), "{line}");
    }

    #[test]
    fn a_service_that_nobody_has_does_not_run() {
        assert!(!is_running("no-such-service-here"));
    }
}
