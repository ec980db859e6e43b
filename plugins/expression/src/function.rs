//! Functions: MySQL's names and meanings. NULL in, NULL out, unless it is said otherwise.

use std::borrow::Cow;

use arrow_buffer::i256;
use arrow_schema::DataType;
use tidemill_kernels::compare::Comparison;
use tidemill_kernels::convert::write_text;
use tidemill_kernels::sql::Operator;
use tidemill_sdk::{Decimal, Value};

use crate::evaluate::{
    BY_ZERO, Node, OVERFLOW, Why, arithmetic, compared, double, exact, rounded_quotient,
};

/// A function.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Function {
    Coalesce,
    NullIf,
    Concat,
    ConcatWs,
    Upper,
    Lower,
    Trim,
    LTrim,
    RTrim,
    Substring,
    Left,
    Right,
    Replace,
    Length,
    CharLength,
    Abs,
    Round,
    Floor,
    Ceiling,
    Div,
    Mod,
    Least,
    Greatest,
}

/// What a function takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Takes {
    /// Values of one type, which the result has, too.
    Alike,
    /// Texts; other values by their texts.
    Texts,
    /// A text and whole numbers.
    TextAndNumbers,
    /// Numbers.
    Numbers,
}

impl Function {
    /// The function of a name, what it takes, and how many.
    pub(crate) fn named(name: &str) -> Option<(Self, Takes, std::ops::RangeInclusive<usize>)> {
        use Takes::{Alike, Numbers, TextAndNumbers, Texts};
        Some(match name {
            "coalesce" => (Self::Coalesce, Alike, 1..=100),
            "ifnull" => (Self::Coalesce, Alike, 2..=2),
            "nullif" => (Self::NullIf, Alike, 2..=2),
            "least" => (Self::Least, Alike, 2..=100),
            "greatest" => (Self::Greatest, Alike, 2..=100),
            "concat" => (Self::Concat, Texts, 1..=100),
            "concat_ws" => (Self::ConcatWs, Texts, 2..=100),
            "upper" | "ucase" => (Self::Upper, Texts, 1..=1),
            "lower" | "lcase" => (Self::Lower, Texts, 1..=1),
            "trim" => (Self::Trim, Texts, 1..=1),
            "ltrim" => (Self::LTrim, Texts, 1..=1),
            "rtrim" => (Self::RTrim, Texts, 1..=1),
            "replace" => (Self::Replace, Texts, 3..=3),
            "length" => (Self::Length, Texts, 1..=1),
            "char_length" | "character_length" => (Self::CharLength, Texts, 1..=1),
            "substr" | "substring" | "mid" => (Self::Substring, TextAndNumbers, 2..=3),
            "left" => (Self::Left, TextAndNumbers, 2..=2),
            "right" => (Self::Right, TextAndNumbers, 2..=2),
            "abs" => (Self::Abs, Numbers, 1..=1),
            "round" => (Self::Round, Numbers, 1..=2),
            "floor" => (Self::Floor, Numbers, 1..=1),
            "ceil" | "ceiling" => (Self::Ceiling, Numbers, 1..=1),
            "div" => (Self::Div, Numbers, 2..=2),
            "mod" => (Self::Mod, Numbers, 2..=2),
            _ => return None,
        })
    }

    /// The names, for messages.
    pub(crate) const NAMES: &str = "coalesce, ifnull, nullif, if, least, greatest, concat, concat_ws, upper, lower, trim, ltrim, rtrim, replace, \
        length, char_length, substr, left, right, abs, round, floor, ceil, div, mod";

    /// The type of the result, if it isn't that of its arguments.
    pub(crate) fn result(self, takes: Takes) -> Option<DataType> {
        match (self, takes) {
            (Self::Length | Self::CharLength, _) => Some(DataType::Int64),
            (_, Takes::Texts | Takes::TextAndNumbers) => Some(DataType::Utf8),
            _ => None,
        }
    }

