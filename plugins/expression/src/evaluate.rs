//! An expression whose types are settled, and its value for a row.

use std::borrow::Cow;

use arrow_buffer::i256;
use arrow_schema::DataType;
use tidemill_kernels::compare::Comparison;
use tidemill_kernels::convert;
use tidemill_kernels::like::Like;
use tidemill_kernels::sql::Operator;
use tidemill_sdk::{Decimal, Value, ValueReader};

use crate::function::Function;

/// Why a row has no value; without the row's values.
pub(crate) type Why = &'static str;

pub(crate) const OVERFLOW: Why = "a number grew beyond what can be computed exactly";
pub(crate) const BY_ZERO: Why = "a division by zero";

/// A part of an expression.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    /// The type of its values; none: always NULL.
    pub(crate) data_type: Option<DataType>,
}

#[derive(Debug)]
pub(crate) enum Kind {
    /// A column, by its place among those that are read.
    Column(usize),
    Null,
    Boolean(bool),
    Integer(i128),
    Float(f64),
    Decimal(Decimal),
    Date(i32),
    Time(i64),
    Timestamp(i64),
    Text(String),
    Bytes(Vec<u8>),
    Not(Box<Node>),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    IsNull(Box<Node>),
    Compare(Box<Node>, Comparison, Box<Node>),
    In(Box<Node>, Vec<Node>),
    Like(Box<Node>, Like),
    Minus(Box<Node>),
    Arithmetic(Box<Node>, Operator, Box<Node>),
    Case(Vec<(Node, Node)>, Option<Box<Node>>),
    Call(Function, Vec<Node>),
    Cast(Box<Node>, DataType),
    /// A number in the form of the type that it has together with others.
    Common(Box<Node>, DataType),
}

impl Node {
    /// The row's value.
    pub(crate) fn evaluate<'a>(
        &'a self,
        columns: &'a [ValueReader],
        row: usize,
    ) -> Result<Value<'a>, Why> {
        let of = |node: &'a Node| node.evaluate(columns, row);
        Ok(match &self.kind {
            Kind::Column(column) => columns[*column].value(row),
            Kind::Null => Value::Null,
            Kind::Boolean(truth) => Value::Boolean(*truth),
            Kind::Integer(number) => Value::Integer(*number),
            Kind::Float(number) => Value::Float(*number),
            Kind::Decimal(number) => Value::Decimal(*number),
            Kind::Date(days) => Value::Date(*days),
            Kind::Time(us) => Value::Time(*us),
            Kind::Timestamp(us) => Value::Timestamp(*us),
            Kind::Text(text) => text.as_str().into(),
            Kind::Bytes(bytes) => bytes.as_slice().into(),
            Kind::Not(inner) => truth(of(inner)?).map(|truth| !truth).into(),
            Kind::And(left, right) => match truth(of(left)?) {
                Some(false) => Value::Boolean(false),
                known => match (known, truth(of(right)?)) {
                    (_, Some(false)) => Value::Boolean(false),
                    (Some(true), Some(true)) => Value::Boolean(true),
                    _ => Value::Null,
                },
            },
            Kind::Or(left, right) => match truth(of(left)?) {
                Some(true) => Value::Boolean(true),
                known => match (known, truth(of(right)?)) {
                    (_, Some(true)) => Value::Boolean(true),
                    (Some(false), Some(false)) => Value::Boolean(false),
                    _ => Value::Null,
                },
            },
            Kind::IsNull(inner) => Value::Boolean(matches!(of(inner)?, Value::Null)),
            Kind::Compare(left, comparison, right) => {
                compared(*comparison, &of(left)?, &of(right)?)?.into()
            }
            Kind::In(inner, items) => {
                let value = of(inner)?;
                let mut answer = Some(false);
                for item in items {
                    match compared(Comparison::Equal, &value, &of(item)?)? {
                        Some(true) => return Ok(Value::Boolean(true)),
                        Some(false) => {}
                        None => answer = None,
                    }
                }
                answer.into()
            }
            Kind::Like(inner, like) => match of(inner)? {
                Value::Text(text) => Value::Boolean(like.matches(&text)),
                _ => Value::Null,
            },
            Kind::Minus(inner) => arithmetic(Value::Integer(0), Operator::Subtract, of(inner)?)?,
            Kind::Arithmetic(left, operator, right) => {
                arithmetic(of(left)?, *operator, of(right)?)?
            }
            Kind::Case(whens, otherwise) => {
                for (condition, result) in whens {
                    if truth(of(condition)?) == Some(true) {
                        return of(result);
                    }
                }
                match otherwise {
                    Some(otherwise) => of(otherwise)?,
                    None => Value::Null,
                }
            }
            Kind::Call(function, arguments) => function.call(arguments, &|node| of(node))?,
            Kind::Cast(inner, to) => cast(of(inner)?, to)?,
            Kind::Common(inner, to) => common(of(inner)?, to)?,
        })
    }
}

