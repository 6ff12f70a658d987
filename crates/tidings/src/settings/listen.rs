//! The addresses to listen on, as an operator writes them.
//! Knows nothing of sockets.

use std::fmt;
use std::path::PathBuf;

/// One address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Listen {
    /// `HOST:PORT`, alone or behind what is spoken there.
    Tcp { address: String, speaks: Speaks },
    /// `unix:PATH`.
    Unix(PathBuf),
}

/// What is spoken at an address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Speaks {
    /// TLS where there is a certificate.
    Either,
    Http,
    Https,
}

impl Speaks {
    fn scheme(self) -> &'static str {
        match self {
            Self::Either => "",
            Self::Http => "http://",
            Self::Https => "https://",
        }
    }
}

impl Listen {
    /// # Errors
    /// Where it is no address, in a sentence that shows some.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text.strip_prefix("unix:") {
            Some("") => return Err(format!("\"{text}\" names no file: write unix:PATH")),
            Some(path) => return Ok(Self::Unix(path.into())),
            None => {}
        }
        let schemes = [Speaks::Http, Speaks::Https];
        let written = |speaks: Speaks| Some((text.strip_prefix(speaks.scheme())?, speaks));
        let (address, speaks) =
            schemes.into_iter().find_map(written).unwrap_or((text, Speaks::Either));
        let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
        // An IPv6 address without brackets would lose its last part to the port.
        let bracketed = host.starts_with('[') && host.ends_with(']');
        let plain = !host.is_empty() && (bracketed || !host.contains([':', '/']));
        if plain && port.parse::<u16>().is_ok() {
            return Ok(Self::Tcp { address: address.into(), speaks });
        }
        Err(format!(
            "\"{text}\" is no address: write HOST:PORT, such as 127.0.0.1:3000 or [::1]:3000, or \
             unix:PATH"
        ))
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { address, speaks } => write!(f, "{}{address}", speaks.scheme()),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written_alike() {
        for (text, speaks) in [
            ("127.0.0.1:3000", Some(Speaks::Either)),
            ("localhost:0", Some(Speaks::Either)),
            ("http://[::1]:80", Some(Speaks::Http)),
            ("https://hub.example:443", Some(Speaks::Https)),
            ("unix:/run/tidings/hub.sock", None),
            ("unix:./hub.sock", None),
        ] {
            let listen = Listen::parse(text).unwrap();
            assert_eq!(listen.to_string(), text);
            match (&listen, speaks) {
                (Listen::Tcp { speaks, .. }, Some(expected)) => assert_eq!(*speaks, expected),
                (Listen::Unix(_), None) => {}
                _ => panic!("{listen:?}"),
            }
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "3000",
            ":3000",
            "::1:3000",
            "127.0.0.1:99999",
            "127.0.0.1:3000/",
            "http://127.0.0.1",
            "https://:443",
            "ftp://127.0.0.1:21",
            "unix:",
        ] {
            assert!(Listen::parse(text).is_err(), "{text}");
        }
    }
}
