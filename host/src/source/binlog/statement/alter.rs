//! The clauses of ALTER TABLE that rename the table, take a column from it, change one, or change rows without row events.

use sqlparser::tokenizer::Token;

use super::TableStatement;
use super::head::Head;
use crate::schema::TableName;

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

impl Head<'_> {
    pub(super) fn alter(&mut self) -> Option<Vec<TableStatement>> {
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
}
