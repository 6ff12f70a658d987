//! What a proxy says in front of a connection: the PROXY protocol, versions 1 and 2.
//! Knows nothing of whether it may be believed.
//!
//! <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>

use std::io;
use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use ppp::{HeaderResult, PartialResult as _, v1, v2};
use tidings_core::limits::PROXY_HEADER_BYTES_MAX;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// A header of version 1 at most, its line end among it.
const LINE_BYTES_MAX: usize = 107;

/// What the header says.
#[derive(Debug)]
pub(super) struct Introduced {
    /// Who connected to the proxy; `None`: the proxy itself, or it does not say.
    pub(super) address: Option<SocketAddr>,
    /// What was read behind the header.
    pub(super) rest: Bytes,
}

/// Reads a connection's header. What was read is lost where it fails or is dropped.
///
/// # Errors
/// Where the connection does not begin with a header, or ends within it.
pub(super) async fn introduce(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Introduced> {
    let mut read = BytesMut::with_capacity(256);
    loop {
        if stream.read_buf(&mut read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let header = HeaderResult::parse(&read);
        if header.is_complete() && !is_begun_line(&read) {
            let (address, bytes) = understand(header)?;
            let rest = read.split_off(bytes).freeze();
            return Ok(Introduced { address, rest });
        }
        if read.len() >= PROXY_HEADER_BYTES_MAX {
            return Err(invalid(format!(
                "the PROXY header has more than {PROXY_HEADER_BYTES_MAX} bytes"
            )));
        }
    }
}

/// Whether more may make a header of version 1 of it. The parser takes some that end within a
/// number for wrong.
fn is_begun_line(read: &[u8]) -> bool {
    read.starts_with(v1::PROTOCOL_PREFIX.as_bytes())
        && read.len() < LINE_BYTES_MAX
        && !read.contains(&b'\n')
}

/// The client's address, and the length of the header.
fn understand(header: HeaderResult<'_>) -> io::Result<(Option<SocketAddr>, usize)> {
    match header {
        HeaderResult::V1(header) => {
            let header = header.map_err(|error| {
                invalid(format!("no PROXY header, and proxy-protocol is on: {error}"))
            })?;
            let address = match header.addresses {
                v1::Addresses::Unknown => None,
                v1::Addresses::Tcp4(ends) => Some((ends.source_address, ends.source_port).into()),
                v1::Addresses::Tcp6(ends) => Some((ends.source_address, ends.source_port).into()),
            };
            Ok((address, header.header.len()))
        }
        HeaderResult::V2(header) => {
            let header = header.map_err(|error| invalid(error.to_string()))?;
            let address = match (header.command, header.addresses) {
                // The proxy's own connection, to see whether we are alive.
                (v2::Command::Local, _) => None,
                (v2::Command::Proxy, v2::Addresses::IPv4(ends)) => {
                    Some((ends.source_address, ends.source_port).into())
                }
                (v2::Command::Proxy, v2::Addresses::IPv6(ends)) => {
                    Some((ends.source_address, ends.source_port).into())
                }
                (v2::Command::Proxy, v2::Addresses::Unix(_) | v2::Addresses::Unspecified) => None,
            };
            Ok((address, header.len()))
        }
    }
}

fn invalid(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    /// Sends the bytes in pieces of this size; gives address and rest.
    async fn introduced(bytes: &[u8], piece: usize) -> io::Result<(String, Vec<u8>)> {
        let (mut client, mut server) = tokio::io::duplex(piece);
        let bytes = bytes.to_vec();
        tokio::spawn(async move { client.write_all(&bytes).await });
        let introduced = introduce(&mut server).await?;
        let mut rest = introduced.rest.to_vec();
        server.read_to_end(&mut rest).await?;
        let address = introduced.address.map_or("-".into(), |address| address.to_string());
        Ok((address, rest))
    }

    async fn check(header: &[u8], expected: &str) {
        let bytes = [header, b"GET / HTTP/1.1\r\n"].concat();
        for piece in [1, 7, 4096] {
            let (address, rest) = introduced(&bytes, piece).await.unwrap();
            assert_eq!(address, expected, "{piece}");
            assert_eq!(rest, b"GET / HTTP/1.1\r\n", "{piece}");
        }
    }

    fn version_2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let length = u16::try_from(addresses.len()).unwrap().to_be_bytes();
        [v2::PROTOCOL_PREFIX, &[0x20 | command, family], &length, addresses].concat()
    }

    #[tokio::test]
    async fn both_versions_tell_who_it_is_and_take_nothing_else() {
        let four = b"PROXY TCP4 198.51.100.7 10.0.0.1 4711 443\r\n";
        check(four, "198.51.100.7:4711").await;
        check(b"PROXY TCP6 2001:db8::1 fd00::1 4711 443\r\n", "[2001:db8::1]:4711").await;
        check(b"PROXY UNKNOWN\r\n", "-").await;
        let addresses = [198, 51, 100, 7, 10, 0, 0, 1, 0x12, 0x67, 1, 187];
        check(&version_2(1, 0x11, &addresses), "198.51.100.7:4711").await;
        // What a proxy adds (TLVs) is passed over.
        let more = [&addresses[..], &[4, 0, 3, 0, 0, 0]].concat();
        check(&version_2(1, 0x11, &more), "198.51.100.7:4711").await;
        check(&version_2(0, 0x00, &[]), "-").await;
    }

    #[tokio::test]
    async fn anything_else_is_an_error() {
        for bytes in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            b"PROXY TCP4 198.51.100.7",
            b"PROXY TCP4 x y 1 2\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
            b"",
            &version_2(1, 0x11, &[1, 2, 3]),
        ] {
            assert!(introduced(bytes, 4096).await.is_err(), "{bytes:?}");
        }
        let endless = version_2(1, 0x11, &[0; 60_000]);
        assert!(introduced(&endless, 1024).await.is_err());
    }

    proptest! {
        #[test]
        fn whatever_comes_does_no_harm(
            begun in proptest::sample::select(vec![&b""[..], &b"PROXY TCP4 "[..], v2::PROTOCOL_PREFIX]),
            more in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let _ = runtime.block_on(introduced(&[begun, &more].concat(), 64));
        }
    }
}
