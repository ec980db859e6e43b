//! A random table: columns, a key, rows; and the SQL that makes it.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::kinds::{self, KeyPart, Kind, Size};
use super::names::{self, quoted};
use super::values::{self, Dice};
use crate::support::Flavor;

/// What the SQL expects of its session: values that don't fit are made to, index 0 of an ENUM and zero dates are let in.
pub(super) const SESSION: &str = "SET SESSION sql_mode = ''";

/// The most rows of most tables, and of the few that are long enough for several chunks.
const ROWS: u64 = 60;
const MANY_ROWS: u64 = 2_500;
/// The most columns of a table, and of a key.
const COLUMNS: usize = 12;
const KEY_COLUMNS: usize = 5;
/// The most characters of a column's name.
const NAME: usize = 64;

/// A table.
#[derive(Clone, Debug)]
pub(super) struct Table {
    name: String,
    /// The numbers of its rows: a row's values don't change with the rows around it.
    rows: std::ops::Range<u64>,
    columns: Vec<Column>,
    key: Vec<Part>,
    is_primary: bool,
}

#[derive(Clone, Debug)]
struct Column {
    name: String,
    kind: Kind,
    nullable: bool,
    extra: Extra,
    seed: u64,
    /// How far its values are from the simplest: 0 is the simplest alone.
    wildness: u32,
}

/// What else a column may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extra {
    None,
    Invisible,
    Stored,
    Virtual,
}

/// A part of a key: one of the columns that can be one, counted round and round.
#[derive(Clone, Copy, Debug)]
struct Part {
    column: usize,
    prefix: bool,
    descending: bool,
}

/// Any table. A failing one loses rows, then columns, then what is special about the columns that are left.
pub(super) fn strategy(flavor: Flavor) -> impl Strategy<Value = Table> {
    let part = (
        0..COLUMNS,
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.2),
    );
    let part = part.prop_map(|(column, prefix, descending)| Part {
        column,
        prefix,
        descending,
    });
    let key = prop_oneof![
        1 => Just(Vec::new()),
        4 => prop::collection::vec(part.clone(), 1),
        3 => prop::collection::vec(part, 2..=KEY_COLUMNS),
    ];
    let columns = prop::collection::vec(column(flavor), 1..=COLUMNS);
    let last = prop_oneof![29 => 0..=ROWS, 1 => MANY_ROWS / 2..=MANY_ROWS];
    let rows = (last, prop_oneof![9 => Just(MANY_ROWS), 1 => 0..=ROWS]);
    (
        rows,
        columns,
        key,
        prop::bool::weighted(0.3),
        names::strategy(40),
    )
        .prop_map(move |((upto, kept), columns, key, unique, name)| Table {
            name,
            rows: upto.saturating_sub(kept)..upto,
            columns,
            key,
            is_primary: !unique,
        })
}

fn column(flavor: Flavor) -> impl Strategy<Value = Column> {
    let extra = prop_oneof![
        8 => Just(Extra::None),
        1 => Just(Extra::Invisible),
        1 => Just(Extra::Stored),
        1 => Just(Extra::Virtual),
    ];
    let seed = any::<u64>().no_shrink();
    // Most columns have values of every sort: a failing one is tamed bit by bit.
    let wildness = (0u32..=200).prop_map(|wildness| wildness.min(64));
    let name = names::strategy(NAME);
    (
        kinds::strategy(flavor),
        extra,
        any::<bool>(),
        name,
        wildness,
        seed,
    )
        .prop_map(|(kind, extra, nullable, name, wildness, seed)| Column {
            name,
            kind,
            nullable,
            extra,
            seed,
            wildness,
        })
}

impl Table {
    /// Its name as the `number`th of its database.
    pub(super) fn name(&self, number: usize) -> String {
        names::of_table(&self.name, number)
    }

