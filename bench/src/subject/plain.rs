//! A server that takes an event as the body of a `POST`, and gives a topic's stream for a `GET`.
//! Knows the paths that both are asked for, and not who the server is.

use super::{Door, Subject};
use crate::crowd::Target;
use crate::publish::Publisher;
use crate::server::Server;

/// One that runs, published to over one connection. Several events in one go are pipelined there.
pub(super) struct Plain {
    server: Server,
    door: Door,
    publisher: Publisher,
    api: Api,
}

/// How it is spoken to.
#[derive(Clone, Copy)]
pub(super) struct Api {
    /// What stands before the topic to subscribe to it.
    pub(super) subscribe: &'static str,
    /// What stands before the topic to publish on it.
    pub(super) publish: &'static str,
    /// It keeps what was published.
    pub(super) keeps: bool,
}

impl Plain {
    pub(super) fn new(server: Server, api: Api) -> anyhow::Result<Self> {
        let publisher = Publisher::connect(server.address(), "")?;
        let door = api.door(&server);
        Ok(Self { server, door, publisher, api })
    }
}

impl Api {
    fn door(self, server: &Server) -> Door {
        Door::post(server.address(), move |topic| format!("{}{topic}", self.publish))
    }
}

impl Subject for Plain {
    fn process(&self) -> u32 {
        self.server.process()
    }

    fn target(&self, topic: &str, first: u64) -> Target {
        let path = format!("{}{topic}", self.api.subscribe);
        Target::new(self.server.address(), &path, "", first)
    }

    fn keeps(&self) -> bool {
        self.api.keeps
    }

    fn publish(&mut self, topic: &str, events: &[String]) -> anyhow::Result<()> {
        let requests = events.iter().map(|data| self.door.request(topic, data));
        self.publisher.pipeline(&requests.collect::<Vec<_>>())
    }

    fn door(&self) -> Option<Door> {
        Some(self.api.door(&self.server))
    }
}
