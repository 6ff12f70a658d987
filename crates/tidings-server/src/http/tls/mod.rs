//! TLS as this hub speaks it, with a certificate that can be changed while it runs.
//! Knows nothing of what is spoken inside.

mod pair;
mod watch;

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;

use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use tidings_core::limits::{TLS_HANDSHAKE_TIME_MAX, TLS_HANDSHAKES_MAX, TLS_SEND_BYTES_MAX};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::begun::Begun;

pub use pair::{CertificatePair, PairError};

/// What clients may speak inside, the better one first.
const PROTOCOLS: [&[u8]; 2] = [HTTP2, b"http/1.1"];

/// HTTP/2 by its name in ALPN (RFC 9113, section 3.2).
const HTTP2: &[u8] = b"h2";

/// The means to speak TLS 1.2 and 1.3 with a certificate. Cheap to clone; all clones have the
/// same certificate, also after [`Tls::replace`].
///
/// Sessions are resumed by tickets that the client keeps, encrypted with a key that changes every
/// six hours: they take no memory here.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    current: Arc<Current>,
    handshakes: Arc<Semaphore>,
}

impl Tls {
    /// TLS with this certificate.
    ///
    /// # Errors
    /// Where the system gives no random numbers.
    pub fn new(pair: CertificatePair) -> Result<Self, rustls::Error> {
        let current = Arc::new(Current(RwLock::new(pair.into_key())));
        let provider = Arc::new(aws_lc_rs::default_provider());
        let resolver: Arc<dyn ResolvesServerCert> = Arc::<Current>::clone(&current);
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        config.ticketer = aws_lc_rs::Ticketer::new()?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Self {
            acceptor: Arc::new(config).into(),
            current,
            handshakes: Arc::new(Semaphore::new(TLS_HANDSHAKES_MAX)),
        })
    }

    /// From now on, new connections get this certificate; those that are there stay.
    pub fn replace(&self, pair: CertificatePair) {
        *self.current.0.write() = pair.into_key();
    }

    /// Reads the files again when they change, for as long as it is polled: when one has changed,
    /// and both have been the same for two looks, so that no half of a pair is taken. A pair that
    /// can't be used leaves the one before in place, with an error in the log. Cancel safe.
    pub fn watch(
        &self,
        certificate: impl Into<std::path::PathBuf>,
        key: impl Into<std::path::PathBuf>,
    ) -> impl Future<Output = std::convert::Infallible> + Send + 'static {
        watch::watch(self.clone(), certificate.into(), key.into())
    }

    /// The handshake with one client.
    ///
    /// # Errors
    /// Where it fails or takes too long. Where too many are under way for as long as one may
    /// take, the error's kind is [`io::ErrorKind::QuotaExceeded`].
    pub(super) async fn handshake(
        &self,
        stream: Begun<TcpStream>,
    ) -> io::Result<TlsStream<Begun<TcpStream>>> {
        let deadline = Instant::now() + TLS_HANDSHAKE_TIME_MAX;
        let permit = match timeout_at(deadline, self.handshakes.acquire()).await {
            Ok(permit) => permit.expect("the semaphore is never closed"),
            Err(_) => return Err(io::ErrorKind::QuotaExceeded.into()),
        };
        let deadline = Instant::now() + TLS_HANDSHAKE_TIME_MAX;
        let accept = self.acceptor.accept_with(stream, |session| {
            session.set_buffer_limit(Some(TLS_SEND_BYTES_MAX));
        });
        let accepted = timeout_at(deadline, accept).await;
        drop(permit);
        accepted.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// Whether both ends have agreed on HTTP/2.
pub(super) fn is_http2(stream: &TlsStream<Begun<TcpStream>>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(HTTP2)
}

/// Whether what a client begins with is a TLS record of a handshake (RFC 8446, section 5.1).
pub(super) fn begins_handshake(bytes: &[u8]) -> bool {
    bytes.first() == Some(&0x16)
}

/// The certificate that new connections get.
struct Current(RwLock<Arc<CertifiedKey>>);

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Current")
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read()))
    }
}
