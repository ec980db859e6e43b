//! The destination: ClickHouse, over HTTP. Tables are made from the bound schema, blocks inserted, copies counted and read back,
//! soft-deleted rows carried over, names exchanged.
//!
//! What is promised: each call is one attempt, and its error says whether it may pass; a block is written whole or not at all;
//! a statement that changes names is sent once. This module knows neither the source nor the transforms: Arrow and
//! [`crate::schema`] are its language.

mod answer;
mod carry;
mod changes;
mod clauses;
mod connect;
mod ddl;
mod dial;
mod digest;
pub mod embedded;
mod encode;
mod error;
mod fit;
mod live;
mod merges;
mod names;
mod rejected;
mod verify;
mod zones;

pub use carry::CarryOver;
pub use changes::{SameRow, identity_columns, with_metadata};
pub use connect::Destination;
pub(crate) use connect::quoted;
pub use ddl::{Ddl, Kept, Lost};
pub use digest::Digest;
pub use encode::{Block, BlockWriter};
pub use error::DestinationError;
pub use fit::{Fitted, Fitter, Misfit, Unfit, can_clamp, may_be_outside};
pub use live::{LiveColumn, LiveTable};
pub(crate) use names::{entangled_columns, escaped_bytes, is_reserved_column, longest_table_bytes};
pub use rejected::{RejectedRow, rejected_block, row_as_json};
pub use zones::Zones;
