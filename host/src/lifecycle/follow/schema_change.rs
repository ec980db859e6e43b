//! Statements in the stream that change a followed table.
//!
//! A column that is added is taken through the binding again: the transforms may accept it or refuse it, and what they make of it is added
//! to the destination. Whatever else changes the columns or the key sets the table to "needs resync", with the reason; the other tables
//! go on. What a TRUNCATE or a DROP means is the pipe's choice.

use super::sink::Sink;
use super::writing::Writing;
use crate::destination::Zones;
use crate::journal::FollowState;
use crate::lifecycle::design;
use crate::lifecycle::error::Error;
use crate::lifecycle::pinned::Pinned;
use crate::lifecycle::retry;
use crate::pipe::{OnDrop, OnTruncate};
use crate::schema::{
    ClickHouseType, MysqlType, SourceColumn, SourceTable, TableName, TargetColumn,
};
use crate::source::{ColumnDefault, ColumnDefaults, SourceError, Statement, TableStatement};
use crate::transform::Lineage;

/// What a change of a table's definition means.
enum Verdict {
    /// Nothing that matters here.
    Same,
    /// It can be followed with this definition.
    Fits(Box<SourceTable>),
    /// It can't; why.
    NeedsResync(String),
}

impl Writing {
    /// Does what a statement means for the followed tables. The tables that it changed, by their numbers.
    pub(super) async fn apply_statement(
        &mut self,
        statement: &Statement,
        timestamp: u32,
    ) -> Result<Vec<usize>, Error> {
        let mut changed = Vec::new();
        for kind in &statement.kinds {
            for sink in 0..self.sinks.len() {
                if !self.sinks[sink].record.follows() {
                    continue;
                }
                if self.apply_to(sink, kind, timestamp).await? {
                    changed.push(sink);
                }
            }
        }
        changed.sort_unstable();
        changed.dedup();
        Ok(changed)
    }

    /// What a statement does to one table; whether that is another one now.
    async fn apply_to(
        &mut self,
        sink: usize,
        kind: &TableStatement,
        timestamp: u32,
    ) -> Result<bool, Error> {
        let name = self.sinks[sink].record.source.clone();
        let stopped = |what: &str| format!("{name} was {what} at the source; {AGAIN}");
        match kind {
            TableStatement::Truncate(table) if *table == name => self.truncate(sink).await,
            TableStatement::Drop(table) if *table == name => {
                Ok(self.drop(sink, &stopped("dropped")))
            }
            TableStatement::DropDatabase(database) if *database == name.database => {
                Ok(self.drop(sink, &stopped("dropped with its database")))
            }
            TableStatement::Rename { from, to } if *from == name => {
                let reason = stopped(&format!("renamed to {to}"));
                self.end(sink, FollowState::Stopped, reason);
                Ok(true)
            }
            TableStatement::Rename { from, to } if *to == name => {
                let reason = format!("{from} was given its name at the source; {RESYNC}");
                self.end(sink, FollowState::NeedsResync, reason);
                Ok(true)
            }
            TableStatement::RowsChanged(table) if *table == name => {
                let reason = format!(
                    "rows of it were changed at the source by a statement that the binlog has no rows of (a partition was dropped or \
                     exchanged, or the like); {RESYNC}"
                );
                self.end(sink, FollowState::NeedsResync, reason);
                Ok(true)
            }
            TableStatement::ColumnGone { table, column } if *table == name => {
                let is_known = |known: &SourceColumn| known.name.eq_ignore_ascii_case(column);
                if !self.sinks[sink].source().columns.iter().any(is_known) {
                    return Ok(false);
                }
                let reason =
                    format!("its column `{column}` was dropped or renamed at the source; {RESYNC}");
                self.end(sink, FollowState::NeedsResync, reason);
                Ok(true)
            }
            TableStatement::ColumnChanged { table, column } if *table == name => {
                // The default that was asked for then may be this one already, and not that of the rows that were there.
                let may_differ = |(known, at): &(String, u64)| {
                    known.eq_ignore_ascii_case(column) && u64::from(timestamp) <= *at
                };
                if !self.sinks[sink].record.taken_up.iter().any(may_differ) {
                    return Ok(false);
                }
                let reason = format!(
                    "its new column `{column}` was changed again before it could be followed, so that the rows that were there may have \
                     another value in it; {RESYNC}"
                );
                self.end(sink, FollowState::NeedsResync, reason);
                Ok(true)
            }
            TableStatement::Alter(table) | TableStatement::Create(table) if *table == name => {
                self.look_again(sink).await
            }
            TableStatement::Unknown => self.look_again(sink).await,
            _ => Ok(false),
        }
    }