    /// The names of its columns' kinds.
    pub(super) fn kinds(&self) -> impl Iterator<Item = &'static str> {
        self.columns.iter().map(|column| column.kind.name())
    }

    /// How many rows it is given; the key may refuse some of them.
    pub(super) fn rows(&self) -> u64 {
        self.rows.end - self.rows.start
    }

    /// The statements that make and fill it as the `number`th of its database.
    pub(super) fn sql(&self, number: usize) -> String {
        let name = quoted(&self.name(number));
        let key = self.key();
        let mut parts: Vec<_> = (0..self.columns.len())
            .map(|i| format!("  {} {}", self.column_name(i), self.definition(i, &key)))
            .collect();
        if !key.is_empty() {
            let kind = if self.is_primary {
                "PRIMARY KEY"
            } else {
                "UNIQUE KEY"
            };
            let listed: Vec<_> = key.iter().map(|part| self.key_part(part)).collect();
            parts.push(format!("  {kind} ({})", listed.join(", ")));
        }
        let mut sql = format!("CREATE TABLE {name} (\n{}\n);\n", parts.join(",\n"));
        if !self.rows.is_empty() {
            let given: Vec<_> = (0..self.columns.len())
                .filter(|&i| !self.is_generated(i))
                .collect();
            let names: Vec<_> = given.iter().map(|&i| self.column_name(i)).collect();
            let rows: Vec<_> = self
                .rows
                .clone()
                .map(|row| self.row(row, &given, &key))
                .collect();
            sql += &format!(
                "INSERT IGNORE INTO {name} ({}) VALUES\n{};\n",
                names.join(", "),
                rows.join(",\n")
            );
        }
        sql
    }

    fn column_name(&self, i: usize) -> String {
        quoted(&names::unique(&self.columns[i].name, i, NAME))
    }

    fn definition(&self, i: usize, key: &[Part]) -> String {
        let column = &self.columns[i];
        if self.is_generated(i) {
            let how = if column.extra == Extra::Stored {
                "STORED"
            } else {
                "VIRTUAL"
            };
            return format!("{} {how}", self.expression(column.seed));
        }
        let null = if self.is_nullable(i, key) {
            "NULL"
        } else {
            "NOT NULL"
        };
        // MariaDB wants a default for an invisible column that is NOT NULL.
        let hidden = i > 0 && column.extra == Extra::Invisible && self.is_nullable(i, key);
        format!(
            "{} {null}{}",
            column.kind.sql(),
            if hidden { " INVISIBLE" } else { "" }
        )
    }

    /// The first column is never generated, so that there is one to insert into.
    fn is_generated(&self, i: usize) -> bool {
        i > 0 && matches!(self.columns[i].extra, Extra::Stored | Extra::Virtual)
    }

    fn is_nullable(&self, i: usize, key: &[Part]) -> bool {
        self.columns[i].nullable && key.iter().all(|part| part.column != i)
    }

    /// Type and expression of a generated column, out of the first column.
    fn expression(&self, seed: u64) -> String {
        // What depends on the session, as the length of a CHAR and the text of a TIMESTAMP do, is refused; so are some lengths.
        let base = match self.columns[0].kind {
            Kind::Geometry(..) | Kind::Vector(_) | Kind::Json => "7".to_owned(),
            Kind::Text(Size::Fixed(_), ..) | Kind::Timestamp(_) => "7".to_owned(),
            _ => self.column_name(0),
        };
        let forms = [
            format!("BIGINT AS (LENGTH({base}))"),
            format!("TINYINT(1) AS ({base} IS NULL)"),
            format!("DECIMAL(12,3) AS (LENGTH({base}) * 1.125)"),
            format!("DOUBLE AS (LENGTH({base}) * 0.1e0)"),
            format!("DATETIME(6) AS ('2024-02-28 23:59:59.5' + INTERVAL LENGTH({base}) SECOND)"),
        ];
        forms[(seed % forms.len() as u64) as usize].clone()
    }

    /// The key's parts, each on a column of its own that can be one.
    fn key(&self) -> Vec<Part> {
        let able: Vec<usize> = (0..self.columns.len())
            .filter(|&i| !self.is_generated(i) && self.columns[i].kind.key_part().is_some())
            .collect();
        let mut taken = BTreeSet::new();
        let mut key = Vec::new();
        for part in &self.key {
            if !able.is_empty() && taken.insert(able[part.column % able.len()]) {
                key.push(Part {
                    column: able[part.column % able.len()],
                    ..*part
                });
            }
        }
        key
    }

    fn key_part(&self, part: &Part) -> String {
        let prefix = match self.columns[part.column].kind.key_part() {
            Some(KeyPart::Prefix(length)) => format!("({length})"),
            Some(KeyPart::Either(length)) if part.prefix => format!("({length})"),
            _ => String::new(),
        };
        let direction = if part.descending { " DESC" } else { "" };
        format!("{}{prefix}{direction}", self.column_name(part.column))
    }

    fn row(&self, row: u64, given: &[usize], key: &[Part]) -> String {
        let value = |&i: &usize| {
            let column = &self.columns[i];
            let mut dice = Dice::new(column.seed, row, column.wildness);
            let nullable = self.is_nullable(i, key);
            values::value(&column.kind, nullable, &mut dice)
        };
        let values: Vec<_> = given.iter().map(value).collect();
        format!("({})", values.join(", "))
    }
}
