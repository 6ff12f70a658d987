//! What the program says of the settings that let people in.

use std::path::Path;

use tempfile::TempDir;

use crate::harness::{Ended, Server, tidings};

const SECRET: &str = "s3cret-s3cret-s3cret-s3cret-s3cret";

fn run(place: &Path, args: &[&str], secret: &str) -> Ended {
    let mut command = tidings(place);
    command.args(args).env("TIDINGS_JWT_SECRET", secret).output().unwrap().into()
}

#[test]
fn a_secret_is_told_to_nobody() {
    let place = TempDir::new().unwrap();
    let ended = run(place.path(), &["config", "check"], SECRET);
    let line = ended.lines().into_iter().find(|line| line.starts_with("jwt-secret "));
    let words: Vec<&str> = line.unwrap().split_whitespace().collect();
    assert_eq!(words, ["jwt-secret", "(hidden)", "TIDINGS_JWT_SECRET"]);
    assert!(!ended.stdout.contains("s3cret"));
    let short = run(place.path(), &["serve"], "s3cret");
    short.failed(2, &["TIDINGS_JWT_SECRET holds a secret of 6 bytes: it needs at least 32"]);
    assert!(!short.stderr.contains("s3cret"));
    run(place.path(), &["serve", "--jwt-secret", SECRET], "").failed(2, &["--jwt-secret"]);
    std::fs::write(place.path().join("tidings.toml"), "jwt-secret = \"s3cret\"\n").unwrap();
    let file = run(place.path(), &["config", "check"], "");
    file.failed(2, &["tidings.toml:1: jwt-secret: settings are no place for a secret", "jwt-key"]);
    assert!(!file.stderr.contains("s3cret"));
}

#[test]
fn files_that_hold_no_keys_are_named_before_anything_starts() {
    let place = TempDir::new().unwrap();
    std::fs::write(place.path().join("secret"), "too short").unwrap();
    std::fs::write(place.path().join("keys.toml"), "[[key]]\nname = 1\n").unwrap();
    std::fs::write(place.path().join("private.pem"), "-----BEGIN PRIVATE KEY-----\n").unwrap();
    for (setting, file, said) in [
        ("--jwt-key", "none", "can't read none"),
        ("--jwt-key", "secret", "secret: holds a secret of 9 bytes"),
        ("--jwt-key", "private.pem", "give the hub only the public one"),
        ("--api-keys", "keys.toml", "keys.toml: line 2: "),
        ("--ticket-key", "secret", "secret: holds a secret of 9 bytes"),
        ("--jwks-url", "http://id.example/", "is no address of keys"),
        ("--cors-origins", "app.example", "is no origin"),
        ("--cookie-name", "a b", "no name of a cookie"),
        ("--anonymous-subscribe", "false", "nobody could read"),
    ] {
        for command in [&["serve"][..], &["config", "check"]] {
            let args = [command, &[setting, file]].concat();
            run(place.path(), &args, "").failed(2, &["tidings: ", said]);
        }
    }
}

#[test]
fn with_keys_the_hub_may_listen_everywhere() {
    let place = TempDir::new().unwrap();
    let mut command = tidings(place.path());
    command.args(["serve", "--listen=0.0.0.0:0", "--log=memory"]);
    let hub = Server::start_by(command.env("TIDINGS_JWT_SECRET", SECRET));
    let ended: Ended = hub.command(&["publish", "a", "b"]).output().unwrap().into();
    ended.failed(1, &["the hub refused (401)", "Publishing needs a token"]);
}
