//! Tokens to an expression, by recursive descent.

use std::ops::Range;

use super::lexer::{Token, tokens};
use super::{Expr, Kind, Literal, Operator, SqlError};
use crate::compare::Comparison;

/// How deep an expression may be: the stack of a plugin is not deep.
const MAX_DEPTH: usize = 200;

/// The expression that the whole text is.
pub fn parse(text: &str) -> Result<Expr, SqlError> {
    let mut parser = Parser {
        text,
        tokens: tokens(text)?,
        at: 0,
        depth: 0,
    };
    let expression = parser.or()?;
    match parser.peek() {
        Token::End => Ok(expression),
        _ => Err(parser.error(format!("`{}` stands behind its end", &text[parser.span()]))),
    }
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<(Token, Range<usize>)>,
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> &Token {
        &self.tokens[self.at].0
    }

    fn span(&self) -> Range<usize> {
        self.tokens[self.at].1.clone()
    }

    fn next(&mut self) -> Token {
        let token = self.tokens[self.at].0.clone();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        token
    }

    fn error(&self, reason: impl Into<String>) -> SqlError {
        SqlError::new(self.text, self.span().start, reason)
    }

    fn expected(&self, what: &str) -> SqlError {
        match self.peek() {
            Token::End => self.error(format!("it ends where {what} is expected")),
            _ => self.error(format!(
                "`{}` stands where {what} is expected",
                &self.text[self.span()]
            )),
        }
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Token::Word(found) if found.eq_ignore_ascii_case(word))
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        if found {
            self.at += 1;
        }
        found
    }

    fn take(&mut self, symbol: &'static str) -> bool {
        let found = *self.peek() == Token::Symbol(symbol);
        if found {
            self.at += 1;
        }
        found
    }

    fn want(&mut self, symbol: &'static str) -> Result<(), SqlError> {
        match self.take(symbol) {
            true => Ok(()),
            false => Err(self.expected(&format!("`{symbol}`"))),
        }
    }

    fn want_word(&mut self, word: &str) -> Result<(), SqlError> {
        match self.take_word(word) {
            true => Ok(()),
            false => Err(self.expected(&format!("`{word}`"))),
        }
    }

    /// From where it began to the last token that was taken.
    fn made(&self, start: usize, kind: Kind) -> Expr {
        Expr {
            kind,
            span: start..self.tokens[self.at - 1].1.end,
        }
    }

    fn deeper<T>(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<T, SqlError>,
    ) -> Result<T, SqlError> {
        if self.depth >= MAX_DEPTH {
            return Err(self.error(format!("it is nested more than {MAX_DEPTH} deep")));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    /// Operands with operators of one rank between them. A chain of one operator, which may be long, becomes a tree as flat as can be.
    fn chain(
        &mut self,
        operator: fn(&mut Self) -> Option<Operator>,
        operand: fn(&mut Self) -> Result<Expr, SqlError>,
        associative: bool,
    ) -> Result<Expr, SqlError> {
        let mut operands = vec![operand(self)?];
        let mut operators = Vec::new();
        while let Some(found) = operator(self) {
            operators.push(found);
            operands.push(operand(self)?);
        }
        if !associative && operators.len() > MAX_DEPTH {
            return Err(self.error(format!("more than {MAX_DEPTH} operators stand in a row")));
        }
        Ok(match associative {
            true => balanced(operands, operators.first().copied()),
            false => {
                let mut operands = operands.into_iter();
                let first = operands.next();
                let rest = operators.into_iter().zip(operands);
                let first = first.ok_or_else(|| self.expected("a value"))?;
                rest.fold(first, |left, (operator, right)| {
                    joined(left, operator, right)
                })
            }
        })
    }

    fn or(&mut self) -> Result<Expr, SqlError> {
        let operator = |this: &mut Self| this.take_word("or").then_some(Operator::Or);
        self.deeper(|this| this.chain(operator, Self::and, true))
    }

    fn and(&mut self) -> Result<Expr, SqlError> {
        let operator = |this: &mut Self| this.take_word("and").then_some(Operator::And);
        self.chain(operator, Self::not, true)
    }

    fn not(&mut self) -> Result<Expr, SqlError> {
        let start = self.span().start;
        if self.take_word("not") {
            let inner = self.deeper(Self::not)?;
            return Ok(self.made(start, Kind::Not(Box::new(inner))));
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Result<Expr, SqlError> {
        let start = self.span().start;
        let left = self.sum()?;
        if self.take_word("is") {
            let negated = self.take_word("not");
            self.want_word("null")?;
            let test = self.made(start, Kind::IsNull(Box::new(left)));
            return Ok(self.negated(start, test, negated));
        }
        let comparison = match self.peek() {
            Token::Symbol("=") => Some(Comparison::Equal),
            Token::Symbol("<>" | "!=") => Some(Comparison::NotEqual),
            Token::Symbol("<") => Some(Comparison::Less),
            Token::Symbol("<=") => Some(Comparison::LessOrEqual),
            Token::Symbol(">") => Some(Comparison::Greater),
            Token::Symbol(">=") => Some(Comparison::GreaterOrEqual),
            _ => None,
        };
        if let Some(comparison) = comparison {
            self.at += 1;
            let right = self.sum()?;
            return Ok(joined(left, Operator::Compare(comparison), right));
        }
        let negated = self.take_word("not");
        let left = Box::new(left);
        let test = if self.take_word("in") {
            self.want("(")?;
            Kind::In(left, self.list()?)
        } else if self.take_word("between") {
            let low = Box::new(self.sum()?);
            self.want_word("and")?;
            Kind::Between(left, low, Box::new(self.sum()?))
        } else if self.take_word("like") {
            Kind::Like(left, Box::new(self.sum()?))
        } else if negated {
            return Err(self.expected("`in`, `between` or `like`"));
        } else {
            return Ok(*left);
        };
        let test = self.made(start, test);
        Ok(self.negated(start, test, negated))
    }

    fn negated(&self, start: usize, test: Expr, negated: bool) -> Expr {
        match negated {
            true => self.made(start, Kind::Not(Box::new(test))),
            false => test,
        }
    }

    /// Expressions up to the closing parenthesis, at least one.
    fn list(&mut self) -> Result<Vec<Expr>, SqlError> {
        let mut items = vec![self.or()?];
        while self.take(",") {
            items.push(self.or()?);
        }
        self.want(")")?;
        Ok(items)
    }

    fn sum(&mut self) -> Result<Expr, SqlError> {
        let operator = |this: &mut Self| match this.peek() {
            Token::Symbol("+") => this.next_as(Operator::Add),
            Token::Symbol("-") => this.next_as(Operator::Subtract),
            _ => None,
        };
        self.chain(operator, Self::product, false)
    }

    fn product(&mut self) -> Result<Expr, SqlError> {
        let operator = |this: &mut Self| match this.peek() {
            Token::Symbol("*") => this.next_as(Operator::Multiply),
            Token::Symbol("/") => this.next_as(Operator::Divide),
            Token::Symbol("%") => this.next_as(Operator::Modulo),
            _ => None,
        };
        self.chain(operator, Self::unary, false)
    }

    fn next_as(&mut self, operator: Operator) -> Option<Operator> {
        self.at += 1;
        Some(operator)
    }

    fn unary(&mut self) -> Result<Expr, SqlError> {
        let start = self.span().start;
        if self.take("-") {
            let inner = self.deeper(Self::unary)?;
            let kind = match inner.kind {
                Kind::Literal(Literal::Number(digits)) => {
                    Kind::Literal(Literal::Number(match digits.strip_prefix('-') {
                        Some(positive) => positive.to_owned(),
                        None => format!("-{digits}"),
                    }))
                }
                kind => Kind::Minus(Box::new(Expr {
                    kind,
                    span: inner.span,
                })),
            };
            return Ok(self.made(start, kind));
        }
        if self.take("!") {
            let inner = self.deeper(Self::unary)?;
            return Ok(self.made(start, Kind::Not(Box::new(inner))));
        }
        self.primary()
    }

    fn primary(&mut self) -> Result<Expr, SqlError> {
        let start = self.span().start;
        let kind = match self.peek().clone() {
            Token::Symbol("(") => {
                self.at += 1;
                let inner = self.or()?;
                self.want(")")?;
                return Ok(self.made(start, inner.kind));
            }
            Token::Number(digits) => self.literal(Literal::Number(digits)),
            Token::Text(text) => self.literal(Literal::Text(text)),
            Token::Bytes(bytes) => self.literal(Literal::Bytes(bytes)),
            Token::Quoted(name) => {
                self.at += 1;
                Kind::Column(name)
            }
            Token::Word(word) => self.word(&word)?,
            _ => return Err(self.expected("a column or a value")),
        };
        Ok(self.made(start, kind))
    }

    fn literal(&mut self, literal: Literal) -> Kind {
        self.at += 1;
        Kind::Literal(literal)
    }

    fn word(&mut self, word: &str) -> Result<Kind, SqlError> {
        let lower = word.to_ascii_lowercase();
        let next = self.tokens.get(self.at + 1).map(|(token, _)| token.clone());
        let moment = ["date", "time", "timestamp"]
            .into_iter()
            .find(|name| *name == lower);
        Ok(match (lower.as_str(), next) {
            ("true", _) => self.literal(Literal::Boolean(true)),
            ("false", _) => self.literal(Literal::Boolean(false)),
            ("null", _) => self.literal(Literal::Null),
            ("case", _) => {
                self.at += 1;
                self.deeper(Self::case)?
            }
            (
                "and" | "or" | "not" | "in" | "is" | "between" | "like" | "when" | "then" | "else"
                | "end" | "as",
                _,
            ) => {
                return Err(self.expected("a column or a value"));
            }
            (_, Some(Token::Text(text))) if moment.is_some() => {
                self.at += 2;
                Kind::Literal(Literal::Moment(moment.unwrap_or_default(), text))
            }
            ("cast", Some(Token::Symbol("("))) => {
                self.at += 2;
                let inner = self.or()?;
                self.want_word("as")?;
                Kind::Cast(Box::new(inner), self.type_name()?)
            }
            (_, Some(Token::Symbol("("))) => {
                self.at += 2;
                match self.take(")") {
                    true => Kind::Call(lower, Vec::new()),
                    false => Kind::Call(lower, self.list()?),
                }
            }
            _ => {
                self.at += 1;
                Kind::Column(word.to_owned())
            }
        })
    }

    /// The rest of a cast: `decimal(10, 2))`.
    fn type_name(&mut self) -> Result<String, SqlError> {
        let Token::Word(word) = self.next() else {
            return Err(self.expected("a type"));
        };
        let mut name = word.to_ascii_lowercase();
        let mut open = 1;
        loop {
            match self.next() {
                Token::Symbol("(") => {
                    open += 1;
                    name.push('(');
                }
                Token::Symbol(")") if open == 1 => return Ok(name),
                Token::Symbol(")") => {
                    open -= 1;
                    name.push(')');
                }
                Token::Symbol(",") => name.push(','),
                Token::Number(digits) => name.push_str(&digits),
                Token::Word(word) => name.push_str(&word.to_ascii_lowercase()),
                _ => return Err(self.expected("the type's end")),
            }
        }
    }

    fn case(&mut self) -> Result<Kind, SqlError> {
        let operand = match self.is_word("when") {
            true => None,
            false => Some(Box::new(self.or()?)),
        };
        let mut whens = Vec::new();
        while self.take_word("when") {
            let condition = self.or()?;
            self.want_word("then")?;
            whens.push((condition, self.or()?));
        }
        if whens.is_empty() {
            return Err(self.expected("`when`"));
        }
        let otherwise = match self.take_word("else") {
            true => Some(Box::new(self.or()?)),
            false => None,
        };
        self.want_word("end")?;
        Ok(Kind::Case {
            operand,
            whens,
            otherwise,
        })
    }
}

fn joined(left: Expr, operator: Operator, right: Expr) -> Expr {
    let span = left.span.start..right.span.end;
    Expr {
        kind: Kind::Binary(Box::new(left), operator, Box::new(right)),
        span,
    }
}

fn balanced(mut operands: Vec<Expr>, operator: Option<Operator>) -> Expr {
    match operator {
        Some(operator) if operands.len() > 1 => {
            let right = operands.split_off(operands.len() / 2);
            joined(
                balanced(operands, Some(operator)),
                operator,
                balanced(right, Some(operator)),
            )
        }
        _ => operands.remove(0),
    }
}
