//! Takes the addresses to listen on, and refuses those that would be open to strangers.
//! Knows nothing of what is served there.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use tidings_server::Listener;
use tidings_server::peer::Proxies;
use tokio::net::{TcpListener, TcpSocket, UnixListener, lookup_host};

use crate::exit::Usage;
use crate::settings::{Listen, Settings, Speaks};

use super::inherited::{self, Inherited, Socket};
use super::tls::{self, Certificate};
use super::unix::{self, SocketFile};

/// Connections that wait to be accepted: a crowd that comes back at once. The system may allow
/// less.
const BACKLOG: u32 = 4096;

/// All that is listened on.
#[derive(Debug)]
pub(in crate::cmd) struct Bound {
    pub(super) places: Vec<Place>,
    pub(super) certificate: Option<Certificate>,
}

/// One address that is listened on.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) listener: Listener,
    pub(super) name: Name,
    /// Of a Unix socket, until nobody listens there any more.
    pub(super) file: Option<SocketFile>,
}

/// What clients call it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Name {
    Http(SocketAddr),
    Https(SocketAddr),
    Unix(String),
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(address) => write!(f, "http://{address}"),
            Self::Https(address) => write!(f, "https://{address}"),
            Self::Unix(path) => write!(f, "unix:{path}"),
        }
    }
}

/// Whether the settings fit together, as far as it can be told without the network.
///
/// # Errors
/// [`Usage`] where they don't.
pub(in crate::cmd) fn check(settings: &Settings) -> anyhow::Result<()> {
    tls::check(settings)?;
    proxies(settings)?;
    let has_certificate = settings.dev_tls || settings.tls_cert.is_some();
    for listen in &settings.listen {
        let Listen::Tcp { address, speaks } = listen else { continue };
        if *speaks == Speaks::Https && !has_certificate {
            return Err(Usage(format!(
                "--listen {listen} needs a certificate: name it with --tls-cert and --tls-key"
            ))
            .into());
        }
        if let Ok(address) = address.parse() {
            refuse_strangers(settings, address)?;
        }
    }
    Ok(())
}

/// Listens on all addresses of the settings, and on what was inherited. Where sockets were, and
/// the settings name no address, they are all there is. Those from before a restart that the
/// settings do not name any more are closed.
///
/// # Errors
/// Where one can't be had, with what to do about it.
pub(in crate::cmd) async fn bind(
    settings: &Settings,
    mut inherited: Inherited,
) -> anyhow::Result<Bound> {
    check(settings)?;
    let certificate = tls::certificate(settings)?;
    let proxies = Arc::new(proxies(settings)?);
    let terms = Terms { certificate: certificate.as_ref(), proxies };
    let unnamed = settings.listen == Settings::default().listen;
    let wanted = if unnamed && !inherited.is_empty() { &[] } else { &settings.listen[..] };
    let is_ours = inherited.is_ours();
    let mut places = Vec::new();
    for listen in wanted {
        places.push(match listen {
            Listen::Tcp { address, speaks } => {
                let found = lookup_host(address).await;
                let found = found.with_context(|| format!("can't find {address}"))?;
                // A name may stand for an IPv4 and an IPv6 address; the first is what clients
                // take.
                let first = found.into_iter().next();
                let address = first.with_context(|| format!("can't find {address}"))?;
                refuse_strangers(settings, address)?;
                let listener = match inherited.tcp(address) {
                    Some(listener) => TcpListener::from_std(listener)?,
                    None => listen_on(address).map_err(|error| explain(address, &error))?,
                };
                terms.tcp(listener, *speaks)?
            }
            Listen::Unix(path) => match inherited.unix(path) {
                Some(listener) => {
                    let file = if is_ours { SocketFile::of(path).ok() } else { None };
                    terms.unix(listener, path, file)?
                }
                None => {
                    let (listener, file) = unix::listen(path, settings.socket_mode)?;
                    terms.unix(listener, path, Some(file))?
                }
            },
        });
    }
    for socket in inherited.rest() {
        if is_ours && !unnamed {
            continue;
        }
        places.push(match socket {
            Socket::Tcp(listener) => {
                let address = listener.local_addr().context("an inherited socket")?;
                refuse_strangers(settings, address)?;
                terms.tcp(TcpListener::from_std(listener)?, Speaks::Either)?
            }
            Socket::Unix(listener) => {
                let path = inherited::path(&listener).unwrap_or_default();
                terms.unix(listener, &path, None)?
            }
        });
    }
    Ok(Bound { places, certificate })
}

/// What all places have in common.
struct Terms<'a> {
    certificate: Option<&'a Certificate>,
    proxies: Arc<Proxies>,
}

