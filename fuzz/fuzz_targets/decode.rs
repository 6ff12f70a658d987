//! A stream means the same whole and in pieces.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidings_core::testing::fuzzing::decode(bytes));
