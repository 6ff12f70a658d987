//! A proxy while it runs. Knows nothing of which one it is.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::until;

/// The proxy. Dropping it kills it.
pub(crate) struct Proxy {
    child: Child,
}

impl Proxy {
    /// Starts it, and waits until it takes connections at this address.
    #[track_caller]
    pub(crate) fn start(command: &mut Command, address: &str) -> Self {
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let child = child.unwrap_or_else(|error| {
            panic!("{program}: {error}: install it, as `cargo xtask test --only install` does")
        });
        let mut proxy = Self { child };
        until(&format!("{program} listens"), || {
            let ended = proxy.child.try_wait().unwrap();
            assert!(ended.is_none(), "{program} has ended: {ended:?}");
            TcpStream::connect(address).ok()
        });
        proxy
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes a proxy's settings.
pub(crate) fn write(directory: &Path, name: &str, text: &str) -> String {
    let path = directory.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().into()
}
