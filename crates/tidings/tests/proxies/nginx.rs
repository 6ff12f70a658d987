//! nginx, with the settings of the documentation, and with none at all.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::check::{check, hub, limits_hold};
use crate::docs;
use crate::proxy::{Proxy, write};
use crate::support::free_port;
use crate::wire::{Client, Stream};

/// Debian's; it is not on everybody's path.
const PROGRAM: &str = "/usr/sbin/nginx";

/// Starts nginx with these settings, `http` and `server` ones.
fn start(directory: &Path, http: &str, server: &str) -> (Proxy, String) {
    let address = format!("127.0.0.1:{}", free_port());
    let place = directory.display();
    let user = if rustix::process::getuid().is_root() { "user root;" } else { "" };
    let temporary = ["client_body", "fastcgi", "proxy", "scgi", "uwsgi"]
        .map(|name| format!("{name}_temp_path {place}/{name};"))
        .join("\n");
    let settings = format!(
        "daemon off; master_process off; {user} pid {place}/nginx.pid; error_log stderr warn;\nevents {{}}\nhttp \
         {{\naccess_log off;\n{temporary}\n{http}\nserver {{\nlisten {address};\n{server}\n}}\n}}\n"
    );
    let file = write(directory, "nginx.conf", &settings);
    let mut command = Command::new(PROGRAM);
    command.args(["-c", &file, "-p", directory.to_str().unwrap(), "-e", "stderr"]);
    (Proxy::start(&mut command, &address), address)
}

#[test]
fn with_the_settings_of_the_documentation() {
    let directory = TempDir::new().unwrap();
    let socket = directory.path().join("hub.sock").display().to_string();
    let listen = format!("unix:{socket}");
    let mut hub = hub(directory.path(), &["--listen", &listen, "--trusted-proxies", "unix"]);
    let block = docs::filled("nginx", &[("/run/tidings/hub.sock", &socket)]);
    let (upstream, location) = block.split_once("\n\n").unwrap();
    let (proxy, address) = start(directory.path(), upstream, location);
    check(&address);
    drop(proxy);

    // The same, with a client that nginx has from elsewhere.
    let elsewhere = location.replace("$proxy_add_x_forwarded_for", "192.0.2.7");
    let (_proxy, address) = start(directory.path(), upstream, &elsewhere);
    limits_hold(&address, "");
    hub.stop();
}

#[test]
fn without_any_settings_nothing_is_buffered_either() {
    let directory = TempDir::new().unwrap();
    let mut hub = hub(directory.path(), &["--listen", "127.0.0.1:0"]);
    let location = format!("location / {{ proxy_pass {}; }}", hub.url);
    let (_proxy, address) = start(directory.path(), "", &location);
    // Over HTTP/1.0, as nginx speaks to the hub unless told otherwise.
    let mut stream = Stream::open(&address, "/topics/a", None).unwrap();
    let mut client = Client::connect(&address).unwrap();
    for number in 0..20 {
        let data = number.to_string();
        assert_eq!(client.publish("a", &data).unwrap().head.status, 200);
        assert_eq!(stream.event().data, data);
    }
    hub.stop();
}