impl Terms<'_> {
    fn tcp(&self, listener: TcpListener, speaks: Speaks) -> anyhow::Result<Place> {
        let address = listener.local_addr().context("a listener has no address")?;
        let listener = Listener::from(listener).behind(Arc::clone(&self.proxies));
        let certificate = self.certificate.filter(|_| speaks != Speaks::Http);
        let Some(certificate) = certificate else {
            return Ok(Place { listener, name: Name::Http(address), file: None });
        };
        if certificate.dev.is_some() && !is_loopback(address.ip()) {
            return Err(Usage(format!(
                "--dev-tls is for this machine, and {address} reaches beyond it: get a certificate \
                 that others can check, and name it with --tls-cert and --tls-key"
            ))
            .into());
        }
        let listener = listener.with_tls(certificate.tls.clone());
        Ok(Place { listener, name: Name::Https(address), file: None })
    }

    fn unix(
        &self,
        listener: std::os::unix::net::UnixListener,
        path: &Path,
        file: Option<SocketFile>,
    ) -> anyhow::Result<Place> {
        let listener = Listener::from(UnixListener::from_std(listener)?);
        let listener = listener.behind(Arc::clone(&self.proxies));
        Ok(Place { listener, name: Name::Unix(path.display().to_string()), file })
    }
}

fn proxies(settings: &Settings) -> anyhow::Result<Proxies> {
    let proxies = Proxies::parse(settings.trusted_proxies.iter().map(String::as_str))?;
    match settings.proxy_protocol {
        false => Ok(proxies),
        true if proxies.is_empty() => Err(Usage(
            "proxy-protocol is taken from trusted proxies alone: name them with --trusted-proxies \
             (TIDINGS_TRUSTED_PROXIES), such as 10.0.0.0/8"
                .into(),
        )
        .into()),
        true => Ok(proxies.with_protocol()),
    }
}

/// Without keys, anybody who reaches the hub can publish: that has to be said aloud.
fn refuse_strangers(settings: &Settings, address: SocketAddr) -> Result<(), Usage> {
    let checks_tokens = settings.access().has_keys();
    if checks_tokens || settings.allow_anonymous_publish || is_loopback(address.ip()) {
        return Ok(());
    }
    Err(Usage(format!(
        "--listen {address} reaches beyond this machine, and anybody who can reach it could \
         publish: have tokens checked with --jwt-key, --jwks-url or --api-keys, listen on 127.0.0.1 \
         behind a proxy that says who may, or add --allow-anonymous-publish \
         (TIDINGS_ALLOW_ANONYMOUS_PUBLISH=true) if anybody may"
    )))
}

fn is_loopback(ip: IpAddr) -> bool {
    // ::ffff:127.0.0.1 is 127.0.0.1.
    ip.to_canonical().is_loopback()
}

fn listen_on(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Connections of the process before this one may still linger on the port.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn explain(address: SocketAddr, error: &io::Error) -> anyhow::Error {
    let port = address.port();
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            ": is another tidings running? Stop what has the port (ss -ltnp 'sport = :{port}' \
             shows it), or choose another with --listen {}",
            SocketAddr::new(address.ip(), port.checked_add(1).unwrap_or(3000))
        ),
        io::ErrorKind::PermissionDenied if port < 1024 => {
            ": ports below 1024 are root's: choose another with --listen".into()
        }
        io::ErrorKind::AddrNotAvailable => ": this machine does not have that address".into(),
        _ => String::new(),
    };
    anyhow!("can't listen on {address}: {error}{advice}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_beyond_this_machine_need_a_word() {
        for (address, here) in [
            ("127.0.0.1:3000", true),
            ("127.9.9.9:0", true),
            ("[::1]:3000", true),
            ("[::ffff:127.0.0.1]:3000", true),
            ("localhost:3000", true),
            ("0.0.0.0:3000", false),
            ("[::]:3000", false),
            ("10.0.0.1:3000", false),
            ("[::ffff:10.0.0.1]:3000", false),
        ] {
            let listen = vec![Listen::parse(address).unwrap()];
            let mut settings = Settings { listen, ..Settings::default() };
            assert_eq!(check(&settings).is_ok(), here, "{address}");
            let keys = Settings::default();
            let mut keys = Settings { listen: settings.listen.clone(), ..keys };
            keys.access.api_keys = Some("keys.toml".into());
            assert!(check(&keys).is_ok());
            settings.allow_anonymous_publish = true;
            assert!(check(&settings).is_ok());
        }
    }

    #[test]
    fn what_does_not_fit_together_says_what_to_do() {
        let listen = vec![Listen::parse("https://127.0.0.1:0").unwrap()];
        let settings = Settings { listen, ..Settings::default() };
        assert!(check(&settings).unwrap_err().to_string().contains("--tls-cert"));
        let settings = Settings { proxy_protocol: true, ..Settings::default() };
        assert!(check(&settings).unwrap_err().to_string().contains("--trusted-proxies"));
        let trusted_proxies = vec!["unix".into()];
        assert!(check(&Settings { trusted_proxies, ..settings }).is_ok());
    }
}
