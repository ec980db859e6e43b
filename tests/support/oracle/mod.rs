//! The oracle: a copied table, cell by cell, as MySQL itself says its values and as ClickHouse holds them.
//!
//! It knows nothing of Tidemill: the columns and their types come from `information_schema`, each server is asked once a table,
//! and both answers are brought to one canonical text a cell. A type that it doesn't know makes it panic, so that nothing is left
//! out in silence, and it says how many cells it compared.

mod cell;
mod geometry;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;

use super::clickhouse::quoted as escaped;
use super::mysql::quoted;
use super::{ClickHouse, MySql};
use cell::Kind;

/// How many differences of a table are told; more add nothing.
const TOLD: usize = 20;
/// How much of a value is shown, in characters.
const SHOWN: usize = 200;

/// A value's canonical text; none for NULL.
pub type Cell = Option<String>;

/// What becomes of a source row on its way, told in canonical cells beside the names of their columns: the row that arrives, or none.
pub type Transform = dyn Fn(&[&str], Vec<Cell>) -> Option<Vec<Cell>>;

/// What was compared, and found to be equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// Tables.
    pub tables: u64,
    /// Their rows.
    pub rows: u64,
    /// Their cells.
    pub cells: u64,
}

impl AddAssign for Compared {
    fn add_assign(&mut self, other: Self) {
        self.tables += other.tables;
        self.rows += other.rows;
        self.cells += other.cells;
    }
}

/// A cell, a row or a column that isn't the same on both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The source table.
    pub table: String,
    /// The column, or what else differs.
    pub column: String,
    /// The column's type, as MySQL writes it.
    pub column_type: String,
    /// The key of the row; all of the row where there is no key.
    pub row: String,
    /// What MySQL says.
    pub source: String,
    /// What ClickHouse holds.
    pub destination: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (table, column, kind, row) = (&self.table, &self.column, &self.column_type, &self.row);
        let (source, destination) = (&self.source, &self.destination);
        write!(
            f,
            "{table}, {column} {kind}, row ({row}): MySQL says {source}, ClickHouse holds {destination}"
        )
    }
}

/// A column of the source table.
#[derive(Debug)]
struct Column {
    name: String,
    column_type: String,
    kind: Kind,
}

/// A source table: where it is, its columns, and the positions of its key among them.
#[derive(Debug)]
struct Source {
    database: String,
    table: String,
    columns: Vec<Column>,
    key: Vec<usize>,
}

/// Compares all cells of a source table with those of a destination table.
///
/// # Errors
/// The differences, at most [`TOLD`].
pub fn compare(
    mysql: &MySql,
    database: &str,
    table: &str,
    clickhouse: &ClickHouse,
    destination: &str,
) -> Result<Compared, Vec<Difference>> {
    let as_it_is = |_: &[&str], row| Some(row);
    compare_through(mysql, database, table, &as_it_is, clickhouse, destination)
}

/// Compares all cells of a source table, transformed, with those of a destination table.
///
/// # Errors
/// The differences, at most [`TOLD`].
pub fn compare_through(
    mysql: &MySql,
    database: &str,
    table: &str,
    transform: &Transform,
    clickhouse: &ClickHouse,
    destination: &str,
) -> Result<Compared, Vec<Difference>> {
    let source = Source::look_up(mysql, database, table);
    let shape = source.shape_of(clickhouse, destination)?;
    let names: Vec<&str> = (source.columns.iter())
        .map(|column| &*column.name)
        .collect();
    let expected: Vec<_> = (source.rows_of_mysql(mysql).into_iter())
        .filter_map(|row| transform(&names, row))
        .collect();
    let found = source.rows_of_clickhouse(clickhouse, destination, &shape);
    let mut told = Vec::new();
    let mut cells = 0;
    let (expected_by_key, found_by_key) = (source.by_key(&expected), source.by_key(&found));
    let mut keys: Vec<_> = expected_by_key.keys().chain(found_by_key.keys()).collect();
    keys.sort();
    keys.dedup();
    for key in keys {
        let rows =
            |side: &BTreeMap<Vec<Cell>, Vec<Vec<Cell>>>| side.get(key).cloned().unwrap_or_default();
        let (expected, found) = (rows(&expected_by_key), rows(&found_by_key));
        if expected.len() != found.len() {
            let count = |rows: &[Vec<Cell>]| format!("{} such rows", rows.len());
            told.push(source.difference(key, None, count(&expected), count(&found)));
        }
        for (expected, found) in expected.iter().zip(&found) {
            for (i, (expected, found)) in expected.iter().zip(found).enumerate() {
                cells += 1;
                if expected != found {
                    told.push(source.difference(key, Some(i), shown(expected), shown(found)));
                }
            }
        }
    }
    if told.is_empty() {
        return Ok(Compared {
            tables: 1,
            rows: expected.len() as u64,
            cells,
        });
    }
    told.truncate(TOLD);
    Err(told)
}

