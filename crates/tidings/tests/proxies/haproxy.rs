//! HAProxy, by HTTP and by the PROXY protocol.

use std::process::Command;

use tempfile::TempDir;

use crate::check::{check, hub, limits_hold};
use crate::docs;
use crate::proxy::{Proxy, write};
use crate::support::free_port;

/// Debian's; it is not on everybody's path.
const PROGRAM: &str = "/usr/sbin/haproxy";

#[test]
fn with_the_settings_of_the_documentation() {
    let directory = TempDir::new().unwrap();
    let socket = directory.path().join("hub.sock").display().to_string();
    let listen = format!("unix:{socket}");
    let mut by_http = hub(directory.path(), &["--listen", &listen, "--trusted-proxies", "unix"]);
    // By an address of its own: a client at a trusted address would be believed as well.
    let trusted = ["--trusted-proxies", "127.0.0.2", "--proxy-protocol"];
    let mut by_tcp = hub(directory.path(), &[&["--listen", "127.0.0.1:0"][..], &trusted].concat());

    let [http, tcp, elsewhere] = [(); 3].map(|()| format!("127.0.0.1:{}", free_port()));
    let settings = docs::filled(
        "haproxy",
        &[
            ("/run/tidings/hub.sock", &socket),
            ("10.0.0.2:443", &format!("{} source 127.0.0.2", by_tcp.address())),
        ],
    );
    // The last one stands before a client that is elsewhere, as far as HAProxy knows.
    let frontends = format!(
        "\nfrontend http\n  mode http\n  bind {http}\n  default_backend tidings_http\nfrontend \
         tcp\n  mode tcp\n  bind {tcp}\n  default_backend tidings_tls\nfrontend elsewhere\n  mode \
         tcp\n  bind {elsewhere}\n  tcp-request connection set-src str(192.0.2.7)\n  \
         default_backend tidings_tls\n"
    );
    let file = write(directory.path(), "haproxy.cfg", &(settings + &frontends));
    let mut command = Command::new(PROGRAM);
    command.args(["-db", "-q", "-f", &file]);
    let _proxy = Proxy::start(&mut command, &http);
    check(&http);
    check(&tcp);
    limits_hold(&elsewhere, "");
    by_http.stop();
    by_tcp.stop();
}
