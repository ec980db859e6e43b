//! A condition in the types of its columns, and its evaluation, a column at a time.

use arrow_arith::boolean::{and_kleene, is_null, not, or_kleene};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, Scalar};
use arrow_buffer::BooleanBuffer;
use arrow_ord::cmp;
use arrow_schema::{ArrowError, DataType};
use arrow_string::like::like;

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Operator {
    /// The same comparison with its sides exchanged.
    pub(crate) fn flipped(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
            same => same,
        }
    }
}

/// A condition. Columns are positions among those that the binding reads; values are arrays of one row, of their column's type.
#[derive(Clone, Debug)]
pub(crate) enum Predicate {
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    Not(Box<Self>),
    IsNull(usize),
    /// Like every comparison: unknown where the column is NULL.
    Compare(usize, Operator, Scalar<ArrayRef>),
    CompareColumns(usize, Operator, usize),
    Like(usize, Scalar<ArrayRef>),
    /// A boolean column by itself.
    Truth(usize),
    /// A comparison whose value no value of the column's type can be: the same for all rows that are not NULL.
    Settled(usize, bool),
    /// The same for all rows; none: unknown.
    Constant(Option<bool>),
}

/// True, false or NULL (unknown) for each row.
pub(crate) fn evaluate(
    predicate: &Predicate,
    columns: &[ArrayRef],
    rows: usize,
) -> Result<BooleanArray, ArrowError> {
    let inner = |predicate: &Predicate| evaluate(predicate, columns, rows);
    match predicate {
        Predicate::And(left, right) => and_kleene(&inner(left)?, &inner(right)?),
        Predicate::Or(left, right) => or_kleene(&inner(left)?, &inner(right)?),
        Predicate::Not(inside) => not(&inner(inside)?),
        Predicate::IsNull(column) => is_null(&columns[*column]),
        Predicate::Compare(column, operator, value) => {
            let column = comparable(&columns[*column]);
            match operator {
                Operator::Equal => cmp::eq(&column, value),
                Operator::NotEqual => cmp::neq(&column, value),
                Operator::Less => cmp::lt(&column, value),
                Operator::LessOrEqual => cmp::lt_eq(&column, value),
                Operator::Greater => cmp::gt(&column, value),
                Operator::GreaterOrEqual => cmp::gt_eq(&column, value),
            }
        }
        Predicate::CompareColumns(left, operator, right) => {
            let (left, right) = (comparable(&columns[*left]), comparable(&columns[*right]));
            match operator {
                Operator::Equal => cmp::eq(&left, &right),
                Operator::NotEqual => cmp::neq(&left, &right),
                Operator::Less => cmp::lt(&left, &right),
                Operator::LessOrEqual => cmp::lt_eq(&left, &right),
                Operator::Greater => cmp::gt(&left, &right),
                Operator::GreaterOrEqual => cmp::gt_eq(&left, &right),
            }
        }
        Predicate::Like(column, pattern) => like(&columns[*column], pattern),
        Predicate::Truth(column) => Ok(columns[*column].as_boolean().clone()),
        Predicate::Settled(column, truth) => Ok(BooleanArray::new(
            filled(*truth, rows),
            columns[*column].nulls().cloned(),
        )),
        Predicate::Constant(Some(truth)) => Ok(BooleanArray::new(filled(*truth, rows), None)),
        Predicate::Constant(None) => Ok(BooleanArray::new_null(rows)),
    }
}

fn filled(truth: bool, rows: usize) -> BooleanBuffer {
    if truth {
        BooleanBuffer::new_set(rows)
    } else {
        BooleanBuffer::new_unset(rows)
    }
}

/// MySQL compares a FLOAT as a double; and zero equals minus zero, which Arrow's total order would tell apart.
fn comparable(column: &ArrayRef) -> ArrayRef {
    let doubles: Float64Array = match column.data_type() {
        DataType::Float32 => column
            .as_primitive::<Float32Type>()
            .unary(|value| f64::from(value) + 0.0),
        DataType::Float64 => column
            .as_primitive::<Float64Type>()
            .unary(|value| value + 0.0),
        _ => return column.clone(),
    };
    std::sync::Arc::new(doubles)
}
