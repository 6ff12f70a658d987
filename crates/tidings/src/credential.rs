//! What a client command shows to a hub: a token or an API key, and where it is kept.
//! Knows nothing of what stands in it.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, ensure};
use reqwest::header::HeaderValue;
use tidings_core::limits::TOKEN_BYTES_MAX;

/// A text that only its user sees: not logs, not errors, not `Debug`.
#[derive(Clone, Default, Eq, PartialEq)]
pub(crate) struct Secret(String);

impl Secret {
    /// The text.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "(none)" } else { "(hidden)" })
    }
}

/// Where a token or an API key is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) enum Credential {
    /// In a file, which may get a new one at any time.
    File(PathBuf),
    /// Nowhere: the client is anonymous.
    #[default]
    None,
    /// Here.
    Text(Secret),
}

impl Credential {
    /// Reads one as it was set; an empty text is none.
    ///
    /// # Errors
    /// Where it can't be one, in a sentence that does not show it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text.trim() {
            "" => Ok(Self::None),
            text => checked(text).map(|text| Self::Text(text.to_owned().into())),
        }
    }

    /// The same, once it was seen to be there. What a pipe gives (`--token-file <(…)`) comes once
    /// only, so it is kept.
    ///
    /// # Errors
    /// As [`Self::token`].
    pub(crate) fn settled(&self) -> anyhow::Result<Self> {
        let token = self.token()?;
        match (self, token) {
            (Self::File(path), Some(token)) if !path.is_file() => Ok(Self::Text(token)),
            _ => Ok(self.clone()),
        }
    }

    /// What to send, as it is now. A file is read again each time, so that a renewed token
    /// counts from the next request on.
    ///
    /// # Errors
    /// Where the file can't be read, or holds none.
    pub(crate) fn token(&self) -> anyhow::Result<Option<Secret>> {
        match self {
            Self::None => Ok(None),
            Self::Text(text) => Ok(Some(text.clone())),
            Self::File(path) => read(path).map(Some),
        }
    }

    /// The value of the header `Authorization`, marked so that nobody logs it.
    ///
    /// # Errors
    /// As [`Self::token`].
    pub(crate) fn authorization(&self) -> anyhow::Result<Option<HeaderValue>> {
        let Some(token) = self.token()? else { return Ok(None) };
        let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose()))
            .map_err(|_| anyhow!("the token can't stand in a header"))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

fn read(path: &Path) -> anyhow::Result<Secret> {
    let shown = path.display();
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(TOKEN_BYTES_MAX as u64 + 1).read_to_string(&mut text))
        .with_context(|| format!("can't read the token file {shown}"))?;
    let token = text.trim();
    ensure!(!token.is_empty(), "the token file {shown} is empty");
    match checked(token) {
        Ok(token) => Ok(token.to_owned().into()),
        Err(problem) => Err(anyhow!("the token file {shown}: {problem}")),
    }
}

/// The characters of RFC 6750, section 2.1; whatever else is there is a mistake, and some of it
/// would be a header of its own.
fn checked(token: &str) -> Result<&str, String> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(format!("a token has at most {TOKEN_BYTES_MAX} bytes"));
    }
    if token.contains(char::is_whitespace) {
        return Err("a token is one word: give it alone, without \"Bearer\"".into());
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    if !token.bytes().all(allowed) {
        return Err("a token is made of letters, digits and -._~+/= only".into());
    }
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_word() {
        let text = |text: &str| Ok(Credential::Text(text.to_owned().into()));
        assert_eq!(Credential::parse(" a.b-c_d\n"), text("a.b-c_d"));
        assert_eq!(Credential::parse(""), Ok(Credential::None));
        for wrong in ["Bearer s3cret", "s3cret\r\nx: y", "s3crät", "s3cret\0", &"s".repeat(9000)] {
            let problem = Credential::parse(wrong).unwrap_err();
            assert!(!problem.contains("s3cr"), "{problem}");
        }
    }

    #[test]
    fn a_file_is_read_again_each_time() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        let credential = Credential::File(path.clone());
        let token = || credential.token().map(|token| token.unwrap().expose().to_owned());
        assert!(token().unwrap_err().to_string().contains("can't read the token file"));
        for expected in ["one", "two"] {
            std::fs::write(&path, format!("{expected}\n")).unwrap();
            assert_eq!(token().unwrap(), expected);
        }
        std::fs::write(&path, "\n").unwrap();
        assert!(token().unwrap_err().to_string().contains("is empty"));
        std::fs::write(&path, "two words").unwrap();
        let error = token().unwrap_err().to_string();
        assert!(error.contains("one word") && !error.contains("words"), "{error}");
    }

    #[test]
    fn nobody_sees_it() {
        let credential = Credential::parse("s3cret").unwrap();
        assert!(!format!("{credential:?}").contains("s3cret"));
        let value = credential.authorization().unwrap().unwrap();
        assert_eq!(value, "Bearer s3cret");
        assert!(!format!("{value:?}").contains("s3cret"));
    }
}
