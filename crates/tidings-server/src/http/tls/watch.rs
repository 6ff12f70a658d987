//! Takes a new certificate when its files change. Knows nothing of connections.

use std::convert::Infallible;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Tls;
use super::pair::CertificatePair;

/// The time between two looks. Whoever renews a certificate does so days before it ends.
const INTERVAL: Duration = Duration::from_secs(2);

/// Reads a certificate and its key again when one of the files has changed, and both have been the
/// same for two looks, so that no half of a pair is taken. A pair that can't be used leaves the
/// one before in place, with an error in the log. Cancel safe.
pub(super) async fn watch(tls: Tls, certificate: PathBuf, key: PathBuf) -> Infallible {
    let look = || [Stamp::of(&certificate), Stamp::of(&key)];
    let mut taken = look();
    let mut before = taken;
    loop {
        tokio::time::sleep(INTERVAL).await;
        let now = look();
        if now != taken && now == before {
            taken = now;
            match CertificatePair::read(&certificate, &key) {
                Ok(pair) => {
                    tls.replace(pair);
                    tracing::info!("new connections get the new certificate");
                }
                Err(error) => {
                    tracing::error!("the new certificate is not taken, the old one stays: {error}");
                }
            }
        }
        before = now;
    }
}

/// What tells one state of a file from another: also where a file or a link is put in its place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Stamp(Option<(i64, i64, u64, u64)>);

impl Stamp {
    fn of(path: &Path) -> Self {
        let stamp = |file: Metadata| (file.mtime(), file.mtime_nsec(), file.ino(), file.len());
        Self(std::fs::metadata(path).ok().map(stamp))
    }
}
