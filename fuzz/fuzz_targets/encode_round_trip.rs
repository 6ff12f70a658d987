//! Whatever is published comes back byte for byte, with nothing added.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidings_core::testing::fuzzing::encode_round_trip(
    bytes
));
