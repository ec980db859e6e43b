//! Names that ClickHouse can't have, though MySQL does: what is too long for its files, and what it keeps for itself.

use std::collections::HashMap;

use crate::schema::TargetColumn;

/// Bytes that a file's name may have.
const FILE_NAME_BYTES: usize = 255;
/// What stands in the name of a dropped table's file beside the names of database and table: a UUID, two dots and `.sql`.
const DROPPED_FILE_BYTES: usize = 42;

/// Columns that a MergeTree has without being asked, and either refuses to be given, or hides behind one of the same name. The last
/// two are what tells which of two rows was written last, when deleted rows are carried over.
const RESERVED_COLUMNS: [&str; 5] = [
    "_row_exists",
    "_block_number",
    "_block_offset",
    "_part",
    "_part_offset",
];

/// Whether a column of a table may not have this name.
pub(crate) fn is_reserved_column(name: &str) -> bool {
    RESERVED_COLUMNS.contains(&name)
}

/// Two columns that ClickHouse takes for parts of one another, by the dot in a name: it has a column `a.null` for each nullable `a`, which a query for
/// `a IS NULL` reads, and arrays `n.a` and `n.b` are one `Nested`, whose parts are equally long in each row.
pub(crate) fn entangled_columns(columns: &[TargetColumn]) -> Option<(&str, &str)> {
    let by_name: HashMap<&str, &TargetColumn> = columns
        .iter()
        .map(|column| (column.name.as_str(), column))
        .collect();
    let mut nested = HashMap::new();
    for column in columns {
        for (dot, _) in column.name.match_indices('.') {
            let (owner, part) = (&column.name[..dot], &column.name[dot + 1..]);
            if let Some(owner) = by_name.get(owner).filter(|owner| has_part(owner, part)) {
                return Some((&owner.name, &column.name));
            }
        }
        let Some((owner, part)) = column.name.split_once('.').filter(|_| is_array(column)) else {
            continue;
        };
        if owner.is_empty() || part.is_empty() {
            continue;
        }
        let twin = nested.insert(owner, column);
        if let Some(twin) = twin.or(by_name.get(owner).copied().filter(|twin| is_array(twin))) {
            return Some((&twin.name, &column.name));
        }
    }
    None
}

fn is_array(column: &TargetColumn) -> bool {
    column.clickhouse_type.starts_with("Array(")
}

/// Whether ClickHouse has a part of this name for a column.
fn has_part(column: &TargetColumn, part: &str) -> bool {
    let kind = &column.clickhouse_type;
    match part {
        "null" => kind.contains("Nullable("),
        "size" => kind.contains("String"),
        "size0" => is_array(column),
        // Each path of a document is a part.
        _ => kind.contains("JSON"),
    }
}

/// A name's bytes in the name of a file: each that is no letter, digit or `_` takes three, as in `%2E`.
pub(crate) fn escaped_bytes(name: &str) -> usize {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.bytes()
        .map(|byte| if plain(byte) { 1 } else { 3 })
        .sum()
}

/// The escaped bytes that a table's name may have in a database: what `getMaxTableNameLengthForDatabase` says.
pub(crate) fn longest_table_bytes(database: &str) -> usize {
    (FILE_NAME_BYTES - DROPPED_FILE_BYTES).saturating_sub(escaped_bytes(database))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dot_entangles_columns_of_some_types() {
        let entangled = |columns: &[(&str, &str)]| {
            let column = |(name, clickhouse_type): &(&str, &str)| TargetColumn {
                name: (*name).to_owned(),
                clickhouse_type: (*clickhouse_type).to_owned(),
                comment: String::new(),
            };
            let columns: Vec<TargetColumn> = columns.iter().map(column).collect();
            entangled_columns(&columns).map(|(a, b)| (a.to_owned(), b.to_owned()))
        };
        let (number, text, array) = ("Nullable(Int32)", "Nullable(String)", "Array(Float32)");
        for [a, b] in [
            [("a", number), ("a.null", number)],
            [("a.b", text), ("a.b.size", number)],
            [("n", array), ("n.size0", number)],
            [("n.a", array), ("n.b", array)],
            [("n", array), ("n.b", array)],
            [("doc", "JSON"), ("doc.x.y", number)],
        ] {
            let found = Some((a.0.to_owned(), b.0.to_owned()));
            assert_eq!(entangled(&[a, b]), found);
        }
        for [a, b] in [
            [("a", "Int32"), ("a.null", number)],
            [("a", number), ("a.size", number)],
            [("a", number), ("a.b", text)],
            [("n", array), ("m.n", array)],
            [(".a", array), (".b", array)],
            [("n.a", array), ("n.b", text)],
        ] {
            assert_eq!(entangled(&[a, b]), None, "{a:?} {b:?}");
        }
    }

    #[test]
    fn names_take_the_bytes_that_their_files_do() {
        assert_eq!(escaped_bytes("Orders_2"), 8);
        assert_eq!(escaped_bytes("a-b"), 5);
        assert_eq!(escaped_bytes("ä"), 6);
        // As ClickHouse 26.7 answers.
        for (database, bytes) in [("d", 212), ("dä", 206), ("dddd-x", 205)] {
            assert_eq!(longest_table_bytes(database), bytes, "{database}");
        }
        assert_eq!(longest_table_bytes(&"ä".repeat(40)), 0);
    }
}
