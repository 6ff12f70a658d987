//! Caddy, which streams as it comes.

use std::process::Command;

use tempfile::TempDir;

use crate::check::{check, hub};
use crate::docs;
use crate::proxy::{Proxy, write};
use crate::support::free_port;

#[test]
fn with_the_settings_of_the_documentation() {
    let directory = TempDir::new().unwrap();
    let socket = directory.path().join("hub.sock").display().to_string();
    let listen = format!("unix:{socket}");
    let mut hub = hub(directory.path(), &["--listen", &listen, "--trusted-proxies", "unix"]);
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    // Whatever host is asked for.
    let site = format!("http://:{port} {{");
    let settings = docs::filled(
        "caddy",
        &[("hub.example {", &site), ("unix//run/tidings/hub.sock", &format!("unix/{socket}"))],
    );
    let global = "{\n admin off\n auto_https off\n log {\n  level ERROR\n }\n}\n";
    let file = write(directory.path(), "Caddyfile", &(global.to_owned() + &settings));
    let mut command = Command::new("caddy");
    command.args(["run", "--adapter", "caddyfile", "--config", &file]);
    command.env("HOME", directory.path()).env("XDG_DATA_HOME", directory.path());
    let _proxy = Proxy::start(&mut command, &address);
    check(&address);
    hub.stop();
}