/// Compares tables of a database that were copied under their own names, and panics with what differs.
#[track_caller]
pub fn assert_same_cells(
    mysql: &MySql,
    database: &str,
    clickhouse: &ClickHouse,
    tables: &[impl AsRef<str>],
) -> Compared {
    let mut all = Compared::default();
    for table in tables {
        let table = table.as_ref();
        match compare(mysql, database, table, clickhouse, table) {
            Ok(compared) => all += compared,
            Err(told) => panic!("the copy differs:\n{}", listed(&told)),
        }
    }
    all
}

/// Differences, one a line.
pub fn listed(told: &[Difference]) -> String {
    told.iter()
        .map(|difference| format!("{difference}\n"))
        .collect()
}

/// Whether a table has a primary key, or a unique one without NULL.
pub fn has_key(mysql: &MySql, database: &str, table: &str) -> bool {
    !key(mysql, &place(database, table)).is_empty()
}

/// The TINYINT(1) columns of a table.
pub fn booleans(mysql: &MySql, database: &str, table: &str) -> Vec<String> {
    let place = place(database, table);
    let columns = mysql.rows(&format!(
        "SELECT column_name FROM information_schema.columns WHERE {place} AND column_type = 'tinyint(1)'"
    ));
    columns.into_iter().flatten().flatten().collect()
}

/// Where a table is, as a condition on `information_schema`.
fn place(database: &str, table: &str) -> String {
    format!(
        "table_schema = {} AND table_name = {}",
        literal(database),
        literal(table)
    )
}

impl Source {
    fn look_up(mysql: &MySql, database: &str, table: &str) -> Self {
        let place = place(database, table);
        let columns: Vec<Column> = mysql
            .rows(&format!(
                "SELECT column_name, data_type, column_type FROM information_schema.columns WHERE {place} ORDER BY ordinal_position"
            ))
            .into_iter()
            .map(|row| {
                let mut cells = row.into_iter().map(|cell| cell.expect("not NULL"));
                let mut next = || cells.next().expect("three columns");
                let (name, data_type, column_type) = (next(), next(), next());
                let kind = Kind::of(&data_type, &column_type);
                Column { name, column_type, kind }
            })
            .collect();
        assert!(!columns.is_empty(), "there is no table {database}.{table}");
        let names = key(mysql, &place);
        let key = columns.iter().enumerate();
        let key = key.filter(|(_, column)| names.contains(&column.name));
        Self {
            database: database.to_owned(),
            table: table.to_owned(),
            key: key.map(|(i, _)| i).collect(),
            columns,
        }
    }

    /// The destination's column types in the order of the source's columns, and how the table is named in a query.
    fn shape_of(
        &self,
        clickhouse: &ClickHouse,
        destination: &str,
    ) -> Result<Shape, Vec<Difference>> {
        let place = format!("database = '{{db}}' AND name = {}", literal(destination));
        let engine = clickhouse.query(&format!("SELECT engine FROM system.tables WHERE {place}"));
        let place = place.replace(" name =", " table =");
        let found = clickhouse.query(&format!(
            "SELECT hex(name), type FROM system.columns WHERE {place} AND NOT startsWith(name, '_peerdb_') ORDER BY position"
        ));
        let found: Vec<(&str, &str)> = found
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .collect();
        let expected: Vec<String> = (self.columns.iter())
            .map(|column| hex::encode_upper(&column.name))
            .collect();
        if !found.iter().map(|(name, _)| name).eq(&expected) {
            let names = |hex: &str| {
                String::from_utf8_lossy(&hex::decode(hex).expect("hex digits")).into_owned()
            };
            let source: Vec<_> = expected.iter().map(|name| names(name)).collect();
            let destination: Vec<_> = found.iter().map(|(name, _)| names(name)).collect();
            return Err(vec![self.difference(
                &[],
                None,
                format!("the columns {source:?}"),
                format!("a {engine} with the columns {destination:?}"),
            )]);
        }
        Ok(Shape {
            types: found.iter().map(|(_, kind)| (*kind).to_owned()).collect(),
            is_final: engine.contains("Replacing"),
        })
    }

