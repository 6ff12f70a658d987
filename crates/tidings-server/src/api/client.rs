//! By whom the limits count a request.
//! Knows nothing of the limits.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::ConnectInfo;
use axum::http::Extensions;

use crate::auth::Caller;
use crate::gate::Client;
use crate::peer::ClientAddress;

/// Who publishes: whoever the token or the API key names, else an address. `None` for a client on
/// this machine, and in servers that do not tell.
pub(crate) fn of(caller: &Caller, extensions: &Extensions) -> Option<Client> {
    if let Some(subject) = caller.subject() {
        return Some(Client::Subject(Arc::clone(subject)));
    }
    extensions.get::<ClientAddress>()?.ip.and_then(Client::of)
}

/// Whose stream it will be, where it does not count already as the connection it comes on: that
/// one is the proxy's.
pub(crate) fn behind_proxy(extensions: &Extensions) -> Option<Client> {
    let client = extensions.get::<ClientAddress>()?.ip?;
    let peer = extensions.get::<ConnectInfo<SocketAddr>>();
    let is_peer = peer.is_some_and(|ConnectInfo(peer)| peer.ip().to_canonical() == client);
    if is_peer { None } else { Client::of(client) }
}
