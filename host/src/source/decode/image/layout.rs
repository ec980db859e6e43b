//! What a table map says of a table's columns, held against the table as it is known.
//!
//! Where the map has names (`binlog_row_metadata = FULL`), columns are found by them; else by their places, and then all of them must
//! fit. Nothing is guessed: a column that may mean something else than it did is a misfit, and the table's rows are not decoded.

use std::sync::Arc;

use mysql_async::binlog::events::TableMapEvent;
use mysql_async::consts::ColumnType;

use super::map::{MapColumn, columns};
use super::{Content, Frame};
use crate::schema::{Form, MysqlType, SourceColumn, SourceTable, TableName};
use crate::source::decode::TableRead;
use crate::source::decode::charset::{Charset, Charsets};

/// A table in the binlog that isn't the table as it is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{table} in the binlog isn't the table that was looked at: {}", problems.join("; "))]
pub struct MapMisfit {
    /// The table.
    pub table: TableName,
    /// Which columns differ, and how: half sentences.
    pub problems: Vec<String>,
}

/// A column of the row images.
#[derive(Clone, Debug)]
pub(in crate::source::decode) struct Slot {
    pub(in crate::source::decode) frame: Frame,
    /// Which of the columns that are read it is, and what its cells mean.
    pub(in crate::source::decode) target: Option<(usize, Content)>,
    /// Whether it is of the source's key.
    pub(in crate::source::decode) is_key: bool,
}

/// How the row images of a table map are laid out.
#[derive(Clone, Debug)]
pub(in crate::source::decode) struct Layout {
    pub(in crate::source::decode) slots: Vec<Slot>,
    /// The column that says until when a row is current; of system-versioned tables alone.
    pub(in crate::source::decode) row_end: Option<usize>,
}

impl Layout {
    pub(in crate::source::decode) fn new(
        map: &TableMapEvent<'_>,
        table: &SourceTable,
        read: &TableRead,
        charsets: &Charsets,
    ) -> Result<Self, MapMisfit> {
        let misfit = |problems| MapMisfit {
            table: table.name.clone(),
            problems,
        };
        let (columns, names) = columns(map).map_err(|problem| misfit(vec![problem]))?;
        let known = match &names {
            Some(names) => names.iter().map(|name| table.column(name)).collect(),
            None if columns.len() == table.columns.len() => {
                (0..columns.len()).map(Some).collect::<Vec<_>>()
            }
            None => {
                return Err(misfit(vec![format!(
                    "it has {} columns there, without names, and had {} (set binlog_row_metadata = FULL)",
                    columns.len(),
                    table.columns.len()
                )]));
            }
        };
        let mut problems = Vec::new();
        for (i, column) in table.columns.iter().enumerate() {
            let is_wanted = read.columns.iter().any(|wanted| wanted.name == column.name)
                || table.key.contains(&i);
            if is_wanted && !known.contains(&Some(i)) {
                problems.push(format!("column `{}` is missing there", column.name));
            }
        }
        let mut slots = Vec::with_capacity(columns.len());
        for (i, (map, known)) in columns.iter().zip(&known).enumerate() {
            let name = match known {
                Some(at) => table.columns[*at].name.clone(),
                None => names
                    .as_ref()
                    .map(|names| names[i].clone())
                    .unwrap_or_default(),
            };
            match slot(map, *known, names.is_some(), table, read, charsets) {
                Ok(slot) => slots.push(slot),
                Err(problem) => problems.push(format!("column `{name}` {problem}")),
            }
        }
        let row_end = table.row_end.as_deref().map(|end| match &names {
            Some(names) => names.iter().position(|name| name == end),
            None => table.column(end),
        });
        if row_end == Some(None) {
            problems.push(
                "its rows have versions, and which are current isn't told there (set binlog_row_metadata = FULL)".to_owned(),
            );
        }
        match problems.is_empty() {
            true => Ok(Self {
                slots,
                row_end: row_end.flatten(),
            }),
            false => Err(misfit(problems)),
        }
    }
}

/// A column of the map; `is_named`: it was found by its name.
fn slot(
    map: &MapColumn,
    known: Option<usize>,
    is_named: bool,
    table: &SourceTable,
    read: &TableRead,
    charsets: &Charsets,
) -> Result<Slot, String> {
    let frame = map.frame()?;
    let mut slot = Slot {
        frame,
        target: None,
        is_key: false,
    };
    let Some(at) = known else {
        // Old tables of MariaDB have more bytes under the same number, and how many is not said.
        return match map.is_old_temporal() {
            true => Err(REBUILD.to_owned()),
            false => Ok(slot),
        };
    };
    let column = &table.columns[at];
    if map.is_old_temporal() && fraction(&column.mysql_type) > 0 {
        return Err(REBUILD.to_owned());
    }
    slot.is_key = table.key.contains(&at);
    let target = read
        .columns
        .iter()
        .position(|wanted| wanted.name == column.name);
    let content = match map.fits(&column.mysql_type) {
        true => map.checked(column, charsets),
        false => Err(format!(
            "is {} there and was {}",
            map.name(),
            column.mysql_type.name()
        )),
    };
    match target {
        Some(at) => {
            content?;
            slot.target = Some((at, map.content(&read.columns[at], charsets)?));
        }
        // Without names the types are all that tells one column from another.
        None if !is_named || slot.is_key => content?,
        None => {}
    }
    Ok(slot)
}

