//! Names that ClickHouse can't have, or takes for something else: refused with their line before anything is made.

use crate::destination::{
    entangled_columns, escaped_bytes, is_reserved_column, longest_table_bytes,
};
use crate::pipe::{Pipe, PipeError, TableMapping};
use crate::schema::{TargetTable, old_name};

/// Refuses names that ClickHouse can't have. The longest that a resync makes is the old table's.
pub(super) fn fit(
    pipe: &Pipe,
    mapping: &TableMapping,
    target: &TargetTable,
) -> Result<(), PipeError> {
    let refused = |reason: String, column: &str| {
        let reason = format!(
            "{reason}; give it another name with the plugin `columns`: config = {{ rename = {{ \"{column}\" = \"...\" }} }}"
        );
        Err(pipe.invalid(&mapping.key, reason))
    };
    let source = &mapping.source;
    let columns: Vec<(&str, &str)> = target
        .columns
        .iter()
        .map(|column| (column.name.as_str(), column.clickhouse_type.as_str()))
        .collect();
    if let Some((reserved, _)) = columns.iter().find(|(name, _)| is_reserved_column(name)) {
        let reason = format!(
            "the column `{reserved}` of {source} has a name that ClickHouse keeps for itself"
        );
        return refused(reason, reserved);
    }
    if let Some((owner, part)) = entangled_columns(&columns) {
        let reason = format!(
            "the column `{part}` of {source} has a dot in its name, by which ClickHouse takes it for a part of what `{owner}` is"
        );
        return refused(reason, part);
    }
    let database = &pipe.destination.database;
    let (old, most) = (
        old_name(&mapping.destination),
        longest_table_bytes(database),
    );
    let bytes = escaped_bytes(&old);
    if bytes > most {
        let reason = format!(
            "a resync keeps the old table as `{old}`, which takes {bytes} bytes as a file's name (3 for each byte that is no letter, digit \
             or `_`), and the database `{database}` leaves room for {most}; choose a shorter name: destination = \"short_name\""
        );
        return Err(pipe.invalid(&format!("{}.destination", mapping.key), reason));
    }
    Ok(())
}
