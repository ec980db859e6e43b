//! A destination table as it is now, with all that users have added to it.

use std::collections::HashMap;

use serde::Deserialize;
use uuid::Uuid;

use super::clauses::{clause, column_ttls};
use super::connect::{quoted, text};
use super::{Destination, DestinationError};
use crate::schema::MetadataNames;

/// A table of the destination as it is now.
#[derive(Clone, Debug)]
pub struct LiveTable {
    /// Its name.
    pub name: String,
    /// Its UUID.
    pub uuid: Uuid,
    /// Its engine's name.
    pub engine: String,
    /// Its columns, in order.
    pub columns: Vec<LiveColumn>,
    /// Its sorting key, as ClickHouse writes it; empty for `tuple()`.
    pub sorting_key: String,
    /// What reads it: `database.name` of views and dictionaries.
    pub readers: Vec<String>,
    pub(super) engine_full: String,
    column_ttls: HashMap<String, String>,
    pub(super) comment: String,
    pub(super) indexes: Vec<Index>,
    pub(super) projections: Vec<Projection>,
}

/// A column of a live table.
#[derive(Clone, Debug, Deserialize)]
pub struct LiveColumn {
    /// Its name.
    pub name: String,
    /// Its full type.
    #[serde(rename = "type")]
    pub data_type: String,
    /// `DEFAULT`, `MATERIALIZED`, `ALIAS`, `EPHEMERAL` or nothing.
    pub default_kind: String,
    /// The default's expression.
    pub default_expression: String,
    pub(super) compression_codec: String,
    pub(super) comment: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Index {
    pub(super) name: String,
    pub(super) type_full: String,
    pub(super) expr: String,
    pub(super) granularity: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Projection {
    pub(super) name: String,
    pub(super) query: String,
}

#[derive(Deserialize)]
struct Row {
    uuid: Uuid,
    engine: String,
    engine_full: String,
    create_table_query: String,
    sorting_key: String,
    comment: String,
    readers: Vec<String>,
}

/// The engines that a resync makes tables of, and so may replace; in ClickHouse Cloud they have another name.
const REPLACEABLE: [&str; 4] = [
    "MergeTree",
    "ReplacingMergeTree",
    "SharedMergeTree",
    "SharedReplacingMergeTree",
];

impl LiveTable {
    /// Whether rows or values of it expire.
    pub(super) fn expires(&self) -> bool {
        clause(&self.engine_full, "TTL").is_some() || !self.column_ttls.is_empty()
    }

    /// The TTL of a column's values.
    pub(super) fn column_ttl(&self, column: &str) -> Option<&str> {
        self.column_ttls.get(&quoted(column)).map(String::as_str)
    }

    /// Refuses a table that a resync would replace by something less: a view, a replicated table, an aggregating one.
    pub fn replaceable(&self) -> Result<(), DestinationError> {
        if REPLACEABLE.contains(&self.engine.as_str()) {
            return Ok(());
        }
        Err(DestinationError::InTheWay {
            table: format!("`{}`", self.name),
            reason: format!(
                "has the engine {}, and a resync makes tables of the engines MergeTree and ReplacingMergeTree only: name another \
                 `destination`, or rename this table",
                self.engine
            ),
        })
    }

    /// What a swap means for each that reads the table, as a sentence.
    pub fn dependents(&self) -> Vec<String> {
        let sentence = |reader: &String| {
            format!(
                "`{reader}` reads it: it does not see the rows that the new table is loaded with; refill it after the swap"
            )
        };
        self.readers.iter().map(sentence).collect()
    }

    /// The column of this name.
    pub fn column(&self, name: &str) -> Option<&LiveColumn> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Whether it has all the columns that Tidemill adds.
    pub fn has_all(&self, metadata: &MetadataNames) -> bool {
        metadata
            .all()
            .iter()
            .all(|name| self.column(name).is_some())
    }

    /// Whether it has the columns that tell a deletion from a row.
    pub(super) fn tracks_deletions(&self, metadata: &MetadataNames) -> bool {
        self.column(&metadata.is_deleted).is_some() && self.column(&metadata.version).is_some()
    }
}

impl Destination {
    /// The table of this name, if there is one.
    pub async fn live_table(&self, name: &str) -> Result<Option<LiveTable>, DestinationError> {
        let doing = "look at a table";
        let at = |table: &str| {
            format!(
                "database = {} AND {table} = {}",
                text(&self.database),
                text(name)
            )
        };
        let sql = format!(
            "SELECT uuid, engine, engine_full, create_table_query, sorting_key, comment, \
             arrayMap((d, t) -> concat(d, '.', t), dependencies_database, dependencies_table) AS readers \
             FROM system.tables WHERE {}",
            at("name")
        );
        let Some(row) = self.rows::<Row>(doing, &sql).await?.pop() else {
            return Ok(None);
        };
        let columns = format!(
            "SELECT name, type, default_kind, default_expression, compression_codec, comment FROM system.columns WHERE {} ORDER BY position",
            at("table")
        );
        let indexes = format!(
            "SELECT name, type_full, expr, granularity FROM system.data_skipping_indices WHERE {} ORDER BY name",
            at("table")
        );
        let projections = format!(
            "SELECT name, query FROM system.projections WHERE {} ORDER BY name",
            at("table")
        );
        Ok(Some(LiveTable {
            name: name.to_owned(),
            uuid: row.uuid,
            engine: row.engine,
            sorting_key: row.sorting_key,
            readers: row.readers,
            engine_full: row.engine_full,
            column_ttls: column_ttls(&row.create_table_query),
            comment: row.comment,
            columns: self.rows(doing, &columns).await?,
            indexes: self.rows(doing, &indexes).await?,
            projections: self.rows(doing, &projections).await?,
        }))
    }
}
