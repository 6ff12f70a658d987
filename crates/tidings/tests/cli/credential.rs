//! Tokens and API keys on the way to a hub: where they come from, and that nobody else sees them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};

use tempfile::TempDir;

use crate::harness::{Ended, PATIENCE, Running, Server, tidings};

/// A hub that lets in who shows the right token, and tells what it was shown. Its streams bring
/// one event, say that the token ends, and stay open until it is told to end them.
struct Doorman {
    url: String,
    shown: Receiver<String>,
    end_stream: Sender<()>,
}

const REFUSAL: &str = r#"{"title":"Unauthorized","detail":"This hub knows no such token."}"#;

impl Doorman {
    fn start(right: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, shown) = mpsc::channel();
        let (end_stream, end) = mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let Some((is_get, token)) = read_request(&stream) else { continue };
                let known = right.contains(&token.as_str());
                let _ = sender.send(token);
                let answer = match (known, is_get) {
                    (false, _) => format!(
                        "401 Unauthorized\r\nContent-Type: application/problem+json\r\n\
                         Content-Length: {}\r\n\r\n{REFUSAL}",
                        REFUSAL.len()
                    ),
                    (true, true) => "200 OK\r\nContent-Type: text/event-stream\r\n\r\n\
                                     retry: 1\nid: i\ndata: hello\n\n\
                                     id: i\nevent: tidings.renew\ndata: {\"expires_in\":60}\n\n"
                        .into(),
                    (true, false) => "200 OK\r\nContent-Length: 10\r\n\r\n{\"id\":\"i\"}".into(),
                };
                let head = "HTTP/1.1 ";
                let _ = stream.write_all(format!("{head}{answer}").as_bytes());
                if known && is_get {
                    let _ = end.recv_timeout(PATIENCE);
                }
            }
        });
        Self { url, shown, end_stream }
    }

    fn run(&self, args: &[&str], environment: &[(&str, &str)]) -> Ended {
        let mut command = tidings(std::path::Path::new("/"));
        command.args(args).args(["--url", &self.url]).envs(environment.iter().copied());
        command.output().unwrap().into()
    }

    #[track_caller]
    fn was_shown(&self, token: &str) {
        assert_eq!(self.shown.recv_timeout(PATIENCE).unwrap(), token);
    }
}

/// Whether it is a GET, and the token that it shows; `None` where somebody only looked whether
/// anybody listens.
fn read_request(stream: &TcpStream) -> Option<(bool, String)> {
    let mut reader = BufReader::new(stream);
    let (mut first, mut token, mut length) = (String::new(), String::new(), 0);
    if reader.read_line(&mut first).unwrap() == 0 {
        return None;
    }
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let line = line.trim_end();
        let Some((name, value)) = line.split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => token = value.strip_prefix("Bearer ").unwrap().into(),
            "content-length" => length = value.parse().unwrap(),
            _ => {}
        }
    }
    reader.read_exact(&mut vec![0; length]).unwrap();
    Some((first.starts_with("GET "), token))
}

