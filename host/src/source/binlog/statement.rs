//! Statements in the binlog: what the head of one says it does to which tables.
//!
//! A statement is read only as far as that needs. What it says behind its names (columns, values) is not looked at, with one
//! exception: the clauses of ALTER TABLE that rename the table, take a column from it, change one, or change rows without row events.

use sqlparser::dialect::MySqlDialect;
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, Tokenizer, Whitespace};

use crate::schema::TableName;

/// A statement that is no row change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The database that was the session's default.
    pub database: String,
    /// What it does to tables, in order.
    pub kinds: Vec<TableStatement>,
    /// Its first keywords, for a person: `ALTER TABLE`. Never names or values.
    pub text_hint: String,
}

/// What a statement does to a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableStatement {
    /// The table is empty now.
    Truncate(TableName),
    /// The table is gone.
    Drop(TableName),
    /// The database is gone, with its tables.
    DropDatabase(String),
    /// The table has another name.
    Rename {
        /// Its name before.
        from: TableName,
        /// Its name now.
        to: TableName,
    },
    /// The table's definition was changed.
    Alter(TableName),
    /// The table's column was dropped or renamed, whatever other column may have its name now. Told before the `Alter` of the same statement.
    ColumnGone {
        /// The table.
        table: TableName,
        /// The column's name before.
        column: String,
    },
    /// The definition of a column was changed, its default perhaps. Told behind the `Alter` of the same statement.
    ColumnChanged {
        /// The table.
        table: TableName,
        /// The column.
        column: String,
    },
    /// Rows of the table were changed without row events: a partition was dropped, emptied or exchanged, a tablespace imported.
    RowsChanged(TableName),
    /// The table is new.
    Create(TableName),
    /// DDL whose head could not be read: any table may have changed.
    Unknown,
}

/// What a query of the binlog is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Query {
    /// A transaction begins.
    Begin,
    /// It is committed.
    Commit,
    /// It is rolled back.
    Rollback,
    /// A part of it is rolled back.
    RollbackTo,
    /// An XA transaction begins.
    XaStart,
    /// An XA transaction that was prepared is committed.
    XaCommit,
    /// A row change as a statement: its first word.
    RowChange(&'static str),
    /// Nothing that concerns tables.
    Harmless,
    /// It does this to tables.
    Statement(Statement),
}

/// First words of statements that change rows.
const ROW_CHANGES: [&str; 10] = [
    "INSERT", "REPLACE", "UPDATE", "DELETE", "LOAD", "WITH", "CALL", "DO", "SELECT", "EXECUTE",
];
/// First words of statements that leave tables and rows alone.
const HARMLESS: [&str; 26] = [
    "GRANT",
    "REVOKE",
    "SET",
    "FLUSH",
    "ANALYZE",
    "OPTIMIZE",
    "REPAIR",
    "CHECK",
    "CHECKSUM",
    "SAVEPOINT",
    "RELEASE",
    "USE",
    "LOCK",
    "UNLOCK",
    "INSTALL",
    "UNINSTALL",
    "KILL",
    "RESET",
    "PURGE",
    "CHANGE",
    "START",
    "STOP",
    "SHOW",
    "CACHE",
    "COMMENT",
    "XA",
];
/// What CREATE, ALTER and DROP may be about beside tables, indexes and databases, and the words that only those have before them.
const OTHER_OBJECTS: [&str; 24] = [
    "VIEW",
    "TRIGGER",
    "PROCEDURE",
    "FUNCTION",
    "EVENT",
    "USER",
    "ROLE",
    "SERVER",
    "TABLESPACE",
    "LOGFILE",
    "UNDO",
    "RESOURCE",
    "SEQUENCE",
    "PACKAGE",
    "LIBRARY",
    "PREPARE",
    "INSTANCE",
    "DEFINER",
    "ALGORITHM",
    "SQL",
    "AGGREGATE",
    "JSON",
    "CATALOG",
    "LOADABLE",
];

/// First words of what ALTER TABLE can drop beside columns. The last two can be a column's name without quotes, too: that one is seen to be gone when
/// the table is looked at.
const OTHER_PARTS: [&str; 9] = [
    "PRIMARY",
    "INDEX",
    "KEY",
    "FOREIGN",
    "CONSTRAINT",
    "CHECK",
    "PARTITION",
    "SYSTEM",
    "PERIOD",
];

/// What stands for bytes of another character set than UTF-8. A name with it is not the table's.
const LOST_CHARACTER: char = char::REPLACEMENT_CHARACTER;

