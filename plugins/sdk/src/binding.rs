//! What a transform is shown of a table, and what it answers.

use arrow_schema::{Field, FieldRef};

use crate::Error;

/// A table, as the transform before this one leaves it.
#[derive(Clone, Debug)]
pub struct Table {
    /// The source's database.
    pub database: String,
    /// The table's name.
    pub name: String,
    /// Its columns.
    pub fields: Vec<FieldRef>,
    /// Positions of the key's columns; the output must have them, too.
    pub key: Vec<usize>,
}

impl Table {
    /// The position of a column.
    pub fn position(&self, column: &str) -> Result<usize, Error> {
        let found = self.fields.iter().position(|field| field.name() == column);
        found.ok_or_else(|| Error::Schema(format!("the table has no column `{column}`")))
    }
}

/// A column of the output.
#[derive(Clone, Debug)]
pub enum Column {
    /// The table's column at this position, under its own or another name. It doesn't enter the plugin.
    Pass(usize, Option<String>),
    /// A column that [`crate::Transform::process`] returns.
    Computed(Field),
}

/// What a transform reads and what comes out.
#[derive(Clone, Debug, Default)]
pub struct Binding {
    /// Positions of the columns that it is given, in this order.
    pub reads: Vec<usize>,
    /// The output's columns, in order.
    pub output: Vec<Column>,
    /// Whether it may leave rows out.
    pub filters: bool,
}

impl Binding {
    /// Every column passes by; nothing is read.
    pub fn pass_all(table: &Table) -> Self {
        let output = (0..table.fields.len())
            .map(|position| Column::Pass(position, None))
            .collect();
        Self {
            reads: Vec::new(),
            output,
            filters: false,
        }
    }

    /// Reads a column. Where it stands in [`crate::Batch::columns`].
    pub fn read(&mut self, position: usize) -> usize {
        self.reads
            .iter()
            .position(|&read| read == position)
            .unwrap_or_else(|| {
                self.reads.push(position);
                self.reads.len() - 1
            })
    }

    /// Adds a computed column behind the others.
    pub fn compute(&mut self, field: impl Into<FieldRef>) {
        let field = field.into().as_ref().clone();
        self.output.push(Column::Computed(field));
    }

    /// Puts a computed column where the table's column at this position passed by.
    pub fn compute_in_place(&mut self, position: usize, field: impl Into<FieldRef>) {
        let field = field.into().as_ref().clone();
        if let Some(column) = self.passed(position) {
            *column = Column::Computed(field);
        }
    }

    /// Gives the table's column at this position, which passes by, another name.
    pub fn rename(&mut self, position: usize, name: impl Into<String>) {
        if let Some(column) = self.passed(position) {
            *column = Column::Pass(position, Some(name.into()));
        }
    }

    fn passed(&mut self, position: usize) -> Option<&mut Column> {
        let same =
            |column: &&mut Column| matches!(column, Column::Pass(passed, _) if *passed == position);
        self.output.iter_mut().find(same)
    }

    /// Leaves the table's column at this position out. A key column stays.
    pub fn leave_out(&mut self, table: &Table, position: usize) -> Result<(), Error> {
        if table.key.contains(&position) {
            return Err(Error::Config(format!(
                "`{}` is a key column and can't be dropped: rows could no longer be told apart",
                table.fields[position].name()
            )));
        }
        let left = |column: &Column| matches!(column, Column::Pass(at, _) if *at == position);
        self.output.retain(|column| !left(column));
        Ok(())
    }

    /// Refuses an output in which two columns have one name.
    pub fn check_names(&self, table: &Table) -> Result<(), Error> {
        let names = self.output.iter().map(|column| match column {
            Column::Pass(position, None) => table.fields[*position].name(),
            Column::Pass(_, Some(name)) => name,
            Column::Computed(field) => field.name(),
        });
        let mut names: Vec<&String> = names.collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(Error::Config(format!(
                "two columns would be named `{}`",
                pair[0]
            ))),
            None => Ok(()),
        }
    }

    /// Where the computed column of this name stands in the output: the order in which [`crate::Transform::process`] returns them.
    pub fn place(&self, name: &str) -> Option<usize> {
        let same =
            |column: &Column| matches!(column, Column::Computed(field) if field.name() == name);
        self.output.iter().position(same)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_schema::DataType;

    use super::*;

    fn table() -> Table {
        let field = |name| Arc::new(Field::new(name, DataType::Utf8, true));
        Table {
            database: "d".to_owned(),
            name: "t".to_owned(),
            fields: vec![field("id"), field("a"), field("b")],
            key: vec![0],
        }
    }

    fn text(name: &str) -> Field {
        Field::new(name, DataType::Utf8, true)
    }

    #[test]
    fn a_name_is_given_once() {
        let table = table();
        let mut binding = Binding::pass_all(&table);
        // Names may be exchanged.
        binding.rename(1, "b");
        binding.rename(2, "a");
        binding.compute(text("c"));
        binding.check_names(&table).expect("four names");
        binding.compute(text("b"));
        let twice = Error::Config("two columns would be named `b`".to_owned());
        assert_eq!(binding.check_names(&table), Err(twice));
    }

    #[test]
    fn a_key_is_not_left_out() {
        let table = table();
        let mut binding = Binding::pass_all(&table);
        let error = binding.leave_out(&table, 0).expect_err("it is a key");
        assert!(format!("{error:?}").contains("`id` is a key column"));
        binding.leave_out(&table, 1).expect("it is none");
        binding.compute(text("a"));
        binding.check_names(&table).expect("the other `a` is gone");
        assert_eq!(binding.place("a"), Some(2));
        assert_eq!(binding.place("id"), None, "it is not computed");
    }
}
