//! Which connections are let in: so many in all, so many of one address, so fast from one
//! address. Whoever is inside stays: nobody is put out for a new one.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{Notify, Semaphore};

use super::counts::Full;
use super::rates::TooFast;
use super::{Client, Counted, Counts, Rates};
use crate::config::Config;

/// How many connections may still come, and how many are open.
pub(crate) struct Admissions {
    connections_max: usize,
    free: Semaphore,
    per_address: Arc<Counts>,
    connects: Rates,
    open: Gauge,
    moving: Notify,
}

/// Why a connection is not let in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NotAdmitted {
    /// There are as many as there may be.
    Full {
        /// How many that is.
        max: usize,
    },
    /// Its address has as many as it may have.
    AddressFull {
        /// How many that is.
        max: usize,
    },
    /// Connections come too fast from its address.
    TooFast {
        /// How many may come in a second.
        rate: u32,
        /// How long to wait.
        wait: Duration,
    },
}

impl std::error::Error for NotAdmitted {}

impl NotAdmitted {
    /// The name of the limit.
    #[must_use]
    pub fn limit(self) -> &'static str {
        match self {
            Self::Full { .. } => "connections_max",
            Self::AddressFull { .. } => "connections_per_address_max",
            Self::TooFast { .. } => "connects_per_address",
        }
    }

    /// Its bound.
    #[must_use]
    pub fn max(self) -> u64 {
        match self {
            Self::Full { max } | Self::AddressFull { max } => max as u64,
            Self::TooFast { rate, .. } => rate.into(),
        }
    }
}

impl fmt::Display for NotAdmitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = self.limit();
        match self {
            Self::Full { max } => write!(
                f,
                "the hub has as many connections as it may ({limit}, {max}): try again later"
            ),
            Self::AddressFull { max } => write!(
                f,
                "your address has as many connections as it may ({limit}, {max}): close some, or \
                 try again later"
            ),
            Self::TooFast { rate, .. } => write!(
                f,
                "connections come too fast from your address ({limit}, {rate} a second): try again \
                 later"
            ),
        }
    }
}

impl Admissions {
    pub(crate) fn new(config: &Config, open: Gauge) -> Arc<Self> {
        Arc::new(Self {
            connections_max: config.connections_max,
            free: Semaphore::new(config.connections_max),
            per_address: Counts::new(config.connections_per_address_max),
            connects: Rates::new(config.connects_per_address),
            open,
            moving: Notify::new(),
        })
    }

    /// Lets a connection in, if there is room; `None` for one of this machine, which only the
    /// limit of all connections holds for.
    pub(crate) fn admit(
        self: &Arc<Self>,
        client: Option<&Client>,
    ) -> Result<ConnectionGuard, NotAdmitted> {
        let of_address = match client {
            Some(client) => self.connect(client)?,
            None => None,
        };
        let full = NotAdmitted::Full { max: self.connections_max };
        // The guard gives it back. The permit's own way to do so would cost each connection a
        // second pointer and a count.
        self.free.try_acquire().map_err(|_| full)?.forget();
        self.open.inc();
        self.moving.notify_one();
        Ok(ConnectionGuard { admissions: Arc::clone(self), of_address })
    }

    /// Counts something that is held open by an address beside its connections: a stream that
    /// comes through a proxy.
    pub(crate) fn enter(&self, client: &Client) -> Result<Option<Counted>, NotAdmitted> {
        self.per_address.enter(client).map_err(|Full { max }| NotAdmitted::AddressFull { max })
    }

    fn connect(&self, client: &Client) -> Result<Option<Counted>, NotAdmitted> {
        self.connects
            .take(client, 1)
            .map_err(|TooFast { wait, rate }| NotAdmitted::TooFast { rate, wait })?;
        self.enter(client)
    }

    /// Waits until a connection comes or goes, if none has since the last call.
    pub(crate) async fn moving(&self) {
        self.moving.notified().await;
    }
}

/// One connection among those that are allowed; it counts until this is dropped.
pub(crate) struct ConnectionGuard {
    admissions: Arc<Admissions>,
    of_address: Option<Counted>,
}

impl ConnectionGuard {
    /// Counts it among those of this client, who has become known only now.
    ///
    /// # Errors
    /// Where the client has as many as it may have, or comes too fast.
    pub(crate) fn count_as(&mut self, client: &Client) -> Result<(), NotAdmitted> {
        self.of_address = self.admissions.connect(client)?;
        Ok(())
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.admissions.open.dec();
        self.admissions.free.add_permits(1);
        self.admissions.moving.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Rate;

    fn admissions(config: Config) -> Arc<Admissions> {
        Admissions::new(&config, Gauge::default())
    }

    fn address(text: &str) -> Option<Client> {
        Client::of(text.parse().unwrap())
    }

    #[test]
    fn one_address_leaves_room_for_others() {
        let config =
            Config { connections_max: 3, connections_per_address_max: 2, ..Config::default() };
        let admissions = admissions(config);
        let greedy = address("192.0.2.1");
        let first = admissions.admit(greedy.as_ref()).unwrap();
        let _second = admissions.admit(greedy.as_ref()).unwrap();
        let refused = admissions.admit(greedy.as_ref()).err();
        assert_eq!(refused, Some(NotAdmitted::AddressFull { max: 2 }));
        let _other = admissions.admit(address("192.0.2.2").as_ref()).unwrap();
        let refused = admissions.admit(None).err();
        assert_eq!(refused, Some(NotAdmitted::Full { max: 3 }));
        drop(first);
        assert!(admissions.admit(greedy.as_ref()).is_ok());
        assert_eq!(admissions.open.get(), 2, "what is not kept does not count");
    }

    #[test]
    fn this_machine_is_only_held_by_the_limit_of_all() {
        let config = Config {
            connections_per_address_max: 1,
            connects_per_address: Rate(1),
            ..Config::default()
        };
        let admissions = admissions(config);
        let guards: Vec<_> =
            (0..50).map(|_| admissions.admit(address("127.0.0.1").as_ref())).collect();
        assert!(guards.iter().all(Result::is_ok));
    }
}