    async fn truncate(&mut self, sink: usize) -> Result<bool, Error> {
        let this = &self.sinks[sink];
        match this.bound.mapping.on_truncate {
            OnTruncate::Ignore => Ok(false),
            OnTruncate::Apply => {
                let destination = &self.shared.session.destination;
                let table = this.record.destination.clone();
                self.shared
                    .session
                    .retried("empty a table", || destination.truncate(&table))
                    .await?;
                Ok(false)
            }
            OnTruncate::Stop => {
                let reason = format!(
                    "{} was truncated at the source; {AGAIN}, or say with `on_truncate` what a TRUNCATE means",
                    this.record.source
                );
                self.end(sink, FollowState::Stopped, reason);
                Ok(true)
            }
        }
    }

    fn drop(&mut self, sink: usize, reason: &str) -> bool {
        match self.sinks[sink].bound.mapping.on_drop {
            OnDrop::Ignore => false,
            OnDrop::Stop => {
                let reason = format!("{reason}, or say with `on_drop` what a DROP means");
                self.end(sink, FollowState::Stopped, reason);
                true
            }
        }
    }

    /// Looks at the source table as it is now, and goes on with it if that is possible.
    async fn look_again(&mut self, sink: usize) -> Result<bool, Error> {
        let source = &self.shared.session.source;
        let name = self.sinks[sink].record.source.clone();
        let look = || source.table(&name);
        let found = retry::SERVER
            .run("look at a table", SourceError::is_transient, look)
            .await;
        let now = match found {
            Ok(now) => now,
            // It is gone by now: the statement that did it is still to come.
            Err(SourceError::NoSuchTable { .. }) => return Ok(false),
            Err(error) if error.is_transient() => return Err(error.into()),
            Err(error) => {
                self.end(sink, FollowState::NeedsResync, error.to_string());
                return Ok(true);
            }
        };
        let pinned = Pinned::open(&self.shared.session.pipe, &self.sinks[sink].record.resync)?;
        let now = design::with_choices(&pinned.pipe, pinned.mapping(&name)?, now)?;
        match compare(self.sinks[sink].source(), now) {
            Verdict::Same => Ok(false),
            Verdict::NeedsResync(reason) => {
                self.end(sink, FollowState::NeedsResync, reason);
                Ok(true)
            }
            Verdict::Fits(now) => {
                if let Err(reason) = self.take_up(sink, &pinned, *now).await? {
                    self.end(sink, FollowState::NeedsResync, reason);
                }
                Ok(true)
            }
        }
    }

    /// Binds the transforms to the table as it is now, and adds their new columns to the destination. Or why that is not possible.
    async fn take_up(
        &mut self,
        sink: usize,
        pinned: &Pinned,
        now: SourceTable,
    ) -> Result<Result<(), String>, Error> {
        let session = self.shared.session.clone();
        let old = &self.sinks[sink];
        let bound = pinned
            .bind(
                &session,
                now.clone(),
                &old.bound.plugins,
                &mut Zones::default(),
            )
            .await;
        let bound = match bound {
            Ok(bound) => bound,
            Err(error) => {
                return Ok(Err(format!(
                    "the transforms refuse the table as it is now: {error}"
                )));
            }
        };
        for column in &old.bound.target.columns {
            let same = bound
                .target
                .column(&column.name)
                .is_some_and(|new| new.clickhouse_type == column.clickhouse_type);
            if !same {
                return Ok(Err(format!(
                    "the column `{}` of its destination would be another one; {RESYNC}",
                    column.name
                )));
            }
        }
        let defaults = source_defaults(&session.source, &now.name).await?;
        let table = old.record.destination.clone();
        let mut taken_up = old.record.taken_up.clone();
        for (i, column) in bound.target.columns.iter().enumerate() {
            if old.bound.target.column(&column.name).is_some() {
                continue;
            }
            let Lineage::Passed { source } = bound.chain.lineage()[i] else {
                return Ok(Err(format!(
                    "the transforms compute the new column `{}`, which the rows that are there don't have; {RESYNC}",
                    column.name
                )));
            };
            let default = match existing_value(&now.columns[source], column, &defaults.columns) {
                Ok(default) => default,
                Err(reason) => return Ok(Err(reason)),
            };
            taken_up.push((now.columns[source].name.clone(), defaults.at));
            let after = i
                .checked_sub(1)
                .map(|before| bound.target.columns[before].name.as_str());
            let destination = &session.destination;
            session
                .retried("add a column", || {
                    destination.add_column(&table, column, after, default.as_deref())
                })
                .await?;
            self.shared
                .live
                .note(format!("{table}: the column `{}` was added", column.name));
        }
        let mut record = self.sinks[sink].record.clone();
        record.schema = now;
        record.taken_up = taken_up;
        self.sinks[sink] = Sink::new(record, bound);
        self.sinks[sink].changed = true;
        Ok(Ok(()))
    }
}

