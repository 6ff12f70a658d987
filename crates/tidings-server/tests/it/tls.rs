//! Event streams over TLS, as clients of another make see them: HTTP/1.1 taken over with its TLS
//! state, HTTP/2 by ALPN, a certificate that changes, and those who don't speak TLS.
//! Knows nothing of the engine's insides.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http_body_util::BodyExt as _;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion, version};
use tempfile::TempDir;
use tidings_core::limits::{
    HEAD_TIME_MAX, KEPT_ALIVE_TIME_MAX, STREAM_INPUT_BYTES_MAX, TLS_HANDSHAKE_TIME_MAX,
};
use tidings_server::{CertificatePair, Config, Listener, Tls};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::incoming::{about, silent_for};
use crate::sockets::{PATIENCE, rest, until};
use crate::world::{World, request};

const STREAM: &str = "GET /topics/a HTTP/1.1\r\nhost: a\r\n\r\n";

/// A world that speaks TLS.
struct Secure {
    world: World,
    address: SocketAddr,
    tls: Tls,
    files: Files,
}

/// A certificate and its key in files.
struct Files {
    directory: TempDir,
}

impl Files {
    fn new() -> Self {
        let files = Self { directory: TempDir::new().unwrap() };
        files.renew();
        files
    }

    /// Puts another pair into the files.
    fn renew(&self) {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        std::fs::write(self.certificate(), cert.pem()).unwrap();
        std::fs::write(self.key(), signing_key.serialize_pem()).unwrap();
    }

    fn certificate(&self) -> PathBuf {
        self.directory.path().join("cert.pem")
    }

    fn key(&self) -> PathBuf {
        self.directory.path().join("key.pem")
    }

    fn pair(&self) -> CertificatePair {
        CertificatePair::read(&self.certificate(), &self.key()).unwrap()
    }

    /// A client that trusts what is in the files now.
    fn client(
        &self,
        protocols: &[&str],
        versions: &[&'static SupportedProtocolVersion],
    ) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.certificate()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config).into()
    }
}

impl Secure {
    async fn new() -> Self {
        Self::with(Config::default()).await
    }

