//! One model of a source table, as introspection found it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};

use super::{Form, MysqlType, ZeroDates};

/// A table's full name, unquoted: `database.table`.
///
/// In a pipe file the name is split at its first dot; a database whose name has a dot is written with backquotes,
/// as in MySQL: `` `my.db`.orders ``.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TableName {
    /// The database (MySQL: schema).
    pub database: String,
    /// The table's own name.
    pub name: String,
}

impl TableName {
    /// A name out of its two parts, both unquoted.
    pub fn new(database: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            database: database.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, part) in [&self.database, &self.name].into_iter().enumerate() {
            if i > 0 {
                f.write_str(".")?;
            }
            if part.is_empty() || part.contains(['.', '`']) {
                write!(f, "`{}`", part.replace('`', "``"))?;
            } else {
                f.write_str(part)?;
            }
        }
        Ok(())
    }
}

impl FromStr for TableName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("`{text}` is no table name: expected `database.table`");
        let (database, rest) = name_part(text).ok_or_else(expected)?;
        let rest = rest.strip_prefix('.').ok_or_else(expected)?;
        let name = match name_part(rest) {
            Some((name, "")) => name,
            // An unquoted last part may itself have dots.
            _ if !rest.is_empty() && !rest.starts_with('`') => rest.to_owned(),
            _ => return Err(expected()),
        };
        Ok(Self { database, name })
    }
}

/// Takes one quoted or bare part off the front; bare parts end at a dot.
fn name_part(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('`') else {
        let end = text.find('.').unwrap_or(text.len());
        return (end > 0).then(|| (text[..end].to_owned(), &text[end..]));
    };
    let mut part = String::new();
    let mut rest = quoted;
    loop {
        let end = rest.find('`')?;
        part.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('`') {
            Some(more) => {
                part.push('`');
                rest = more;
            }
            None => return (!part.is_empty()).then_some((part, rest)),
        }
    }
}

/// A column of a source table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceColumn {
    /// The column's name, unquoted.
    pub name: String,
    /// The column's type.
    pub mysql_type: MysqlType,
    /// How it is read: the pipe's choice.
    pub form: Form,
    /// What becomes of dates that are no days: the pipe's choice.
    pub zero_dates: ZeroDates,
    /// The character set of its text, as the server names it; none if it has none.
    #[serde(default)]
    pub charset: Option<String>,
    /// Whether its character set has characters that Unicode doesn't, which the server would turn into `?`.
    pub beyond_unicode: bool,
    /// Whether the source allows NULL.
    pub nullable: bool,
    /// The column's comment, empty if it has none.
    pub comment: String,
    /// Computed by the server, stored or virtual.
    pub generated: bool,
}

impl SourceColumn {
    /// The Arrow type that it is decoded into.
    pub fn arrow(&self) -> DataType {
        self.mysql_type.arrow(self.form)
    }

    /// Whether NULL can come of it: the source's, or a date's that is no day.
    pub fn yields_null(&self) -> bool {
        self.nullable || self.zero_dates == ZeroDates::Null && self.has_zero_dates()
    }

    /// Whether it can hold dates that are no days, and they are not read as text.
    pub fn has_zero_dates(&self) -> bool {
        let is_date = matches!(
            self.mysql_type,
            MysqlType::Date | MysqlType::DateTime { .. } | MysqlType::Timestamp { .. }
        );
        is_date && self.form == Form::Native
    }
}

/// A source table, as introspection found it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceTable {
    /// The table's name.
    pub name: TableName,
    /// The columns in the table's order, invisible ones included.
    pub columns: Vec<SourceColumn>,
    /// Positions in `columns` of the primary key's columns, in key order; else of the first unique key whose columns are
    /// all NOT NULL; else empty.
    pub key: Vec<usize>,
    /// Of MariaDB's system-versioned tables: the column that says until when a row is current, which may be one that isn't shown.
    #[serde(default)]
    pub row_end: Option<String>,
    /// The name of the index that `key` is taken from, `PRIMARY` for the primary key.
    pub key_index: Option<String>,
    /// The server's estimate of the number of rows.
    pub estimated_rows: u64,
    /// The server's estimate of the data's size, in bytes.
    pub estimated_bytes: u64,
    /// The table's comment, empty if it has none.
    pub comment: String,
}

impl SourceTable {
    /// The Arrow schema of all the columns, in the table's order. A key column is never nullable.
    pub fn arrow_schema(&self) -> SchemaRef {
        let fields = self
            .columns
            .iter()
            .map(|c| Field::new(&c.name, c.arrow(), c.yields_null()));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    /// The position of the column of this name.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.name == name)
    }

    /// The names of the key's columns, in key order.
    pub fn key_names(&self) -> Vec<&str> {
        self.key
            .iter()
            .map(|&i| self.columns[i].name.as_str())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed_and_printed() {
        for (text, database, name) in [
            ("shop.orders", "shop", "orders"),
            ("`my.db`.orders", "my.db", "orders"),
            ("shop.`a``b.c`", "shop", "a`b.c"),
            ("shop.a.b", "shop", "a.b"),
        ] {
            let parsed: TableName = text.parse().expect(text);
            assert_eq!(parsed, TableName::new(database, name), "{text}");
            assert_eq!(
                parsed
                    .to_string()
                    .parse::<TableName>()
                    .expect("its own text"),
                parsed
            );
        }
        for bad in [
            "",
            "orders",
            ".orders",
            "shop.",
            "`shop.orders",
            "``.a",
            "shop.`a`b",
        ] {
            assert!(bad.parse::<TableName>().is_err(), "{bad}");
        }
    }
}
