//! What `subscribe` prints and runs, and how it comes back.

use tempfile::TempDir;

use crate::harness::{Running, Server, free_port, run, tidings, until};

fn subscribe(server: &Server, args: &[&str]) -> Running {
    let args = [&["subscribe"], args].concat();
    Running::start(&mut server.command(&args))
}

fn message(data: &str) -> (String, String) {
    ("message".into(), data.into())
}

/// A hub that can be stopped and started again on the same port.
struct Recurring {
    directory: TempDir,
    args: Vec<String>,
}

impl Recurring {
    fn new(log: &str) -> Self {
        let listen = format!("127.0.0.1:{}", free_port());
        let args = ["serve", "--retry", "20ms", "--log", log, "--listen", &listen];
        let args = args.map(str::to_owned).to_vec();
        Self { directory: TempDir::new().unwrap(), args }
    }

    fn start(&self) -> Server {
        let args: Vec<&str> = self.args.iter().map(String::as_str).collect();
        Server::start_in(self.directory.path(), &args)
    }
}

#[test]
fn goes_on_where_it_was_when_the_hub_comes_back() {
    let hub = Recurring::new("disk:data");
    let mut server = hub.start();
    let mut subscriber = subscribe(&server, &["news", "--since", "earliest", "--count", "4"]);
    for round in 0..2 {
        server.run(&["publish", "news", &format!("{round}")]).lines();
        assert_eq!(subscriber.stdout.event(), message(&format!("{round}")));
        server.stop();
        subscriber.stderr.find("reconnecting in");
        server = hub.start();
        // Published before the subscriber is back, or after: it gets it either way, once.
        server.run(&["publish", "news", &format!("{round} more")]).lines();
        assert_eq!(subscriber.stdout.event(), message(&format!("{round} more")));
    }
    subscriber.ends_with(0);
}

#[test]
fn misses_nothing_even_where_it_had_no_event_yet() {
    let hub = Recurring::new("disk:data");
    let mut server = hub.start();
    let mut subscriber = subscribe(&server, &["news", "--count", "1"]);
    until("it is there", || {
        server.get("/metrics").1.contains("tidings_subscribers 1").then_some(())
    });
    server.stop();
    subscriber.stderr.find("reconnecting in");
    let server = hub.start();
    server.run(&["publish", "news", "1"]).lines();
    assert_eq!(subscriber.stdout.event(), message("1"));
    subscriber.ends_with(0);
}

#[test]
fn says_when_something_is_gone() {
    let hub = Recurring::new("memory");
    let mut server = hub.start();
    let subscriber = subscribe(&server, &["news", "--since", "earliest"]);
    server.run(&["publish", "news", "1"]).lines();
    assert_eq!(subscriber.stdout.event(), message("1"));
    server.stop();
    let server = hub.start();
    assert_eq!(subscriber.stdout.event().0, "tidings.reset");
    subscriber.stderr.find("gone");
    server.run(&["publish", "news", "2"]).lines();
    assert_eq!(subscriber.stdout.event(), message("2"));
}

#[test]
fn waits_for_a_hub_that_is_not_there_yet() {
    let hub = Recurring::new("memory");
    let url = format!("http://{}", hub.args.last().unwrap());
    let mut command = tidings(hub.directory.path());
    command.args(["subscribe", "news", "--since", "earliest", "--count", "1", "--url", &url]);
    let mut subscriber = Running::start(&mut command);
    subscriber.stderr.find("is `tidings serve` running there?");
    let server = hub.start();
    server.run(&["publish", "news", "1"]).lines();
    assert_eq!(subscriber.stdout.event(), message("1"));
    subscriber.ends_with(0);
}

