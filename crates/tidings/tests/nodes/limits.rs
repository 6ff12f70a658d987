//! The streams of one token are limited on all nodes together.

use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::engine::{Redis, node_on};
use crate::kept::Kept as _;
use crate::proxy::Proxy;
use crate::support::{Server, tidings, until};
use crate::wire::{Stream, connect, stream_request};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};

/// Makes a key there, and a token for a subject.
fn token(directory: &TempDir, subject: &str) -> String {
    let run = |args: &[&str]| {
        let output = tidings(directory.path()).args(args).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    if !directory.path().join("jwt.secret").exists() {
        run(&["keygen", "--alg", "hs256", "--out", "jwt.secret"]);
    }
    run(&["token", "--key", "jwt.secret", "--subscribe", "a", "--subject", subject])
}

/// A node that lets each subject have two streams.
fn start(directory: &TempDir, port: u16) -> Server {
    let mut command: Command = node_on(directory.path(), "127.0.0.1:0", &Redis::log(port));
    command.args(["--jwt-key", "jwt.secret", "--streams-per-token-max", "2"]);
    Server::start_by(&mut command)
}

/// Opens a stream; where it is refused, the answer.
fn listen(server: &Server, token: &str) -> Result<Stream, String> {
    let mut stream = connect(server.address()).unwrap();
    let request = stream_request("/topics/a", None);
    let authorization = format!("\r\nAuthorization: Bearer {token}\r\n\r\n");
    let request = format!("{}{authorization}", request.trim_end());
    stream.write_all(request.as_bytes()).unwrap();
    let mut reader = BufReader::new(stream);
    if reader.fill_buf().unwrap().starts_with(b"HTTP/1.1 200 ") {
        return Ok(Stream::read(reader).unwrap());
    }
    let mut answer = vec![0; 16 * 1024];
    let bytes = reader.read(&mut answer).unwrap();
    Err(String::from_utf8(answer[..bytes].to_vec()).unwrap())
}

#[track_caller]
fn refused(server: &Server, token: &str) {
    let answer = listen(server, token).err().expect("there are as many as there may be");
    assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
    assert!(answer.contains("\"limit\":\"streams_per_token_max\",\"max\":2"), "{answer}");
}

/// Opens a stream as soon as there is room.
#[track_caller]
fn soon(server: &Server, token: &str) -> Stream {
    until("there is room", || listen(server, token).ok())
}

#[test]
fn streams_of_a_token_are_limited_on_all_nodes_together() {
    let directory = TempDir::new().unwrap();
    let (alice, bob) = (token(&directory, "alice"), token(&directory, "bob"));
    let redis = Redis::forgetful();
    let (one, mut other) = (start(&directory, redis.port), start(&directory, redis.port));
    let first = listen(&one, &alice).unwrap();
    let second = listen(&other, &alice).unwrap();
    refused(&one, &alice);
    refused(&other, &alice);
    let (_, metrics) = other.get("/metrics");
    let hit = "tidings_limits_hit_total{limit=\"streams_per_token_max\"} 1";
    assert!(metrics.contains(hit), "{metrics}");
    let _bobs = [listen(&one, &bob).unwrap(), listen(&one, &bob).unwrap()];
    refused(&other, &bob);

    // What ends here is free there, without waiting for a lease.
    drop(first);
    let third = soon(&other, &alice);
    refused(&one, &alice);

    // A node that is killed frees what it had when its lease ends, and one that is asked to end
    // at once.
    other.running.signal(Signal::KILL);
    other.running.wait();
    drop((second, third));
    let fourth = soon(&one, &alice);
    let mut other = start(&directory, redis.port);
    let fifth = soon(&other, &alice);
    refused(&one, &alice);
    refused(&other, &alice);
    drop(fifth);
    let _sixth = soon(&other, &alice);
    other.stop();
    let _seventh = soon(&one, &alice);
    drop(fourth);
}

#[test]
fn while_the_server_is_away_each_node_counts_its_own() {
    let directory = TempDir::new().unwrap();
    let alice = token(&directory, "alice");
    let redis = Redis::forgetful();
    let proxy = Proxy::to(redis.port);
    let (one, other) = (start(&directory, proxy.port), start(&directory, redis.port));
    let mut here = vec![listen(&one, &alice).unwrap()];
    let mut there = vec![listen(&other, &alice).unwrap()];
    refused(&one, &alice);
    proxy.cut();
    until("it is noticed", || (one.get("/readyz").0 == 503).then_some(()));
    here.push(listen(&one, &alice).unwrap());
    refused(&one, &alice);
    proxy.mend();
    until("it is there again", || (one.get("/readyz").0 == 200).then_some(()));

    // Nobody is put out, and there is room again when there are fewer than two.
    drop(there.pop());
    until("the other has heard of both", || listen(&other, &alice).err());
    refused(&one, &alice);
    drop(here.pop());
    there.push(soon(&other, &alice));
    refused(&one, &alice);
    refused(&other, &alice);
    let mut rest = here.pop().unwrap();
    assert!(matches!(rest.chunk(), Ok(Some(_))), "it still lives");
    drop(there);
}
