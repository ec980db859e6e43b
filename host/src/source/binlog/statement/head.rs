//! The head of a statement: its tokens, read from the left.

use sqlparser::dialect::MySqlDialect;
use sqlparser::tokenizer::{Token, Tokenizer, Whitespace};

use crate::schema::TableName;

/// What stands for bytes of another character set than UTF-8. A name with it is not the table's.
const LOST_CHARACTER: char = char::REPLACEMENT_CHARACTER;

/// A statement's tokens, and how far they are read.
pub(super) struct Head<'a> {
    pub(super) tokens: Vec<Token>,
    /// Whether the tokens are all of the statement.
    pub(super) whole: bool,
    pub(super) at: usize,
    pub(super) database: &'a str,
}

impl<'a> Head<'a> {
    pub(super) fn new(text: &str, database: &'a str) -> Self {
        let mut tokens = Vec::new();
        let whole = tokenize(text, &mut tokens, 0);
        Self {
            tokens,
            whole,
            at: 0,
            database,
        }
    }

    /// How long a lock is waited for, which MariaDB writes behind a table's name.
    pub(super) fn wait(&mut self) {
        if self.accept("WAIT") {
            self.at += 1;
        } else {
            self.accept("NOWAIT");
        }
    }

    /// A table's name, with the database or of the default one.
    pub(super) fn table(&mut self) -> Option<TableName> {
        let first = self.name()?;
        match self.accept_token(&Token::Period) {
            true => Some(TableName::new(first, self.name()?)),
            false if self.database.is_empty() || self.database.contains(LOST_CHARACTER) => None,
            false => Some(TableName::new(self.database, first)),
        }
    }

    /// A name, without its quotes. In double quotes, too: where a name stands a string can't.
    pub(super) fn name(&mut self) -> Option<String> {
        let name = match self.tokens.get(self.at)? {
            Token::Word(word) => word.value.clone(),
            Token::DoubleQuotedString(name) => name.clone(),
            _ => return None,
        };
        self.at += 1;
        (!name.is_empty() && !name.contains(LOST_CHARACTER)).then_some(name)
    }

    /// The next token, in capitals, if it is a word without quotes.
    pub(super) fn peek_word(&self) -> Option<String> {
        match self.tokens.get(self.at)? {
            Token::Word(word) if word.quote_style.is_none() => {
                Some(word.value.to_ascii_uppercase())
            }
            _ => None,
        }
    }

    pub(super) fn accept(&mut self, word: &str) -> bool {
        let is = matches!(self.tokens.get(self.at), Some(Token::Word(found))
            if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word));
        self.at += usize::from(is);
        is
    }

    /// Takes all of the words, or none.
    pub(super) fn accept_all(&mut self, words: &[&str]) -> bool {
        let before = self.at;
        let all = words.iter().all(|word| self.accept(word));
        if !all {
            self.at = before;
        }
        all
    }

    pub(super) fn accept_token(&mut self, token: &Token) -> bool {
        let is = self.tokens.get(self.at) == Some(token);
        self.at += usize::from(is);
        is
    }
}

/// Splits a text into tokens, without blanks and comments, and with what stands in executable comments. Returns whether it could be
/// read to its end.
fn tokenize(text: &str, tokens: &mut Vec<Token>, depth: usize) -> bool {
    let mut found = Vec::new();
    let mut whole = Tokenizer::new(&MySqlDialect {}, text)
        .tokenize_with_location_into_buf(&mut found)
        .is_ok();
    for token in found {
        match token.token {
            // MySQL's own executable comments are taken apart by the tokenizer; these are MariaDB's.
            Token::Whitespace(Whitespace::MultiLineComment(comment)) => {
                if let Some(inner) = comment.strip_prefix("M!").filter(|_| depth < 4) {
                    let inner = inner.trim_start_matches(|c: char| c.is_ascii_digit());
                    whole &= tokenize(inner, tokens, depth + 1);
                }
            }
            Token::Whitespace(_) | Token::EOF => {}
            other => tokens.push(other),
        }
    }
    whole
}