const RESYNC: &str = "a resync loads it afresh (`tidemill resync --table`)";
const AGAIN: &str = "a resync follows it again (`tidemill resync --table`)";

async fn source_defaults(
    source: &crate::source::Source,
    name: &TableName,
) -> Result<ColumnDefaults, Error> {
    let ask = || source.column_defaults(name);
    Ok(retry::SERVER
        .run("ask for defaults", SourceError::is_transient, ask)
        .await?)
}

/// What the rows that are there have in a new column, as the destination is told it; none: NULL, or the type's own zero.
fn existing_value(
    source: &SourceColumn,
    column: &TargetColumn,
    defaults: &[(String, ColumnDefault)],
) -> Result<Option<String>, String> {
    let name = &source.name;
    let unknown = || {
        format!(
            "the rows that are there have a value in the new column `{name}` that can't be known from its definition; {RESYNC}"
        )
    };
    let default = defaults.iter().find(|(column, _)| column == name);
    match default.map(|(_, default)| default) {
        Some(ColumnDefault::Null) if column.nullable => Ok(None),
        Some(ColumnDefault::Zero) => match (&source.mysql_type, &column.plain) {
            (MysqlType::Enum { values }, _) => Ok(values.first().cloned()),
            (
                MysqlType::Text | MysqlType::Blob | MysqlType::Set { .. },
                ClickHouseType::String | ClickHouseType::LowCardinality(_),
            )
            | (
                MysqlType::Bool
                | MysqlType::TinyInt { .. }
                | MysqlType::SmallInt { .. }
                | MysqlType::MediumInt { .. }
                | MysqlType::Int { .. }
                | MysqlType::BigInt { .. }
                | MysqlType::Decimal { .. }
                | MysqlType::Float
                | MysqlType::Double
                | MysqlType::Bit { .. }
                | MysqlType::Year
                | MysqlType::Time { .. },
                _,
            ) => Ok(None),
            _ => Err(unknown()),
        },
        Some(ColumnDefault::Constant(text)) if takes_text(source, column) => Ok(Some(text.clone())),
        _ => Err(unknown()),
    }
}

/// Whether ClickHouse reads MySQL's text of a constant as the value that the fitter makes of it.
fn takes_text(source: &SourceColumn, column: &TargetColumn) -> bool {
    use ClickHouseType as T;
    match &column.plain {
        T::Bool
        | T::Int { .. }
        | T::UInt { .. }
        | T::Float32
        | T::Float64
        | T::Decimal { .. }
        | T::Date32
        | T::Enum { .. } => !matches!(
            source.mysql_type,
            MysqlType::Bit { .. } | MysqlType::Time { .. }
        ),
        T::DateTime64 { .. } => matches!(source.mysql_type, MysqlType::DateTime { .. }),
        T::String | T::LowCardinality(_) => matches!(
            source.mysql_type,
            MysqlType::Text | MysqlType::Enum { .. } | MysqlType::Set { .. }
        ),
        _ => false,
    }
}

/// What became of a table's columns and key.
fn compare(known: &SourceTable, now: SourceTable) -> Verdict {
    for old in &known.columns {
        let Some(new) = now.columns.iter().find(|new| new.name == old.name) else {
            return Verdict::NeedsResync(format!(
                "its column `{}` was dropped or renamed at the source; {RESYNC}",
                old.name
            ));
        };
        if !is_same_column(old, new) {
            return Verdict::NeedsResync(format!(
                "its column `{}` was {}{} and is {}{}; {RESYNC}",
                old.name,
                old.mysql_type.name(),
                null(old),
                new.mysql_type.name(),
                null(new)
            ));
        }
    }
    if known.key_names() != now.key_names() {
        return Verdict::NeedsResync(format!("its key was changed at the source; {RESYNC}"));
    }
    let is_same = known.columns.len() == now.columns.len()
        && known
            .columns
            .iter()
            .zip(&now.columns)
            .all(|(old, new)| old.name == new.name && old.mysql_type == new.mysql_type);
    match is_same {
        true => Verdict::Same,
        false => Verdict::Fits(Box::new(now)),
    }
}

fn null(column: &SourceColumn) -> &'static str {
    if column.nullable { "" } else { " NOT NULL" }
}

/// Whether the values of a column are the same as before: ENUM and SET may have gained members at their end.
fn is_same_column(old: &SourceColumn, new: &SourceColumn) -> bool {
    let same_type = match (&old.mysql_type, &new.mysql_type) {
        (MysqlType::Enum { values: old }, MysqlType::Enum { values: new })
        | (MysqlType::Set { values: old }, MysqlType::Set { values: new }) => new.starts_with(old),
        (old, new) => old == new,
    };
    same_type
        && old.nullable == new.nullable
        && old.generated == new.generated
        && old.charset == new.charset
}
