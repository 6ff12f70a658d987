//! Takes the addresses to listen on, and refuses those that would be open to strangers.
//! Knows nothing of what is served there.

use std::io;
use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, anyhow};
use tokio::net::{TcpListener, TcpSocket, lookup_host};

use crate::exit::Usage;
use crate::settings::Settings;

/// Connections that wait to be accepted: a crowd that comes back at once. The system may allow
/// less.
const BACKLOG: u32 = 4096;

/// Whether the settings fit together, as far as it can be told without the network.
///
/// # Errors
/// [`Usage`] where they don't.
pub(in crate::cmd) fn check(settings: &Settings) -> anyhow::Result<()> {
    for address in &settings.listen {
        if let Ok(address) = address.parse() {
            refuse_strangers(settings, address)?;
        }
    }
    Ok(())
}

/// Listens on all addresses of the settings.
///
/// # Errors
/// Where one can't be had, with what to do about it.
pub(in crate::cmd) async fn bind(settings: &Settings) -> anyhow::Result<Vec<TcpListener>> {
    check(settings)?;
    let mut listeners = Vec::new();
    for name in &settings.listen {
        let found = lookup_host(name).await.with_context(|| format!("can't find {name}"))?;
        // A name may stand for an IPv4 and an IPv6 address; the first is what clients take.
        let address = found.into_iter().next().with_context(|| format!("can't find {name}"))?;
        refuse_strangers(settings, address)?;
        listeners.push(listen(address).map_err(|error| explain(address, &error))?);
    }
    Ok(listeners)
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

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
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
            let mut settings = Settings { listen: vec![address.into()], ..Settings::default() };
            assert_eq!(check(&settings).is_ok(), here, "{address}");
            let keys = Settings::default();
            let mut keys = Settings { listen: settings.listen.clone(), ..keys };
            keys.access.api_keys = Some("keys.toml".into());
            assert!(check(&keys).is_ok());
            settings.allow_anonymous_publish = true;
            assert!(check(&settings).is_ok());
        }
    }
}
