//! What several nodes share: a server of somebody else's, started for one measurement.
//! Knows nothing of what they keep in it.

mod nats;
mod redis;

pub use nats::Nats;
pub use redis::Redis;

/// One that runs, with nothing in it. It ends with its handle.
pub trait Engine {
    /// Its address, as the nodes are told it.
    fn url(&self) -> String;

    /// Its process.
    fn process(&self) -> u32;

    /// Bytes that it has sent to all who are connected.
    ///
    /// # Errors
    /// Where it does not answer.
    fn sent(&self) -> anyhow::Result<u64>;

    /// Lets the tool that comes with it append so many entries of this size, as many under way as
    /// that tool can: the most that this server takes as entries of their own. `None`: there is
    /// no such tool.
    ///
    /// # Errors
    /// Where that is not installed, or the server does not take them.
    fn take(&self, entries: u64, entry_bytes: usize) -> anyhow::Result<Option<Taken>>;
}

/// What an engine took of its own tool.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    /// Entries a second.
    pub rate: f64,
    /// CPU of the server for each, in microseconds.
    pub cpu_us: f64,
}