    fn rows_of_mysql(&self, mysql: &MySql) -> Vec<Vec<Cell>> {
        let columns: Vec<_> = (self.columns.iter())
            .map(|column| column.kind.in_mysql(&quoted(&column.name), mysql.flavor))
            .collect();
        let rows = mysql.rows(&format!(
            "SELECT {} FROM {}.{}",
            columns.join(", "),
            quoted(&self.database),
            quoted(&self.table)
        ));
        let canonical = |(cell, column): (Cell, &Column)| column.kind.said_by_mysql(&cell?);
        rows.into_iter()
            .map(|row| row.into_iter().zip(&self.columns).map(canonical).collect())
            .collect()
    }

    fn rows_of_clickhouse(
        &self,
        clickhouse: &ClickHouse,
        destination: &str,
        shape: &Shape,
    ) -> Vec<Vec<Cell>> {
        let columns = self.columns.iter().zip(&shape.types);
        let columns: Vec<_> = columns
            .map(|(column, kind)| column.kind.in_clickhouse(&escaped(&column.name), kind))
            .collect();
        // The 1 keeps rows apart whose only cell is empty.
        let text = clickhouse.query(&format!(
            "SELECT 1, {} FROM {{db}}.{}{} SETTINGS output_format_decimal_trailing_zeros = 1",
            columns.join(", "),
            escaped(destination),
            if shape.is_final { " FINAL" } else { "" }
        ));
        let canonical = |(cell, column): (&str, &Column)| {
            (cell != "\\N").then(|| column.kind.held_by_clickhouse(cell))
        };
        let cells = |line: &str| {
            let cells: Vec<_> = line.split('\t').skip(1).collect();
            assert_eq!(cells.len(), self.columns.len(), "{line}");
            cells
                .into_iter()
                .zip(&self.columns)
                .map(canonical)
                .collect()
        };
        text.lines().map(cells).collect()
    }

    /// The rows by their key; where there is none, by all of their cells, which makes a multiset of them.
    fn by_key(&self, rows: &[Vec<Cell>]) -> BTreeMap<Vec<Cell>, Vec<Vec<Cell>>> {
        let mut by_key: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for row in rows {
            let key: Vec<Cell> = match self.key.is_empty() {
                true => row.clone(),
                false => self.key.iter().map(|&i| row[i].clone()).collect(),
            };
            by_key.entry(key).or_default().push(row.clone());
        }
        for same in by_key.values_mut() {
            same.sort();
        }
        by_key
    }

    fn difference(
        &self,
        key: &[Cell],
        column: Option<usize>,
        source: String,
        destination: String,
    ) -> Difference {
        let column = column.map(|i| &self.columns[i]);
        Difference {
            table: format!("{}.{}", quoted(&self.database), quoted(&self.table)),
            column: column.map_or("all columns".to_owned(), |column| quoted(&column.name)),
            column_type: column.map_or(String::new(), |column| column.column_type.clone()),
            row: key.iter().map(shown).collect::<Vec<_>>().join(", "),
            source,
            destination,
        }
    }
}

/// What ClickHouse says of the destination table.
struct Shape {
    types: Vec<String>,
    /// Whether several versions of a row may be there, of which the last counts.
    is_final: bool,
}

/// The columns of the primary key, else of the first unique one without NULL.
fn key(mysql: &MySql, place: &str) -> Vec<String> {
    let parts = mysql.rows(&format!(
        "SELECT index_name, column_name, nullable FROM information_schema.statistics WHERE {place} AND non_unique = 0 \
         ORDER BY index_name <> 'PRIMARY', index_name, seq_in_index"
    ));
    let mut indexes: BTreeMap<(bool, String), Option<Vec<String>>> = BTreeMap::new();
    for part in parts {
        let [Some(index), column, nullable] = &part[..] else {
            panic!("an index without a name: {part:?}");
        };
        let columns = indexes.entry((index != "PRIMARY", index.clone()));
        let columns = columns.or_insert_with(|| Some(Vec::new()));
        // A part that is an expression has no column.
        match column
            .clone()
            .filter(|_| nullable.as_deref() != Some("YES"))
        {
            Some(column) => columns.iter_mut().for_each(|all| all.push(column.clone())),
            None => *columns = None,
        }
    }
    indexes.into_values().flatten().next().unwrap_or_default()
}

fn shown(cell: &Cell) -> String {
    match cell {
        None => "NULL".to_owned(),
        Some(text) if text.chars().count() > SHOWN => {
            format!("`{}…`", text.chars().take(SHOWN).collect::<String>())
        }
        Some(text) => format!("`{text}`"),
    }
}

/// A text as both write it.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
