//! No text makes the selectors panic, and the index finds whom a scan finds.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidings_core::testing::fuzzing::selectors(bytes));
