//! Whatever a client sends on a connection, the hub answers in HTTP or not at all, and goes on.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidings_server::fuzzing::requests(bytes));
