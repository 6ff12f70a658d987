//! The head of an HTTP/1.1 response.
//! Knows nothing of what follows it but how its length is told.

use super::Malformed;

/// A head is no longer than this.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// How long the body is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Length {
    /// In chunks.
    Chunked,
    /// So many bytes.
    Known(usize),
    /// Until the connection ends.
    UntilClose,
}

/// A response's head.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// How long the body is.
    pub length: Length,
    /// Whether the connection ends with this answer.
    pub closes: bool,
    /// Bytes of the head, the blank line included.
    pub bytes: usize,
}

/// Reads the head at the beginning of `input`. `None`: more has to come.
///
/// # Errors
/// Where it is none.
pub fn parse(input: &[u8]) -> Result<Option<Head>, Malformed> {
    let Some(end) = memchr::memmem::find(input, b"\r\n\r\n") else {
        let too_long = input.len() > HEAD_BYTES_MAX;
        return if too_long { Err(Malformed("the head has no end")) } else { Ok(None) };
    };
    let text = std::str::from_utf8(&input[..end]).map_err(|_| Malformed("the head is no text"))?;
    let mut lines = text.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.strip_prefix("HTTP/1.1 "))
        .and_then(|line| line.get(..3)?.parse().ok())
        .ok_or(Malformed("the answer is no HTTP/1.1"))?;
    let mut length = Length::UntilClose;
    let mut closes = false;
    for line in lines {
        let (name, value) = line.split_once(':').ok_or(Malformed("a header has no colon"))?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("transfer-encoding") {
            if !value.eq_ignore_ascii_case("chunked") {
                return Err(Malformed("a coding other than chunked"));
            }
            length = Length::Chunked;
        } else if name.eq_ignore_ascii_case("content-length") {
            let bytes = value.parse().map_err(|_| Malformed("content-length is no number"))?;
            length = Length::Known(bytes);
        } else if name.eq_ignore_ascii_case("connection") {
            closes = value.eq_ignore_ascii_case("close");
        }
    }
    Ok(Some(Head { status, length, closes, bytes: end + 4 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_says_how_it_went_and_how_long_the_body_is() {
        let head = |text: &str| parse(text.as_bytes()).unwrap().unwrap();
        let ok = head("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n");
        assert_eq!((ok.status, ok.length, ok.bytes), (200, Length::Chunked, 47));
        let known = head("HTTP/1.1 503 Service Unavailable\r\ncontent-length:12\r\n\r\n");
        assert_eq!((known.status, known.length), (503, Length::Known(12)));
        assert!(!known.closes && head("HTTP/1.1 200 OK\r\nconnection: Close\r\n\r\n").closes);
        assert_eq!(head("HTTP/1.1 200\r\n\r\n").length, Length::UntilClose);
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\nA: b\r\n"), Ok(None));
    }

    #[test]
    fn what_is_no_head_is_found_out() {
        for text in [
            "HTTP/1.0 200 OK\r\n\r\n",
            "HTTP/1.1 x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(parse(&[b'x'; HEAD_BYTES_MAX + 1]).is_err());
    }
}
