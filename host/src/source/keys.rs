//! Keys as SQL: which key columns can bound a chunk, and the conditions, in a form that the server runs as an index range.
//!
//! Row constructors are not used as ranges, so `(a, b) > (x, y)` is written out: `a > x OR (a = x AND b > y)`. Bounds are bound as
//! parameters; text is compared in the column's own collation.

use crate::schema::{Chunk, Form, KeyBound, KeyValue, MysqlType, SourceColumn, TableName};

/// How a key column's values are read for a bound, and compared with one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum KeyKind {
    /// An integer of up to 64 bits.
    Int,
    /// An integer of which 1 to 99 mean years of this and the last century, so that no bound may be made up.
    Year,
    /// Text in the column's collation.
    Text,
    /// Bytes.
    Bytes,
    /// Read as text, and cast to this type to be compared: a text would be compared with a decimal as a float.
    Cast(String),
}

impl KeyKind {
    /// How a type is compared; none for types whose order is not the one in which they are compared with a constant.
    pub(super) fn of(mysql_type: &MysqlType) -> Option<Self> {
        Some(match mysql_type {
            MysqlType::Bool
            | MysqlType::TinyInt { .. }
            | MysqlType::SmallInt { .. }
            | MysqlType::MediumInt { .. }
            | MysqlType::Int { .. }
            | MysqlType::BigInt { .. }
            | MysqlType::Bit { .. } => Self::Int,
            MysqlType::Year => Self::Year,
            MysqlType::Text | MysqlType::Uuid | MysqlType::Inet4 | MysqlType::Inet6 => Self::Text,
            MysqlType::Binary { .. } | MysqlType::Blob => Self::Bytes,
            MysqlType::Decimal { precision, scale } => {
                Self::Cast(format!("DECIMAL({precision},{scale})"))
            }
            MysqlType::Date => Self::Cast("DATE".to_owned()),
            MysqlType::DateTime { fraction } | MysqlType::Timestamp { fraction } => {
                Self::Cast(format!("DATETIME({fraction})"))
            }
            MysqlType::Time { fraction } => Self::Cast(format!("TIME({fraction})")),
            MysqlType::Float
            | MysqlType::Double
            | MysqlType::Enum { .. }
            | MysqlType::Set { .. }
            | MysqlType::Json
            | MysqlType::Geometry
            | MysqlType::Vector => return None,
        })
    }
}

/// The columns of a key that can bound a chunk, in key order: those before the first that can't.
pub(super) fn bounding(key: &[SourceColumn]) -> Vec<(String, KeyKind)> {
    key.iter()
        .map_while(|column| Some((quoted(&column.name), KeyKind::of(&column.mysql_type)?)))
        .collect()
}

/// An identifier in backquotes.
pub(super) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A table's name in backquotes.
pub(super) fn quoted_table(table: &TableName) -> String {
    format!("{}.{}", quoted(&table.database), quoted(&table.name))
}

/// The place of a parameter of this kind.
fn parameter(kind: &KeyKind) -> String {
    match kind {
        KeyKind::Cast(target) => format!("CAST(? AS {target})"),
        _ => "?".to_owned(),
    }
}

/// Writes `a > x OR (a = x AND b > y)`, with `last` as the comparison of the last column and `before` of those before it.
fn compared<'v>(
    key: &[(String, KeyKind)],
    bound: &'v KeyBound,
    (before, last): (&str, &str),
    values: &mut Vec<&'v KeyValue>,
) -> String {
    let length = bound.len().min(key.len());
    let terms = (0..length).map(|end| {
        let mut term = String::new();
        for (i, (column, kind)) in key[..end].iter().enumerate() {
            term += &format!("{column} = {} AND ", parameter(kind));
            values.push(&bound[i]);
        }
        let (column, kind) = &key[end];
        values.push(&bound[end]);
        let comparison = if end + 1 == length { last } else { before };
        format!("({term}{column} {comparison} {})", parameter(kind))
    });
    let terms: Vec<_> = terms.collect();
    format!("({})", terms.join(" OR "))
}

/// The condition of a range, with ` WHERE ` before it; empty if there is none. Values of its parameters are appended in order.
pub(super) fn range<'v>(
    key: &[(String, KeyKind)],
    after: Option<&'v KeyBound>,
    upto: Option<&'v KeyBound>,
    values: &mut Vec<&'v KeyValue>,
) -> String {
    let mut conditions = Vec::new();
    if let Some(after) = after.filter(|bound| !bound.is_empty()) {
        conditions.push(compared(key, after, (">", ">"), values));
    }
    if let Some(upto) = upto.filter(|bound| !bound.is_empty()) {
        conditions.push(compared(key, upto, ("<", "<="), values));
    }
    match conditions.is_empty() {
        true => String::new(),
        false => format!(" WHERE {}", conditions.join(" AND ")),
    }
}

/// ` FORCE INDEX (...)`, if there is an index.
pub(super) fn force_index(index: Option<&str>) -> String {
    index
        .map(|index| format!(" FORCE INDEX ({})", quoted(index)))
        .unwrap_or_default()
}

