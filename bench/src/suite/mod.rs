//! All works with all systems: runs them in turn, keeps what comes out, and writes the report.
//! Knows nothing of how anything is measured.

mod plots;
mod results;
mod run;
mod tables;

pub use run::{Options, report, run};
