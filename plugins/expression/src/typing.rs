//! From an expression's text to a [`Node`]: each part gets its type, by the table's columns.

use arrow_schema::{DataType, TimeUnit};
use tidemill_kernels::compare::Comparison;
use tidemill_kernels::convert::{TypeName, can};
use tidemill_kernels::like::Like;
use tidemill_kernels::moment;
use tidemill_kernels::sql::{self, Expr, Literal, Operator, parse};
use tidemill_sdk::{Binding, Error, Table};

use crate::evaluate::{DIVISION_DIGITS, Kind, Node};
use crate::function::{Function, Takes};
use crate::types::{self, MAX_DIGITS, MAX_SCALE, exact_type, is_whole, number, scale, widened};

/// What an expression is typed by.
pub(crate) struct Typing<'a> {
    name: &'a str,
    text: &'a str,
    table: &'a Table,
    binding: &'a mut Binding,
}

impl Typing<'_> {
    /// The expression of a column. The columns that it looks at become reads of the binding.
    pub(crate) fn node(
        name: &str,
        text: &str,
        table: &Table,
        binding: &mut Binding,
    ) -> Result<Node, Error> {
        let expression = parse(text).map_err(|cause| {
            Error::Config(format!("`{name}`: its expression can't be read: {cause}"))
        })?;
        let mut typing = Typing {
            name,
            text,
            table,
            binding,
        };
        typing.typed(&expression)
    }

    fn typed(&mut self, expression: &Expr) -> Result<Node, Error> {
        let boolean = |kind| Node {
            kind,
            data_type: Some(DataType::Boolean),
        };
        Ok(match &expression.kind {
            sql::Kind::Column(name) => {
                let position = self.table.position(name)?;
                Node {
                    kind: Kind::Column(self.binding.read(position)),
                    data_type: Some(self.table.fields[position].data_type().clone()),
                }
            }
            sql::Kind::Literal(literal) => self.literal(expression, literal)?,
            sql::Kind::Not(inner) => boolean(Kind::Not(self.condition(inner)?)),
            sql::Kind::Binary(left, Operator::And, right) => {
                boolean(Kind::And(self.condition(left)?, self.condition(right)?))
            }
            sql::Kind::Binary(left, Operator::Or, right) => {
                boolean(Kind::Or(self.condition(left)?, self.condition(right)?))
            }
            sql::Kind::Binary(left, Operator::Compare(comparison), right) => {
                boolean(self.comparison(left, *comparison, right)?)
            }
            sql::Kind::Binary(left, operator, right) => {
                self.arithmetic(expression, left, *operator, right)?
            }
            sql::Kind::Minus(inner) => {
                let inner = self.number(inner)?;
                let data_type = inner.data_type.clone().map(widened);
                Node {
                    kind: Kind::Minus(Box::new(inner)),
                    data_type,
                }
            }
            sql::Kind::IsNull(inner) => boolean(Kind::IsNull(Box::new(self.typed(inner)?))),
            sql::Kind::In(inner, items) => {
                let mut node = self.typed(inner)?;
                let mut typed = Vec::new();
                for item in items {
                    let mut item = self.typed(item)?;
                    self.comparable(expression, &mut node, &mut item)?;
                    typed.push(item);
                }
                boolean(Kind::In(Box::new(node), typed))
            }
            sql::Kind::Between(inner, low, high) => {
                let from = self.comparison(inner, Comparison::GreaterOrEqual, low)?;
                let to = self.comparison(inner, Comparison::LessOrEqual, high)?;
                boolean(Kind::And(Box::new(boolean(from)), Box::new(boolean(to))))
            }
            sql::Kind::Like(inner, pattern) => {
                let inner = self.typed(inner)?;
                match (&pattern.kind, &inner.data_type) {
                    (sql::Kind::Literal(Literal::Text(pattern)), Some(DataType::Utf8) | None) => {
                        boolean(Kind::Like(Box::new(inner), Like::new(pattern)))
                    }
                    _ => {
                        return Err(
                            self.wrong(expression, "`like` takes a text, and a pattern in quotes")
                        );
                    }
                }
            }
            sql::Kind::Case {
                operand,
                whens,
                otherwise,
            } => self.case(expression, operand.as_deref(), whens, otherwise.as_deref())?,
            sql::Kind::Call(name, arguments) => self.call(expression, name, arguments)?,
            sql::Kind::Cast(inner, name) => {
                let inner = self.typed(inner)?;
                let to = TypeName(name.clone()).data_type()?;
                if let Some(from) = &inner.data_type
                    && !can(from, &to)
                {
                    return Err(self.wrong(expression, &format!("{from} has no cast to {to}")));
                }
                Node {
                    kind: Kind::Cast(Box::new(inner), to.clone()),
                    data_type: Some(to),
                }
            }
        })
    }

    fn literal(&self, expression: &Expr, literal: &Literal) -> Result<Node, Error> {
        let unreadable = |what: &str| self.wrong(expression, &format!("it is no {what}"));
        let microsecond = TimeUnit::Microsecond;
        let (kind, data_type) = match literal {
            Literal::Null => {
                return Ok(Node {
                    kind: Kind::Null,
                    data_type: None,
                });
            }
            Literal::Boolean(truth) => (Kind::Boolean(*truth), DataType::Boolean),
            Literal::Text(text) => (Kind::Text(text.clone()), DataType::Utf8),
            Literal::Bytes(bytes) => (Kind::Bytes(bytes.clone()), DataType::Binary),
            Literal::Moment("date", text) => {
                let days =
                    moment::parse_date(text).ok_or_else(|| unreadable("date, 'YYYY-MM-DD'"))?;
                (Kind::Date(days), DataType::Date32)
            }
            Literal::Moment("time", text) => {
                let us = moment::parse_time(text).ok_or_else(|| unreadable("time, 'HH:MM:SS'"))?;
                (Kind::Time(us), DataType::Time64(microsecond))
            }
            Literal::Moment(_, text) => {
                let us = moment::parse_timestamp(text)
                    .ok_or_else(|| unreadable("moment, 'YYYY-MM-DD HH:MM:SS'"))?;
                (Kind::Timestamp(us), DataType::Timestamp(microsecond, None))
            }
            Literal::Number(digits) if digits.contains(['e', 'E']) => {
                let number = digits
                    .parse()
                    .ok()
                    .filter(|number: &f64| number.is_finite());
                (
                    Kind::Float(number.ok_or_else(|| unreadable("number"))?),
                    DataType::Float64,
                )
            }
            Literal::Number(digits) => {
                let scale = digits
                    .split_once('.')
                    .map_or(0, |(_, fraction)| fraction.len());
                let scale = i8::try_from(scale).ok().filter(|scale| *scale <= MAX_SCALE);
                let exact = |scale| tidemill_kernels::decimal::exact(digits, MAX_DIGITS, scale);
                let (scale, unscaled) = scale
                    .and_then(|scale| Some((scale, exact(scale)?)))
                    .ok_or_else(|| {
                        self.wrong(expression, "it has more digits than a number can have")
                    })?;
                number(unscaled, scale)
            }
        };
        Ok(Node {
            kind,
            data_type: Some(data_type),
        })
    }

    fn condition(&mut self, expression: &Expr) -> Result<Box<Node>, Error> {
        let node = self.typed(expression)?;
        match &node.data_type {
            Some(data_type) if *data_type != DataType::Boolean && !data_type.is_numeric() => {
                Err(self.wrong(
                    expression,
                    &format!("it has the type {data_type}, and is no condition"),
                ))
            }
            _ => Ok(Box::new(node)),
        }
    }

    fn number(&mut self, expression: &Expr) -> Result<Node, Error> {
        let node = self.typed(expression)?;
        match &node.data_type {
            Some(data_type) if *data_type != DataType::Boolean && !data_type.is_numeric() => {
                Err(self.wrong(
                    expression,
                    &format!("it has the type {data_type}, and is no number"),
                ))
            }
            _ => Ok(node),
        }
    }

    fn comparison(
        &mut self,
        left: &Expr,
        comparison: Comparison,
        right: &Expr,
    ) -> Result<Kind, Error> {
        let (mut one, mut other) = (self.typed(left)?, self.typed(right)?);
        let both = Expr {
            kind: sql::Kind::Literal(Literal::Null),
            span: left.span.start.min(right.span.start)..left.span.end.max(right.span.end),
        };
        self.comparable(&both, &mut one, &mut other)?;
        Ok(Kind::Compare(Box::new(one), comparison, Box::new(other)))
    }

    /// Makes a text that stands beside a moment a moment; refuses what has no order together.
    fn comparable(&self, whole: &Expr, left: &mut Node, right: &mut Node) -> Result<(), Error> {
        let types = (left.data_type.clone(), right.data_type.clone());
        for (text, other) in [(&mut *left, types.1), (&mut *right, types.0)] {
            let Some(other) = other else { continue };
            if let (Kind::Text(given), true) = (&text.kind, other.is_temporal()) {
                let kind = match &other {
                    DataType::Date32 => moment::parse_date(given)
                        .map(Kind::Date)
                        .or(moment::parse_timestamp(given).map(Kind::Timestamp)),
                    DataType::Time64(_) => moment::parse_time(given).map(Kind::Time),
                    _ => moment::parse_timestamp(given).map(Kind::Timestamp),
                };
                text.kind =
                    kind.ok_or_else(|| self.wrong(whole, &format!("'{given}' is no {other}")))?;
                text.data_type = Some(other);
            }
        }
        let (Some(one), Some(other)) = (&left.data_type, &right.data_type) else {
            return Ok(());
        };
        let numbers =
            |data_type: &DataType| data_type.is_numeric() || *data_type == DataType::Boolean;
        let days =
            |data_type: &DataType| matches!(data_type, DataType::Date32 | DataType::Timestamp(..));
        let bytes = |data_type: &DataType| {
            matches!(data_type, DataType::Binary | DataType::FixedSizeBinary(_))
        };
        let fits = numbers(one) && numbers(other)
            || days(one) && days(other)
            || bytes(one) && bytes(other)
            || one == other && !matches!(one, DataType::List(_));
        match fits {
            true => Ok(()),
            false => Err(self.wrong(whole, &format!("{one} and {other} are not compared"))),
        }
    }

    fn arithmetic(
        &mut self,
        whole: &Expr,
        left: &Expr,
        operator: Operator,
        right: &Expr,
    ) -> Result<Node, Error> {
        let (left, right) = (self.number(left)?, self.number(right)?);
        let data_type = match (&left.data_type, &right.data_type) {
            (None, _) | (_, None) => None,
            (Some(one), Some(other)) if one.is_floating() || other.is_floating() => {
                Some(DataType::Float64)
            }
            (Some(one), Some(other)) => {
                let whole_numbers = is_whole(one) && is_whole(other);
                let (one, other) = (scale(one), scale(other));
                let scale = match operator {
                    Operator::Multiply => one.saturating_add(other),
                    Operator::Divide => one.saturating_add(DIVISION_DIGITS),
                    _ => one.max(other),
                };
                if scale > MAX_SCALE {
                    return Err(self.wrong(whole, "it has more digits behind the point than a number can have: use `round` or `cast` in between"));
                }
                Some(exact_type(scale, whole_numbers))
            }
        };
        let kind = Kind::Arithmetic(Box::new(left), operator, Box::new(right));
        Ok(Node { kind, data_type })
    }

    fn case(
        &mut self,
        whole: &Expr,
        operand: Option<&Expr>,
        whens: &[(Expr, Expr)],
        otherwise: Option<&Expr>,
    ) -> Result<Node, Error> {
        let mut typed = Vec::new();
        for (condition, result) in whens {
            let condition = match operand {
                None => *self.condition(condition)?,
                Some(operand) => Node {
                    kind: self.comparison(operand, Comparison::Equal, condition)?,
                    data_type: Some(DataType::Boolean),
                },
            };
            typed.push((condition, self.typed(result)?));
        }
        let mut otherwise = otherwise
            .map(|otherwise| self.typed(otherwise))
            .transpose()?;
        let results = typed.iter_mut().map(|(_, result)| result);
        let data_type =
            types::alike(results.chain(&mut otherwise)).map_err(|why| self.wrong(whole, &why))?;
        Ok(Node {
            kind: Kind::Case(typed, otherwise.map(Box::new)),
            data_type,
        })
    }

    fn call(&mut self, whole: &Expr, name: &str, arguments: &[Expr]) -> Result<Node, Error> {
        if let ("if", [condition, yes, no]) = (name, arguments) {
            return self.case(whole, None, &[(condition.clone(), yes.clone())], Some(no));
        }
        let (function, takes, count) = Function::named(name).ok_or_else(|| {
            self.wrong(
                whole,
                &format!(
                    "there is no function `{name}`; there are {}",
                    Function::NAMES
                ),
            )
        })?;
        if !count.contains(&arguments.len()) {
            return Err(self.wrong(
                whole,
                &format!("`{name}` takes {} to {} values", count.start(), count.end()),
            ));
        }
        let mut nodes = Vec::new();
        for (place, argument) in arguments.iter().enumerate() {
            let wants_number =
                takes == Takes::Numbers || takes == Takes::TextAndNumbers && place > 0;
            let node = match wants_number {
                true => self.number(argument)?,
                false => self.typed(argument)?,
            };
            let no_text = matches!(
                node.data_type,
                Some(DataType::Binary | DataType::FixedSizeBinary(_) | DataType::List(_))
            );
            if no_text && takes != Takes::Alike {
                return Err(self.wrong(argument, "it has no text"));
            }
            nodes.push(node);
        }
        let data_type = match function.result(takes) {
            Some(data_type) => Some(data_type),
            None => {
                let common = match function {
                    // How a decimal is rounded doesn't change its form.
                    Function::Round | Function::NullIf => Ok(nodes[0].data_type.clone()),
                    _ if takes == Takes::Alike => types::alike(nodes.iter_mut()),
                    _ => types::common(nodes.iter()),
                };
                let common = common.map_err(|why| self.wrong(whole, &why))?;
                let float = common.as_ref().is_some_and(DataType::is_floating);
                match function {
                    Function::Floor | Function::Ceiling if !float => Some(DataType::Int64),
                    Function::Div if float => {
                        return Err(self.wrong(whole, "`div` is for exact numbers"));
                    }
                    Function::Div => Some(DataType::Int64),
                    Function::Abs | Function::Round | Function::Mod => common.map(widened),
                    _ => common,
                }
            }
        };
        if matches!(
            function,
            Function::NullIf | Function::Least | Function::Greatest
        ) {
            for place in 1..nodes.len() {
                let (first, rest) = nodes.split_at_mut(1);
                self.comparable(whole, &mut first[0], &mut rest[place - 1])?;
            }
        }
        Ok(Node {
            kind: Kind::Call(function, nodes),
            data_type,
        })
    }

    fn wrong(&self, expression: &Expr, why: &str) -> Error {
        let part = &self.text[expression.span.clone()];
        Error::Config(format!("`{}`: `{part}`: {why}", self.name))
    }
}
