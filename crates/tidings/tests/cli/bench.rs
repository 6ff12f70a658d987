//! What `bench` measures, refuses, and says when it can't.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Running, Server, free_port, run, tidings, until};

/// A small measurement.
const SMALL: [&str; 7] = [
    "bench",
    "--connections=20",
    "--topics=3",
    "--rate=50",
    "--time=300ms",
    "--publishers=4",
    "-q",
];

/// The program below a limit of open files.
fn with_open_files(files: u64, args: &str) -> Command {
    let program = tidings(Path::new("/")).get_program().to_owned();
    let mut command = Command::new("sh");
    let script = format!("ulimit -n {files} && exec \"$0\" {args}");
    command.arg("-c").arg(script).arg(program).current_dir("/");
    command
}

#[test]
fn every_delivery_is_expected_and_counted() {
    let server = Server::start();
    let measured = server.run(&[&SMALL[..], &["--json"]].concat());
    let [line] = measured.lines()[..] else { panic!("one line: {measured:?}") };
    let results: Value = serde_json::from_str(line).unwrap();
    let number = |path: &str| results.pointer(path).and_then(Value::as_f64).expect(path);
    assert_eq!((number("/opened/connections"), number("/opened/expected")), (20.0, 20.0));
    assert_eq!(number("/steady/publishes") + number("/steady/unsent"), 15.0);
    for phase in ["steady", "fastest"] {
        let number = |name: &str| number(&format!("/{phase}/{name}"));
        assert!(number("accepted") > 0.0 && number("accepted") == number("publishes"));
        assert_eq!(number("delivered"), number("expected"));
        // Each topic has six or seven of the streams.
        let streams = number("delivered") / number("accepted");
        assert!((6.0..=7.0).contains(&streams), "{streams}");
        assert!(number("latency_ms/p50") > 0.0);
        assert!(number("latency_ms/p50") <= number("latency_ms/max"));
        assert!(number("hub_cpu_us_per_delivery") > 0.0 && number("client_cores") > 0.0);
    }
    assert!(number("/fastest/publishes") > number("/steady/publishes"));
    if cfg!(target_os = "linux") {
        assert!(number("/opened/memory_bytes") > 1e6);
    }
}

#[test]
fn people_get_a_report() {
    let server = Server::start();
    let report = server.run(&[&SMALL[..], &[&server.url]].concat());
    assert_eq!(report.stderr, "");
    let text = report.lines().join("\n");
    for said in ["20 of 20 in", "3 topics over 4", "50 events/s", "full speed", "p99.9"] {
        assert!(text.contains(said), "{said} is missing: {text}");
    }
}

#[test]
fn what_can_not_be_measured_is_said() {
    let url = format!("http://127.0.0.1:{}", free_port());
    run(&["bench", &url]).failed(1, &["can't reach", &url, "is `tidings serve` running there?"]);
    run(&["bench", "here"]).failed(2, &["\"here\" is no URL"]);
    run(&["bench", "https://127.0.0.1"]).failed(2, &["does not support https yet"]);
    run(&["bench", "http://192.0.2.1"]).failed(2, &["not this machine", "--allow-remote"]);
    run(&["bench", &url, "--url", &url]).failed(2, &["cannot be used"]);
    run(&["bench", "--connections", "0"]).failed(2, &["1..=1000000"]);
    run(&["bench", "--rate", "0"]).failed(2, &["from 0.01"]);
    let server = Server::start();
    server.run(&["bench", "--topics=9", "--connections=8"]).failed(2, &["somebody has to listen"]);
    let pattern = [&SMALL[..], &["--topic-prefix", "a/*"]].concat();
    server.run(&pattern).failed(1, &["the hub"]);
}

#[test]
fn only_a_tidings_hub_is_measured() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut request) = (stream.unwrap(), [0; 4096]);
            if stream.read(&mut request).is_ok_and(|bytes| bytes > 0) {
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
                let _ = stream.write_all(answer);
            }
        }
    });
    run(&["bench", &url]).failed(1, &["no metrics of a Tidings hub"]);
}

#[test]
fn whose_limit_stops_it_is_said() {
    let mut small = tidings(Path::new("/"));
    small.args(["serve", "--listen=127.0.0.1:0", "--log=memory", "--connections-max=30"]);
    let server = Server::start_by(&mut small);
    server.run(&["bench", "--connections=100"]).failed(1, &["of 100 streams", "connections-max"]);

    let args = format!("bench {} --connections=300", server.url);
    let ended = with_open_files(250, &args).output().unwrap();
    crate::harness::Ended::from(ended).failed(1, &["the system allows 250", "ulimit -Hn"]);

    let few = "serve --listen=127.0.0.1:0 --log=memory";
    let server = Server::start_by(&mut with_open_files(250, few));
    let said = ["the hub may have 250 files open", "LimitNOFILE"];
    server.run(&["bench", "--connections=300"]).failed(1, &said);
}

#[test]
fn a_signal_ends_it() {
    let server = Server::start();
    let mut bench = Running::start(&mut server.command(&["bench", "--time=1h"]));
    until("the streams are open", || {
        let (_, metrics) = server.get("/metrics");
        metrics.contains("\ntidings_subscribers 1000\n").then_some(())
    });
    bench.signal(Signal::INT);
    bench.ends_with(130);
}
