//! Clients that vanish are noticed at once, and all that they held is freed: nothing is published
//! and no heartbeat is due meanwhile, so nothing but their leaving can tell.

use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use socket2::SockRef;
use tempfile::TempDir;

use crate::process::{files, metric};
use crate::support::{Server, until};
use crate::wire::{connect, stream_request};
use std::io::{Read, Write};

const CLIENTS: usize = 60;

/// A hub that writes nothing by itself for a day.
fn silent() -> Server {
    let directory = TempDir::new().unwrap();
    let listen = ["serve", "--listen", "127.0.0.1:0", "--log", "memory", "--heartbeat", "1d"];
    Server::start_in(directory.path(), &listen)
}

/// A client that has its head and the first bytes of its stream.
fn subscribe(server: &Server) -> TcpStream {
    let mut stream = connect(server.address()).unwrap();
    stream.write_all(stream_request("/topics/a", None).as_bytes()).unwrap();
    let mut begun = Vec::new();
    let mut piece = [0; 1024];
    while !String::from_utf8_lossy(&begun).contains("retry: ") {
        let bytes = stream.read(&mut piece).unwrap();
        assert!(bytes > 0, "{}", String::from_utf8_lossy(&begun));
        begun.extend_from_slice(&piece[..bytes]);
    }
    stream
}

/// Clients come, leave in this way, and nothing is left of them.
fn check(leave: impl Fn(TcpStream) -> Option<TcpStream>) {
    let mut server = silent();
    let process = server.running.id();
    // What is opened once, for whoever comes first, is there from now on.
    drop(subscribe(&server));
    until("the first has left", || (metric(&server, "tidings_subscribers") == 0).then_some(()));
    let before = until("the first one's files are closed", || {
        // A request's own connection comes and goes as well.
        std::thread::sleep(Duration::from_millis(50));
        let files_now = files(process);
        std::thread::sleep(Duration::from_millis(50));
        (files_now == files(process)).then_some(files_now)
    });
    let clients: Vec<TcpStream> = (0..CLIENTS).map(|_| subscribe(&server)).collect();
    until("all are there", || {
        (metric(&server, "tidings_subscribers") == CLIENTS as u64).then_some(())
    });
    assert!(files(process) >= before + CLIENTS);
    let left: Vec<TcpStream> = clients.into_iter().filter_map(leave).collect();
    until("all have left", || (metric(&server, "tidings_subscribers") == 0).then_some(()));
    until("all files are closed", || (files(process) <= before).then_some(()));
    // This one asks by a connection of its own.
    until("no connection is left", || (metric(&server, "tidings_connections") == 1).then_some(()));
    drop(left);
    server.stop();
}

#[test]
fn closing_is_noticed_at_once() {
    check(|stream| {
        drop(stream);
        None
    });
}

#[test]
fn a_reset_is_noticed_at_once() {
    check(|stream| {
        SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        drop(stream);
        None
    });
}

#[test]
fn a_half_that_is_closed_is_noticed_at_once() {
    check(|stream| {
        stream.shutdown(Shutdown::Write).unwrap();
        Some(stream)
    });
}
