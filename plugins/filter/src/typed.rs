//! From the condition's text to a [`Predicate`]: SQL's grammar is `sqlparser`'s, the types are the table's.

use std::sync::Arc;

use arrow_array::{ArrayRef, Scalar, StringArray};
use arrow_schema::DataType;
use sqlparser::ast::{BinaryOperator, Expr, InTarget, UnaryOperator, Value};
use sqlparser::dialect::MySqlDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;
use tidemill_sdk::{Binding, Error, Table};

use crate::literal::{self, Compared, Literal};
use crate::predicate::{Operator, Predicate};

/// The predicate of a condition. The columns that it looks at become reads of the binding.
pub(crate) fn predicate(
    text: &str,
    table: &Table,
    binding: &mut Binding,
) -> Result<Predicate, Error> {
    let unreadable = |cause: &dyn std::fmt::Display| {
        Error::Config(format!(
            "`where` can't be read as an SQL condition: {cause}"
        ))
    };
    let dialect = MySqlDialect {};
    let mut parser = Parser::new(&dialect)
        .try_with_sql(text)
        .map_err(|cause| unreadable(&cause))?;
    let expression = parser.parse_expr().map_err(|cause| unreadable(&cause))?;
    let rest = parser.peek_token();
    if rest.token != Token::EOF {
        return Err(unreadable(&format!(
            "`{rest}` stands behind its end (line {}, column {})",
            rest.span.start.line, rest.span.start.column
        )));
    }
    Typing { table, binding }.condition(&expression)
}

struct Typing<'a> {
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
        let negated = |predicate: Predicate, negated: bool| match negated {
            true => Predicate::Not(Box::new(predicate)),
            false => predicate,
        };
        Ok(match expression {
            Expr::Nested(inner) => self.condition(inner)?,
            Expr::UnaryOp {
                op: UnaryOperator::Not | UnaryOperator::BangNot,
                expr,
            } => negated(self.condition(expr)?, true),
            Expr::BinaryOp {
                left,
                op: BinaryOperator::And,
                right,
            } => Predicate::And(
                Box::new(self.condition(left)?),
                Box::new(self.condition(right)?),
            ),
            Expr::BinaryOp {
                left,
                op: BinaryOperator::Or,
                right,
            } => Predicate::Or(
                Box::new(self.condition(left)?),
                Box::new(self.condition(right)?),
            ),
            Expr::BinaryOp { left, op, right } => {
                let operator = operator(op).ok_or_else(|| unsupported(expression))?;
                self.comparison(left, operator, right)?
            }
            Expr::IsNull(inner) => Predicate::IsNull(self.column(inner)?.read),
            Expr::IsNotNull(inner) => negated(Predicate::IsNull(self.column(inner)?.read), true),
            Expr::In {
                expr,
                target: InTarget::List(list),
                negated: is_negated,
                global: false,
            } => negated(self.any_of(expr, list)?, *is_negated),
            Expr::Between {
                expr,
                negated: is_negated,
                low,
                high,
            } => {
                let from = self.comparison(expr, Operator::GreaterOrEqual, low)?;
                let to = self.comparison(expr, Operator::LessOrEqual, high)?;
                negated(Predicate::And(Box::new(from), Box::new(to)), *is_negated)
            }
            Expr::Like {
                negated: is_negated,
                any: false,
                expr,
                pattern,
                escape_char: None,
            } => negated(self.like(expr, pattern)?, *is_negated),
            Expr::Identifier(_) => self.truth(expression)?,
            Expr::Value(_) => match value(expression)? {
                Literal::Boolean(truth) => Predicate::Constant(Some(truth)),
                Literal::Null => Predicate::Constant(None),
                _ => return Err(unsupported(expression)),
            },
            _ => return Err(unsupported(expression)),
        })
    }

    fn comparison(
        &mut self,
        left: &Expr,
        operator: Operator,
        right: &Expr,
    ) -> Result<Predicate, Error> {
        match (is_column(left), is_column(right)) {
            (true, true) => self.columns(left, operator, right),
            (true, false) => {
                let column = self.column(left)?;
                with_literal(&column, operator, &value(right)?)
            }
            (false, true) => {
                let column = self.column(right)?;
                with_literal(&column, operator.flipped(), &value(left)?)
            }
            (false, false) => {
                value(left)?;
                value(right)?;
                Err(Error::Config(format!(
                    "`{left}` and `{right}` in `where`: one side of a comparison must be a column"
                )))
            }
        }
    }

    fn columns(
        &mut self,
        left: &Expr,
        operator: Operator,
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
            .map(|item| self.comparison(expression, Operator::Equal, item));
        let equal: Vec<Predicate> = equal.collect::<Result<_, _>>()?;
        Ok(balanced(equal))
    }

    fn like(&mut self, expression: &Expr, pattern: &Expr) -> Result<Predicate, Error> {
        let column = self.column(expression)?;
        match value(pattern)? {
            _ if column.data_type != DataType::Utf8 => Err(column.refused(&format!(
                "it has the type {}, and `like` is for text",
                column.data_type
            ))),
            Literal::Text(pattern) => {
                let pattern: ArrayRef = Arc::new(StringArray::from(vec![pattern]));
                Ok(Predicate::Like(column.read, Scalar::new(pattern)))
            }
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
                Operator::NotEqual,
                &Literal::Number("0".to_owned()),
            ),
        }
    }

    fn column(&mut self, expression: &Expr) -> Result<Column, Error> {
        let name = match expression {
            Expr::Identifier(name) => &name.value,
            Expr::Nested(inner) => return self.column(inner),
            _ => return Err(unsupported(expression)),
        };
        let position = self.table.position(name)?;
        Ok(Column {
            read: self.binding.read(position),
            name: name.clone(),
            data_type: self.table.fields[position].data_type().clone(),
        })
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
    operator: Operator,
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
    match expression {
        Expr::Identifier(_) => true,
        Expr::Nested(inner) => is_column(inner),
        _ => false,
    }
}

