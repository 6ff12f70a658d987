//! Whom limits count by. Knows nothing of what is counted.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

/// Whom a limit counts by: an address on the network, or whoever showed a token or an API key.
#[derive(Clone, Eq, Hash, PartialEq)]
pub enum Client {
    /// An IPv4 address, or an IPv6 network of 64 bits: whoever has one address of it has them all
    /// (RFC 4291, section 2.5.4).
    Address(IpAddr),
    /// The name in a token or of an API key.
    Subject(Arc<str>),
}

impl Client {
    /// The client that a client at this address is. `None` for the machine itself: it has nothing
    /// to fear from its own programs, and a proxy that runs there stands for everybody.
    #[must_use]
    pub fn of(address: IpAddr) -> Option<Self> {
        match address.to_canonical() {
            address if address.is_loopback() => None,
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                Some(Self::Address(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()))
            }
            v4 @ IpAddr::V4(_) => Some(Self::Address(v4)),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Subject(name) => name.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_64_bits_is_one_source() {
        let check = |address: &str, expected: Option<&str>| {
            let client = Client::of(address.parse().unwrap());
            let expected = expected.map(|text| Client::Address(text.parse().unwrap()));
            assert_eq!(client, expected, "{address}");
        };
        check("192.0.2.7", Some("192.0.2.7"));
        check("::ffff:192.0.2.7", Some("192.0.2.7"));
        check("2001:db8:1:2:3:4:5:6", Some("2001:db8:1:2::"));
        check("2001:db8:1:3::", Some("2001:db8:1:3::"));
        check("127.0.0.1", None);
        check("127.8.8.8", None);
        check("::1", None);
        check("::ffff:127.0.0.1", None);
    }
}
