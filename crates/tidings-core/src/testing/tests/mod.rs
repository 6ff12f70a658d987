//! Tests of the shard in a world: told ones, and ones from a seed.

mod properties;
mod scenarios;
