//! The common language of the rooms: what a source table looks like, which Arrow and ClickHouse types its columns become,
//! how a table is cut into chunks, and where in the binlog a reading was taken.
//!
//! This module knows no server and no other module. Whatever two rooms need to agree on stands here, and the mapping of
//! types stands in one table: [`mysql_type`].

pub mod chunk;
pub mod finding;
pub mod mysql_type;
pub mod position;
pub mod table;
pub mod target;

pub use chunk::{Chunk, KeyBound, KeyValue, Ledger};
pub use mysql_type::{MysqlType, TypeError};
pub use position::Position;
pub use table::{SourceColumn, SourceTable, TableName};
pub use target::{
    Engine, MetadataNames, TargetColumn, TargetTable, old_name, rejected_name, shadow_name,
};
