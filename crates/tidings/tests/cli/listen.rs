//! Where the real program listens: with TLS, at Unix sockets, on sockets that were passed to it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use command_fds::{CommandFdExt as _, FdMapping};
use tempfile::TempDir;

use crate::harness::{Ended, Server, run, tidings, until};

/// What `curl` prints.
#[track_caller]
fn curl(args: &[&str]) -> String {
    let mut command = Command::new("curl");
    let ended = command.args(["-sS", "--max-time", "60", "--noproxy", "*"]).args(args).output();
    let ended = Ended::from(ended.unwrap());
    assert_eq!(ended.code, Some(0), "{args:?}: {ended:?}");
    ended.stdout
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A certificate and its key, valid for so many days.
fn certificate(directory: &Path, days: i64) -> [PathBuf; 2] {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let now = std::time::SystemTime::now();
    let time = std::time::Duration::from_secs(days.unsigned_abs() * 24 * 60 * 60);
    params.not_after = if days < 0 { now - time } else { now + time }.into();
    let paths = [directory.join("cert.pem"), directory.join("key.pem")];
    std::fs::write(&paths[0], params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(&paths[1], key.serialize_pem()).unwrap();
    paths
}

#[test]
fn dev_tls_serves_what_its_first_lines_say() {
    let directory = TempDir::new().unwrap();
    let args = ["serve", "--listen", "127.0.0.1:0", "--dev-tls"];
    let mut server = Server::start_in(directory.path(), &args);
    assert!(server.url.starts_with("https://127.0.0.1:"), "{}", server.url);
    let line = server.running.stdout.find("curl --cacert ");
    let (_, command) = line.split_once("curl ").unwrap();
    let file = directory.path().join(command.split(' ').nth(1).unwrap());
    let topic = format!("{}/topics/a", server.url);
    let said = curl(&["--cacert", text(&file), "-d", "hello", &topic]);
    assert!(said.contains("\"id\""), "{said}");
    // By name too, and over HTTP/2 where curl can speak it.
    let by_name = topic.replace("127.0.0.1", "localhost");
    let history = ["--cacert", text(&file), "-H", "Accept: application/json"];
    let history = [&history[..], &["-w", " %{http_version}", &by_name]].concat();
    let page = curl(&history);
    assert!(page.contains("hello") && (page.ends_with(" 2") || page.ends_with(" 1.1")), "{page}");
    // The program's own clients trust what they are told to.
    let mut client = server.command(&["subscribe", "a", "--since", "earliest", "--count", "1"]);
    let ended = Ended::from(client.env("SSL_CERT_FILE", &file).output().unwrap());
    assert!(ended.lines()[0].contains("hello"), "{ended:?}");
    let refused = server.run(&["publish", "a", "b"]);
    assert_eq!(refused.code, Some(1), "nobody vouches for it: {refused:?}");
    server.stop();
}

#[test]
fn dev_tls_stays_on_this_machine() {
    let args = ["serve", "--log", "memory", "--listen", "0.0.0.0:0", "--dev-tls"];
    let args = [&args[..], &["--allow-anonymous-publish"]].concat();
    run(&args).failed(2, &["--dev-tls is for this machine", "--tls-cert"]);
}

#[test]
fn a_certificate_is_read_again_when_it_changes_and_a_bad_one_is_not_taken() {
    let directory = TempDir::new().unwrap();
    let [cert, key] = certificate(directory.path(), 5);
    let args = ["serve", "--log", "memory", "--listen", "127.0.0.1:0"];
    let args = [&args[..], &["--tls-cert", text(&cert), "--tls-key", text(&key)]].concat();
    let mut server = Server::start_in(directory.path(), &args);
    server.running.stderr.find("expires soon");
    let healthz = format!("{}/healthz", server.url);
    let first = directory.path().join("first.pem");
    std::fs::copy(&cert, &first).unwrap();
    assert_eq!(curl(&["--cacert", text(&first), &healthz]), "ok\n");

    std::fs::write(&key, "no key").unwrap();
    server.running.stderr.find("the old one stays");
    assert_eq!(curl(&["--cacert", text(&first), &healthz]), "ok\n");

    certificate(directory.path(), 90);
    server.running.stderr.find("the new certificate");
    assert_eq!(curl(&["--cacert", text(&cert), &healthz]), "ok\n");
    server.stop();
}

#[test]
fn what_is_wrong_with_a_certificate_is_said_at_once() {
    let directory = TempDir::new().unwrap();
    let [cert, key] = certificate(directory.path(), -1);
    let check = |command: &[&str], cert: &str, key: &str| {
        let args = [command, &["--tls-cert", cert, "--tls-key", key]].concat();
        Ended::from(tidings(directory.path()).args(args).output().unwrap())
    };
    for command in [&["serve", "--listen", "127.0.0.1:0"][..], &["config", "check"]] {
        let (cert, key) = (text(&cert), text(&key));
        check(command, "none.pem", key).failed(2, &["can't read none.pem"]);
        check(command, key, cert).failed(2, &["is it the tls-key?"]);
        check(command, cert, cert).failed(2, &["has no private key"]);
    }
    assert_eq!(check(&["config", "check"], text(&cert), text(&key)).code, Some(0));
    let args = ["serve", "--log", "memory", "--listen", "127.0.0.1:0"];
    let args = [&args[..], &["--tls-cert", text(&cert), "--tls-key", text(&key)]].concat();
    let mut server = Server::start_in(directory.path(), &args);
    server.running.stderr.find("has expired at");
    server.stop();
}

#[test]
fn an_address_can_stay_plain_beside_tls() {
    let directory = TempDir::new().unwrap();
    let args = ["serve", "--log", "memory", "--dev-tls", "--listen", "http://127.0.0.1:0"];
    let mut server = Server::start_in(directory.path(), &args);
    assert_eq!(server.get("/healthz").0, 200);
    server.stop();
    let args = ["serve", "--log", "memory", "--listen", "https://127.0.0.1:0"];
    run(&args).failed(2, &["needs a certificate"]);
}

#[test]
fn a_unix_socket_serves_and_goes_with_the_program() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("hub.sock");
    // Left behind by a process that was killed.
    drop(UnixListener::bind(&path).unwrap());
    let listen = format!("unix:{}", path.display());
    let args = ["serve", "--log", "memory", "--listen", &listen];
    let mut server = Server::start_in(directory.path(), &args);
    assert_eq!(server.url, listen);
    let line = server.running.stdout.find("curl --unix-socket");
    assert!(line.contains(text(&path)), "{line}");
    let topic = "http://localhost/topics/a";
    let said = curl(&["--unix-socket", text(&path), "-d", "hello", topic]);
    assert!(said.contains("\"id\""), "{said}");
    let mut stream = UnixStream::connect(&path).unwrap();
    write!(stream, "GET /topics/a?since=earliest HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    lines.find(|line| line == "data: hello").unwrap();
    // The program's own clients, by the same name.
    server.run(&["publish", "a", "by the program"]).lines();
    assert_eq!(server.events("a", 2)[1].1, "by the program");
    server.run(&["bench"]).failed(2, &["Unix sockets"]);
    server.stop();
    server.run(&["publish", "a", "b"]).failed(1, &["can't reach unix:", "tidings serve"]);
    assert!(!path.exists());
    assert_eq!(lines.last().as_deref(), Some(""), "it ended with the last chunk");
}

/// Passes a socket to the program as systemd does.
fn passed(directory: &Path, socket: impl Into<OwnedFd>, args: &[&str]) -> Server {
    // `exec` keeps the number of the process, which LISTEN_PID has to be.
    let script = "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\"";
    let program = tidings(directory);
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).arg(program.get_program()).args(args).current_dir(directory);
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let parent_fd = socket.into();
    command.fd_mappings(vec![FdMapping { parent_fd, child_fd: 3 }]).unwrap();
    Server::start_by(&mut command)
}

#[test]
fn passed_sockets_take_the_place_of_the_default() {
    let directory = TempDir::new().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut server = passed(directory.path(), listener, &["serve", "--log", "memory"]);
    assert_eq!(server.url, format!("http://{address}"));
    assert_eq!(server.get("/healthz").0, 200);
    server.stop();

    let path = directory.path().join("hub.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let mut server = passed(directory.path(), listener, &["serve", "--log", "memory"]);
    assert_eq!(server.url, format!("unix:{}", path.display()));
    let said = curl(&["--unix-socket", text(&path), "http://localhost/healthz"]);
    assert_eq!(said, "ok\n");
    server.stop();
    assert!(path.exists(), "whoever passed it keeps it");
}

#[test]
fn a_passed_socket_is_the_one_that_the_settings_name() {
    let directory = TempDir::new().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // Bound already: taking it a second time would fail.
    let named = address.to_string();
    let args = ["serve", "--log", "memory", "--listen", &named, "--listen", "127.0.0.1:0"];
    let mut server = passed(directory.path(), listener, &args);
    assert_eq!(server.url, format!("http://{address}"));
    assert_eq!(server.get("/healthz").0, 200);
    server.stop();

    let strange = TcpListener::bind("0.0.0.0:0").unwrap();
    assert!(strange.as_raw_fd() > 2);
    let script = "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" serve --log memory";
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).arg(tidings(directory.path()).get_program());
    command.current_dir(directory.path());
    let mapping = FdMapping { parent_fd: strange.into(), child_fd: 3 };
    let ended = command.fd_mappings(vec![mapping]).unwrap().output().unwrap();
    Ended::from(ended).failed(2, &["--allow-anonymous-publish"]);
}

#[test]
fn a_slow_client_finds_its_connection_kept_alive() {
    let server = Server::start();
    let mut stream = std::net::TcpStream::connect(server.address()).unwrap();
    let mut answers = String::new();
    for silence in [0, 11] {
        // Longer than a head may take; the exact times are tested where time can be stopped.
        std::thread::sleep(std::time::Duration::from_secs(silence));
        write!(stream, "GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
        let mut piece = [0; 1024];
        until("an answer", || {
            let bytes = stream.read(&mut piece).unwrap();
            assert!(bytes > 0, "closed after {answers}");
            answers.push_str(std::str::from_utf8(&piece[..bytes]).unwrap());
            answers.ends_with("ok\n").then_some(())
        });
    }
}
