//! What a plugin answered when it was shown a table, checked: a [`Binding`] can only be made from an answer that fits the table.
//!
//! The key must survive. A column of the source's key is found in the output as, in this order: the column passed on under its own name; a
//! computed column that bears its name (a rewritten key, for instance masked); the column passed on under another name. A key that is never null must stay so.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};

use super::contract::{self, RawBinding, RawOutColumn, Table};
use super::error::{Site, TransformError, quote};
use super::types;

/// Most columns that an output may have.
const OUTPUT_COLUMNS: usize = 4096;
/// Longest name of a column, in bytes.
const NAME_BYTES: usize = 256;

/// A table as a chain is bound to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableShape {
    /// The source's database.
    pub database: String,
    /// The table's name.
    pub name: String,
    /// The columns, in order.
    pub schema: SchemaRef,
    /// Positions of the primary key's columns in `schema`, in key order; empty without a key.
    pub key: Vec<usize>,
}

impl fmt::Display for TableShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.database, self.name)
    }
}

impl TableShape {
    /// Calls back with the table in the contract's form, which borrows from this one.
    pub(super) fn with_contract_form<R>(
        &self,
        site: &Site,
        call: impl FnOnce(Table<'_>) -> R,
    ) -> Result<R, TransformError> {
        let fields = self
            .schema
            .fields()
            .iter()
            .map(|field| contract_field(field, site))
            .collect::<Result<Vec<_>, _>>()?;
        let key: Vec<u32> = self
            .key
            .iter()
            .filter_map(|&position| u32::try_from(position).ok())
            .collect();
        Ok(call(Table {
            database: &self.database,
            name: &self.name,
            fields: &fields,
            key: &key,
        }))
    }
}

fn contract_field<'a>(
    field: &'a Field,
    site: &Site,
) -> Result<contract::Field<'a>, TransformError> {
    match types::to_contract(field.data_type()) {
        Some(data_type) => Ok(contract::Field {
            name: field.name(),
            data_type,
            nullable: field.is_nullable(),
        }),
        None => Err(TransformError::UnsupportedType {
            site: Box::new(site.clone()),
            column: field.name().clone(),
            data_type: field.data_type().to_string(),
        }),
    }
}

/// Where a column of the output comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OutColumn {
    /// The table's column at this position.
    Pass(usize),
    /// The computed column of this number.
    Computed(usize),
}

/// A checked binding of one plugin to one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Binding {
    /// Positions of the columns that `process` is given.
    pub(super) reads: Vec<usize>,
    /// Where each column of the output comes from.
    pub(super) columns: Vec<OutColumn>,
    /// The computed columns.
    pub(super) computed: Vec<FieldRef>,
    /// The output's columns.
    pub(super) schema: SchemaRef,
    /// Positions of the key's columns in the output, in key order.
    pub(super) key: Vec<usize>,
    /// Whether rows may be left out.
    pub(super) filters: bool,
}

impl Binding {
    /// Checks a plugin's answer for this table.
    pub(super) fn check(
        raw: RawBinding,
        table: &TableShape,
        site: &Site,
    ) -> Result<Self, TransformError> {
        let refuse = |reason: String| TransformError::Binding {
            site: Box::new(site.clone()),
            reason,
        };
        let width = table.schema.fields().len();
        let reads = check_reads(&raw.reads, width).map_err(refuse)?;
        if raw.output.is_empty() || raw.output.len() > OUTPUT_COLUMNS {
            return Err(refuse(format!(
                "the output has {} columns; 1 to {OUTPUT_COLUMNS} are possible",
                raw.output.len()
            )));
        }
        let (mut columns, mut computed, mut fields) =
            (Vec::new(), Vec::new(), Vec::<FieldRef>::new());
        for out in raw.output {
            let (column, field) = check_column(out, table, computed.len()).map_err(refuse)?;
            if matches!(column, OutColumn::Computed(_)) {
                computed.push(field.clone());
            }
            columns.push(column);
            fields.push(field);
        }
        let mut names = HashSet::new();
        if let Some(twice) = fields
            .iter()
            .find(|field| !names.insert(field.name().as_str()))
        {
            return Err(refuse(format!(
                "two columns of the output are called `{}`",
                twice.name()
            )));
        }
        let key = table
            .key
            .iter()
            .map(|&position| find_key(table, position, &columns, &fields, site))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            reads,
            columns,
            computed,
            schema: Arc::new(Schema::new(fields)),
            key,
            filters: raw.filters,
        })
    }
}

fn check_reads(raw: &[u32], width: usize) -> Result<Vec<usize>, String> {
    let mut seen = HashSet::new();
    let check = |&position: &u32| match position as usize {
        position if position >= width => Err(format!(
            "it reads column {position} of a table of {width} columns (counted from 0)"
        )),
        position if !seen.insert(position) => Err(format!("it reads column {position} twice")),
        position => Ok(position),
    };
    raw.iter().map(check).collect()
}

fn check_column(
    out: RawOutColumn,
    table: &TableShape,
    computed: usize,
) -> Result<(OutColumn, FieldRef), String> {
    match out {
        RawOutColumn::Pass((position, rename)) => {
            let position = position as usize;
            let fields = table.schema.fields();
            let source = fields.get(position).ok_or_else(|| {
                format!(
                    "it passes column {position} of a table of {} columns (counted from 0)",
                    fields.len()
                )
            })?;
            let field = match rename {
                Some(name) => Arc::new(source.as_ref().clone().with_name(check_name(name)?)),
                None => source.clone(),
            };
            Ok((OutColumn::Pass(position), field))
        }
        RawOutColumn::Computed(field) => {
            let name = check_name(field.name)?;
            let data_type = types::to_arrow(field.data_type).map_err(|reason| {
                format!("the computed column `{name}` is declared as {reason}")
            })?;
            Ok((
                OutColumn::Computed(computed),
                Arc::new(Field::new(name, data_type, field.nullable)),
            ))
        }
    }
}

fn check_name(name: String) -> Result<String, String> {
    if name.is_empty() {
        return Err("a column of the output has an empty name".to_owned());
    }
    if name.len() > NAME_BYTES || name.chars().any(char::is_control) {
        return Err(format!(
            "the column name `{}` is longer than {NAME_BYTES} bytes or has control characters",
            quote(&name)
        ));
    }
    Ok(name)
}

/// Where the key's column at this position is in the output: see the head of this module.
fn find_key(
    table: &TableShape,
    position: usize,
    columns: &[OutColumn],
    fields: &[FieldRef],
    site: &Site,
) -> Result<usize, TransformError> {
    let source = table.schema.field(position);
    let refuse = |reason: &str| TransformError::Key {
        site: Box::new(site.clone()),
        column: source.name().clone(),
        reason: reason.to_owned(),
    };
    let passes = |out: &usize| columns[*out] == OutColumn::Pass(position);
    let same_name = |out: &usize| fields[*out].name() == source.name();
    let computes = |out: &usize| matches!(columns[*out], OutColumn::Computed(_));
    let all = 0..columns.len();
    let found = all
        .clone()
        .find(|out| passes(out) && same_name(out))
        .or_else(|| all.clone().find(|out| computes(out) && same_name(out)))
        .or_else(|| all.clone().find(passes))
        .ok_or_else(|| refuse("is not in the output"))?;
    if fields[found].is_nullable() && !source.is_nullable() {
        return Err(refuse(
            "is never null and is replaced by a column that may be",
        ));
    }
    Ok(found)
}

#[cfg(test)]
#[path = "binding_tests.rs"]
mod tests;
