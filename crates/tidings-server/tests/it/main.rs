//! The server as its clients see it: one binary, a module per subject.
//! Knows nothing of the engine's insides; what it needs to look in is public.

mod api;
mod bad_input;
mod world;
