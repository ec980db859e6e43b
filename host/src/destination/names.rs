//! Names that ClickHouse can't have, though MySQL does: what is too long for its files, and what it keeps for itself.

use std::collections::HashMap;

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

/// Two columns that ClickHouse takes for parts of one another, by the dot in a name; given are names and types. It has a column `a.null` for each nullable `a`, which a query for
/// `a IS NULL` reads, and arrays `n.a` and `n.b` are one `Nested`, whose parts are equally long in each row.
pub(crate) fn entangled_columns<'c>(columns: &[(&'c str, &str)]) -> Option<(&'c str, &'c str)> {
    let types: HashMap<&str, &str> = columns.iter().copied().collect();
    let mut nested = HashMap::new();
    for &(column, kind) in columns {
        for (dot, _) in column.match_indices('.') {
            let (owner, part) = (&column[..dot], &column[dot + 1..]);
            if types.get(owner).is_some_and(|kind| has_part(kind, part)) {
                return Some((owner, column));
            }
        }
        let Some((owner, part)) = column.split_once('.').filter(|_| is_array(kind)) else {
            continue;
        };
        if owner.is_empty() || part.is_empty() {
            continue;
        }
        if types.get(owner).is_some_and(|kind| is_array(kind)) {
            return Some((owner, column));
        }
        if let Some(twin) = nested.insert(owner, column) {
            return Some((twin, column));
        }
    }
    None
}

fn is_array(kind: &str) -> bool {
    kind.starts_with("Array(")
}

/// Whether ClickHouse has a part of this name for a column of this type.
fn has_part(kind: &str, part: &str) -> bool {
    match part {
        "null" => kind.contains("Nullable("),
        "size" => kind.contains("String"),
        "size0" => is_array(kind),
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
        let (number, text, array) = ("Nullable(Int32)", "Nullable(String)", "Array(Float32)");
        for [a, b] in [
            [("a", number), ("a.null", number)],
            [("a.b", text), ("a.b.size", number)],
            [("n", array), ("n.size0", number)],
            [("n.a", array), ("n.b", array)],
            [("n", array), ("n.b", array)],
            [("doc", "JSON"), ("doc.x.y", number)],
        ] {
            assert_eq!(entangled_columns(&[a, b]), Some((a.0, b.0)));
        }
        for [a, b] in [
            [("a", "Int32"), ("a.null", number)],
            [("a", number), ("a.size", number)],
            [("a", number), ("a.b", text)],
            [("n", array), ("m.n", array)],
            [(".a", array), (".b", array)],
            [("n.a", array), ("n.b", text)],
        ] {
            assert_eq!(entangled_columns(&[a, b]), None, "{a:?} {b:?}");
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
