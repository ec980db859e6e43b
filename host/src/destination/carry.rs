//! Moves the soft-deleted rows of an original over to its shadow: they exist nowhere else.
//!
//! A row is carried if the *latest* version of its key is a deletion and the shadow doesn't have the key. `FINAL` would not
//! show such rows, so the latest version is looked for here: the highest version number and, of equal ones, the one that was inserted
//! last, which the part's block number tells. Only keys with a deletion are looked at. Done again it finds nothing more to carry.

use super::connect::quoted;
use super::live::LiveTable;
use super::{Destination, DestinationError};
use crate::schema::TargetTable;

/// What was carried over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CarryOver {
    /// The soft-deleted rows that the shadow has now.
    pub rows: u64,
    /// What a person should know.
    pub note: Option<String>,
}

impl Destination {
    /// Carries the soft-deleted rows over.
    pub async fn carry_over(
        &self,
        target: &TargetTable,
        original: &LiveTable,
    ) -> Result<CarryOver, DestinationError> {
        let metadata = &target.metadata;
        let nothing = |note: &str| {
            Ok(CarryOver {
                rows: 0,
                note: Some(note.to_owned()),
            })
        };
        if !original.tracks_deletions(metadata) {
            return nothing(
                "it has no columns that mark deletions, so no deleted rows were carried over",
            );
        }
        let deleted = format!(
            "SELECT count() FROM {} WHERE {} = 1",
            self.table(&original.name),
            quoted(&metadata.is_deleted)
        );
        let patient = self.patient();
        if target.key.is_empty() || patient.number("count deleted rows", &deleted).await? == 0 {
            return Ok(CarryOver::default());
        }
        if let Some(missing) = target
            .key
            .iter()
            .find(|column| original.column(column).is_none())
        {
            return nothing(&format!(
                "its old table has no key column `{missing}`, so its deleted rows could not be carried over"
            ));
        }
        let carry = Carry {
            target,
            deleted: self.deleted(target, original),
            shadow: self.table(&target.shadow()),
        };
        for column in target.columns.iter().filter(|column| {
            original
                .column(&column.name)
                .is_some_and(|old| old.data_type != column.clickhouse_type)
        }) {
            patient
                .refuse_loss(&carry, &column.name, &column.clickhouse_type)
                .await?;
        }
        patient
            .execute("carry rows over", &carry.insert(original))
            .await?;
        let sql = format!(
            "SELECT count() FROM (SELECT DISTINCT {} FROM {} WHERE {} = 1)",
            key_list(target),
            carry.shadow,
            quoted(&metadata.is_deleted)
        );
        Ok(CarryOver {
            rows: patient.number("count carried rows", &sql).await?,
            note: None,
        })
    }

    /// The rows whose key's latest version is a deletion.
    fn deleted(&self, target: &TargetTable, original: &LiveTable) -> String {
        let key = key_list(target);
        let (table, is_deleted, version) = (
            self.table(&original.name),
            quoted(&target.metadata.is_deleted),
            quoted(&target.metadata.version),
        );
        format!(
            "SELECT * FROM (SELECT * FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE {is_deleted} = 1) \
             ORDER BY {version} DESC, toUInt64OrZero(splitByChar('_', _part)[-3]) DESC, _part_offset DESC LIMIT 1 BY {key}) WHERE {is_deleted} = 1"
        )
    }

    /// Stops at a row whose value would not survive the cast to the column's new type.
    async fn refuse_loss(
        &self,
        carry: &Carry<'_>,
        column: &str,
        new_type: &str,
    ) -> Result<(), DestinationError> {
        let name = quoted(column);
        // NULL has no place in a column that isn't nullable; any other value must come back the same.
        let cast = format!(
            "accurateCastOrNull({name}, {})",
            super::connect::text(&plain_type(new_type))
        );
        let null = if new_type.contains("Nullable(") {
            format!("isNotNull({name}) AND ")
        } else {
            String::new()
        };
        let key: Vec<String> = carry
            .target
            .key
            .iter()
            .map(|key| {
                format!(
                    "toString({}) AS {}",
                    quoted(key),
                    quoted(&format!("key {key}"))
                )
            })
            .collect();
        let sql = format!(
            "SELECT {} FROM ({}) WHERE {null}(isNull({cast}) OR toString(assumeNotNull({cast})) != toString(assumeNotNull({name})) \
             AND accurateCastOrNull({cast}, toTypeName(assumeNotNull({name}))) IS DISTINCT FROM {name}) LIMIT 1",
            key.join(", "),
            carry.absent()
        );
        match self
            .first_row("look for values that would be lost", &sql)
            .await?
        {
            None => Ok(()),
            Some(row) => Err(DestinationError::Carry {
                table: carry.target.name.clone(),
                column: column.to_owned(),
                new_type: new_type.to_owned(),
                key: row.to_string(),
            }),
        }
    }
}

struct Carry<'a> {
    target: &'a TargetTable,
    deleted: String,
    shadow: String,
}

impl Carry<'_> {
    /// The deleted rows whose key the shadow doesn't have.
    fn absent(&self) -> String {
        let columns = self
            .target
            .key
            .iter()
            .map(|name| self.cast(name))
            .collect::<Vec<_>>()
            .join(", ");
        format!(
            // The set that is built holds the deleted keys that live again, not all of the shadow's.
            "SELECT * FROM ({deleted}) WHERE ({columns}) NOT IN (SELECT {key} FROM {shadow} WHERE ({key}) IN (SELECT {columns} FROM ({deleted})))",
            deleted = self.deleted,
            shadow = self.shadow,
            key = key_list(self.target),
        )
    }

    fn insert(&self, original: &LiveTable) -> String {
        let shared: Vec<&str> = self
            .target
            .columns
            .iter()
            .map(|column| column.name.as_str())
            .filter(|name| original.column(name).is_some())
            .collect();
        let metadata = self
            .target
            .metadata
            .all()
            .into_iter()
            .filter(|name| original.column(name).is_some());
        let names: Vec<String> = shared
            .iter()
            .copied()
            .chain(metadata.clone())
            .map(quoted)
            .collect();
        let values: Vec<String> = shared
            .iter()
            .map(|name| self.cast(name))
            .chain(metadata.map(quoted))
            .collect();
        format!(
            "INSERT INTO {} ({}) SELECT {} FROM ({}) SETTINGS insert_deduplicate = 0, async_insert = 0",
            self.shadow,
            names.join(", "),
            values.join(", "),
            self.absent()
        )
    }

    /// A column of the original in its new type.
    fn cast(&self, name: &str) -> String {
        match self.target.column(name) {
            Some(column) => format!("CAST({} AS {})", quoted(name), column.clickhouse_type),
            None => quoted(name),
        }
    }
}

fn key_list(target: &TargetTable) -> String {
    target
        .key
        .iter()
        .map(|name| quoted(name))
        .collect::<Vec<_>>()
        .join(", ")
}

/// A type without `Nullable` and `LowCardinality`, which a cast that answers NULL adds by itself.
fn plain_type(full: &str) -> String {
    let mut plain = full;
    for wrapper in ["LowCardinality(", "Nullable("] {
        plain = plain
            .strip_prefix(wrapper)
            .and_then(|rest| rest.strip_suffix(')'))
            .unwrap_or(plain);
    }
    plain.to_owned()
}
