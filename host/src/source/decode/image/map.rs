//! The columns of a table map: their types as the binlog numbers them, and what else the server says of them.

use mysql_async::binlog::events::{OptionalMetadataField, TableMapEvent};
use mysql_async::consts::ColumnType;

use super::{Frame, Packed, temporal};

/// A column as the map has it.
pub(super) struct MapColumn {
    pub(super) kind: ColumnType,
    /// The type's own parameters.
    pub(super) metadata: [u8; 2],
    pub(super) unsigned: Option<bool>,
    /// The collation of its text, by the server's number.
    pub(super) collation: Option<u16>,
    /// The values of an ENUM or members of a SET, in its own character set.
    pub(super) values: Option<Vec<Vec<u8>>>,
}

impl MapColumn {
    pub(super) fn is_old_temporal(&self) -> bool {
        use ColumnType as T;
        matches!(
            self.kind,
            T::MYSQL_TYPE_TIMESTAMP | T::MYSQL_TYPE_DATETIME | T::MYSQL_TYPE_TIME
        )
    }

    /// The longest value in bytes, of CHAR and BINARY: two of its bits are hidden in the type.
    pub(super) fn string_bytes(&self) -> usize {
        let [high, low] = self.metadata;
        usize::from(!high & 0x30) << 4 | usize::from(low)
    }

    pub(super) fn bits(&self) -> usize {
        usize::from(self.metadata[1]) * 8 + usize::from(self.metadata[0])
    }

    pub(super) fn decimal(&self) -> Option<Packed> {
        Packed::new(self.metadata[0], self.metadata[1])
    }

    pub(super) fn frame(&self) -> Result<Frame, String> {
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

    /// The type as SQL writes it, as far as the map tells.
    pub(super) fn name(&self) -> String {
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

/// The columns of a map, and their names where it has them.
pub(super) fn columns(
    map: &TableMapEvent<'_>,
) -> Result<(Vec<MapColumn>, Option<Vec<String>>), String> {
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