/// A condition's value; a number is true unless it is 0.
pub(crate) fn truth(value: Value<'_>) -> Option<bool> {
    match value {
        Value::Boolean(truth) => Some(truth),
        Value::Integer(number) => Some(number != 0),
        Value::Float(number) => Some(number != 0.0),
        Value::Float32(number) => Some(number != 0.0),
        Value::Decimal(number) => Some(number.unscaled != i256::ZERO),
        _ => None,
    }
}

fn cast<'a>(value: Value<'a>, to: &DataType) -> Result<Value<'a>, Why> {
    let mut buffer = String::new();
    let converted = convert::value(value, to, &mut buffer)
        .ok_or("a value is no exact one of the type that it is cast to")?;
    // What was written into the buffer outlives it; what passed through stays where it is.
    Ok(match converted {
        Value::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
        Value::Bytes(bytes) => Value::Bytes(Cow::Owned(bytes.into_owned())),
        Value::Floats(floats) => Value::Floats(Cow::Owned(floats.into_owned())),
        Value::Null => Value::Null,
        Value::Boolean(truth) => Value::Boolean(truth),
        Value::Integer(number) => Value::Integer(number),
        Value::Float(number) => Value::Float(number),
        Value::Float32(number) => Value::Float32(number),
        Value::Decimal(number) => Value::Decimal(number),
        Value::Date(days) => Value::Date(days),
        Value::Time(us) => Value::Time(us),
        Value::Timestamp(us) => Value::Timestamp(us),
    })
}

/// The nearest double, or the same number with as many digits behind the point as the type has.
fn common<'a>(value: Value<'a>, to: &DataType) -> Result<Value<'a>, Why> {
    match (to, &value) {
        (_, Value::Null) => Ok(Value::Null),
        (DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale), _) => {
            let decimal = exact(&value)?.with_scale(*scale);
            decimal.map(Value::Decimal).ok_or(OVERFLOW)
        }
        _ => Ok(Value::Float(double(&value))),
    }
}

/// Whether the comparison holds; none where a side is NULL. The types were found comparable.
pub(crate) fn compared(
    comparison: Comparison,
    left: &Value<'_>,
    right: &Value<'_>,
) -> Result<Option<bool>, Why> {
    use tidemill_kernels::compare::double_key;
    use tidemill_kernels::moment::DAY_US;
    Ok(Some(match (left, right) {
        (Value::Null, _) | (_, Value::Null) => return Ok(None),
        (Value::Text(left), Value::Text(right)) => {
            comparison.holds(left.as_bytes(), right.as_bytes())
        }
        (Value::Bytes(left), Value::Bytes(right)) => comparison.holds(left, right),
        (Value::Boolean(left), Value::Boolean(right)) => comparison.holds(left, right),
        (Value::Date(left), Value::Date(right)) => comparison.holds(left, right),
        (Value::Time(left), Value::Time(right))
        | (Value::Timestamp(left), Value::Timestamp(right)) => comparison.holds(left, right),
        (Value::Date(days), Value::Timestamp(us)) => {
            comparison.holds(i64::from(*days) * DAY_US, *us)
        }
        (Value::Timestamp(us), Value::Date(days)) => {
            comparison.holds(*us, i64::from(*days) * DAY_US)
        }
        (Value::Integer(left), Value::Integer(right)) => comparison.holds(left, right),
        (Value::Float(_) | Value::Float32(_), _) | (_, Value::Float(_) | Value::Float32(_)) => {
            comparison.holds(double_key(double(left)), double_key(double(right)))
        }
        _ => {
            let (left, right) = aligned(left, right)?;
            comparison.holds(left.unscaled, right.unscaled)
        }
    }))
}

/// A number as a double, the nearest one.
pub(crate) fn double(value: &Value<'_>) -> f64 {
    match value {
        Value::Float(number) => *number,
        Value::Float32(number) => f64::from(*number),
        Value::Integer(number) => *number as f64,
        Value::Boolean(truth) => f64::from(u8::from(*truth)),
        Value::Decimal(number) => number.to_string().parse().unwrap_or(f64::NAN),
        _ => f64::NAN,
    }
}

/// A number that isn't a float, as a decimal.
pub(crate) fn exact(value: &Value<'_>) -> Result<Decimal, Why> {
    match value {
        Value::Decimal(number) => Ok(*number),
        Value::Integer(number) => Ok(Decimal {
            unscaled: i256::from_i128(*number),
            scale: 0,
        }),
        Value::Boolean(truth) => Ok(Decimal {
            unscaled: i256::from_i128(i128::from(*truth)),
            scale: 0,
        }),
        _ => Err("it is no number"),
    }
}

