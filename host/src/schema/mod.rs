//! The common language of the rooms: what a source table looks like, which Arrow and ClickHouse types its columns become,
//! how a table is cut into chunks, and where in the binlog a reading was taken.
//!
//! This module knows no server and no other module. Whatever two rooms need to agree on stands here, and the mapping of
//! types stands in one table: [`type_table`].

pub mod cell;
pub mod chunk;
pub mod clickhouse_type;
pub mod finding;
pub mod gtid;
pub mod mysql_type;
pub mod policy;
pub mod position;
pub mod samples;
pub mod table;
pub mod target;
pub mod type_page;
pub mod type_table;

pub use cell::{cell_text, named, row_text};
pub use chunk::{Chunk, KeyBound, KeyValue, Ledger};
pub use clickhouse_type::{ClickHouseType, Shape};
pub use gtid::{DomainGtids, GtidSet, Gtids};
pub use mysql_type::{MysqlType, TypeError};
pub use policy::{Grant, OnError, OutOfRange, ZeroDates};
pub use position::Position;
pub use table::{SourceColumn, SourceTable, TableName};
pub use target::{
    Engine, MetadataNames, SkipIndex, TargetColumn, TargetTable, old_name, rejected_name,
    shadow_name,
};
pub use type_table::{ClickHouseFeatures, Form, Format};
