//! Introspection: which tables there are, and what one of them looks like.

use mysql_common::row::Row;
use serde::{Deserialize, Serialize};

use super::connect::{Control, Flavor, Source, cell};
use super::error::SourceError;
use crate::schema::{Form, MysqlType, SourceColumn, SourceTable, TableName, ZeroDates};

/// Types of tables that are copied; `SYSTEM VERSIONED` is MariaDB's, of which the current rows are.
const TABLES: &str = "('BASE TABLE', 'SYSTEM VERSIONED')";
/// Databases of the server itself.
const SYSTEM: &str = "('mysql', 'information_schema', 'performance_schema', 'sys')";

/// Character sets whose every character is one of Unicode's, found by sending all of them to utf8mb4 and back, on MySQL 9.7 and MariaDB
/// 10.11. Of the others the servers turn some into `?`.
const WITHIN_UNICODE: [&str; 20] = [
    "utf8mb4", "utf8mb3", "utf8", "ucs2", "utf16", "utf16le", "utf32", "latin1", "latin2",
    "latin5", "latin7", "cp850", "cp852", "cp866", "koi8r", "koi8u", "keybcs2", "macce",
    "macroman", "binary",
];

/// The column of a system-versioned table that says until when a row is current, where the table names none.
const LONGEST_NAME: usize = 64 * 4;

const HIDDEN_ROW_END: &str = "row_end";

/// A table or view, as a list of them shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSummary {
    /// Its name.
    pub name: TableName,
    /// Whether it is a view, which is not copied.
    pub is_view: bool,
    /// The server's estimate of its rows.
    pub estimated_rows: u64,
    /// The server's estimate of its size, in bytes.
    pub estimated_bytes: u64,
    /// Whether it has a primary key, or a unique one without NULL.
    pub has_key: bool,
}

/// A unique index, as far as it matters here.
struct UniqueIndex {
    name: String,
    columns: Vec<String>,
    /// Whether rows can be read in its order: no prefixes of columns, all columns in one direction.
    ordered: bool,
}

impl Source {
    /// The tables and views of a database, or of all that aren't the server's own, in the order of their names.
    ///
    /// # Errors
    /// A lost connection.
    pub async fn tables(&self, database: Option<&str>) -> Result<Vec<TableSummary>, SourceError> {
        let mut control = self.control().await?;
        let sql = format!(
            "SELECT t.table_schema, t.table_name, t.table_type, t.table_rows, t.data_length, k.name IS NOT NULL \
             FROM information_schema.tables t LEFT JOIN (SELECT DISTINCT table_schema AS owner, table_name AS name \
               FROM information_schema.statistics WHERE non_unique = 0 GROUP BY table_schema, table_name, index_name \
               HAVING SUM(nullable = 'YES' OR column_name IS NULL) = 0) k ON k.owner = t.table_schema AND k.name = t.table_name \
             WHERE t.table_schema NOT IN {SYSTEM} AND (t.table_type IN {TABLES} OR t.table_type = 'VIEW') \
             AND (? IS NULL OR t.table_schema = ?) ORDER BY 1, 2"
        );
        let rows = control
            .rows(
                &sql,
                vec![database.into(), database.into()],
                "the list of tables",
            )
            .await?;
        control.close().await;
        let summary = |row: &Row| {
            Some(TableSummary {
                name: TableName::new(cell::<String>(row, 0)?, cell::<String>(row, 1)?),
                is_view: cell::<String>(row, 2)? == "VIEW",
                estimated_rows: cell(row, 3).unwrap_or(0),
                estimated_bytes: cell(row, 4).unwrap_or(0),
                has_key: cell::<u8>(row, 5)? == 1,
            })
        };
        Ok(rows.iter().filter_map(summary).collect())
    }

    /// Looks at a table.
    ///
    /// # Errors
    /// There is no such table (with the names that are similar), it is a view, or the type of a column can't be copied.
    pub async fn table(&self, name: &TableName) -> Result<SourceTable, SourceError> {
        let mut control = self.control().await?;
        let table = self.table_in(&mut control, name).await;
        control.close().await;
        table
    }

    async fn table_in(
        &self,
        control: &mut Control,
        name: &TableName,
    ) -> Result<SourceTable, SourceError> {
        let by_name = || vec![name.database.as_str().into(), name.name.as_str().into()];
        let sql = "SELECT table_type, table_rows, data_length, table_comment FROM information_schema.tables \
                   WHERE table_schema = ? AND table_name = ?";
        let rows = control
            .rows(sql, by_name(), &format!("the description of {name}"))
            .await?;
        let Some(about) = rows.first() else {
            return Err(SourceError::NoSuchTable {
                table: name.clone(),
                similar: similar(control, name).await?,
            });
        };
        let kind = cell::<String>(about, 0).unwrap_or_default();
        if kind.contains("VIEW") {
            return Err(SourceError::View {
                table: name.clone(),
            });
        }
        if kind == "SEQUENCE" {
            return Err(SourceError::Sequence {
                table: name.clone(),
            });
        }
        let (columns, row_end) = self.columns(control, name).await?;
        let row_end = (kind == "SYSTEM VERSIONED")
            .then(|| row_end.unwrap_or_else(|| HIDDEN_ROW_END.to_owned()));
        let indexes = self.unique_indexes(control, name).await?;
        let position = |column: &String| columns.iter().position(|c| c.name == *column);
        // The primary key is the first, if there is one.
        let key = indexes.into_iter().find_map(|index| {
            let positions: Vec<usize> =
                index.columns.iter().map(position).collect::<Option<_>>()?;
            positions
                .iter()
                .all(|&i| !columns[i].nullable)
                .then_some((index.ordered.then_some(index.name), positions))
        });
        let (key_index, key) = key.unwrap_or_default();
        Ok(SourceTable {
            name: name.clone(),
            columns,
            key,
            row_end,
            key_index,
            estimated_rows: cell(about, 1).unwrap_or(0),
            estimated_bytes: cell(about, 2).unwrap_or(0),
            comment: cell(about, 3).unwrap_or_default(),
        })
    }