fn operator(operator: &BinaryOperator) -> Option<Operator> {
    Some(match operator {
        BinaryOperator::Eq => Operator::Equal,
        BinaryOperator::NotEq => Operator::NotEqual,
        BinaryOperator::Lt => Operator::Less,
        BinaryOperator::LtEq => Operator::LessOrEqual,
        BinaryOperator::Gt => Operator::Greater,
        BinaryOperator::GtEq => Operator::GreaterOrEqual,
        _ => return None,
    })
}

fn value(expression: &Expr) -> Result<Literal, Error> {
    match expression {
        Expr::Nested(inner) => value(inner),
        Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr,
        } => match value(expr)? {
            Literal::Number(digits) => Ok(Literal::Number(match digits.strip_prefix('-') {
                Some(positive) => positive.to_owned(),
                None => format!("-{digits}"),
            })),
            _ => Err(unsupported(expression)),
        },
        Expr::Value(given) => match &given.value {
            Value::Number(digits, _) => Ok(Literal::Number(digits.clone())),
            Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) => {
                Ok(Literal::Text(text.clone()))
            }
            Value::HexStringLiteral(digits) => bytes(digits),
            Value::Boolean(truth) => Ok(Literal::Boolean(*truth)),
            Value::Null => Ok(Literal::Null),
            _ => Err(unsupported(expression)),
        },
        // DATE '2026-01-31', TIMESTAMP '…'
        Expr::TypedString(typed) => match &typed.value.value {
            Value::SingleQuotedString(text) => Ok(Literal::Text(text.clone())),
            _ => Err(unsupported(expression)),
        },
        _ => Err(unsupported(expression)),
    }
}

fn bytes(digits: &str) -> Result<Literal, Error> {
    let pair = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..digits.len()).step_by(2).map(pair).collect();
    let wrong = || {
        Error::Config(format!(
            "X'{digits}' in `where` is not pairs of hexadecimal digits"
        ))
    };
    bytes.map(Literal::Bytes).ok_or_else(wrong)
}

fn unsupported(expression: &Expr) -> Error {
    Error::Config(format!(
        "`{expression}` in `where` is not supported: a condition is made of columns and literals with =, <>, <, <=, >, >=, in, between, like, is null, \
         and, or, not and parentheses"
    ))
}
