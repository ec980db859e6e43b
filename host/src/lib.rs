//! Tidemill rebuilds MySQL tables in ClickHouse: a *resync*. Every row streams, as Arrow batches, through the user's own
//! sandboxed WebAssembly plugins, the copy is proved, and swapped with the original atomically.
//!
//! The rooms of the house and who may know whom are described in `ARCHITECTURE.md`.

pub mod cli;
pub mod destination;
pub mod digest;
mod files;
pub mod journal;
pub mod kit;
pub mod lifecycle;
pub mod pipe;
pub mod policy;
mod quote;
pub mod registry;
pub mod rows;
pub mod schema;
pub mod service;
pub mod source;
mod telemetry;
mod times;
pub mod transform;