/// Two numbers with as many digits behind the point.
fn aligned(left: &Value<'_>, right: &Value<'_>) -> Result<(Decimal, Decimal), Why> {
    let (left, right) = (exact(left)?, exact(right)?);
    let scale = left.scale.max(right.scale);
    let both = left.with_scale(scale).zip(right.with_scale(scale));
    both.ok_or(OVERFLOW)
}

/// `left operator right`; NULL where a side is.
pub(crate) fn arithmetic<'a>(
    left: Value<'a>,
    operator: Operator,
    right: Value<'a>,
) -> Result<Value<'a>, Why> {
    match (&left, &right) {
        (Value::Null, _) | (_, Value::Null) => Ok(Value::Null),
        (Value::Float(_) | Value::Float32(_), _) | (_, Value::Float(_) | Value::Float32(_)) => {
            floats(double(&left), operator, double(&right))
        }
        (Value::Integer(left), Value::Integer(right)) if operator != Operator::Divide => {
            integers(*left, operator, *right)
        }
        _ => decimals(&left, operator, &right),
    }
}

fn floats<'a>(left: f64, operator: Operator, right: f64) -> Result<Value<'a>, Why> {
    if right == 0.0 && matches!(operator, Operator::Divide | Operator::Modulo) {
        return Err(BY_ZERO);
    }
    let result = match operator {
        Operator::Add => left + right,
        Operator::Subtract => left - right,
        Operator::Multiply => left * right,
        Operator::Divide => left / right,
        _ => left % right,
    };
    match result.is_finite() {
        true => Ok(Value::Float(result)),
        false => Err(OVERFLOW),
    }
}

fn integers<'a>(left: i128, operator: Operator, right: i128) -> Result<Value<'a>, Why> {
    let result = match operator {
        Operator::Add => left.checked_add(right),
        Operator::Subtract => left.checked_sub(right),
        Operator::Multiply => left.checked_mul(right),
        _ if right == 0 => return Err(BY_ZERO),
        _ => left.checked_rem(right),
    };
    result.map(Value::Integer).ok_or(OVERFLOW)
}

/// Digits that a division adds behind the point, as in MySQL.
pub(crate) const DIVISION_DIGITS: i8 = 4;

fn decimals<'a>(left: &Value<'_>, operator: Operator, right: &Value<'_>) -> Result<Value<'a>, Why> {
    let made = |unscaled: Option<i256>, scale| {
        let unscaled = unscaled.ok_or(OVERFLOW)?;
        Ok(Value::Decimal(Decimal { unscaled, scale }))
    };
    let (one, other) = (exact(left)?, exact(right)?);
    match operator {
        Operator::Multiply => made(
            one.unscaled.checked_mul(other.unscaled),
            one.scale + other.scale,
        ),
        Operator::Divide => divided(one, other),
        _ => {
            let (one, other) = aligned(left, right)?;
            let (a, b) = (one.unscaled, other.unscaled);
            let result = match operator {
                Operator::Add => a.checked_add(b),
                Operator::Subtract => a.checked_sub(b),
                _ if b == i256::ZERO => return Err(BY_ZERO),
                _ => a.checked_rem(b),
            };
            made(result, one.scale)
        }
    }
}

/// With four digits more than the dividend, rounded half away from zero, as MySQL divides.
fn divided<'a>(left: Decimal, right: Decimal) -> Result<Value<'a>, Why> {
    if right.unscaled == i256::ZERO {
        return Err(BY_ZERO);
    }
    let scale = left.scale + DIVISION_DIGITS;
    // left / 10^s1 / (right / 10^s2), times 10^scale.
    let power = i256::from_i128(10).checked_pow((DIVISION_DIGITS + right.scale) as u32);
    let dividend = power
        .and_then(|power| left.unscaled.checked_mul(power))
        .ok_or(OVERFLOW)?;
    let unscaled = rounded_quotient(dividend, right.unscaled).ok_or(OVERFLOW)?;
    Ok(Value::Decimal(Decimal { unscaled, scale }))
}

/// Half away from zero.
pub(crate) fn rounded_quotient(dividend: i256, divisor: i256) -> Option<i256> {
    let (quotient, rest) = dividend.checked_div_rem(divisor)?;
    let twice = rest.checked_abs()?.checked_mul(i256::from_i128(2))?;
    if twice < divisor.checked_abs()? {
        return Some(quotient);
    }
    let away = match dividend.is_negative() == divisor.is_negative() {
        true => i256::ONE,
        false => i256::MINUS_ONE,
    };
    quotient.checked_add(away)
}
