//! The SQL of `filter` and `expression`: one expression, as MySQL reads it.
//!
//! `or`, `and`, `not` (`!`), `=` `<>` `!=` `<` `<=` `>` `>=`, `is [not] null`, `[not] in`, `[not] between`, `[not] like`, `+` `-` `*` `/` `%`,
//! `case`, `cast(… as …)`, function calls, parentheses; names plain or in backticks, texts in quotes, numbers, `X'00ff'`, `true`, `false`,
//! `null`, `date '…'`, `time '…'`, `timestamp '…'`.

mod lexer;
mod parser;

use std::fmt;
use std::ops::Range;

pub use parser::parse;

/// An expression and the part of the text that says it.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: Kind,
    /// Where it stands, in bytes.
    pub span: Range<usize>,
}

/// What an expression is.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A column.
    Column(String),
    /// A value.
    Literal(Literal),
    /// `not x`.
    Not(Box<Expr>),
    /// `-x`.
    Minus(Box<Expr>),
    /// `x op y`.
    Binary(Box<Expr>, Operator, Box<Expr>),
    /// `x is null`; `is not null` is `Not` of it.
    IsNull(Box<Expr>),
    /// `x in (a, b)`.
    In(Box<Expr>, Vec<Expr>),
    /// `x between low and high`.
    Between(Box<Expr>, Box<Expr>, Box<Expr>),
    /// `x like pattern`.
    Like(Box<Expr>, Box<Expr>),
    /// `case when a then b … else c end`; `case x when a …` compares `x`.
    Case {
        /// What is compared, if anything.
        operand: Option<Box<Expr>>,
        /// Condition (or value) and result.
        whens: Vec<(Expr, Expr)>,
        /// The result otherwise; none: NULL.
        otherwise: Option<Box<Expr>>,
    },
    /// `name(a, b)`; the name in lower case.
    Call(String, Vec<Expr>),
    /// `cast(x as type)`; the type as it is written, in lower case, without spaces.
    Cast(Box<Expr>, String),
}

/// A value in the text of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Literal {
    /// Digits, with a sign and a decimal point where there is one, and an exponent.
    Number(String),
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// True or false.
    Boolean(bool),
    /// NULL.
    Null,
    /// A text that is said to be a `date`, `time` or `timestamp`.
    Moment(&'static str, String),
}

/// What stands between two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `and`
    And,
    /// `or`
    Or,
    /// A comparison.
    Compare(crate::compare::Comparison),
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `%`
    Modulo,
}

/// Why a text is no expression, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlError {
    /// What is wrong.
    pub reason: String,
    /// The line, from 1.
    pub line: usize,
    /// The character of the line, from 1.
    pub column: usize,
}

impl SqlError {
    fn new(text: &str, at: usize, reason: impl Into<String>) -> Self {
        let before = text.get(..at).unwrap_or(text);
        let line = before.rsplit('\n').next().unwrap_or_default();
        Self {
            reason: reason.into(),
            line: before.matches('\n').count() + 1,
            column: line.chars().count() + 1,
        }
    }
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} (line {}, column {})",
            self.reason, self.line, self.column
        )
    }
}

#[cfg(test)]
mod tests;