/// ` USE INDEX (...)`: where the index is forced, MySQL doesn't look into it for an estimate, and says 1 row
/// (MySQL reference manual, "Range Optimization": index dives are skipped).
pub(super) fn use_index(index: &str) -> String {
    format!(" USE INDEX ({})", quoted(index))
}

/// ` ORDER BY ...` all the columns of a key.
pub(super) fn order_by(columns: &[String]) -> String {
    match columns.is_empty() {
        true => String::new(),
        false => format!(" ORDER BY {}", columns.join(", ")),
    }
}

/// The query of a chunk, and the values of its parameters.
pub(super) fn chunk_query<'c>(
    read: &super::TableRead,
    chunk: &'c Chunk,
) -> (String, Vec<&'c KeyValue>) {
    let mut values = Vec::new();
    let condition = range(
        &bounding(&read.key),
        chunk.after.as_ref(),
        chunk.upto.as_ref(),
        &mut values,
    );
    (
        format!("{}{condition}{}", select(read), order(read)),
        values,
    )
}

/// The query of a table's first rows.
pub(super) fn first_query(read: &super::TableRead, rows: u64) -> String {
    format!("{}{} LIMIT {rows}", select(read), order(read))
}

fn select(read: &super::TableRead) -> String {
    let columns: Vec<_> = read.columns.iter().map(selected).collect();
    // Rows are counted where no column is wanted.
    let columns = if columns.is_empty() {
        "1".to_owned()
    } else {
        columns.join(", ")
    };
    format!(
        "SELECT {columns} FROM {}{}",
        quoted_table(&read.table),
        force_index(read.key_index.as_deref())
    )
}

/// A column as it is selected. The server writes `?` for a character that Unicode doesn't have. Where the text has one that the column
/// hasn't, a byte that is no UTF-8 takes its place, which the decoder refuses by the row's name.
fn selected(column: &SourceColumn) -> String {
    let name = quoted(&column.name);
    match column.form {
        Form::Bytes => format!("CAST({name} AS BINARY)"),
        _ if column.beyond_unicode => {
            let unicode = format!("CAST(CONVERT({name} USING utf8mb4) AS BINARY)");
            let marks =
                |text: &str| format!("(LENGTH({text}) - LENGTH(REPLACE({text}, X'3F', X'')))");
            // A text that grows beyond max_allowed_packet is NULL, which is refused in the same way.
            format!(
                "IF({name} IS NULL, NULL, IF(LOCATE(X'3F', {unicode}) = 0, {unicode}, IF({} = {}, {unicode}, X'FF')))",
                marks(&unicode),
                marks(&format!("CAST({name} AS BINARY)"))
            )
        }
        _ => name,
    }
}

/// The order of the index, so that a chunk that is read again has the same rows in the same places, and nothing is sorted.
fn order(read: &super::TableRead) -> String {
    match read.key_index {
        Some(_) => order_by(
            &read
                .key
                .iter()
                .map(|column| quoted(&column.name))
                .collect::<Vec<_>>(),
        ),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Vec<(String, KeyKind)> {
        vec![
            ("`a`".into(), KeyKind::Int),
            ("`b`".into(), KeyKind::Cast("DECIMAL(10,2)".into())),
            ("`c`".into(), KeyKind::Text),
        ]
    }

    #[test]
    fn bounds_are_written_out() {
        let after = vec![
            KeyValue::Int(1),
            KeyValue::Text("2.50".into()),
            KeyValue::Text("x".into()),
        ];
        let upto = vec![KeyValue::Int(9)];
        let mut values = Vec::new();
        insta::assert_snapshot!(
            range(&key(), Some(&after), Some(&upto), &mut values),
            @" WHERE ((`a` > ?) OR (`a` = ? AND `b` > CAST(? AS DECIMAL(10,2))) OR (`a` = ? AND `b` = CAST(? AS DECIMAL(10,2)) AND `c` > ?)) AND ((`a` <= ?))"
        );
        let expected = [
            &after[0], &after[0], &after[1], &after[0], &after[1], &after[2], &upto[0],
        ];
        assert_eq!(values, expected);
    }

    #[test]
    fn a_whole_table_has_no_condition() {
        assert_eq!(range(&key(), None, None, &mut Vec::new()), "");
        assert_eq!(quoted("a`b"), "`a``b`");
    }

    #[test]
    fn a_key_bounds_as_far_as_it_sorts_as_it_compares() {
        let column = |name: &str, mysql_type| SourceColumn {
            name: name.into(),
            mysql_type,
            form: Form::Native,
            zero_dates: crate::schema::ZeroDates::Error,
            charset: None,
            beyond_unicode: false,
            nullable: false,
            comment: String::new(),
            generated: false,
        };
        let key = [
            column("a", MysqlType::Date),
            column("b", MysqlType::Enum { values: vec![] }),
            column("c", MysqlType::Year),
        ];
        assert_eq!(
            bounding(&key),
            [("`a`".to_owned(), KeyKind::Cast("DATE".into()))]
        );
    }
}
