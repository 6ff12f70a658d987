//! The part of a path that names a topic or a selector.
//! Knows nothing of which texts those are.

use axum::http::Uri;
use percent_encoding::percent_decode_str;

/// Why the path names nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum PathError {
    /// Nothing after `/topics/`.
    #[error("name a topic after /topics/, such as /topics/demo")]
    Empty,
    /// What is percent-encoded there is no text.
    #[error("the topic in the path is not UTF-8 when it is percent-decoded")]
    NotUtf8,
}

/// All that follows `/topics/`, percent-decoded. Nothing is normalised: `..`, `//` and `%2F` are
/// parts of a name like others, as a topic is no file. A `%` without two hexadecimal digits
/// stands for itself, as in URLs that browsers write.
pub(crate) fn name(uri: &Uri) -> Result<String, PathError> {
    let rest = uri.path().strip_prefix("/topics/").unwrap_or_default();
    if rest.is_empty() {
        return Err(PathError::Empty);
    }
    let name = percent_decode_str(rest).decode_utf8().map_err(|_| PathError::NotUtf8)?;
    Ok(name.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expected: Result<&str, PathError>) {
        let uri: Uri = path.parse().unwrap();
        assert_eq!(name(&uri).as_deref(), expected.as_ref().copied(), "{path}");
    }

    #[test]
    fn a_name_is_taken_as_it_stands() {
        check("/topics/demo", Ok("demo"));
        check("/topics/orders/42", Ok("orders/42"));
        check("/topics/orders%2F42", Ok("orders/42"));
        check("/topics/a%20b+c", Ok("a b+c"));
        check("/topics/%C3%BC", Ok("ü"));
        check("/topics/a?event=b", Ok("a"));
        check("/topics//", Ok("/"));
        check("/topics/a/", Ok("a/"));
        check("/topics/orders/%7Bid%7D", Ok("orders/{id}"));
    }

    #[test]
    fn tricks_with_dots_and_escapes_stay_names() {
        check("/topics/../healthz", Ok("../healthz"));
        check("/topics/%2e%2e/x", Ok("../x"));
        check("/topics/%252e", Ok("%2e"));
        check("/topics/100%", Ok("100%"));
        check("/topics/%zz", Ok("%zz"));
        // Refused by the topic's own rules, not here.
        check("/topics/a%00", Ok("a\0"));
    }

    #[test]
    fn what_is_no_text_is_refused() {
        check("/topics/", Err(PathError::Empty));
        check("/topics", Err(PathError::Empty));
        check("/topics/%ff", Err(PathError::NotUtf8));
        check("/topics/%C3", Err(PathError::NotUtf8));
        // Overlong forms of "/" and NUL, a surrogate, and what is beyond Unicode.
        for path in ["%C0%AF", "%C0%80", "%E0%80%AF", "%ED%A0%80", "%F4%90%80%80"] {
            check(&format!("/topics/{path}"), Err(PathError::NotUtf8));
        }
    }
}
