//! The signals that ask the program to end.
//! Knows nothing of what ending means for a command.

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