    pub(crate) fn call<'a>(
        self,
        arguments: &'a [Node],
        of: &dyn Fn(&'a Node) -> Result<Value<'a>, Why>,
    ) -> Result<Value<'a>, Why> {
        match self {
            Self::Coalesce => {
                for argument in arguments {
                    let value = of(argument)?;
                    if !matches!(value, Value::Null) {
                        return Ok(value);
                    }
                }
                return Ok(Value::Null);
            }
            Self::NullIf => {
                let (value, other) = (of(&arguments[0])?, of(&arguments[1])?);
                let equal = compared(Comparison::Equal, &value, &other)? == Some(true);
                return Ok(if equal { Value::Null } else { value });
            }
            Self::ConcatWs => return concat_ws(arguments, of),
            _ => {}
        }
        let mut values = Vec::with_capacity(arguments.len());
        for argument in arguments {
            let value = of(argument)?;
            if matches!(value, Value::Null) {
                return Ok(Value::Null);
            }
            values.push(value);
        }
        self.strict(values)
    }

    /// Of values that are there.
    fn strict<'a>(self, mut values: Vec<Value<'a>>) -> Result<Value<'a>, Why> {
        if let Self::Least | Self::Greatest = self {
            return chosen(self, values);
        }
        if self == Self::Concat {
            let mut text = String::new();
            values.iter().for_each(|value| append(value, &mut text));
            return Ok(text.into());
        }
        let second = values.get(1).cloned();
        let third = values.get(2).cloned();
        let first = values.swap_remove(0);
        let number = |value: Option<Value<'_>>| match value {
            Some(Value::Integer(number)) => Ok(number),
            _ => Err("a number of characters or digits is no whole number"),
        };
        Ok(match self {
            Self::Abs => match first {
                Value::Float(number) => number.abs().into(),
                Value::Float32(number) => f64::from(number).abs().into(),
                other => match exact(&other)?.unscaled.is_negative() {
                    true => arithmetic(Value::Integer(0), Operator::Subtract, other)?,
                    false => other,
                },
            },
            Self::Mod => arithmetic(first, Operator::Modulo, second.unwrap_or(Value::Null))?,
            Self::Div => whole_quotient(&first, &second.unwrap_or(Value::Null))?,
            Self::Round => match second {
                None => rounded(first, 0)?,
                digits => rounded(first, number(digits)?)?,
            },
            Self::Floor => whole(first, false)?,
            Self::Ceiling => whole(first, true)?,
            text => text.of_text(owned_text(first), second, third, number)?,
        })
    }

    fn of_text<'a>(
        self,
        text: Cow<'a, str>,
        second: Option<Value<'a>>,
        third: Option<Value<'a>>,
        number: impl Fn(Option<Value<'a>>) -> Result<i128, Why>,
    ) -> Result<Value<'a>, Why> {
        let characters = || text.chars().count() as i128;
        Ok(match self {
            Self::Upper => text.to_uppercase().into(),
            Self::Lower => text.to_lowercase().into(),
            Self::Trim => text.trim_matches(' ').to_owned().into(),
            Self::LTrim => text.trim_start_matches(' ').to_owned().into(),
            Self::RTrim => text.trim_end_matches(' ').to_owned().into(),
            Self::Length => (text.len() as i64).into(),
            Self::CharLength => characters().into(),
            Self::Left => part(&text, 0, number(second)?),
            Self::Right => {
                let length = number(second)?;
                part(&text, (characters() - length).max(0), length)
            }
            Self::Substring => {
                let from = match number(second)? {
                    0 => return Ok("".into()),
                    from @ 1.. => from - 1,
                    back => characters() + back,
                };
                let length = third.map_or(Ok(i128::MAX), |third| number(Some(third)))?;
                match from < 0 {
                    true => "".into(),
                    false => part(&text, from, length),
                }
            }
            _ => {
                let what = owned_text(second.unwrap_or(Value::Null));
                let with = owned_text(third.unwrap_or(Value::Null));
                match what.is_empty() {
                    true => Value::Text(text),
                    false => text.replace(what.as_ref(), &with).into(),
                }
            }
        })
    }
}

/// So many characters from this one on.
fn part<'a>(text: &str, from: i128, length: i128) -> Value<'a> {
    let bounded =
        |number: i128| usize::try_from(number.clamp(0, i128::from(u32::MAX))).unwrap_or(usize::MAX);
    let characters = text.chars().skip(bounded(from)).take(bounded(length));
    characters.collect::<String>().into()
}

fn append(value: &Value<'_>, text: &mut String) {
    // Writing to a string can't fail, and types without a text were refused.
    let _ = write_text(value, text);
}

