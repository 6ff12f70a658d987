//! Puts the settings of who may what into force.
//! Knows nothing of how tokens are checked.

use tidings_server::auth::Access;

use crate::exit::Usage;
use crate::settings::Settings;

/// Reads the files with keys.
///
/// # Errors
/// [`Usage`] where one can't be used, or the settings do not fit together; nothing in it is secret.
pub(in crate::cmd) fn load_access(settings: &Settings) -> anyhow::Result<Access> {
    Access::load(settings.access()).map_err(|error| Usage(error.to_string()).into())
}