/// What to do about a format that was given up before the servers that are read.
const REBUILD: &str =
    "is stored in the old format of dates and times; rebuild the table with ALTER TABLE ... FORCE";

fn fraction(mysql_type: &MysqlType) -> u8 {
    match *mysql_type {
        MysqlType::DateTime { fraction }
        | MysqlType::Timestamp { fraction }
        | MysqlType::Time { fraction } => fraction,
        _ => 0,
    }
}

impl MapColumn {
    /// Whether the column is of this type, as far as the map tells.
    fn fits(&self, mysql_type: &MysqlType) -> bool {
        use ColumnType as T;
        let sign = |unsigned: bool| self.unsigned.is_none_or(|is| is == unsigned);
        let [first, second] = self.metadata;
        match (mysql_type, self.kind) {
            (MysqlType::Bool, T::MYSQL_TYPE_TINY) => sign(false),
            (MysqlType::TinyInt { unsigned }, T::MYSQL_TYPE_TINY)
            | (MysqlType::SmallInt { unsigned }, T::MYSQL_TYPE_SHORT)
            | (MysqlType::MediumInt { unsigned }, T::MYSQL_TYPE_INT24)
            | (MysqlType::Int { unsigned }, T::MYSQL_TYPE_LONG)
            | (MysqlType::BigInt { unsigned }, T::MYSQL_TYPE_LONGLONG) => sign(*unsigned),
            (MysqlType::Decimal { precision, scale }, T::MYSQL_TYPE_NEWDECIMAL) => {
                (*precision, *scale) == (first, second)
            }
            (MysqlType::Bit { bits }, T::MYSQL_TYPE_BIT) => usize::from(*bits) == self.bits(),
            (MysqlType::DateTime { fraction }, T::MYSQL_TYPE_DATETIME2)
            | (MysqlType::Timestamp { fraction }, T::MYSQL_TYPE_TIMESTAMP2)
            | (MysqlType::Time { fraction }, T::MYSQL_TYPE_TIME2) => *fraction == first,
            (MysqlType::Enum { values }, T::MYSQL_TYPE_ENUM) => {
                usize::from(second) == if values.len() < 256 { 1 } else { 2 }
            }
            (MysqlType::Set { values }, T::MYSQL_TYPE_SET) => {
                let bytes = values.len().div_ceil(8);
                usize::from(second) == if bytes > 4 { 8 } else { bytes.max(1) }
            }
            (MysqlType::Binary { bytes }, T::MYSQL_TYPE_STRING) => {
                usize::from(*bytes) == self.string_bytes()
            }
            (MysqlType::Uuid | MysqlType::Inet6, T::MYSQL_TYPE_STRING) => self.string_bytes() == 16,
            (MysqlType::Inet4, T::MYSQL_TYPE_STRING) => self.string_bytes() == 4,
            (MysqlType::Year, T::MYSQL_TYPE_YEAR)
            | (MysqlType::Float, T::MYSQL_TYPE_FLOAT)
            | (MysqlType::Double, T::MYSQL_TYPE_DOUBLE)
            | (MysqlType::Date, T::MYSQL_TYPE_DATE | T::MYSQL_TYPE_NEWDATE)
            | (MysqlType::DateTime { .. }, T::MYSQL_TYPE_DATETIME)
            | (MysqlType::Timestamp { .. }, T::MYSQL_TYPE_TIMESTAMP)
            | (MysqlType::Time { .. }, T::MYSQL_TYPE_TIME)
            | (MysqlType::Json, T::MYSQL_TYPE_JSON)
            | (MysqlType::Vector, T::MYSQL_TYPE_VECTOR)
            | (MysqlType::Geometry, T::MYSQL_TYPE_GEOMETRY)
            | (MysqlType::Text, T::MYSQL_TYPE_STRING) => true,
            (MysqlType::Text | MysqlType::Blob, other) => matches!(
                other,
                T::MYSQL_TYPE_VARCHAR
                    | T::MYSQL_TYPE_VAR_STRING
                    | T::MYSQL_TYPE_BLOB
                    | T::MYSQL_TYPE_TINY_BLOB
                    | T::MYSQL_TYPE_MEDIUM_BLOB
                    | T::MYSQL_TYPE_LONG_BLOB
            ),
            _ => false,
        }
    }

