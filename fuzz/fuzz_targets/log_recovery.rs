//! Whatever a crash leaves in a log's directory, opening it ends in records or in an error.
#![no_main]

use std::sync::LazyLock;

static DIRECTORY: LazyLock<tempfile::TempDir> =
    LazyLock::new(|| tempfile::tempdir().expect("a directory for the log"));

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tidings_log::fuzzing::recover_any(DIRECTORY.path(), bytes);
});
