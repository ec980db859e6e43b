//! Statements in the binlog: what the head of one says it does to which tables.
//!
//! A statement is read only as far as that needs. What it says behind its names (columns, values) is not looked at, with one
//! exception: some clauses of ALTER TABLE, in `alter`.

mod alter;
mod head;

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::Token;

use crate::schema::TableName;
use head::Head;

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

impl Head<'_> {
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

#[cfg(test)]
mod tests;