#[test]
fn begins_where_it_is_told_to() {
    let server = Server::start();
    for n in 1..=5 {
        server.run(&["publish", "orders/7", &n.to_string(), "--id", &format!("id-{n}")]).lines();
    }
    let check = |args: &[&str], expected: &[&str]| {
        let count = expected.len().to_string();
        let args = [&["subscribe", "orders/{id}", "--json", "--count", &count], args].concat();
        let ended = server.run(&args);
        let lines: Vec<String> = expected
            .iter()
            .map(|n| format!("{{\"id\":\"id-{n}\",\"event\":\"message\",\"data\":\"{n}\"}}"))
            .collect();
        assert_eq!(ended.lines(), lines);
    };
    check(&["--last", "2"], &["4", "5"]);
    check(&["--since", "1h"], &["1", "2"]);
    check(&["--last-event-id", "id-3"], &["4", "5"]);
    let args = ["subscribe", "orders/7", "--pretty", "--last", "1", "--count", "1"];
    let pretty = server.run(&args);
    assert!(pretty.lines()[0].ends_with("message id-5  5"), "{}", pretty.stdout);
    assert!(!pretty.stdout.contains('\x1b'), "no colours in a pipe");
}

#[test]
fn runs_a_command_for_each_event_in_order() {
    let server = Server::start();
    for n in 1..=3 {
        let (data, id) = (format!("data {n}"), format!("id-{n}"));
        server.run(&["publish", "jobs", &data, "--event", "job", "--id", &id]).lines();
    }
    let command = r#"echo "$TIDINGS_EVENT $TIDINGS_ID: $(cat)"; test "$TIDINGS_ID" != id-2"#;
    let from_first = ["--since", "earliest", "--count", "3", "--exec", command];
    let args = [&["subscribe", "jobs"], &from_first[..]].concat();
    let ended = server.run(&args);
    assert_eq!(ended.lines(), ["job id-1: data 1", "job id-2: data 2", "job id-3: data 3"]);
    assert!(ended.stderr.contains("event id-2 ended with exit status: 1"), "{}", ended.stderr);
    let stopping = [&args[..], &["--exec-fail", "stop"]].concat();
    let ended = server.run(&stopping);
    ended.failed(1, &["event id-2 ended with exit status: 1"]);
    assert_eq!(ended.stdout.lines().count(), 2);
}

#[test]
fn a_command_may_publish_in_turn() {
    let server = Server::start();
    server.run(&["publish", "jobs", "work"]).lines();
    let command = format!("{} publish done \"$(cat)\"", env!("CARGO_BIN_EXE_tidings"));
    let args = ["subscribe", "jobs", "--since", "earliest", "-n", "1", "--exec", &command];
    assert_eq!(server.run(&args).lines().len(), 1);
    assert_eq!(server.events("done", 1), [message("work")]);
}

#[test]
fn a_refusal_for_good_is_the_end() {
    let server = Server::start();
    server.run(&["subscribe", "a/{"]).failed(1, &["the hub refused (400)"]);
    server.run(&["subscribe", "a", "--since", "soon"]).failed(1, &["Since is earliest"]);
    let elsewhere = format!("{}/nowhere", server.url);
    run(&["subscribe", "a", "--url", &elsewhere]).failed(1, &["404"]);
}

#[test]
fn a_closed_pipe_is_success() {
    let server = Server::start();
    server.run(&["publish", "a", "1"]).lines();
    let args = ["subscribe", "a", "--since", "earliest"];
    let mut command = server.command(&args);
    let (reader, writer) = std::io::pipe().unwrap();
    let mut child = command.stdout(writer).spawn().unwrap();
    drop(command);
    let mut reader = std::io::BufReader::new(reader);
    let mut line = String::new();
    std::io::BufRead::read_line(&mut reader, &mut line).unwrap();
    assert!(line.contains("\"data\":\"1\""), "{line}");
    drop(reader);
    server.run(&["publish", "a", "2"]).lines();
    let status = until("it ends", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
}

#[test]
fn signals_end_it_with_their_number() {
    let server = Server::start();
    server.run(&["publish", "a", "1"]).lines();
    for (signal, code) in
        [(rustix::process::Signal::INT, 130), (rustix::process::Signal::TERM, 143)]
    {
        let mut subscriber = subscribe(&server, &["a", "--last", "1"]);
        subscriber.stdout.event();
        subscriber.signal(signal);
        subscriber.ends_with(code);
    }
}