    async fn columns(
        &self,
        control: &mut Control,
        name: &TableName,
    ) -> Result<(Vec<SourceColumn>, Option<String>), SourceError> {
        // MariaDB's JSON is a LONGTEXT with a check: it stays text, which is what it is copied as in any case.
        let sql = "SELECT column_name, column_type, is_nullable, column_comment, generation_expression, character_set_name FROM information_schema.columns \
                   WHERE table_schema = ? AND table_name = ? ORDER BY ordinal_position";
        let parameters = vec![name.database.as_str().into(), name.name.as_str().into()];
        let action = format!("the columns of {name}");
        let rows = control.rows(sql, parameters, &action).await?;
        let mut columns = Vec::with_capacity(rows.len());
        let mut row_end = None;
        for row in &rows {
            let (Some(column), Some(column_type)) =
                (cell::<String>(row, 0), cell::<String>(row, 1))
            else {
                return Err(SourceError::Protocol {
                    action: format!("asking for {action}"),
                    reason: "a column without a name".into(),
                });
            };
            let expression = cell::<String>(row, 4);
            if expression.as_deref() == Some("ROW END") {
                row_end = Some(column.clone());
            }
            let charset = cell::<String>(row, 5);
            let nullable = cell::<String>(row, 2).is_some_and(|nullable| nullable == "YES");
            match MysqlType::parse(&column_type) {
                Ok(mysql_type) => columns.push(SourceColumn {
                    name: column,
                    mysql_type,
                    form: Form::Native,
                    zero_dates: ZeroDates::of_nullable(nullable),
                    beyond_unicode: charset
                        .as_deref()
                        .is_some_and(|charset| !WITHIN_UNICODE.contains(&charset)),
                    charset,
                    nullable,
                    comment: cell(row, 3).unwrap_or_default(),
                    generated: expression.is_some_and(|expression| !expression.is_empty()),
                }),
                Err(cause) => {
                    return Err(SourceError::Type {
                        table: name.clone(),
                        column,
                        cause,
                    });
                }
            }
        }
        Ok((columns, row_end))
    }

    /// The unique indexes that a query may be told to use, the primary key first, then by name.
    async fn unique_indexes(
        &self,
        control: &mut Control,
        name: &TableName,
    ) -> Result<Vec<UniqueIndex>, SourceError> {
        let usable = match self.server().flavor {
            Flavor::Mysql if self.version() >= (8, 0) => " AND is_visible = 'YES'",
            Flavor::MariaDb if self.version() >= (10, 6) => " AND ignored = 'NO'",
            _ => "",
        };
        let sql = format!(
            "SELECT index_name, column_name, sub_part, collation, index_type FROM information_schema.statistics \
             WHERE table_schema = ? AND table_name = ? AND non_unique = 0{usable} \
             ORDER BY index_name <> 'PRIMARY', index_name, seq_in_index"
        );
        let parameters = vec![name.database.as_str().into(), name.name.as_str().into()];
        let rows = control
            .rows(&sql, parameters, &format!("the indexes of {name}"))
            .await?;
        let mut indexes: Vec<UniqueIndex> = Vec::new();
        let mut first_direction = None;
        for row in &rows {
            let index = cell::<String>(row, 0).unwrap_or_default();
            // A part that is an expression has no column: the empty name is none of the table's.
            let column = cell::<String>(row, 1).unwrap_or_default();
            let direction = cell::<String>(row, 3);
            let tree = cell::<String>(row, 4).is_some_and(|kind| kind == "BTREE");
            if indexes.last().is_none_or(|last| last.name != index) {
                first_direction.clone_from(&direction);
                indexes.push(UniqueIndex {
                    name: index,
                    columns: Vec::new(),
                    ordered: tree,
                });
            }
            if let Some(last) = indexes.last_mut() {
                last.columns.push(column);
                last.ordered &= cell::<u64>(row, 2).is_none() && direction == first_direction;
            }
        }
        Ok(indexes)
    }
}

/// Tables whose names are near to a name that doesn't exist, at most three, the nearest first.
async fn similar(control: &mut Control, name: &TableName) -> Result<Vec<TableName>, SourceError> {
    // Names are compared letter by letter with letter; no table has a longer one.
    let is_name = |name: &TableName| name.database.len().max(name.name.len()) <= LONGEST_NAME;
    if !is_name(name) {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema NOT IN {SYSTEM} \
         AND table_type IN {TABLES} LIMIT 20000"
    );
    let rows = control.rows(&sql, vec![], "the list of tables").await?;
    let distance =
        |a: &str, b: &str| strsim::damerau_levenshtein(&a.to_lowercase(), &b.to_lowercase());
    let mut near: Vec<(usize, TableName)> = rows
        .iter()
        .filter_map(|row| {
            Some(TableName::new(
                cell::<String>(row, 0)?,
                cell::<String>(row, 1)?,
            ))
        })
        .filter(is_name)
        .filter_map(|other| {
            let away =
                distance(&name.database, &other.database) + distance(&name.name, &other.name);
            (away <= 1 + name.name.len() / 3).then_some((away, other))
        })
        .collect();
    near.sort();
    near.truncate(3);
    Ok(near.into_iter().map(|(_, name)| name).collect())
}
