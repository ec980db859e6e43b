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
        if let Some(column) = self
            .output
            .iter_mut()
            .find(|column| matches!(column, Column::Pass(passed, _) if *passed == position))
        {
            *column = Column::Computed(field);
        }
    }
}
