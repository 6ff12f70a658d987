//! Whatever happens to a shard, nobody is wronged: see `tidings_core::testing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidings_core::testing::fuzzing::operations(bytes));
