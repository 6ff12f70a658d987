//! Whatever a client says it has seen last is a cursor in one spelling, or none.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidings_core::testing::fuzzing::cursors(bytes));
