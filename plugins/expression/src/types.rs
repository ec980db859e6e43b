//! Types of numbers: what they are computed in, and what several of them have together.

use arrow_buffer::i256;
use arrow_schema::DataType;
use tidemill_sdk::Decimal;

use crate::evaluate::{Kind, Node};

/// Digits of the widest exact number.
pub(crate) const MAX_DIGITS: u8 = 76;
/// Digits behind its point.
pub(crate) const MAX_SCALE: i8 = 38;

/// Gives values, of which each row takes one, the type that they have together: what is computed with them is the same whichever it is.
pub(crate) fn alike<'n>(
    nodes: impl Iterator<Item = &'n mut Node>,
) -> Result<Option<DataType>, String> {
    let nodes: Vec<&mut Node> = nodes.collect();
    let Some(to) = common(nodes.iter().map(|node| &**node))? else {
        return Ok(None);
    };
    for node in nodes {
        let another_form = |from: &DataType| {
            from != &to && (from.is_floating() || to.is_floating() || scale(from) != scale(&to))
        };
        if node.data_type.as_ref().is_some_and(another_form) {
            let kind = std::mem::replace(&mut node.kind, Kind::Null);
            let data_type = node.data_type.replace(to.clone());
            node.kind = Kind::Common(Box::new(Node { kind, data_type }), to.clone());
        }
    }
    Ok(Some(to))
}

/// The type that several values have together; else why they have none.
pub(crate) fn common<'n>(
    nodes: impl Iterator<Item = &'n Node>,
) -> Result<Option<DataType>, String> {
    let mut common: Option<DataType> = None;
    for data_type in nodes.filter_map(|node| node.data_type.as_ref()) {
        common = Some(match common {
            None => data_type.clone(),
            Some(known) if known == *data_type => known,
            Some(known) if known.is_numeric() && data_type.is_numeric() => {
                match known.is_floating() || data_type.is_floating() {
                    true => DataType::Float64,
                    false => {
                        let whole_numbers = is_whole(&known) && is_whole(data_type);
                        exact_type(scale(&known).max(scale(data_type)), whole_numbers)
                    }
                }
            }
            Some(known) => {
                return Err(format!(
                    "{known} and {data_type} are of no common type: use `cast`"
                ));
            }
        });
    }
    Ok(common)
}

/// Digits behind the point.
pub(crate) fn scale(data_type: &DataType) -> i8 {
    match data_type {
        DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale) => *scale,
        _ => 0,
    }
}

pub(crate) fn is_whole(data_type: &DataType) -> bool {
    data_type.is_integer() || *data_type == DataType::Boolean
}

/// The type of exact numbers with so many digits behind the point.
pub(crate) fn exact_type(scale: i8, whole_numbers: bool) -> DataType {
    match scale {
        0 if whole_numbers => DataType::Int64,
        0..=18 => DataType::Decimal128(38, scale),
        _ => DataType::Decimal256(MAX_DIGITS, scale),
    }
}

/// What numbers of a type become when they are computed with.
pub(crate) fn widened(data_type: DataType) -> DataType {
    match &data_type {
        DataType::Float32 | DataType::Float64 => DataType::Float64,
        DataType::Decimal128(..) | DataType::Decimal256(..) => data_type,
        _ => DataType::Int64,
    }
}

pub(crate) fn number(unscaled: i256, scale: i8) -> (Kind, DataType) {
    match (scale, unscaled.to_i128()) {
        (0, Some(number)) if i64::try_from(number).is_ok() => {
            (Kind::Integer(number), DataType::Int64)
        }
        (0, Some(number)) if u64::try_from(number).is_ok() => {
            (Kind::Integer(number), DataType::UInt64)
        }
        (_, narrow) => {
            let fits = narrow.is_some_and(|number| number.unsigned_abs() < 10_u128.pow(38));
            let data_type = match fits {
                true => exact_type(scale, false),
                false => DataType::Decimal256(MAX_DIGITS, scale),
            };
            (Kind::Decimal(Decimal { unscaled, scale }), data_type)
        }
    }
}
