//! Behind a real nginx, with the settings that the documentation tells people to copy.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::harness::{PATIENCE, Server, port_to_come_back_to, until};

/// Where Debian's package puts it: not in the `PATH` of everybody.
const PROGRAM: &str = "/usr/sbin/nginx";

/// The file with what people copy.
const OPERATING: &str = include_str!("../../../../docs/operating.md");

/// What nginx has that the documentation leaves to it.
const AROUND: &str = "\
daemon off;
master_process off;
pid PLACE/nginx.pid;
error_log PLACE/error.log;
events {}
http {
  access_log off;
  client_body_temp_path PLACE/body;
  proxy_temp_path PLACE/proxy;
  fastcgi_temp_path PLACE/fastcgi;
  uwsgi_temp_path PLACE/uwsgi;
  scgi_temp_path PLACE/scgi;
  UPSTREAM
  server { listen 127.0.0.1:PORT; LOCATION }
}
";

/// A hub on a Unix socket, and an nginx in front of it.
struct Front {
    hub: Server,
    nginx: Child,
    port: u16,
    directory: TempDir,
}

impl Front {
    /// `change` makes the documentation's location into another one.
    fn start(change: impl Fn(&str) -> String) -> Self {
        let directory = TempDir::new().unwrap();
        let place = directory.path().to_str().unwrap();
        let listen = format!("unix:{place}/hub.sock");
        let args = ["serve", "--log", "memory", "--listen", &listen, "--trusted-proxies", "unix"];
        let hub = Server::start_in(directory.path(), &args);
        let (_, snippet) = OPERATING.split_once("```nginx\n").expect("it has settings for nginx");
        let (snippet, _) = snippet.split_once("```").unwrap();
        let (upstream, location) = snippet.split_at(snippet.find("location").unwrap());
        let upstream = upstream.replace("/run/tidings/hub.sock", &format!("{place}/hub.sock"));
        let port = port_to_come_back_to();
        let settings = AROUND
            .replace("PLACE", place)
            .replace("UPSTREAM", &upstream)
            .replace("LOCATION", &change(location))
            .replace("PORT", &port.to_string());
        let file = directory.path().join("nginx.conf");
        fs::write(&file, settings).unwrap();
        let mut command = Command::new(PROGRAM);
        command.arg("-p").arg(place).arg("-c").arg(&file);
        let nginx = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn();
        let nginx = nginx.expect("nginx is installed (Debian: nginx-light)");
        let mut front = Self { hub, nginx, port, directory };
        until("nginx listens", || {
            let log = || fs::read_to_string(front.directory.path().join("error.log"));
            assert_eq!(front.nginx.try_wait().unwrap(), None, "{:?}", log());
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        front
    }

    fn connect(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        stream
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        let _ = self.nginx.kill();
        let _ = self.nginx.wait();
    }
}

/// Reads until this has come.
#[track_caller]
fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let mut read = String::new();
    let mut piece = [0; 4096];
    while !read.contains(text) {
        let bytes = stream.read(&mut piece).unwrap_or_else(|error| panic!("{error}: {read:?}"));
        assert!(bytes > 0, "closed: {read:?}");
        read.push_str(std::str::from_utf8(&piece[..bytes]).unwrap());
    }
    read
}

/// Events come one by one while the stream stays open: nothing on the way waits for more.
fn check(front: &Front) {
    let mut stream = front.connect("GET /topics/a HTTP/1.1\r\nHost: h\r\n\r\n");
    let head = read_until(&mut stream, ":\nretry: ");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    for event in 0..3 {
        let data = format!("event {event}");
        let length = data.len();
        let publish = format!(
            "POST /topics/a HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {length}\
             \r\n\r\n{data}"
        );
        let answer = read_until(&mut front.connect(&publish), "\"id\"");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        read_until(&mut stream, &format!("data: {data}\n\n"));
    }
}

#[test]
fn the_settings_of_the_documentation_let_events_through_one_by_one() {
    let mut front = Front::start(str::to_owned);
    check(&front);
    front.hub.stop();
}

#[test]
fn an_nginx_that_buffers_is_told_not_to() {
    let mut front = Front::start(|location| {
        assert!(location.contains("proxy_buffering off;"));
        location.replace("proxy_buffering off;", "proxy_buffering on;")
    });
    check(&front);
    front.hub.stop();
}