fn owned_text(value: Value<'_>) -> Cow<'_, str> {
    match value {
        Value::Text(text) => text,
        other => {
            let mut text = String::new();
            append(&other, &mut text);
            Cow::Owned(text)
        }
    }
}

/// NULL where the separator is; other NULLs are left out with it.
fn concat_ws<'a>(
    arguments: &'a [Node],
    of: &dyn Fn(&'a Node) -> Result<Value<'a>, Why>,
) -> Result<Value<'a>, Why> {
    let separator = match of(&arguments[0])? {
        Value::Null => return Ok(Value::Null),
        separator => owned_text(separator),
    };
    let mut text = String::new();
    let mut first = true;
    for argument in &arguments[1..] {
        let value = of(argument)?;
        if matches!(value, Value::Null) {
            continue;
        }
        if !std::mem::take(&mut first) {
            text.push_str(&separator);
        }
        append(&value, &mut text);
    }
    Ok(text.into())
}

fn chosen<'a>(function: Function, values: Vec<Value<'a>>) -> Result<Value<'a>, Why> {
    let comparison = match function {
        Function::Least => Comparison::Less,
        _ => Comparison::Greater,
    };
    let mut values = values.into_iter();
    let mut best = values.next().unwrap_or(Value::Null);
    for value in values {
        if compared(comparison, &value, &best)? == Some(true) {
            best = value;
        }
    }
    Ok(best)
}

/// The quotient without its fraction, as MySQL's DIV.
fn whole_quotient<'a>(left: &Value<'_>, right: &Value<'_>) -> Result<Value<'a>, Why> {
    let (left, right) = (exact(left)?, exact(right)?);
    let scale = left.scale.max(right.scale);
    let (Some(left), Some(right)) = (left.with_scale(scale), right.with_scale(scale)) else {
        return Err(OVERFLOW);
    };
    if right.unscaled == i256::ZERO {
        return Err(BY_ZERO);
    }
    let quotient = left
        .unscaled
        .checked_div(right.unscaled)
        .and_then(i256::to_i128);
    quotient.map(Value::Integer).ok_or(OVERFLOW)
}

/// Half away from zero, with so many digits behind the point; before it, if they are negative. A decimal keeps its form.
fn rounded(value: Value<'_>, digits: i128) -> Result<Value<'_>, Why> {
    let digits = digits.clamp(-100, 100) as i8;
    let number = match value {
        Value::Float(_) | Value::Float32(_) => {
            let number = double(&value);
            let power = 10_f64.powi(i32::from(digits));
            let rounded = (number * power).round() / power;
            return Ok(Value::Float(if rounded.is_finite() {
                rounded
            } else {
                number
            }));
        }
        other => (exact(&other)?, other),
    };
    let (decimal, value) = number;
    if digits >= decimal.scale {
        return Ok(value);
    }
    let power =
        i256::from_i128(10).checked_pow((i32::from(decimal.scale) - i32::from(digits)) as u32);
    let unscaled = match power {
        // Beyond all digits.
        None => i256::ZERO,
        Some(power) => {
            let quotient = rounded_quotient(decimal.unscaled, power).ok_or(OVERFLOW)?;
            quotient.checked_mul(power).ok_or(OVERFLOW)?
        }
    };
    match value {
        Value::Integer(_) => unscaled.to_i128().map(Value::Integer).ok_or(OVERFLOW),
        _ => Ok(Value::Decimal(Decimal {
            unscaled,
            scale: decimal.scale,
        })),
    }
}

fn whole(value: Value<'_>, up: bool) -> Result<Value<'_>, Why> {
    if let Value::Float(_) | Value::Float32(_) = value {
        let number = double(&value);
        return Ok(Value::Float(if up {
            number.ceil()
        } else {
            number.floor()
        }));
    }
    let decimal = exact(&value)?;
    let Some(power) = i256::from_i128(10).checked_pow(decimal.scale.max(0) as u32) else {
        return Err(OVERFLOW);
    };
    let (quotient, rest) = decimal.unscaled.checked_div_rem(power).ok_or(OVERFLOW)?;
    // Towards zero so far.
    let quotient = match (up, rest.is_positive(), rest.is_negative()) {
        (true, true, _) => quotient.checked_add(i256::ONE),
        (false, _, true) => quotient.checked_sub(i256::ONE),
        _ => Some(quotient),
    };
    quotient
        .and_then(i256::to_i128)
        .map(Value::Integer)
        .ok_or(OVERFLOW)
}
