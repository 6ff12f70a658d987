//! A ticket that one node has made counts on any node, and once on all of them together.

use std::process::Command;

use tempfile::TempDir;

use crate::engine::node_on;
use crate::kept::Kept;
use crate::support::{Server, tidings};
use crate::wire::{Client, connect, stream_request};
use std::io::{BufRead as _, BufReader, Write as _};

fn keys(directory: &TempDir) -> String {
    let run = |args: &[&str]| {
        let output = tidings(directory.path()).args(args).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    run(&["keygen", "--alg", "hs256", "--out", "jwt.secret"]);
    run(&["keygen", "--alg", "hs256", "--out", "tickets.secret"]);
    run(&["token", "--key", "jwt.secret", "--subscribe", "a"])
}

fn with_keys(command: &mut Command) -> &mut Command {
    command.args(["--jwt-key", "jwt.secret", "--ticket-key", "tickets.secret"])
}

/// The status of the answer to somebody who listens with this ticket.
fn listen(server: &Server, ticket: &str) -> String {
    let mut stream = connect(server.address()).unwrap();
    let request = stream_request(&format!("/topics/a?ticket={ticket}"), None);
    stream.write_all(request.as_bytes()).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line.split(' ').nth(1).unwrap().to_owned()
}

on_every_server! {
    a_ticket_counts_on_any_node_and_once_on_all,
}

fn a_ticket_counts_on_any_node_and_once_on_all<K: Kept>() {
    let directory = TempDir::new().unwrap();
    let token = keys(&directory);
    let kept = K::forgetful();
    let start = || {
        let mut command = node_on(directory.path(), "127.0.0.1:0", &K::log(kept.port()));
        Server::start_by(with_keys(&mut command))
    };
    let (one, other) = (start(), start());
    for first_there in [true, false] {
        let mut client = Client::connect(one.address()).unwrap();
        let authorization = format!("Authorization: Bearer {token}\r\n");
        let answer = client.request("POST", "/tickets", &authorization, b"").unwrap();
        assert_eq!(answer.head.status, 200, "{answer:?}");
        let json = answer.json();
        let ticket = json["ticket"].as_str().unwrap();
        let nodes = if first_there { [&other, &one] } else { [&one, &other] };
        assert_eq!(listen(nodes[0], ticket), "200");
        assert_eq!(listen(nodes[1], ticket), "401", "it was used");
        assert_eq!(listen(nodes[0], ticket), "401");
    }
}
