//! What rows that were there already have in a column that is new: its default.

use super::connect::{Flavor, Source, cell};
use super::error::SourceError;
use crate::schema::TableName;

/// The default of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnDefault {
    /// NULL.
    Null,
    /// None is stated, and the column can't be NULL: the type's own zero.
    Zero,
    /// A constant, as text.
    Constant(String),
    /// It differs by row, or can't be known: the clock, an expression, a number of its own.
    Computed,
}

/// The defaults of a table's columns.
#[derive(Clone, Debug)]
pub struct ColumnDefaults {
    /// When they were asked for, by the server's clock, in seconds since 1970.
    pub at: u64,
    /// Each column's, by its name.
    pub columns: Vec<(String, ColumnDefault)>,
}

impl Source {
    /// The defaults of a table's columns, by name.
    ///
    /// # Errors
    /// A lost connection.
    pub async fn column_defaults(&self, table: &TableName) -> Result<ColumnDefaults, SourceError> {
        let sql = "SELECT column_name, column_default, is_nullable, extra, generation_expression, UNIX_TIMESTAMP() FROM information_schema.columns \
                   WHERE table_schema = ? AND table_name = ?";
        let parameters = vec![table.database.as_str().into(), table.name.as_str().into()];
        let mut control = self.control().await?;
        let rows = control
            .rows(sql, parameters, &format!("the defaults of {table}"))
            .await?;
        control.close().await;
        let flavor = self.server().flavor;
        let default = |row: &mysql_common::row::Row| {
            let name: String = cell(row, 0)?;
            let nullable = cell::<String>(row, 2).is_some_and(|text| text == "YES");
            let extra = cell::<String>(row, 3).unwrap_or_default();
            let generated = cell::<String>(row, 4).is_some_and(|text| !text.is_empty());
            let stated: Option<String> = cell(row, 1);
            let default = match generated {
                true => ColumnDefault::Computed,
                false => of(flavor, stated.as_deref(), nullable, &extra),
            };
            Some((name, default))
        };
        Ok(ColumnDefaults {
            at: rows
                .first()
                .and_then(|row| cell(row, 5))
                .unwrap_or(u64::MAX),
            columns: rows.iter().filter_map(default).collect(),
        })
    }
}

/// A default as `information_schema` writes it: MySQL the bare value, MariaDB the SQL.
fn of(flavor: Flavor, stated: Option<&str>, nullable: bool, extra: &str) -> ColumnDefault {
    let extra = extra.to_ascii_lowercase();
    if extra.contains("auto_increment") || extra.contains("default_generated") {
        return ColumnDefault::Computed;
    }
    let Some(stated) = stated else {
        return match nullable {
            true => ColumnDefault::Null,
            false => ColumnDefault::Zero,
        };
    };
    let is_number = !stated.is_empty() && stated.parse::<f64>().is_ok();
    match flavor {
        Flavor::Mysql if stated.to_ascii_uppercase().starts_with("CURRENT_TIMESTAMP") => {
            ColumnDefault::Computed
        }
        Flavor::Mysql => ColumnDefault::Constant(stated.to_owned()),
        Flavor::MariaDb if stated.eq_ignore_ascii_case("null") => ColumnDefault::Null,
        Flavor::MariaDb if is_number => ColumnDefault::Constant(stated.to_owned()),
        Flavor::MariaDb => {
            let inner = stated
                .strip_prefix('\'')
                .and_then(|rest| rest.strip_suffix('\''));
            match inner {
                Some(inner) => ColumnDefault::Constant(unquoted(inner)),
                None => ColumnDefault::Computed,
            }
        }
    }
}

/// What stands between the quotes of a literal, as MariaDB itself writes it: it doubles a quote, and escapes what its own reader would
/// take for something else.
fn unquoted(inner: &str) -> String {
    let mut text = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '\'' => {
                characters.next();
                text.push('\'');
            }
            '\\' => text.push(match characters.next() {
                Some('0') => '\0',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some('Z') => '\u{1A}',
                Some(other) => other,
                None => '\\',
            }),
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_read_as_each_server_writes_them() {
        use ColumnDefault::{Computed, Constant, Null, Zero};
        let constant = |text: &str| Constant(text.to_owned());
        for (flavor, stated, nullable, extra, expected) in [
            (Flavor::Mysql, None, true, "", Null),
            (Flavor::Mysql, None, false, "", Zero),
            (Flavor::Mysql, None, false, "auto_increment", Computed),
            (Flavor::Mysql, Some("it's"), true, "", constant("it's")),
            (
                Flavor::Mysql,
                Some("uuid()"),
                true,
                "DEFAULT_GENERATED",
                Computed,
            ),
            (Flavor::Mysql, Some("CURRENT_TIMESTAMP"), true, "", Computed),
            (Flavor::MariaDb, Some("NULL"), true, "", Null),
            (Flavor::MariaDb, Some("-1.5"), false, "", constant("-1.5")),
            (
                Flavor::MariaDb,
                Some("'it''s'"),
                false,
                "",
                constant("it's"),
            ),
            (
                Flavor::MariaDb,
                Some(r"'\\ \n \0 %\\_'"),
                false,
                "",
                constant("\\ \n \0 %\\_"),
            ),
            (
                Flavor::MariaDb,
                Some("current_timestamp()"),
                false,
                "",
                Computed,
            ),
        ] {
            assert_eq!(of(flavor, stated, nullable, extra), expected, "{stated:?}");
        }
    }
}
