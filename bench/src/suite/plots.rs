//! The plots of the report, as SVG.
//! Knows which figures are worth one; how they were measured it does not.

use std::path::Path;

use super::results::Results;

/// Draws what the results hold, and names the files.
pub(super) fn draw(_results: &Results, _out: &Path) -> anyhow::Result<Vec<String>> {
    Ok(Vec::new())
}
