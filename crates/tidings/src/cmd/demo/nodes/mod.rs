//! The demo on several nodes: a Redis server, hubs that share it, and a front that hands requests
//! round. Knows nothing of what the demo shows.
//!
//! [`engine`] is the server, [`node`] one hub, [`front`] what browsers talk to, [`leash`] what
//! keeps children from outliving the demo. A node is `tidings serve`, a process of its own: what
//! is cut is cut as a crash would, and what comes back is a new process.

mod engine;
mod front;
mod leash;
mod node;

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use futures_util::future::{join_all, try_join_all};
use tempfile::TempDir;
use tidings_server::Hub;

use crate::settings::Settings;

pub(crate) use engine::Engine;
pub(crate) use front::router;

use node::Node;

/// Where the sockets of all of them are, for as long as they run. Nobody else can read it.
///
/// # Errors
/// Where there is no directory for temporary files.
pub(crate) fn directory() -> anyhow::Result<TempDir> {
    let made = tempfile::Builder::new().prefix("tidings-demo-").tempdir();
    made.context("can't make a directory for the nodes' sockets")
}

/// The nodes of the demo. Cheap to clone; all clones are the same ones.
#[derive(Clone)]
pub(crate) struct Nodes {
    all: Arc<[Node]>,
}

impl Nodes {
    /// So many, with their sockets in this directory. None runs yet.
    pub(crate) fn new(count: usize, directory: &Path, settings: &Settings) -> Self {
        let all = (1..=count).map(|number| Node::new(number, directory, settings)).collect();
        Self { all }
    }

    /// Runs them, and starts anew each that ends, until the hub shuts down. It has to be polled
    /// on a thread that lives as long as they: see [`leash`]. Dropped, it kills them.
    ///
    /// # Errors
    /// Where one can't be started, or ends before it has ever listened.
    pub(crate) async fn run(&self, hub: &Hub) -> anyhow::Result<()> {
        try_join_all(self.all.iter().map(|node| node.run(hub))).await.map(drop)
    }

    /// Waits until all of them listen. Cancel safe.
    pub(crate) async fn ready(&self) {
        join_all(self.all.iter().map(Node::ready)).await;
    }

    /// What to say of them at the start.
    pub(crate) fn line(&self) -> String {
        let processes = self.all.iter().filter_map(Node::process);
        let processes: Vec<_> = processes.map(|process| process.to_string()).collect();
        format!("nodes       processes {}: kill one, and it comes back", processes.join(", "))
    }

    fn named(&self, name: &str) -> Option<&Node> {
        self.all.iter().find(|node| node.name() == name)
    }
}
