//! A certificate and its private key, as they stand in files, and what can be wrong with them.
//! Knows nothing of connections.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::sign::CertifiedKey;

/// A file that is larger holds something else.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// A certificate with those that vouch for it, and its private key.
#[derive(Clone)]
pub struct CertificatePair {
    key: Arc<CertifiedKey>,
    expires: Option<SystemTime>,
}

/// Why two files are no certificate with its key. Each sentence says what to do about it, and none
/// says anything of what is in the key.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// A file can't be read.
    #[error("can't read {}: {error}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file is far larger than any certificate.
    #[error("{} has more than {FILE_BYTES_MAX} bytes: it is no PEM file of ours", path.display())]
    TooLarge {
        /// Which.
        path: PathBuf,
    },
    /// What should be PEM is broken.
    #[error("{} is broken PEM: {error}", path.display())]
    Broken {
        /// Which file.
        path: PathBuf,
        /// Where.
        error: String,
    },
    /// There is no certificate where it should be.
    #[error(
        "{} has no certificate: it needs \"-----BEGIN CERTIFICATE-----\", your own first, then \
         those that vouch for it (often called fullchain.pem){}",
        path.display(),
        if *is_key { "; it has a private key, is it the tls-key?" } else { "" }
    )]
    NoCertificate {
        /// Which file.
        path: PathBuf,
        /// It has a private key instead.
        is_key: bool,
    },
    /// There is no private key where it should be.
    #[error(
        "{} has no private key: it needs \"-----BEGIN PRIVATE KEY-----\" (often called privkey.pem)",
        path.display()
    )]
    NoKey {
        /// Which file.
        path: PathBuf,
    },
    /// The private key is encrypted, and nobody is there to type its password.
    #[error(
        "the private key in {} is encrypted: write it without a password (openssl pkey -in {} \
         -out plain.pem), readable for this program alone",
        path.display(), path.display()
    )]
    Encrypted {
        /// Which file.
        path: PathBuf,
    },
    /// The private key is of a kind that TLS has no use for.
    #[error("the private key in {} can't be used: {error}", path.display())]
    Unusable {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: rustls::Error,
    },
    /// They are not each other's.
    #[error(
        "the private key in {} is not that of the first certificate in {}: name the two files that \
         belong together, and put your own certificate before those that vouch for it",
        key.display(), certificate.display()
    )]
    Mismatch {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
}

impl CertificatePair {
    /// Reads both from files, which may be the same.
    ///
    /// # Errors
    /// See [`PairError`].
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, PairError> {
        let chain = certificates(certificate, &contents(certificate)?)?;
        let private = private_key(key, &contents(key)?)?;
        let provider = aws_lc_rs::default_provider();
        let end = chain.first().map(|end| expires(end));
        let made = CertifiedKey::from_der(chain, private, &provider);
        let made = made.map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                PairError::Mismatch { certificate: certificate.into(), key: key.into() }
            }
            rustls::Error::InvalidCertificate(error) => {
                PairError::Broken { path: certificate.into(), error: error.to_string() }
            }
            error => PairError::Unusable { path: key.into(), error },
        })?;
        Ok(Self { key: Arc::new(made), expires: end.flatten() })
    }

    /// Those that were made in this process.
    ///
    /// # Errors
    /// Where they are not each other's, or of a kind that TLS has no use for.
    pub fn from_der(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, rustls::Error> {
        let expires = chain.first().and_then(|end| expires(end));
        let key = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())?;
        Ok(Self { key: Arc::new(key), expires })
    }

    /// When the certificate ends, where it can be told.
    #[must_use]
    pub fn expires(&self) -> Option<SystemTime> {
        self.expires
    }

    pub(super) fn into_key(self) -> Arc<CertifiedKey> {
        self.key
    }
}

impl fmt::Debug for CertificatePair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificatePair").field("expires", &self.expires).finish_non_exhaustive()
    }
}

fn contents(path: &Path) -> Result<Vec<u8>, PairError> {
    let unreadable = |error| PairError::Unreadable { path: path.into(), error };
    let length = std::fs::metadata(path).map_err(unreadable)?.len();
    if length > FILE_BYTES_MAX {
        return Err(PairError::TooLarge { path: path.into() });
    }
    std::fs::read(path).map_err(unreadable)
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, PairError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain =
        chain.map_err(|error| PairError::Broken { path: path.into(), error: error.to_string() })?;
    if chain.is_empty() {
        let is_key = PrivateKeyDer::from_pem_slice(pem).is_ok();
        return Err(PairError::NoCertificate { path: path.into(), is_key });
    }
    Ok(chain)
}

