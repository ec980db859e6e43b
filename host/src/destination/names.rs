//! Names that ClickHouse can't have, though MySQL does: what is too long for its files, and what it keeps for itself.

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
