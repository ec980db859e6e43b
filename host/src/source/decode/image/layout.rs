//! What a table map says of a table's columns, held against the table as it is known.
//!
//! Where the map has names (`binlog_row_metadata = FULL`), columns are found by them; else by their places, and then all of them must
//! fit. Nothing is guessed: a column that may mean something else than it did is a misfit, and the table's rows are not decoded.

use std::sync::Arc;

use mysql_async::binlog::events::{OptionalMetadataField, TableMapEvent};
use mysql_async::consts::ColumnType;

use super::{Content, Frame, Packed, temporal};
use crate::schema::{Form, MysqlType, SourceColumn, SourceTable, TableName};
use crate::source::decode::TableRead;
use crate::source::decode::charset::{Charset, Charsets};

/// A table in the binlog that isn't the table as it is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{table} isn't what it was when it was looked at: {}", problems.join("; "))]
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

/// A column as the map has it.
struct MapColumn {
    kind: ColumnType,
    /// The type's own parameters.
    metadata: [u8; 2],
    unsigned: Option<bool>,
    /// The collation of its text, by the server's number.
    collation: Option<u16>,
    /// The values of an ENUM or members of a SET, in its own character set.
    values: Option<Vec<Vec<u8>>>,
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
                    "it had {} columns and has {}, and the binlog doesn't name them (set binlog_row_metadata = FULL)",
                    table.columns.len(),
                    columns.len()
                )]));
            }
        };
        let mut problems = Vec::new();
        for (i, column) in table.columns.iter().enumerate() {
            let is_wanted = read.columns.iter().any(|wanted| wanted.name == column.name)
                || table.key.contains(&i);
            if is_wanted && !known.contains(&Some(i)) {
                problems.push(format!("column `{}` is gone", column.name));
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
                "its rows have versions, and the binlog doesn't say which are current".to_owned(),
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
            "was {} and is {}",
            column.mysql_type.name(),
            map.name()
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
    fn is_old_temporal(&self) -> bool {
        use ColumnType as T;
        matches!(
            self.kind,
            T::MYSQL_TYPE_TIMESTAMP | T::MYSQL_TYPE_DATETIME | T::MYSQL_TYPE_TIME
        )
    }

    /// The longest value in bytes, of CHAR and BINARY: two of its bits are hidden in the type.
    fn string_bytes(&self) -> usize {
        let [high, low] = self.metadata;
        usize::from(!high & 0x30) << 4 | usize::from(low)
    }

    fn bits(&self) -> usize {
        usize::from(self.metadata[1]) * 8 + usize::from(self.metadata[0])
    }

    fn decimal(&self) -> Option<Packed> {
        Packed::new(self.metadata[0], self.metadata[1])
    }

    fn frame(&self) -> Result<Frame, String> {
        use ColumnType as T;
        let [first, second] = self.metadata;
        let fraction = temporal::fraction_bytes(first);
        let short = |longest: usize| Frame::Length(if longest > 255 { 2 } else { 1 });
        Ok(match self.kind {
            T::MYSQL_TYPE_TINY | T::MYSQL_TYPE_YEAR => Frame::Bytes(1),
            T::MYSQL_TYPE_SHORT => Frame::Bytes(2),
            T::MYSQL_TYPE_INT24
            | T::MYSQL_TYPE_DATE
            | T::MYSQL_TYPE_NEWDATE
            | T::MYSQL_TYPE_TIME => Frame::Bytes(3),
            T::MYSQL_TYPE_LONG | T::MYSQL_TYPE_TIMESTAMP => Frame::Bytes(4),
            T::MYSQL_TYPE_LONGLONG | T::MYSQL_TYPE_DATETIME => Frame::Bytes(8),
            T::MYSQL_TYPE_FLOAT => Frame::Bytes(4),
            T::MYSQL_TYPE_DOUBLE => Frame::Bytes(8),
            T::MYSQL_TYPE_TIME2 if first <= 6 => Frame::Bytes(3 + fraction),
            T::MYSQL_TYPE_TIMESTAMP2 if first <= 6 => Frame::Bytes(4 + fraction),
            T::MYSQL_TYPE_DATETIME2 if first <= 6 => Frame::Bytes(5 + fraction),
            T::MYSQL_TYPE_NEWDECIMAL => {
                Frame::Bytes(self.decimal().ok_or("has a decimal of no size")?.bytes())
            }
            T::MYSQL_TYPE_BIT => Frame::Bytes(self.bits().div_ceil(8)),
            T::MYSQL_TYPE_ENUM | T::MYSQL_TYPE_SET if (1..=8).contains(&second) => {
                Frame::Bytes(second.into())
            }
            T::MYSQL_TYPE_STRING => short(self.string_bytes()),
            T::MYSQL_TYPE_VARCHAR | T::MYSQL_TYPE_VAR_STRING => {
                short(usize::from(u16::from_le_bytes(self.metadata)))
            }
            T::MYSQL_TYPE_BLOB
            | T::MYSQL_TYPE_TINY_BLOB
            | T::MYSQL_TYPE_MEDIUM_BLOB
            | T::MYSQL_TYPE_LONG_BLOB
            | T::MYSQL_TYPE_GEOMETRY
            | T::MYSQL_TYPE_JSON
            | T::MYSQL_TYPE_VECTOR
                if (1..=4).contains(&first) =>
            {
                Frame::Length(first.into())
            }
            other => return Err(format!("is of a type that can't be followed ({other:?})")),
        })
    }

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
                return Err(format!("had the character set {was} and has {charset}"));
            }
        }
        if let (Some(_), MysqlType::Enum { values } | MysqlType::Set { values }) =
            (&self.values, &column.mysql_type)
        {
            let now = self.members(column, values, charsets);
            let differs =
                |(now, was): (&Option<String>, &String)| now.as_ref().is_some_and(|now| now != was);
            if now.len() != values.len() || now.iter().zip(values).any(differs) {
                return Err("had other values in its type".to_owned());
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

    /// The type as SQL writes it, as far as the map tells.
    fn name(&self) -> String {
        use ColumnType as T;
        let [first, second] = self.metadata;
        let name = match self.kind {
            T::MYSQL_TYPE_TINY => "TINYINT",
            T::MYSQL_TYPE_SHORT => "SMALLINT",
            T::MYSQL_TYPE_INT24 => "MEDIUMINT",
            T::MYSQL_TYPE_LONG => "INT",
            T::MYSQL_TYPE_LONGLONG => "BIGINT",
            T::MYSQL_TYPE_NEWDECIMAL => return format!("DECIMAL({first},{second})"),
            T::MYSQL_TYPE_BIT => return format!("BIT({})", self.bits()),
            T::MYSQL_TYPE_DATETIME2 => return format!("DATETIME({first})"),
            T::MYSQL_TYPE_TIMESTAMP2 => return format!("TIMESTAMP({first})"),
            T::MYSQL_TYPE_TIME2 => return format!("TIME({first})"),
            T::MYSQL_TYPE_STRING => {
                return format!("a CHAR or BINARY of {} bytes", self.string_bytes());
            }
            T::MYSQL_TYPE_VARCHAR | T::MYSQL_TYPE_VAR_STRING => "a VARCHAR or VARBINARY",
            T::MYSQL_TYPE_BLOB => "a TEXT or BLOB",
            T::MYSQL_TYPE_ENUM => "an ENUM of another size",
            T::MYSQL_TYPE_SET => "a SET of another size",
            other => {
                let name = format!("{other:?}");
                return name.trim_start_matches("MYSQL_TYPE_").to_owned();
            }
        };
        match self.unsigned {
            Some(true) => format!("{name} UNSIGNED"),
            _ => name.to_owned(),
        }
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

/// The columns of a map, and their names where it has them.
fn columns(map: &TableMapEvent<'_>) -> Result<(Vec<MapColumn>, Option<Vec<String>>), String> {
    let count = usize::try_from(map.columns_count()).map_err(|_| "it has no columns".to_owned())?;
    let mut columns = Vec::with_capacity(count.min(4096));
    for i in 0..count {
        let kind = match map.get_column_type(i) {
            Ok(Some(kind)) => kind,
            // MariaDB's compressed columns, above all.
            _ => {
                return Err(format!(
                    "its column number {} is of a type that can't be followed, such as a COMPRESSED one",
                    i + 1
                ));
            }
        };
        let metadata = map.get_column_metadata(i).unwrap_or_default();
        let byte = |at: usize| metadata.get(at).copied().unwrap_or(0);
        columns.push(MapColumn {
            kind,
            metadata: [byte(0), byte(1)],
            unsigned: None,
            collation: None,
            values: None,
        });
    }
    let names = add_details(map, &mut columns)?;
    Ok((columns, names))
}

/// Adds what the map has beyond the bare types, and returns the names.
fn add_details(
    map: &TableMapEvent<'_>,
    columns: &mut [MapColumn],
) -> Result<Option<Vec<String>>, String> {
    use OptionalMetadataField as Field;
    let mut names = None;
    let of = |columns: &[MapColumn], kinds: fn(&ColumnType) -> bool| -> Vec<usize> {
        (0..columns.len())
            .filter(|&i| kinds(&columns[i].kind))
            .collect()
    };
    // A field of a kind that isn't known says nothing that is asked for.
    for field in map.iter_optional_meta().flatten() {
        match field {
            Field::Signedness(bits) => {
                let numbers = of(columns, ColumnType::is_numeric_type);
                for (i, bit) in numbers.into_iter().zip(bits.iter()) {
                    columns[i].unsigned = Some(*bit);
                }
            }
            Field::DefaultCharset(charset) => {
                let texts = of(columns, ColumnType::is_character_type);
                for &i in &texts {
                    columns[i].collation = Some(charset.default_charset());
                }
                for other in charset.iter_non_default().flatten() {
                    let at = usize::try_from(other.column_index()).unwrap_or(usize::MAX);
                    if let Some(&i) = texts.get(at) {
                        columns[i].collation = Some(other.charset());
                    }
                }
            }
            Field::ColumnCharset(charsets) => {
                let texts = of(columns, ColumnType::is_character_type);
                for (i, id) in texts.into_iter().zip(charsets.iter_charsets().flatten()) {
                    columns[i].collation = Some(id);
                }
            }
            Field::ColumnName(of_map) => {
                let list: Vec<String> = of_map
                    .iter_names()
                    .flatten()
                    .map(|name| name.name().into_owned())
                    .collect();
                if list.len() != columns.len() {
                    return Err("its columns have not as many names in the binlog".to_owned());
                }
                names = Some(list);
            }
            Field::EnumStrValue(lists) => {
                let enums = of(columns, ColumnType::is_enum_type);
                for (i, list) in enums.into_iter().zip(lists.iter_values().flatten()) {
                    let values = list.values().iter().map(|value| value.value_raw().to_vec());
                    columns[i].values = Some(values.collect());
                }
            }
            Field::SetStrValue(lists) => {
                let sets = of(columns, ColumnType::is_set_type);
                for (i, list) in sets.into_iter().zip(lists.iter_values().flatten()) {
                    let values = list.values().iter().map(|value| value.value_raw().to_vec());
                    columns[i].values = Some(values.collect());
                }
            }
            _ => {}
        }
    }
    Ok(names)
}
