//! The certificate to speak TLS with: the operator's, or one that is made here to try things.
//! Knows nothing of addresses.

use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, anyhow};
use jiff::Timestamp;
use rcgen::{CertificateParams, KeyPair};
use tidings_server::{CertificatePair, Tls};

use crate::exit::Usage;
use crate::settings::{Keep, Settings};

/// Whom a certificate that is made here is for.
const DEV_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// How long it is valid.
const DEV_TIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A certificate that ends sooner than this is one that nobody seems to renew.
const SOON: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// TLS as the settings want it.
#[derive(Clone, Debug)]
pub(super) struct Certificate {
    pub(super) tls: Tls,
    /// The files it came from, which may change.
    pub(super) files: Option<(PathBuf, PathBuf)>,
    /// It was made here: the file to trust, if there is one.
    pub(super) dev: Option<Option<PathBuf>>,
}

/// What is wrong with the settings for TLS, as far as it can be told without making anything.
///
/// # Errors
/// [`Usage`].
pub(super) fn check(settings: &Settings) -> Result<(), Usage> {
    let (certificate, key) = match (&settings.tls_cert, &settings.tls_key) {
        (None, None) => return Ok(()),
        (Some(_), None) => {
            let why = "tls-cert needs its private key: name it with --tls-key (TIDINGS_TLS_KEY)";
            return Err(Usage(why.into()));
        }
        (None, Some(_)) => {
            let why = "tls-key needs its certificate: name it with --tls-cert (TIDINGS_TLS_CERT)";
            return Err(Usage(why.into()));
        }
        (Some(certificate), Some(key)) => (certificate, key),
    };
    if settings.dev_tls {
        let why = "dev-tls makes a certificate, and tls-cert names one: leave one of them out";
        return Err(Usage(why.into()));
    }
    CertificatePair::read(certificate, key).map_err(|error| Usage(error.to_string()))?;
    Ok(())
}

/// The certificate of the settings, if TLS is to be spoken.
///
/// # Errors
/// Where it can't be read or made.
pub(super) fn certificate(settings: &Settings) -> anyhow::Result<Option<Certificate>> {
    check(settings)?;
    let (pair, files, dev) = match (&settings.tls_cert, &settings.tls_key) {
        (Some(certificate), Some(key)) => {
            let pair = CertificatePair::read(certificate, key)?;
            warn_of_end(certificate, &pair);
            (pair, Some((certificate.clone(), key.clone())), None)
        }
        _ if settings.dev_tls => {
            let (pair, file) = dev_certificate(settings)?;
            (pair, None, Some(file))
        }
        _ => return Ok(None),
    };
    let tls = Tls::new(pair).context("can't set up TLS")?;
    Ok(Some(Certificate { tls, files, dev }))
}

fn warn_of_end(path: &Path, pair: &CertificatePair) {
    let Some(end) = pair.expires() else { return };
    let shown = Timestamp::try_from(end).map_or_else(|_| String::new(), |end| end.to_string());
    let path = path.display();
    match end.duration_since(SystemTime::now()) {
        Err(_) => tracing::warn!(
            "the certificate in {path} has expired at {shown}: clients will refuse it until it is \
             renewed"
        ),
        Ok(left) if left < SOON => {
            tracing::warn!("the certificate in {path} expires soon, at {shown}: renew it");
        }
        Ok(_) => {}
    }
}

/// A certificate for this machine. Where the log is on disk, it is kept beside it: browsers
/// remember that a certificate was let pass, and would ask again after each start.
fn dev_certificate(settings: &Settings) -> anyhow::Result<(CertificatePair, Option<PathBuf>)> {
    let Keep::Disk(directory) = &settings.log else {
        let (certificate, key) = make()?;
        let key = key.serialize_der().try_into().map_err(|error| anyhow!("{error}"))?;
        let pair = CertificatePair::from_der(vec![certificate.der().clone()], key)?;
        return Ok((pair, None));
    };
    let (certificate, key) =
        (beside(directory, "-dev-tls.pem"), beside(directory, "-dev-tls-key.pem"));
    if let Ok(pair) = CertificatePair::read(&certificate, &key) {
        let lasts = |end: SystemTime| end > SystemTime::now() + SOON;
        if pair.expires().is_some_and(lasts) {
            return Ok((pair, Some(certificate)));
        }
    }
    let (made, made_key) = make()?;
    if let Some(parent) = directory.parent() {
        std::fs::create_dir_all(parent)
            .with_context(|| format!("can't make {}", parent.display()))?;
    }
    for (path, text, mode) in
        [(&key, made_key.serialize_pem(), 0o600), (&certificate, made.pem(), 0o644)]
    {
        write(path, &text, mode).with_context(|| format!("can't write {}", path.display()))?;
    }
    Ok((CertificatePair::read(&certificate, &key)?, Some(certificate)))
}

fn make() -> anyhow::Result<(rcgen::Certificate, KeyPair)> {
    let key = KeyPair::generate().context("can't make a key")?;
    let mut params = CertificateParams::new(DEV_NAMES.map(str::to_owned))?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, "Tidings on localhost (dev-tls)");
    let now = SystemTime::now();
    // Clocks differ, those of virtual machines too.
    params.not_before = (now - Duration::from_secs(24 * 60 * 60)).into();
    params.not_after = (now + DEV_TIME).into();
    let certificate = params.self_signed(&key).context("can't make a certificate")?;
    Ok((certificate, key))
}

/// `tidings-data` and what is added to it.
fn beside(directory: &Path, ending: &str) -> PathBuf {
    let mut name = directory.file_name().unwrap_or("tidings".as_ref()).to_owned();
    name.push(ending);
    directory.with_file_name(name)
}

/// A file that is there whole or not at all, readable for those of its mode from the beginning.
fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let new = path.with_extension("new");
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(mode).open(&new)?;
    file.write_all(text.as_bytes())?;
    std::fs::rename(new, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_certificate_that_is_made_is_kept_beside_the_log() {
        let directory = TempDir::new().unwrap();
        let log = Keep::Disk(directory.path().join("data"));
        let settings = Settings { dev_tls: true, log, ..Settings::default() };
        let made = certificate(&settings).unwrap().unwrap();
        let file = directory.path().join("data-dev-tls.pem");
        assert_eq!(made.dev, Some(Some(file.clone())));
        let before = std::fs::read(&file).unwrap();
        certificate(&settings).unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), before, "the same again");
        let key = directory.path().join("data-dev-tls-key.pem");
        assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);

        let settings = Settings { dev_tls: true, log: Keep::Memory, ..Settings::default() };
        assert_eq!(certificate(&settings).unwrap().unwrap().dev, Some(None));
        assert!(certificate(&Settings::default()).unwrap().is_none());
    }

    #[test]
    fn settings_that_do_not_fit_together_say_what_to_do() {
        let wrong = |settings: Settings| certificate(&settings).unwrap_err().to_string();
        let some = || Some(PathBuf::from("x.pem"));
        let only = Settings { tls_cert: some(), ..Settings::default() };
        assert!(wrong(only).contains("--tls-key"));
        let only = Settings { tls_key: some(), ..Settings::default() };
        assert!(wrong(only).contains("--tls-cert"));
        let both = Settings { tls_cert: some(), tls_key: some(), ..Settings::default() };
        assert!(wrong(both.clone()).contains("can't read x.pem"));
        assert!(wrong(Settings { dev_tls: true, ..both }).contains("leave one of them out"));
    }
}