/// Reads a query; `database` is the session's default.
pub(super) fn read(text: &str, database: &str) -> Query {
    let mut head = Head::new(text, database);
    let Some(first) = head.peek_word() else {
        return match head.tokens.is_empty() && head.whole {
            true => Query::Harmless,
            false => head.statement(vec![TableStatement::Unknown]),
        };
    };
    head.at += 1;
    match first.as_str() {
        "BEGIN" => Query::Begin,
        "START" if head.accept("TRANSACTION") => Query::Begin,
        "COMMIT" => Query::Commit,
        "ROLLBACK" => {
            head.accept("WORK");
            match head.accept("TO") {
                true => Query::RollbackTo,
                false => Query::Rollback,
            }
        }
        "XA" if head.accept("START") || head.accept("BEGIN") => Query::XaStart,
        "XA" if head.accept("COMMIT") => Query::XaCommit,
        "DELETE" => match head.emptied() {
            Some(table) => head.statement(vec![TableStatement::Truncate(table)]),
            None => Query::RowChange("DELETE"),
        },
        word => {
            if let Some(change) = ROW_CHANGES.iter().find(|change| **change == word) {
                return Query::RowChange(change);
            }
            if HARMLESS.contains(&word) {
                return Query::Harmless;
            }
            match head.ddl(word) {
                Some(kinds) if kinds.is_empty() => Query::Harmless,
                Some(kinds) => head.statement(kinds),
                None => head.statement(vec![TableStatement::Unknown]),
            }
        }
    }
}

/// A statement's tokens, and how far they are read.
struct Head<'a> {
    tokens: Vec<Token>,
    /// Whether the tokens are all of the statement.
    whole: bool,
    at: usize,
    database: &'a str,
}

impl<'a> Head<'a> {
    fn new(text: &str, database: &'a str) -> Self {
        let mut tokens = Vec::new();
        let whole = tokenize(text, &mut tokens, 0);
        Self {
            tokens,
            whole,
            at: 0,
            database,
        }
    }

    /// What DDL does; empty for what is harmless, none for what can't be read.
    fn ddl(&mut self, verb: &str) -> Option<Vec<TableStatement>> {
        match verb {
            "TRUNCATE" => {
                self.accept("TABLE");
                Some(vec![TableStatement::Truncate(self.table()?)])
            }
            "DROP" => self.drop(),
            "RENAME" => self.rename(),
            "ALTER" => self.alter(),
            "CREATE" => self.create(),
            _ => None,
        }
    }

    fn drop(&mut self) -> Option<Vec<TableStatement>> {
        let temporary = self.accept("TEMPORARY");
        if self.accept("TABLE") || self.accept("TABLES") {
            self.accept_all(&["IF", "EXISTS"]);
            let mut dropped = vec![TableStatement::Drop(self.table()?)];
            while self.accept_token(&Token::Comma) {
                dropped.push(TableStatement::Drop(self.table()?));
            }
            if temporary {
                dropped.clear();
            }
            return (self.whole || temporary).then_some(dropped);
        }
        if self.accept("DATABASE") || self.accept("SCHEMA") {
            self.accept_all(&["IF", "EXISTS"]);
            return Some(vec![TableStatement::DropDatabase(self.name()?)]);
        }
        if self.accept("INDEX") {
            return self.index();
        }
        self.other()
    }

    fn rename(&mut self) -> Option<Vec<TableStatement>> {
        if self.accept("USER") {
            return Some(vec![]);
        }
        if !self.accept("TABLE") && !self.accept("TABLES") {
            return None;
        }
        self.accept_all(&["IF", "EXISTS"]);
        let mut renamed = Vec::new();
        loop {
            let from = self.table()?;
            self.wait();
            if !self.accept("TO") {
                return None;
            }
            let to = self.table()?;
            renamed.push(TableStatement::Rename { from, to });
            if !self.accept_token(&Token::Comma) {
                return self.whole.then_some(renamed);
            }
        }
    }