fn private_key(path: &Path, pem: &[u8]) -> Result<PrivateKeyDer<'static>, PairError> {
    let has = |text: &str| pem.windows(text.len()).any(|window| window == text.as_bytes());
    // The newer form says so in its name, the older one in a header.
    if has("BEGIN ENCRYPTED PRIVATE KEY") || has("Proc-Type: 4,ENCRYPTED") {
        return Err(PairError::Encrypted { path: path.into() });
    }
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => PairError::NoKey { path: path.into() },
        // Its text may quote what it could not read.
        _ => PairError::Broken { path: path.into(), error: "a section of it is damaged".into() },
    })
}

/// When a certificate ends. Asks for its validity at the end of time: the answer, "expired", says
/// since when. It is looked at before anything else, so that nobody has to vouch for it.
fn expires(certificate: &CertificateDer<'_>) -> Option<SystemTime> {
    let certificate = webpki::EndEntityCert::try_from(certificate).ok()?;
    let end_of_time = UnixTime::since_unix_epoch(Duration::from_secs(u64::from(u32::MAX) * 64));
    let usage = webpki::KeyUsage::server_auth();
    let verified = certificate.verify_for_usage(&[], &[], &[], end_of_time, usage, None, None);
    match verified.err()? {
        webpki::Error::CertExpired { not_after, .. } => {
            SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(not_after.as_secs()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};
    use tempfile::TempDir;

    use super::*;

    struct Files {
        directory: TempDir,
    }

    impl Files {
        fn path(&self, name: &str) -> PathBuf {
            self.directory.path().join(name)
        }

        fn write(&self, name: &str, text: &str) {
            std::fs::write(self.path(name), text).unwrap();
        }

        fn read(&self, certificate: &str, key: &str) -> Result<CertificatePair, String> {
            let read = CertificatePair::read(&self.path(certificate), &self.path(key));
            read.map_err(|error| error.to_string())
        }

        #[track_caller]
        fn wrong(&self, certificate: &str, key: &str, said: &str) {
            let error = self.read(certificate, key).unwrap_err();
            assert!(error.contains(said), "{error}");
            assert!(error.contains(".pem"), "names the file: {error}");
            assert!(!error.contains("MII"), "quotes no key: {error}");
        }
    }

    fn files() -> Files {
        let files = Files { directory: TempDir::new().unwrap() };
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".into()]).unwrap();
        params.not_after = date_time_ymd(2031, 2, 3);
        let certificate = params.self_signed(&key).unwrap();
        files.write("cert.pem", &certificate.pem());
        files.write("key.pem", &key.serialize_pem());
        files.write("both.pem", &(key.serialize_pem() + &certificate.pem()));
        files.write("other.pem", &KeyPair::generate().unwrap().serialize_pem());
        files
    }

    #[test]
    fn a_pair_is_read_and_tells_when_it_ends() {
        let files = files();
        for (certificate, key) in [("cert.pem", "key.pem"), ("both.pem", "both.pem")] {
            let pair = files.read(certificate, key).unwrap();
            let expires = pair.expires().unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap();
            // date -u -d 2031-02-03 +%s
            assert_eq!(expires.as_secs(), 1_927_843_200);
            let text = format!("{pair:?}");
            assert!(!text.contains("key"), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_what_to_do() {
        let files = files();
        files.wrong("none.pem", "key.pem", "can't read ");
        files.wrong("cert.pem", "none.pem", "can't read ");
        files.wrong("key.pem", "cert.pem", "is it the tls-key?");
        files.wrong("cert.pem", "cert.pem", "has no private key");
        files.wrong("cert.pem", "other.pem", "is not that of the first certificate");
        let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n\
                         -----END ENCRYPTED PRIVATE KEY-----\n";
        files.write("encrypted.pem", encrypted);
        files.wrong("cert.pem", "encrypted.pem", "openssl pkey -in ");
        files.write("empty.pem", "");
        files.wrong("empty.pem", "key.pem", "has no certificate");
        files.write("broken.pem", "-----BEGIN CERTIFICATE-----\nMII!\n");
        files.wrong("broken.pem", "key.pem", "broken PEM");
        let damaged = "-----BEGIN PRIVATE KEY-----\nMIIC!!!!\n-----END PRIVATE KEY-----\n";
        files.write("damaged.pem", damaged);
        files.wrong("cert.pem", "damaged.pem", "damaged");
        let nonsense = "-----BEGIN PRIVATE KEY-----\nMIIC\n-----END PRIVATE KEY-----\n";
        files.write("nonsense.pem", nonsense);
        files.wrong("cert.pem", "nonsense.pem", "can't be used");
        files.write("large.pem", &"x".repeat(2 << 20));
        files.wrong("large.pem", "key.pem", "1048576 bytes");
    }
}
