//! What the fuzz targets run through the real parsers: each takes any bytes and panics where a
//! promise is broken. Knows nothing of fuzzers, so that ordinary tests run the same over random
//! bytes.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::Router;
use tidings_log::{Memory, MemoryOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::runtime::{self, Runtime};
use tokio::time::timeout;

use crate::api;
use crate::auth::Access;
use crate::config::Config;
use crate::engine::Hub;
use crate::http::drive_unix;
use crate::peer::Proxies;

/// After so long, the hub hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a client sends at most; more would only wait for its answers to be read.
const BYTES_MAX: usize = 16 * 1024;

struct World {
    runtime: Runtime,
    hub: Hub,
    router: Router,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("the system gives an epoll set");
    let options = MemoryOptions { bytes_max: 64 * 1024, ..MemoryOptions::default() };
    let log = Arc::new(Memory::new(options));
    let entered = runtime.enter();
    let hub = Hub::start(log, Config::default()).expect("the system gives threads");
    drop(entered);
    let router = api::router_with_index(hub.clone(), Access::open());
    World { runtime, hub, router }
});

/// Whatever a client sends on a connection and then ends it, the hub answers in HTTP or not at
/// all, never with an error of its own, and goes on. Where the first byte is odd, the connection
/// comes from a proxy that is trusted and has to begin with its PROXY header.
///
/// # Panics
/// Where it does not.
pub fn requests(bytes: &[u8]) {
    let Some((first, bytes)) = bytes.split_first() else { return };
    let proxies = Proxies::parse(["unix"]).expect("it is one");
    let proxies = if first % 2 == 1 { proxies.with_protocol() } else { proxies };
    let bytes = &bytes[..bytes.len().min(BYTES_MAX)];
    let World { runtime, hub, router } = &*WORLD;
    let answer = runtime.block_on(async {
        let (mut ours, theirs) = UnixStream::pair().expect("the system gives sockets");
        let driving = tokio::spawn(drive_unix(theirs, proxies, router.clone(), hub.clone()));
        let mut answer = Vec::new();
        let exchange = async {
            // It may have had enough before it has all.
            let _ = ours.write_all(bytes).await;
            let _ = ours.shutdown().await;
            let _ = ours.read_to_end(&mut answer).await;
        };
        timeout(PATIENCE, exchange).await.expect("the connection ends");
        timeout(PATIENCE, driving).await.expect("its task ends").expect("it does not panic");
        answer
    });
    let status = answer.strip_prefix(b"HTTP/1.").and_then(|rest| rest.get(2..5));
    assert_ne!(status, Some(&b"500"[..]), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(hub.ready(), Ok(()));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_bytes_make_it_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            method in "(GET|POST|HEAD|OPTIONS|PRI|[A-Z]{1,8})",
            path in "/(topics|events|metrics)?[!-~]{0,40}",
            headers in prop::collection::vec(
                "(host: h|last-event-id: [ -~]{0,20}|accept: [ -~]{0,20}|content-length: [0-9+ -]{1,3}|\
                 transfer-encoding: [ -~]{0,10}|forwarded: [ -~]{0,20}|[ -~]{0,20}: ?[ -~]{0,20})",
                0..6,
            ),
            body in "[ -~\\r\\n]{0,40}",
            proxied in any::<bool>(),
        ) {
            requests(&bytes);
            let proxy = if proxied { "\u{1}PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" } else { "\0" };
            let head = headers.join("\r\n");
            requests(format!("{proxy}{method} {path} HTTP/1.1\r\n{head}\r\n\r\n{body}").as_bytes());
        }
    }
}