    fn alter(&mut self) -> Option<Vec<TableStatement>> {
        while self.accept("ONLINE") || self.accept("OFFLINE") || self.accept("IGNORE") {}
        if self.accept("DATABASE") || self.accept("SCHEMA") {
            return Some(vec![]);
        }
        if !self.accept("TABLE") {
            return self.other();
        }
        self.accept_all(&["IF", "EXISTS"]);
        let table = self.table()?;
        self.wait();
        let mut kinds = vec![TableStatement::Alter(table.clone())];
        let mut depth = 0usize;
        let mut clause = true;
        while let Some(token) = self.tokens.get(self.at) {
            match token {
                Token::LParen => depth += 1,
                Token::RParen => depth = depth.saturating_sub(1),
                _ => {}
            }
            let begins = clause && depth == 0;
            clause = depth == 0 && *token == Token::Comma;
            match begins {
                true => self.clause(&table, &mut kinds)?,
                false => self.at += 1,
            }
        }
        // Before all else, however the columns are called afterwards.
        kinds.sort_by_key(|kind| !matches!(kind, TableStatement::ColumnGone { .. }));
        // A clause that can't be read may be one of those that count.
        self.whole.then_some(kinds)
    }

    /// A clause of ALTER TABLE: what it does beside changing the definition.
    fn clause(&mut self, table: &TableName, kinds: &mut Vec<TableStatement>) -> Option<()> {
        let before = self.at;
        if let Some(column) = self.column_gone() {
            let table = table.clone();
            kinds.push(TableStatement::ColumnGone { table, column });
            return Some(());
        }
        self.at = before;
        if let Some(column) = self.column_changed() {
            let table = table.clone();
            kinds.push(TableStatement::ColumnChanged { table, column });
            return Some(());
        }
        self.at = before;
        if self.accept("RENAME") {
            if ["COLUMN", "INDEX", "KEY"]
                .into_iter()
                .any(|word| self.accept(word))
            {
                return Some(());
            }
            let _ = self.accept("TO") || self.accept("AS") || self.accept_token(&Token::Eq);
            kinds.push(TableStatement::Rename {
                from: table.clone(),
                to: self.table()?,
            });
            return Some(());
        }
        for verb in [
            "TRUNCATE", "DROP", "EXCHANGE", "CONVERT", "IMPORT", "DISCARD",
        ] {
            if !self.accept(verb) {
                continue;
            }
            let partition = self.accept("PARTITION");
            let space =
                matches!(verb, "IMPORT" | "DISCARD") && (partition || self.accept("TABLESPACE"));
            let taken_in = verb == "CONVERT" && self.accept("TABLE");
            if !partition && !space && !taken_in {
                break;
            }
            kinds.push(TableStatement::RowsChanged(table.clone()));
            // The other table of an exchange stands behind the word TABLE.
            if matches!(verb, "EXCHANGE" | "CONVERT") {
                while !taken_in && !self.accept("TABLE") {
                    self.tokens.get(self.at)?;
                    self.at += 1;
                }
                kinds.push(TableStatement::RowsChanged(self.table()?));
            }
            return Some(());
        }
        self.at = self.at.max(before + 1);
        Some(())
    }

    /// The column that a clause of ALTER TABLE changes under its name.
    fn column_changed(&mut self) -> Option<String> {
        let alters = self.accept("ALTER");
        if !alters && !self.accept("MODIFY") && !self.accept("CHANGE") {
            return None;
        }
        let other = ["INDEX", "KEY", "CHECK", "CONSTRAINT"];
        if !self.accept("COLUMN")
            && alters
            && self.peek_word().is_some_and(|word| other.contains(&&*word))
        {
            return None;
        }
        self.column()
    }

    /// The column that a clause of ALTER TABLE drops or renames.
    fn column_gone(&mut self) -> Option<String> {
        if self.accept("RENAME") {
            return match self.accept("COLUMN") {
                true => self.column(),
                false => None,
            };
        }
        if self.accept("CHANGE") {
            self.accept("COLUMN");
            let (old, new) = (self.column()?, self.name()?);
            return (old.to_lowercase() != new.to_lowercase()).then_some(old);
        }
        if !self.accept("DROP") {
            return None;
        }
        if !self.accept("COLUMN")
            && self
                .peek_word()
                .is_some_and(|word| OTHER_PARTS.contains(&&*word))
        {
            return None;
        }
        self.column()
    }

    fn column(&mut self) -> Option<String> {
        self.accept_all(&["IF", "EXISTS"]);
        self.name()
    }

