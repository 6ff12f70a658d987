//! A server by TLS and with a user: `rediss://` and `tls://`.

use std::fs;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use crate::engine::Redis;
use crate::nats::Nats;
use crate::support::{Server, free_port, tidings};
use crate::wire::{Client, Stream};

/// A certificate authority and a certificate for localhost, as files.
fn certificates(directory: &TempDir) {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    for (name, text) in [
        ("ca.pem", authority.pem()),
        ("server.pem", certificate.pem()),
        ("server.key", key.serialize_pem()),
    ] {
        fs::write(directory.path().join(name), text).unwrap();
    }
}

#[test]
fn redis_is_reached_by_tls_with_a_user() {
    let directory = TempDir::new().unwrap();
    certificates(&directory);
    let port = free_port();
    let redis = Redis::with(&[
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        &file(&directory, "server.pem"),
        "--tls-key-file",
        &file(&directory, "server.key"),
        "--tls-auth-clients",
        "no",
    ]);
    redis.ask("ACL SETUSER hub on >hunter2 ~* +@all");
    let log = format!("rediss://hub:hunter2@localhost:{port}");
    reached_by_tls(&directory, &log, "--redis-ca");
}

#[test]
fn nats_is_reached_by_tls_with_a_user() {
    let directory = TempDir::new().unwrap();
    certificates(&directory);
    let (certificate, key) = (file(&directory, "server.pem"), file(&directory, "server.key"));
    let nats = Nats::with(&format!(
        "jetstream {{ store_dir: STORE }}
         tls {{ cert_file: {certificate:?}, key_file: {key:?} }}
         authorization {{ user: hub, password: hunter2 }}"
    ));
    let log = format!("tls://hub:hunter2@localhost:{}", nats.port());
    reached_by_tls(&directory, &log, "--nats-ca");
}

fn file(directory: &TempDir, name: &str) -> String {
    directory.path().join(name).to_str().unwrap().to_owned()
}

fn reached_by_tls(directory: &TempDir, log: &str, authority: &str) {
    let serve = |authority: &[&str]| {
        let mut command = tidings(directory.path());
        command.args(["serve", "--listen", "127.0.0.1:0"]).args(authority);
        // Where others can't see it.
        command.env("TIDINGS_LOG", log);
        command
    };
    let server = Server::start_by(&mut serve(&[authority, "ca.pem"]));
    let mut stream = Stream::open(server.address(), "/topics/a", None).unwrap();
    let answer = Client::connect(server.address()).unwrap().publish("a", "by tls").unwrap();
    assert_eq!(answer.head.status, 200);
    assert_eq!(stream.event().data, "by tls");

    let stranger = serve(&[]).output().unwrap();
    assert_eq!(stranger.status.code(), Some(1), "{stranger:?}");
    let said = String::from_utf8(stranger.stderr).unwrap();
    assert!(said.contains("certificate") && !said.contains("hunter2"), "{said}");
    let wrong = serve(&[authority, "server.key"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(1), "{wrong:?}");
}
