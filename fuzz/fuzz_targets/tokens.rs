//! Whatever stands where a token should, it is refused with a sentence; and so are its claims.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidings_server::auth::fuzzing::tokens(bytes));