    async fn with(config: Config) -> Self {
        let world = World::with(config);
        let files = Files::new();
        let tls = Tls::new(files.pair()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let listener = Listener::from(listener).with_tls(tls.clone());
        tokio::spawn(tidings_server::serve(listener, world.router.clone(), world.hub.clone()));
        Self { world, address, tls, files }
    }

    async fn connect(&self, text: &str) -> TlsStream<TcpStream> {
        let client = self.files.client(&["http/1.1"], rustls::DEFAULT_VERSIONS);
        self.connect_by(&client, text).await
    }

    async fn connect_by(&self, client: &TlsConnector, text: &str) -> TlsStream<TcpStream> {
        let socket = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = client.connect(name, socket).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }
}

#[tokio::test]
async fn a_stream_over_tls_goes_on_in_its_shard() {
    for versions in [&[&version::TLS13], &[&version::TLS12]] {
        let secure = Secure::new().await;
        let client = secure.files.client(&["http/1.1"], versions);
        let mut socket = secure.connect_by(&client, STREAM).await;
        let head = until(&mut socket, ":\nretry: ").await;
        assert!(head.contains("text/event-stream"), "{head}");
        for round in 0..3 {
            secure.world.post("/topics/a", format!("hi {round}")).await;
            let event = until(&mut socket, "\n\n\r\n").await;
            assert!(event.ends_with(&format!("data: hi {round}\n\n\r\n")), "{event:?}");
        }
        let wanted = versions[0].version;
        assert_eq!(socket.get_ref().1.protocol_version(), Some(wanted));
    }
}

#[tokio::test]
async fn a_stream_over_tls_may_follow_other_requests_and_ends_as_it_should() {
    let secure = Secure::new().await;
    let both = format!("GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n{STREAM}");
    let mut socket = secure.connect(&both).await;
    let head = until(&mut socket, ":\nretry: ").await;
    assert!(head.contains("ok\n"), "{head}");
    secure.world.hub.begin_shutdown();
    let mut last = Vec::new();
    let reading = socket.read_to_end(&mut last);
    // An end without TLS's goodbye would be an error here.
    tokio::time::timeout(PATIENCE, reading).await.expect("it ends").unwrap();
    assert!(last.ends_with(b"0\r\n\r\n"), "{last:?}");
}

#[tokio::test]
async fn a_stalled_reader_over_tls_gets_all_of_it_later() {
    let secure = Secure::new().await;
    let mut stalled = secure.connect(STREAM).await;
    let mut reading = secure.connect(STREAM).await;
    until(&mut stalled, ":\nretry: ").await;
    until(&mut reading, ":\nretry: ").await;
    let data = "x".repeat(100_000);
    // More than kernel buffers of both ends hold.
    for round in 0..100 {
        secure.world.post("/topics/a", format!("{round} {data}")).await;
        let event = until(&mut reading, "\n\n\r\n").await;
        assert!(event.contains(&format!("data: {round} ")), "{round}");
    }
    let mut text = String::new();
    while text.matches("data: ").count() < 100 || !text.ends_with("\n\n\r\n") {
        text.push_str(&until(&mut stalled, "\n").await);
    }
    let rounds: Vec<usize> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: ")?.split(' ').next()?.parse().ok())
        .collect();
    assert_eq!(rounds, (0..100).collect::<Vec<_>>(), "in order, once");
}

#[tokio::test]
async fn new_keys_are_taken_and_a_goodbye_frees_the_connection() {
    let secure = Secure::new().await;
    let mut socket = secure.connect(STREAM).await;
    until(&mut socket, ":\nretry: ").await;
    for round in 0..3 {
        socket.get_mut().1.refresh_traffic_keys().unwrap();
        socket.flush().await.unwrap();
        secure.world.post("/topics/a", format!("hi {round}")).await;
        until(&mut socket, &format!("data: hi {round}\n\n\r\n")).await;
    }
    socket.shutdown().await.unwrap();
    let gone = async {
        while secure.world.hub.metrics().connections.get() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("the hub forgets it");
}

#[tokio::test]
async fn a_client_that_talks_on_its_stream_over_tls_is_cut_off() {
    let secure = Secure::new().await;
    let mut socket = secure.connect(STREAM).await;
    until(&mut socket, ":\nretry: ").await;
    let _ = socket.write_all(&vec![b'x'; 4 * STREAM_INPUT_BYTES_MAX]).await;
    let mut scratch = Vec::new();
    let ended = socket.read_to_end(&mut scratch);
    let _ = tokio::time::timeout(PATIENCE, ended).await.expect("it is cut off");
}

#[tokio::test]
async fn browsers_get_http_2_and_a_stalled_stream_holds_nobody_up() {
    let secure = Secure::new().await;
    let client = secure.files.client(&["h2", "http/1.1"], rustls::DEFAULT_VERSIONS);
    let socket = secure.connect_by(&client, "").await;
    assert_eq!(socket.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(16 * 1024)
        .initial_connection_window_size(1024 * 1024)
        .handshake::<_, Body>(TokioIo::new(socket))
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut streams = Vec::new();
    for _ in 0..12 {
        let uri = "https://localhost/topics/a";
        let response = sender.send_request(request("GET", uri, &[], Body::empty())).await.unwrap();
        assert_eq!(response.status(), 200);
        streams.push(response.into_body());
    }
    let data = "x".repeat(20_000);
    let (reading, _stalled) = streams.split_at_mut(6);
    for round in 0..10 {
        secure.world.post("/topics/a", format!("{round} {data}")).await;
        for body in &mut *reading {
            let mut text = String::new();
            while !text.contains(&format!("data: {round} {data}\n\n")) {
                let frame = tokio::time::timeout(PATIENCE, body.frame()).await.expect("it goes on");
                let bytes = frame.unwrap().unwrap().into_data().unwrap();
                text.push_str(std::str::from_utf8(&bytes).unwrap());
            }
        }
    }
}

#[tokio::test]
async fn a_new_certificate_is_taken_and_streams_stay() {
    let secure = Secure::new().await;
    let watch = secure.tls.watch(secure.files.certificate(), secure.files.key());
    tokio::spawn(watch);
    let mut before = secure.connect(STREAM).await;
    until(&mut before, ":\nretry: ").await;

    secure.files.renew();
    let new = secure.files.client(&["http/1.1"], rustls::DEFAULT_VERSIONS);
    let taken = async {
        let name = ServerName::try_from("localhost").unwrap();
        loop {
            let socket = TcpStream::connect(secure.address).await.unwrap();
            if new.connect(name.clone(), socket).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, taken).await.expect("the new certificate is taken");
    secure.world.post("/topics/a", "hi").await;
    until(&mut before, "data: hi\n\n\r\n").await;
}

#[tokio::test]
async fn http_in_the_clear_is_told_to_speak_tls() {
    let secure = Secure::new().await;
    let mut socket = TcpStream::connect(secure.address).await.unwrap();
    socket.write_all(STREAM.as_bytes()).await.unwrap();
    let answer = rest(&mut socket).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("this port speaks TLS") && answer.contains("https://"), "{answer}");
    // What is neither is closed without a word.
    let mut socket = TcpStream::connect(secure.address).await.unwrap();
    socket.write_all(&[0xff; 100]).await.unwrap();
    assert_eq!(rest(&mut socket).await, "");
}

#[tokio::test]
async fn a_client_without_alpn_speaks_http_1_1_and_old_tls_is_refused() {
    let secure = Secure::new().await;
    let client = secure.files.client(&[], rustls::DEFAULT_VERSIONS);
    let mut socket = secure.connect_by(&client, STREAM).await;
    until(&mut socket, ":\nretry: ").await;
    assert_eq!(socket.get_ref().1.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    // A ClientHello of TLS 1.0, by hand: version, random, no session, one suite, no compression.
    let mut hello = vec![1, 0, 0, 41, 3, 1];
    hello.extend_from_slice(&[7; 32]);
    hello.extend_from_slice(&[0, 0, 2, 0, 0x2f, 1, 0]);
    let record = [&[0x16, 3, 1, 0, 45][..], &hello].concat();
    let mut socket = TcpStream::connect(secure.address).await.unwrap();
    socket.write_all(&record).await.unwrap();
    let mut answer = Vec::new();
    let reading = socket.read_to_end(&mut answer);
    tokio::time::timeout(PATIENCE, reading).await.unwrap().unwrap();
    assert_eq!(answer.first(), Some(&0x15), "an alert: {answer:?}");
}

#[tokio::test]
async fn sessions_are_resumed() {
    let secure = Secure::new().await;
    let client = secure.files.client(&["http/1.1"], rustls::DEFAULT_VERSIONS);
    let healthz = "GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n";
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let mut socket = secure.connect_by(&client, healthz).await;
        until(&mut socket, "ok\n").await;
        kinds.push(socket.get_ref().1.handshake_kind().unwrap());
    }
    assert_eq!(kinds, [rustls::HandshakeKind::Full, rustls::HandshakeKind::Resumed]);
}

#[tokio::test(start_paused = true)]
async fn time_is_limited_over_tls_too() {
    let secure = Secure::new().await;
    // No handshake, half of one, none of a head, half of one.
    let mut socket = TcpStream::connect(secure.address).await.unwrap();
    about(silent_for(&mut socket).await, HEAD_TIME_MAX);
    let mut socket = TcpStream::connect(secure.address).await.unwrap();
    socket.write_all(&[0x16, 3, 1]).await.unwrap();
    about(silent_for(&mut socket).await, TLS_HANDSHAKE_TIME_MAX);
    for (text, limit) in [
        ("", HEAD_TIME_MAX),
        ("GET / HT", HEAD_TIME_MAX),
        ("GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n", KEPT_ALIVE_TIME_MAX),
    ] {
        let mut socket = secure.connect(text).await;
        about(silent_for(&mut socket).await, limit);
    }
}
