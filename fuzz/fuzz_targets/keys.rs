//! Whatever a file of keys or an answer with a JWKS document holds, it is keys or a reason.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidings_server::auth::fuzzing::keys(bytes));
