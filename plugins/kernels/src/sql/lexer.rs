//! Text to tokens.

use std::ops::Range;

use super::SqlError;
use crate::convert;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A name or a keyword.
    Word(String),
    /// A name in backticks.
    Quoted(String),
    Number(String),
    Text(String),
    Bytes(Vec<u8>),
    /// An operator, a comma, a parenthesis.
    Symbol(&'static str),
    End,
}

/// Longer ones first.
const SYMBOLS: [&str; 17] = [
    "<=", ">=", "<>", "!=", "=", "<", ">", "!", "+", "-", "*", "/", "%", "(", ")", ",", ".",
];

/// The tokens and where they stand; the last one is `End`.
pub(super) fn tokens(text: &str) -> Result<Vec<(Token, Range<usize>)>, SqlError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    loop {
        let rest = &text[at..];
        let blank = rest.len() - rest.trim_start().len();
        let start = at + blank;
        let rest = &text[start..];
        let Some(first) = rest.chars().next() else {
            tokens.push((Token::End, text.len()..text.len()));
            return Ok(tokens);
        };
        let next = rest.as_bytes().get(1).copied().unwrap_or(0);
        let (token, length) = match first {
            'x' | 'X' if next == b'\'' => bytes(text, start)?,
            '\'' | '"' => quoted(text, start, first)?,
            '`' => name(text, start)?,
            digit if digit.is_ascii_digit() => number(rest),
            '.' if next.is_ascii_digit() => number(rest),
            letter if letter.is_alphabetic() || letter == '_' || letter == '$' => {
                let ends = |c: char| !(c.is_alphanumeric() || c == '_' || c == '$');
                let length = rest.find(ends).unwrap_or(rest.len());
                (Token::Word(rest[..length].to_owned()), length)
            }
            other => match SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
                Some(symbol) => (Token::Symbol(symbol), symbol.len()),
                None => {
                    return Err(SqlError::new(
                        text,
                        start,
                        format!("`{other}` is not expected"),
                    ));
                }
            },
        };
        at = start + length;
        tokens.push((token, start..at));
    }
}

/// Digits, point, digits, exponent.
fn number(rest: &str) -> (Token, usize) {
    let bytes = rest.as_bytes();
    let digits = |from: usize| {
        bytes[from..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count()
    };
    let mut length = digits(0);
    if bytes.get(length) == Some(&b'.') {
        length += 1 + digits(length + 1);
    }
    if matches!(bytes.get(length), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(length + 1), Some(b'+' | b'-')));
        let exponent = digits(length + 1 + sign).min(bytes.len());
        if exponent > 0 {
            length += 1 + sign + exponent;
        }
    }
    (Token::Number(rest[..length].to_owned()), length)
}

/// A text: a doubled quote is one, and MySQL's escapes mean what they mean there. `\%` and `\_` stay for `like`.
fn quoted(text: &str, start: usize, quote: char) -> Result<(Token, usize), SqlError> {
    let mut value = String::new();
    let mut characters = text[start + 1..].char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        if character == quote {
            match characters.peek() {
                Some((_, next)) if *next == quote => {
                    value.push(quote);
                    characters.next();
                }
                _ => return Ok((Token::Text(value), at + 2)),
            }
        } else if character == '\\' {
            match characters.next().map(|(_, escaped)| escaped) {
                Some('n') => value.push('\n'),
                Some('r') => value.push('\r'),
                Some('t') => value.push('\t'),
                Some('b') => value.push('\u{8}'),
                Some('0') => value.push('\0'),
                Some('Z') => value.push('\u{1a}'),
                Some(like @ ('%' | '_')) => value.extend(['\\', like]),
                Some(other) => value.push(other),
                None => break,
            }
        } else {
            value.push(character);
        }
    }
    Err(SqlError::new(text, start, "a text that doesn't end"))
}

fn name(text: &str, start: usize) -> Result<(Token, usize), SqlError> {
    let mut value = String::new();
    let mut at = start + 1;
    while let Some(length) = text[at..].find('`') {
        value.push_str(&text[at..at + length]);
        at += length + 1;
        if !text[at..].starts_with('`') {
            return Ok((Token::Quoted(value), at - start));
        }
        value.push('`');
        at += 1;
    }
    Err(SqlError::new(
        text,
        start,
        "a name in backticks that doesn't end",
    ))
}

fn bytes(text: &str, start: usize) -> Result<(Token, usize), SqlError> {
    let inner = &text[start + 2..];
    let wrong = || SqlError::new(text, start, "X'…' takes pairs of hexadecimal digits");
    let length = inner.find('\'').ok_or_else(wrong)?;
    let bytes = convert::bytes_of(&inner[..length]).ok_or_else(wrong)?;
    Ok((Token::Bytes(bytes), length + 3))
}