    fn create(&mut self) -> Option<Vec<TableStatement>> {
        let replaces = self.accept_all(&["OR", "REPLACE"]);
        let temporary = self.accept("TEMPORARY");
        if self.accept("TABLE") {
            self.accept_all(&["IF", "NOT", "EXISTS"]);
            let table = self.table()?;
            return Some(match (temporary, replaces) {
                (true, _) => vec![],
                (false, true) => vec![
                    TableStatement::Drop(table.clone()),
                    TableStatement::Create(table),
                ],
                (false, false) => vec![TableStatement::Create(table)],
            });
        }
        if self.accept("DATABASE") || self.accept("SCHEMA") {
            self.accept_all(&["IF", "NOT", "EXISTS"]);
            return Some(match replaces {
                true => vec![TableStatement::DropDatabase(self.name()?)],
                false => vec![],
            });
        }
        let spatial = self.peek_word().as_deref() == Some("SPATIAL");
        while [
            "ONLINE", "OFFLINE", "UNIQUE", "FULLTEXT", "SPATIAL", "VECTOR",
        ]
        .into_iter()
        .any(|word| self.accept(word))
        {}
        if self.accept("INDEX") || self.accept("KEY") {
            return self.index();
        }
        if spatial && self.accept("REFERENCE") {
            return Some(vec![]);
        }
        self.other()
    }

    /// What is behind INDEX: a name, a kind perhaps, and the table behind ON.
    fn index(&mut self) -> Option<Vec<TableStatement>> {
        self.accept_all(&["IF", "NOT", "EXISTS"]);
        self.accept_all(&["IF", "EXISTS"]);
        self.name()?;
        if self.accept("USING") || self.accept("TYPE") {
            self.name()?;
        }
        if !self.accept("ON") {
            return None;
        }
        Some(vec![TableStatement::Alter(self.table()?)])
    }

    /// DDL of something else than tables does nothing to them.
    fn other(&mut self) -> Option<Vec<TableStatement>> {
        if self.peek_word().as_deref() == Some("SPATIAL") {
            return Some(vec![]);
        }
        let word = self.peek_word()?;
        OTHER_OBJECTS.contains(&word.as_str()).then(Vec::new)
    }

    /// The table of a DELETE that is of all rows, as the server itself writes it for tables in memory after a restart.
    fn emptied(&mut self) -> Option<TableName> {
        if !self.accept("FROM") {
            return None;
        }
        let table = self.table()?;
        self.accept_token(&Token::SemiColon);
        (self.whole && self.at == self.tokens.len()).then_some(table)
    }

    /// How long a lock is waited for, which MariaDB writes behind a table's name.
    fn wait(&mut self) {
        if self.accept("WAIT") {
            self.at += 1;
        } else {
            self.accept("NOWAIT");
        }
    }

    /// A table's name, with the database or of the default one.
    fn table(&mut self) -> Option<TableName> {
        let first = self.name()?;
        match self.accept_token(&Token::Period) {
            true => Some(TableName::new(first, self.name()?)),
            false if self.database.is_empty() || self.database.contains(LOST_CHARACTER) => None,
            false => Some(TableName::new(self.database, first)),
        }
    }

    /// A name, without its quotes. In double quotes, too: where a name stands a string can't.
    fn name(&mut self) -> Option<String> {
        let name = match self.tokens.get(self.at)? {
            Token::Word(word) => word.value.clone(),
            Token::DoubleQuotedString(name) => name.clone(),
            _ => return None,
        };
        self.at += 1;
        (!name.is_empty() && !name.contains(LOST_CHARACTER)).then_some(name)
    }

    /// The next token, in capitals, if it is a word without quotes.
    fn peek_word(&self) -> Option<String> {
        match self.tokens.get(self.at)? {
            Token::Word(word) if word.quote_style.is_none() => {
                Some(word.value.to_ascii_uppercase())
            }
            _ => None,
        }
    }

    fn accept(&mut self, word: &str) -> bool {
        let is = matches!(self.tokens.get(self.at), Some(Token::Word(found))
            if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word));
        self.at += usize::from(is);
        is
    }

    /// Takes all of the words, or none.
    fn accept_all(&mut self, words: &[&str]) -> bool {
        let before = self.at;
        let all = words.iter().all(|word| self.accept(word));
        if !all {
            self.at = before;
        }
        all
    }

    fn accept_token(&mut self, token: &Token) -> bool {
        let is = self.tokens.get(self.at) == Some(token);
        self.at += usize::from(is);
        is
    }

    fn statement(&self, kinds: Vec<TableStatement>) -> Query {
        let keywords = self.tokens.iter().map_while(|token| match token {
            Token::Word(word)
                if word.keyword != Keyword::NoKeyword && word.quote_style.is_none() =>
            {
                Some(word.value.to_ascii_uppercase())
            }
            _ => None,
        });
        Query::Statement(Statement {
            database: self.database.to_owned(),
            kinds,
            text_hint: keywords.take(2).collect::<Vec<_>>().join(" "),
        })
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

#[cfg(test)]
mod tests;
