//! Listening sockets that whoever started this process has opened for it, as systemd does
//! (`LISTEN_FDS`, sd_listen_fds(3)), and as a hub does that restarts in place.
//! Knows nothing of what is served there.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::Path;

use anyhow::anyhow;
use listenfd::ListenFd;

/// What the sockets of a restart are called (`LISTEN_FDNAMES`).
pub(super) const RESTART: &str = "tidings-restart";

/// Sockets that nobody has taken yet.
#[derive(Debug, Default)]
pub(in crate::cmd) struct Inherited {
    sockets: Vec<Socket>,
    is_ours: bool,
}

/// One of them.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Inherited {
    /// Takes them, and the variables that tell of them, so that no child takes them too. To be
    /// called before there are threads, which may read the environment.
    ///
    /// # Errors
    /// Where one is no socket that can be listened on.
    pub(in crate::cmd) fn take() -> anyhow::Result<Self> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let is_ours = names.split(':').next() == Some(RESTART);
        let mut passed = ListenFd::from_env();
        let mut sockets = Vec::new();
        for index in 0..passed.len() {
            let socket = match passed.take_tcp_listener(index) {
                Ok(listener) => listener.map(Socket::Tcp),
                Err(_) => passed.take_unix_listener(index).map(|it| it.map(Socket::Unix)).map_err(
                    |error| {
                        anyhow!(
                            "the socket that was passed by LISTEN_FDS as number {index} can't be \
                             listened on: {error} (systemd: ListenStream= in the socket unit, \
                             without Accept=)"
                        )
                    },
                )?,
            };
            sockets.extend(socket);
        }
        for socket in &sockets {
            match socket {
                Socket::Tcp(listener) => listener.set_nonblocking(true)?,
                Socket::Unix(listener) => listener.set_nonblocking(true)?,
            }
        }
        Ok(Self { sockets, is_ours })
    }

    /// Whether the program itself has opened them, before it restarted.
    pub(super) fn is_ours(&self) -> bool {
        self.is_ours
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    /// The one that listens on this address; on any port of it where the port is 0.
    pub(super) fn tcp(&mut self, wanted: SocketAddr) -> Option<TcpListener> {
        let fits = |socket: &Socket| match socket {
            Socket::Tcp(listener) => listener.local_addr().is_ok_and(|address| {
                address.ip() == wanted.ip() && matches!(wanted.port(), 0) | (address == wanted)
            }),
            Socket::Unix(_) => false,
        };
        let at = self.sockets.iter().position(fits)?;
        match self.sockets.remove(at) {
            Socket::Tcp(listener) => Some(listener),
            Socket::Unix(_) => unreachable!("no Unix socket fits"),
        }
    }

    /// The one that listens at this path.
    pub(super) fn unix(&mut self, wanted: &Path) -> Option<UnixListener> {
        let fits = |socket: &Socket| match socket {
            Socket::Tcp(_) => false,
            Socket::Unix(listener) => path(listener).as_deref() == Some(wanted),
        };
        let at = self.sockets.iter().position(fits)?;
        match self.sockets.remove(at) {
            Socket::Tcp(_) => unreachable!("no TCP socket fits"),
            Socket::Unix(listener) => Some(listener),
        }
    }

    /// Those that are left.
    pub(super) fn rest(self) -> impl Iterator<Item = Socket> {
        self.sockets.into_iter()
    }
}

/// Where a Unix socket listens.
pub(super) fn path(listener: &UnixListener) -> Option<std::path::PathBuf> {
    listener.local_addr().ok()?.as_pathname().map(Path::to_owned)
}
