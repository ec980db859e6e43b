//! The destination: ClickHouse. Tables are made from the bound schema, blocks inserted, copies counted and read back, names exchanged.

mod connect;
mod error;

pub use connect::Destination;
pub use error::DestinationError;
