//! Which proxies are believed, and what then counts as the client's address.
//! Knows nothing of how headers are written: `forwarded` does.

use std::net::IpAddr;

use axum::http::{HeaderMap, header};
use ipnet::IpNet;
use tidings_core::limits::FORWARDED_HOPS_MAX;

use super::forwarded::{self, Hop};
use super::{ClientAddress, Peer, Transport};

/// The proxies that are believed when they tell who their client is. The default is none.
///
/// The client is the rightmost address in `Forwarded` (RFC 7239) or `X-Forwarded-For` that is not
/// a trusted proxy's: what stands further left is only what that client claims. Where both headers
/// are there and disagree, a proxy passes one of them on without knowing it, and neither is
/// believed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Proxies {
    networks: Vec<IpNet>,
    unix: bool,
    protocol: bool,
}

/// A text that names no proxy.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "\"{text}\" is no proxy: write an IP address (10.0.0.7), a network (10.0.0.0/8, fd00::/8), or \
     unix for whoever connects by a Unix socket"
)]
pub struct ProxiesError {
    text: String,
}

impl Proxies {
    /// Those in a list of addresses, networks, and `unix`.
    ///
    /// # Errors
    /// The first text that is none of these.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, ProxiesError> {
        let mut proxies = Self::default();
        for text in texts {
            let text = text.trim();
            if text == "unix" {
                proxies.unix = true;
            } else if let Ok(network) = text.parse::<IpNet>() {
                proxies.networks.push(network.trunc());
            } else if let Ok(ip) = text.parse::<IpAddr>() {
                proxies.networks.push(ip.to_canonical().into());
            } else {
                return Err(ProxiesError { text: text.into() });
            }
        }
        Ok(proxies)
    }

    /// These, each of whose connections begins with a PROXY protocol header.
    #[must_use]
    pub fn with_protocol(self) -> Self {
        Self { protocol: true, ..self }
    }

    /// Whether nobody is believed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty() && !self.unix
    }

    /// Whether a connection of this peer has to begin with a PROXY protocol header.
    pub(crate) fn sends_protocol(&self, peer: &Peer) -> bool {
        self.protocol && self.trusts(peer)
    }

    /// Who made a request with these headers over a connection of this peer.
    #[must_use]
    pub fn client(&self, peer: &Peer, headers: &HeaderMap) -> ClientAddress {
        let ip = peer.address.map(|address| address.ip().to_canonical());
        let secure = peer.transport == Transport::Tls;
        let near = ClientAddress { ip, secure, transport: peer.transport };
        if !self.trusts(peer) {
            return near;
        }
        let hops = |name| self.rightmost(forwarded::hops(headers, name));
        let found = match (hops(&header::FORWARDED), hops(&forwarded::X_FORWARDED_FOR)) {
            (Some(standard), Some(usual)) if standard.ip != usual.ip => None,
            (Some(standard), _) => Some(standard),
            (None, usual) => usual,
        };
        let ip = found.and_then(|hop| hop.ip).or(ip);
        let secure =
            secure || found.is_some_and(|hop| hop.secure) || forwarded::proto_is_https(headers);
        ClientAddress { ip, secure, ..near }
    }

    /// Whether the peer is one of them.
    pub(crate) fn trusts(&self, peer: &Peer) -> bool {
        match peer.address {
            Some(address) => self.trusts_ip(address.ip().to_canonical()),
            None => self.unix,
        }
    }

    fn trusts_ip(&self, ip: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&ip))
    }

    /// The first hop from the right that is no trusted proxy; where all are, the leftmost. `None`:
    /// there is none, or none that can be read before it.
    fn rightmost(&self, hops: impl Iterator<Item = Hop>) -> Option<Hop> {
        let mut found = None;
        for hop in hops.take(FORWARDED_HOPS_MAX) {
            // A name, or "unknown": the proxy that wrote it is the last that can be told.
            let Some(ip) = hop.ip else { break };
            found = Some(hop);
            if !self.trusts_ip(ip) {
                break;
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn peer(address: &str) -> Peer {
        match address {
            "unix" => Peer { address: None, transport: Transport::Unix },
            ip => {
                let ip: IpAddr = ip.parse().unwrap();
                Peer { address: Some((ip, 4711).into()), transport: Transport::Tcp }
            }
        }
    }

    /// The client's address, or `-`, and `+` where it speaks TLS.
    #[track_caller]
    fn check(trusted: &[&str], from: &str, lines: &[(&str, &str)], expected: &str) {
        let proxies = Proxies::parse(trusted.iter().copied()).unwrap();
        let client = proxies.client(&peer(from), &headers(lines));
        let ip = client.ip.map_or("-".to_owned(), |ip| ip.to_string());
        let secure = if client.secure { "+" } else { "" };
        assert_eq!(format!("{ip}{secure}"), expected, "{trusted:?} {from} {lines:?}");
    }

    const USUAL: &str = "x-forwarded-for";
    const STANDARD: &str = "forwarded";

    #[test]
    fn nobody_is_believed_unasked() {
        check(&[], "192.0.2.1", &[(USUAL, "198.51.100.7")], "192.0.2.1");
        check(&["10.0.0.0/8"], "192.0.2.1", &[(USUAL, "198.51.100.7")], "192.0.2.1");
        check(&["10.0.0.0/8"], "192.0.2.1", &[("x-forwarded-proto", "https")], "192.0.2.1");
        check(&[], "unix", &[(USUAL, "198.51.100.7")], "-");
    }

    #[test]
    fn the_rightmost_address_that_is_not_trusted_wins() {
        let trusted = &["10.0.0.0/8", "fd00::/8"];
        check(trusted, "10.0.0.1", &[(USUAL, "198.51.100.7")], "198.51.100.7");
        check(trusted, "10.0.0.1", &[(USUAL, "1.1.1.1, 198.51.100.7, 10.9.9.9")], "198.51.100.7");
        let lines = &[(USUAL, "1.1.1.1"), (USUAL, "198.51.100.7,fd00::9")];
        check(trusted, "10.0.0.1", lines, "198.51.100.7");
        check(trusted, "::ffff:10.0.0.1", &[(USUAL, "::ffff:198.51.100.7")], "198.51.100.7");
        // All of them ours: the one that is farthest away.
        check(trusted, "10.0.0.1", &[(USUAL, "10.2.0.1, 10.3.0.1")], "10.2.0.1");
        check(trusted, "10.0.0.1", &[], "10.0.0.1");
        check(&["unix"], "unix", &[(USUAL, "198.51.100.7")], "198.51.100.7");
    }

    #[test]
    fn what_cannot_be_read_ends_the_search() {
        let trusted = &["10.0.0.0/8"];
        check(trusted, "10.0.0.1", &[(USUAL, "198.51.100.7, unknown")], "10.0.0.1");
        check(trusted, "10.0.0.1", &[(USUAL, "198.51.100.7, unknown, 10.0.0.2")], "10.0.0.2");
        check(trusted, "10.0.0.1", &[(USUAL, "")], "10.0.0.1");
        check(trusted, "10.0.0.1", &[(STANDARD, "for=_hidden")], "10.0.0.1");
        let many = "10.0.0.2,".repeat(100) + "10.0.0.3";
        check(trusted, "10.0.0.1", &[(USUAL, &format!("198.51.100.7,{many}"))], "10.0.0.2");
    }

    #[test]
    fn two_headers_that_disagree_are_both_dropped() {
        let trusted = &["10.0.0.0/8"];
        let agree = &[(USUAL, "198.51.100.7"), (STANDARD, "for=198.51.100.7;proto=https")];
        check(trusted, "10.0.0.1", agree, "198.51.100.7+");
        let disagree = &[(USUAL, "198.51.100.7"), (STANDARD, "for=203.0.113.9;proto=https")];
        check(trusted, "10.0.0.1", disagree, "10.0.0.1");
    }

    #[test]
    fn trusted_proxies_say_whether_their_client_spoke_tls() {
        let trusted = &["10.0.0.0/8"];
        check(trusted, "10.0.0.1", &[("x-forwarded-proto", "https")], "10.0.0.1+");
        check(trusted, "10.0.0.1", &[("x-forwarded-proto", "https, http")], "10.0.0.1");
        let lines = &[(STANDARD, "for=1.1.1.1;proto=https, for=198.51.100.7;proto=http")];
        check(trusted, "10.0.0.1", lines, "198.51.100.7");
    }

    #[test]
    fn texts_that_name_no_proxy_are_refused() {
        for text in ["", "proxy.example", "10.0.0.0/33", "10.0.0.1:80", "*"] {
            assert_eq!(Proxies::parse([text]), Err(ProxiesError { text: text.into() }));
        }
        assert!(Proxies::parse([]).unwrap().is_empty());
        assert!(!Proxies::parse(["unix"]).unwrap().is_empty());
    }
}
