//! From the condition's text to a [`Predicate`]: the grammar is shared with `expression`, the types are the table's.

use arrow_schema::DataType;
use tidemill_kernels::compare::Comparison;
use tidemill_kernels::like::Like;
use tidemill_kernels::sql::{Expr, Kind, Literal, Operator, parse};
use tidemill_sdk::{Binding, Error, Table};

use super::literal::{self, Compared};
use super::predicate::Predicate;

/// The predicate of a condition. The columns that it looks at become reads of the binding.
pub(crate) fn predicate(
    text: &str,
    table: &Table,
    binding: &mut Binding,
) -> Result<Predicate, Error> {
    let expression = parse(text).map_err(|cause| {
        Error::Config(format!(
            "`where` can't be read as an SQL condition: {cause}"
        ))
    })?;
    let mut typing = Typing {
        text,
        table,
        binding,
    };
    typing.condition(&expression)
}

struct Typing<'a> {
    text: &'a str,
    table: &'a Table,
    binding: &'a mut Binding,
}

/// A column: its place among the reads, its name and its type.
struct Column {
    read: usize,
    name: String,
    data_type: DataType,
}

impl Column {
    /// An error about a comparison of this column.
    fn refused(&self, reason: &str) -> Error {
        Error::Schema(format!("`{}` in `where`: {reason}", self.name))
    }
}

impl Typing<'_> {
    fn condition(&mut self, expression: &Expr) -> Result<Predicate, Error> {
        Ok(match &expression.kind {
            Kind::Not(inner) => Predicate::Not(Box::new(self.condition(inner)?)),
            Kind::Binary(left, Operator::And, right) => Predicate::And(
                Box::new(self.condition(left)?),
                Box::new(self.condition(right)?),
            ),
            Kind::Binary(left, Operator::Or, right) => Predicate::Or(
                Box::new(self.condition(left)?),
                Box::new(self.condition(right)?),
            ),
            Kind::Binary(left, Operator::Compare(comparison), right) => {
                self.comparison(left, *comparison, right)?
            }
            Kind::IsNull(inner) => Predicate::IsNull(self.column(inner)?.read),
            Kind::In(inner, list) => self.any_of(inner, list)?,
            Kind::Between(inner, low, high) => {
                let from = self.comparison(inner, Comparison::GreaterOrEqual, low)?;
                let to = self.comparison(inner, Comparison::LessOrEqual, high)?;
                Predicate::And(Box::new(from), Box::new(to))
            }
            Kind::Like(inner, pattern) => self.like(inner, pattern)?,
            Kind::Column(_) => self.truth(expression)?,
            Kind::Literal(Literal::Boolean(truth)) => Predicate::Constant(Some(*truth)),
            Kind::Literal(Literal::Null) => Predicate::Constant(None),
            _ => return Err(self.unsupported(expression)),
        })
    }

    fn comparison(
        &mut self,
        left: &Expr,
        comparison: Comparison,
        right: &Expr,
    ) -> Result<Predicate, Error> {
        match (is_column(left), is_column(right)) {
            (true, true) => self.columns(left, comparison, right),
            (true, false) => {
                let column = self.column(left)?;
                with_literal(&column, comparison, self.value(right)?)
            }
            (false, true) => {
                let column = self.column(right)?;
                with_literal(&column, comparison.flipped(), self.value(left)?)
            }
            (false, false) => {
                self.value(left)?;
                self.value(right)?;
                Err(Error::Config(format!(
                    "`{}` and `{}` in `where`: one side of a comparison must be a column",
                    &self.text[left.span.clone()],
                    &self.text[right.span.clone()]
                )))
            }
        }
    }

    fn columns(
        &mut self,
        left: &Expr,
        operator: Comparison,
        right: &Expr,
    ) -> Result<Predicate, Error> {
        let (left, right) = (self.column(left)?, self.column(right)?);
        let floats = left.data_type.is_floating() && right.data_type.is_floating();
        if left.data_type != right.data_type && !floats {
            return Err(left.refused(&format!(
                "it has the type {} and `{}` the type {}: only columns of one type are compared",
                left.data_type, right.name, right.data_type
            )));
        }
        if left.data_type.is_nested() {
            return Err(left.refused("only `is null` can be asked of it"));
        }
        Ok(Predicate::CompareColumns(left.read, operator, right.read))
    }

    fn any_of(&mut self, expression: &Expr, list: &[Expr]) -> Result<Predicate, Error> {
        let equal = list
            .iter()
            .map(|item| self.comparison(expression, Comparison::Equal, item));
        let equal: Vec<Predicate> = equal.collect::<Result<_, _>>()?;
        Ok(balanced(equal))
    }

    fn like(&mut self, expression: &Expr, pattern: &Expr) -> Result<Predicate, Error> {
        let column = self.column(expression)?;
        match self.value(pattern)? {
            _ if column.data_type != DataType::Utf8 => Err(column.refused(&format!(
                "it has the type {}, and `like` is for text",
                column.data_type
            ))),
            Literal::Text(pattern) => Ok(Predicate::Like(column.read, Like::new(pattern))),
            Literal::Null => Ok(Predicate::Constant(None)),
            _ => Err(column.refused("`like` takes a pattern in single quotes")),
        }
    }

    /// A column as a condition: a boolean, or a number other than 0.
    fn truth(&mut self, expression: &Expr) -> Result<Predicate, Error> {
        let column = self.column(expression)?;
        match column.data_type {
            DataType::Boolean => Ok(Predicate::Truth(column.read)),
            _ => with_literal(
                &column,
                Comparison::NotEqual,
                &Literal::Number("0".to_owned()),
            ),
        }
    }

    fn column(&mut self, expression: &Expr) -> Result<Column, Error> {
        let Kind::Column(name) = &expression.kind else {
            return Err(self.unsupported(expression));
        };
        let position = self.table.position(name)?;
        Ok(Column {
            read: self.binding.read(position),
            name: name.clone(),
            data_type: self.table.fields[position].data_type().clone(),
        })
    }

    fn value<'e>(&self, expression: &'e Expr) -> Result<&'e Literal, Error> {
        match &expression.kind {
            Kind::Literal(literal) => Ok(literal),
            _ => Err(self.unsupported(expression)),
        }
    }

    fn unsupported(&self, expression: &Expr) -> Error {
        Error::Config(format!(
            "`{}` in `where` is not supported: a condition is made of columns and literals with =, <>, <, <=, >, >=, in, between, like, is null, \
             and, or, not and parentheses",
            &self.text[expression.span.clone()]
        ))
    }
}

/// `or` as a tree that is as flat as can be: a long list must not exhaust the stack.
fn balanced(mut alternatives: Vec<Predicate>) -> Predicate {
    match alternatives.len() {
        0 => Predicate::Constant(Some(false)),
        1 => alternatives.remove(0),
        several => {
            let right = alternatives.split_off(several / 2);
            Predicate::Or(Box::new(balanced(alternatives)), Box::new(balanced(right)))
        }
    }
}

fn with_literal(
    column: &Column,
    operator: Comparison,
    literal: &Literal,
) -> Result<Predicate, Error> {
    if matches!(literal, Literal::Null) {
        return Ok(Predicate::Constant(None));
    }
    match literal::compare(&column.data_type, operator, literal) {
        Ok(Compared::With(operator, value)) => Ok(Predicate::Compare(column.read, operator, value)),
        Ok(Compared::Settled(truth)) => Ok(Predicate::Settled(column.read, truth)),
        Err(reason) => Err(column.refused(&reason)),
    }
}

fn is_column(expression: &Expr) -> bool {
    matches!(expression.kind, Kind::Column(_))
}
