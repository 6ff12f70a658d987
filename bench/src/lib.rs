//! The load client and the measuring tools, as pieces to put together.
//! Knows nothing of how a hub works inside: only its address, its process and what it sends.
//!
//! | piece | what it is |
//! |---|---|
//! | [`crowd`] | very many event streams on one thread, each checked event by event |
//! | [`load`] | very many requests on one thread: as fast as they are answered, or by a timetable |
//! | [`publish`] | a publisher on one kept-alive connection |
//! | [`limit`] | the least a server can do: one bare `send(2)` for each subscriber |
//! | [`isolate`] | a network of its own, with a processor for each side |
//! | [`server`] | a server that is measured: started, and ended with its handle |
//! | [`engine`] | what several nodes share: a Redis or a NATS, started for one measurement |
//! | [`measure`] | what a process costs: CPU, memory, files; and the machine it runs on |
//! | [`event`] | what is published: a number, the time, and filling |
//! | [`report`] | aligned text for people |
//! | [`subject`] | the systems that are compared, each behind the same few calls |
//! | [`compare`] | a crowd at one of them, step by step |
//! | [`works`] | what is measured of each system |
//! | [`figure`] | what a number means |
//! | [`suite`] | all works with all systems, and their report |

pub mod compare;
pub mod crowd;
pub mod engine;
pub mod event;
pub mod figure;
pub mod histogram;
pub mod isolate;
pub mod limit;
pub mod load;
pub mod measure;
pub mod publish;
pub mod report;
pub mod server;
pub mod subject;
#[cfg(feature = "suite")]
pub mod suite;
pub mod wire;
#[cfg(feature = "suite")]
pub mod works;