    /// Holds a column's character set and values against the map, where it has them.
    fn checked(&self, column: &SourceColumn, charsets: &Charsets) -> Result<(), String> {
        let is_text = matches!(column.mysql_type, MysqlType::Text);
        let is_bytes = matches!(
            column.mysql_type,
            MysqlType::Blob | MysqlType::Binary { .. }
        );
        let charset = self.collation.and_then(|id| charsets.of_collation(id));
        if let Some(charset) = charset
            && (is_text || is_bytes)
        {
            let was = column.charset.as_deref().unwrap_or("binary");
            if same_set(was) != same_set(charset) {
                return Err(format!(
                    "has the character set {charset} there and had {was}"
                ));
            }
        }
        if let (Some(_), MysqlType::Enum { values } | MysqlType::Set { values }) =
            (&self.values, &column.mysql_type)
        {
            let now = self.members(column, values, charsets);
            let differs =
                |(now, was): (&Option<String>, &String)| now.as_ref().is_some_and(|now| now != was);
            if now.len() != values.len() || now.iter().zip(values).any(differs) {
                return Err("has other values in its type there".to_owned());
            }
        }
        Ok(())
    }

    /// The texts of values. Where the map has their bytes, one that has a character that Unicode doesn't is none.
    fn members(
        &self,
        column: &SourceColumn,
        known: &[String],
        charsets: &Charsets,
    ) -> Vec<Option<String>> {
        let charset = charset(column, charsets);
        match (&self.values, charset) {
            (Some(values), Some(charset)) => {
                let text = |value: &Vec<u8>| {
                    let mut out = Vec::new();
                    charset.decode(value, &mut out)?;
                    String::from_utf8(out).ok()
                };
                values.iter().map(text).collect()
            }
            // The server has written `?` for what can't be told.
            _ => known
                .iter()
                .map(|value| {
                    (!column.beyond_unicode || !value.contains('?')).then(|| value.clone())
                })
                .collect(),
        }
    }

    fn content(&self, column: &SourceColumn, charsets: &Charsets) -> Result<Content, String> {
        use ColumnType as T;
        Ok(match &column.mysql_type {
            MysqlType::Bool
            | MysqlType::TinyInt { .. }
            | MysqlType::SmallInt { .. }
            | MysqlType::Int { .. }
            | MysqlType::BigInt { .. }
            | MysqlType::Float
            | MysqlType::Double => Content::Same,
            MysqlType::MediumInt { unsigned } => Content::MediumInt {
                unsigned: *unsigned,
            },
            MysqlType::Year => Content::Year,
            MysqlType::Bit { .. } => Content::Bit,
            MysqlType::Decimal { .. } => {
                Content::Decimal(self.decimal().ok_or("has a decimal of no size")?)
            }
            MysqlType::Date => Content::Date,
            MysqlType::DateTime { .. } => match self.kind {
                T::MYSQL_TYPE_DATETIME => Content::OldDateTime,
                _ => Content::DateTime,
            },
            MysqlType::Timestamp { .. } => match self.kind {
                T::MYSQL_TYPE_TIMESTAMP => Content::OldTimestamp,
                _ => Content::Timestamp,
            },
            MysqlType::Time { .. } => match self.kind {
                T::MYSQL_TYPE_TIME => Content::OldTime,
                _ => Content::Time,
            },
            MysqlType::Enum { values } => {
                let mut texts = vec![Some(String::new())];
                texts.extend(self.members(column, values, charsets));
                Content::Enum(texts.into())
            }
            MysqlType::Set { values } => {
                Content::Set(self.members(column, values, charsets).into())
            }
            MysqlType::Text if column.form != Form::Bytes => {
                let charset = charset(column, charsets).ok_or_else(|| {
                    let name = column.charset.as_deref().unwrap_or("that is not known");
                    format!("has the character set {name}, which was not asked about")
                })?;
                match &*charset {
                    Charset::Utf8 => Content::Raw,
                    _ => Content::Text(charset),
                }
            }
            MysqlType::Text
            | MysqlType::Binary { .. }
            | MysqlType::Blob
            | MysqlType::Geometry
            | MysqlType::Vector => Content::Raw,
            MysqlType::Json => Content::Json,
            MysqlType::Uuid => Content::Uuid,
            MysqlType::Inet4 => Content::Inet4,
            MysqlType::Inet6 => Content::Inet6,
        })
    }
}

/// The name of a character set without its alias.
fn same_set(name: &str) -> &str {
    match name {
        "utf8" => "utf8mb3",
        name => name,
    }
}

fn charset(column: &SourceColumn, charsets: &Charsets) -> Option<Arc<Charset>> {
    charsets.get(column.charset.as_deref()?)
}
