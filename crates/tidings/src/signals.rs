//! The signals that ask the program to end, or a hub to restart.
//! Knows nothing of what that means for a command.

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Listens for SIGINT and SIGTERM, which from now on do not end the process by themselves.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

/// One that came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received {
    pub(crate) name: &'static str,
    pub(crate) number: u8,
}

impl Received {
    /// Whether somebody at a terminal waits for the end: Ctrl-C.
    pub(crate) fn is_interrupt(self) -> bool {
        self.number == INTERRUPT
    }
}

const INTERRUPT: u8 = 2;
const TERMINATE: u8 = 15;

impl Signals {
    /// # Errors
    /// Where the system does not let us.
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).context("can't listen for SIGINT")?,
            terminate: signal(SignalKind::terminate()).context("can't listen for SIGTERM")?,
        })
    }

    /// Waits for the next one. Cancel safe.
    pub(crate) async fn next(&mut self) -> Received {
        tokio::select! {
            _ = self.interrupt.recv() => Received { name: "SIGINT", number: INTERRUPT },
            _ = self.terminate.recv() => Received { name: "SIGTERM", number: TERMINATE },
        }
    }
}

/// Listens for SIGUSR2, which from now on does not end the process.
#[derive(Debug)]
pub(crate) struct RestartSignal(Signal);

impl RestartSignal {
    /// # Errors
    /// Where the system does not let us.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let listening = signal(SignalKind::user_defined2());
        Ok(Self(listening.context("can't listen for SIGUSR2")?))
    }

    /// Waits for the next one. Cancel safe.
    pub(crate) async fn next(&mut self) {
        self.0.recv().await;
    }
}

/// Has this process, and the program that takes its place, pass over SIGUSR2 until that one
/// listens for it.
#[allow(unsafe_code)]
pub(crate) fn ignore_restart() {
    // SAFETY: signal(2) with SIG_IGN installs no handler, so none can do wrong; that it replaces
    // the runtime's is what is wanted. There is no safe way to call it.
    unsafe { libc::signal(libc::SIGUSR2, libc::SIG_IGN) };
}