#[test]
fn it_comes_from_a_flag_a_variable_or_a_file() {
    let place = TempDir::new().unwrap();
    let file = |name: &str, text: &str| {
        let path = place.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (token, other) = (file("token", "of-the-file\n"), file("other", "of-another\n"));
    let config = file("tidings.toml", &format!("token-file = {token:?}\n"));
    let hub = Doorman::start(&["right"]);
    let check = |flags: &[&str], environment: &[(&str, &str)], expected: &str| {
        let ended = hub.run(&[&["publish", "a", "b"], flags].concat(), environment);
        assert_eq!(ended.code, Some(i32::from(expected != "right")), "{ended:?}");
        hub.was_shown(expected);
    };
    check(&[], &[], "");
    check(&["--token", "right"], &[], "right");
    check(&[], &[("TIDINGS_TOKEN", "right")], "right");
    check(&["--token-file", &token], &[("TIDINGS_TOKEN", "right")], "of-the-file");
    check(&["--config", &config], &[], "of-the-file");
    check(&["--config", &config], &[("TIDINGS_TOKEN_FILE", &other)], "of-another");
    check(&["--config", &config], &[("TIDINGS_TOKEN", "")], "");
    hub.end_stream.send(()).unwrap();
    let bench = hub.run(&["bench", "--token", "right"], &[]);
    hub.was_shown("right");
    bench.failed(1, &["no metrics of a Tidings hub"]);
}

#[test]
fn who_is_refused_is_told_why_and_nobody_sees_the_token() {
    let hub = Doorman::start(&[]);
    let secret = "s3cret.t0ken";
    for args in [&["publish", "a", "b"][..], &["subscribe", "a"], &["bench"]] {
        for environment in [&[("TIDINGS_TOKEN", secret), ("RUST_LOG", "trace")][..], &[]] {
            let flags: &[&str] =
                if environment.is_empty() { &["--token", secret, "-vv"] } else { &[] };
            let ended = hub.run(&[args, flags].concat(), environment);
            ended.failed(1, &["the hub refused (401): This hub knows no such token."]);
            assert!(!ended.stderr.contains(secret) && !ended.stdout.contains(secret), "{ended:?}");
            hub.was_shown(secret);
        }
    }
    assert!(hub.shown.try_recv().is_err(), "nobody tried again");
}

#[test]
fn a_renewed_token_counts_from_the_next_connection_on() {
    let place = TempDir::new().unwrap();
    let path = place.path().join("token");
    std::fs::write(&path, "first").unwrap();
    let hub = Doorman::start(&["first", "second"]);
    let mut command = tidings(place.path());
    command.args(["subscribe", "a", "--count", "3", "--token-file", "token", "--url", &hub.url]);
    let mut subscriber = Running::start(&mut command);
    let hello = ("message".to_owned(), "hello".to_owned());
    assert_eq!(subscriber.stdout.event(), hello);
    hub.was_shown("first");
    subscriber.stderr.find("the token ends in 60 s");
    std::fs::write(&path, "second").unwrap();
    hub.end_stream.send(()).unwrap();
    assert_eq!(subscriber.stdout.event(), hello, "what the hub says of the token is no event");
    hub.was_shown("second");
    // Where it is away for a moment, that is no reason to give up.
    std::fs::remove_file(&path).unwrap();
    hub.end_stream.send(()).unwrap();
    subscriber.stderr.find("can't read the token file token");
    std::fs::write(&path, "third").unwrap();
    hub.was_shown("third");
    subscriber.stderr.find("the hub refused (401)");
    subscriber.ends_with(1);
}

#[test]
fn a_pipe_gives_its_token_once() {
    let hub = Doorman::start(&["piped"]);
    let program = tidings(std::path::Path::new("/")).get_program().to_owned();
    let script =
        format!("echo piped | \"$0\" publish a b --token-file /dev/stdin --url {}", hub.url);
    let mut command = tidings(std::path::Path::new("/"));
    let inherited: Vec<_> = command.get_envs().map(|(name, _)| name.to_owned()).collect();
    let mut shell = std::process::Command::new("sh");
    inherited.iter().for_each(|name| {
        shell.env_remove(name);
    });
    command = shell;
    let ended: Ended = command.arg("-c").arg(script).arg(program).output().unwrap().into();
    assert_eq!(ended.lines(), ["i"]);
    hub.was_shown("piped");
}

#[test]
fn what_can_be_no_token_is_said_without_showing_it() {
    let hub = Doorman::start(&[]);
    let publish = |flags: &[&str]| hub.run(&[&["publish", "a", "b"], flags].concat(), &[]);
    for wrong in ["Bearer s3cret", "s3cret\r\nX: y", "s3crét"] {
        let ended = publish(&["--token", wrong]);
        ended.failed(2, &["--token: a token is"]);
        assert!(!ended.stderr.contains("s3cr"), "{}", ended.stderr);
    }
    publish(&["--token-file", "/none"]).failed(1, &["can't read the token file /none"]);
    publish(&["--token-file", "/dev/null"]).failed(1, &["is empty"]);
    assert!(hub.shown.try_recv().is_err(), "nothing was sent");
}

#[test]
fn what_keygen_and_token_make_opens_a_real_hub() {
    let place = TempDir::new().unwrap();
    let make = |args: &[&str]| -> String {
        let ended: Ended = tidings(place.path()).args(args).output().unwrap().into();
        ended.lines().last().copied().unwrap_or_default().to_owned()
    };
    make(&["keygen"]);
    let api_key = make(&["keygen", "--api-key", "shop", "--publish=orders/*", "--file=keys.toml"]);
    let token = make(&["token", "--key=jwt.pem", "--publish=news", "--subscribe=orders/*"]);
    let keys = ["--jwt-key=jwt.pub.pem", "--api-keys=keys.toml"];
    let serve = ["serve", "--listen=127.0.0.1:0", "--log=memory"];
    let hub = Server::start_in(place.path(), &[&serve[..], &keys].concat());
    let run = |token: &str, args: &[&str]| -> Ended {
        hub.command(args).env("TIDINGS_TOKEN", token).output().unwrap().into()
    };
    run(&token, &["publish", "news", "1"]).lines();
    run(&api_key, &["publish", "orders/7", "2", "--private"]).lines();
    let read = ["subscribe", "orders/*", "--since=earliest", "--count=1"];
    assert!(run(&token, &read).lines()[0].contains("\"data\":\"2\""), "private events too");
    run(&api_key, &["publish", "news", "3"]).failed(1, &["the hub refused (403)"]);
    run(&token, &["publish", "orders/7", "3"]).failed(1, &["the hub refused (403)"]);
    run("", &["publish", "news", "3"]).failed(1, &["the hub refused (401)"]);
    let other = make(&["keygen", "--out=other.pem"]);
    assert!(other.contains("--jwt-key other.pub.pem"), "{other}");
    let forged = make(&["token", "--key=other.pem", "--publish=*"]);
    run(&forged, &["publish", "news", "3"]).failed(1, &["the hub refused (401)"]);
}
