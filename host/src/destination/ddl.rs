//! The statement that creates a shadow: the bound schema, what the pipe states, and what users have added to the original.
//!
//! A resync rebuilds data, it does not undo somebody's tuning: TTLs, skip indexes, projections, codecs, comments, settings and
//! columns with defaults are taken over from the original, where the columns that they name still exist. What the pipe states wins.
//! Row policies and grants hang on the table's name in ClickHouse, so a swap keeps them by itself.

use uuid::Uuid;

use super::clauses::{clause, split_top_level};
use super::connect::{quoted, text};
use super::live::{LiveColumn, LiveTable};
use super::{Destination, DestinationError};
use crate::schema::{Engine, SkipIndex, TargetColumn, TargetTable};

/// How many inserts a shadow remembers, so that a repeated block is recognised by its token.
const REMEMBERED_BLOCKS: &str = "10000";
const WINDOW: &str = "non_replicated_deduplication_window";

/// How a shadow is created.
#[derive(Clone, Debug)]
pub struct Ddl {
    /// The statement.
    pub create: String,
    /// What of the original is kept.
    pub kept: Vec<Kept>,
    /// What can't be.
    pub lost: Vec<Lost>,
    shadow: String,
}

/// Something of the original that the new table has, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// What it is.
    pub what: String,
}

/// Something of the original that the new table can't have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// What it is.
    pub what: String,
    /// Why.
    pub reason: String,
}

impl Destination {
    /// The statement for a table's shadow.
    pub fn plan_ddl(&self, target: &TargetTable, original: Option<&LiveTable>) -> Ddl {
        let mut plan = Planner {
            target,
            original,
            kept: Vec::new(),
            lost: Vec::new(),
        };
        let create = plan.create(&self.table(&target.shadow()));
        Ddl {
            create,
            kept: plan.kept,
            lost: plan.lost,
            shadow: target.shadow(),
        }
    }

    /// Creates a shadow, in place of any that is there. Its UUID.
    pub async fn create_shadow(&self, ddl: &Ddl) -> Result<Uuid, DestinationError> {
        let doing = "create a shadow";
        self.execute(doing, &ddl.create).await?;
        let found = self.uuids(&[&ddl.shadow]).await?.remove(&ddl.shadow);
        found.ok_or_else(|| DestinationError::Answer {
            doing: doing.to_owned(),
            reason: format!("`{}` is not there", ddl.shadow),
        })
    }
}

struct Planner<'a> {
    target: &'a TargetTable,
    original: Option<&'a LiveTable>,
    kept: Vec<Kept>,
    lost: Vec<Lost>,
}

impl Planner<'_> {
    fn create(&mut self, shadow: &str) -> String {
        let mut parts = self.columns();
        parts.extend(self.metadata());
        parts.extend(self.extra_columns());
        parts.extend(self.indexes_and_projections());
        let metadata = &self.target.metadata;
        let engine = match self.target.engine {
            Engine::ReplacingMergeTree => {
                format!(
                    "ReplacingMergeTree({}, {})",
                    quoted(&metadata.version),
                    quoted(&metadata.is_deleted)
                )
            }
            Engine::MergeTree => "MergeTree".to_owned(),
        };
        let mut sql = format!(
            "CREATE OR REPLACE TABLE {shadow}\n(\n    {}\n)\nENGINE = {engine}",
            parts.join(",\n    ")
        );
        if let Some(partition) = &self.target.partition_by {
            sql += &format!("\nPARTITION BY {partition}");
        }
        if let Some(primary) = &self.target.primary_key {
            sql += &format!("\nPRIMARY KEY ({})", primary.join(", "));
        }
        sql += &format!("\nORDER BY ({})", self.target.order_by.join(", "));
        if let Some(ttl) = self.table_ttl() {
            sql += &format!("\nTTL {ttl}");
        }
        let settings: Vec<String> = self
            .settings()
            .into_iter()
            .map(|(name, value)| format!("{name} = {value}"))
            .collect();
        sql += &format!("\nSETTINGS {}", settings.join(", "));
        let comment = self.comment();
        if !comment.is_empty() {
            sql += &format!("\nCOMMENT {}", text(&comment));
        }
        sql
    }

    fn columns(&mut self) -> Vec<String> {
        let mut columns = Vec::with_capacity(self.target.columns.len());
        for column in &self.target.columns {
            let old = self
                .original
                .and_then(|original| original.column(&column.name));
            let mut sql = format!("{} {}", quoted(&column.name), column.clickhouse_type);
            let comment = match old {
                Some(old) if !old.comment.is_empty() && !column.comment_stated => &old.comment,
                _ => &column.comment,
            };
            if !comment.is_empty() {
                sql += &format!(" COMMENT {}", text(comment));
            }
            if let Some(codec) = self.codec(column, old) {
                sql += &format!(" {codec}");
            }
            if let Some(ttl) = self.ttl(column) {
                sql += &format!(" TTL {ttl}");
            }
            columns.push(sql);
        }
        columns
    }

    /// A column's codec: the pipe's, else the original's.
    fn codec(&mut self, column: &TargetColumn, old: Option<&LiveColumn>) -> Option<String> {
        if let Some(stated) = &column.codec {
            return Some(format!("CODEC({stated})"));
        }
        let kept = &old?.compression_codec;
        (!kept.is_empty()).then(|| {
            self.keep(format!("codec of `{}`: {kept}", column.name));
            kept.clone()
        })
    }

    /// A column's TTL: the pipe's, else the original's.
    fn ttl(&mut self, column: &TargetColumn) -> Option<String> {
        if column.ttl.is_some() {
            return column.ttl.clone();
        }
        let kept = self.original?.column_ttl(&column.name)?.to_owned();
        self.can_keep(&format!("TTL of `{}`", column.name), &kept)
            .then_some(kept)
    }

    /// The snapshot leaves them out: the defaults fill them, and a repeated insert sends the same bytes.
    fn metadata(&self) -> [String; 3] {
        let names = &self.target.metadata;
        [
            format!(
                "{} DateTime64(9) DEFAULT now64(9)",
                quoted(&names.synced_at)
            ),
            format!("{} UInt8 DEFAULT 0", quoted(&names.is_deleted)),
            format!("{} UInt64 DEFAULT 0", quoted(&names.version)),
        ]
    }

    /// Columns that users added: they have a default, and no source column feeds them.
    fn extra_columns(&mut self) -> Vec<String> {
        let mut extra = Vec::new();
        let original = self.original;
        for old in original.iter().flat_map(|original| &original.columns) {
            let known = self.target.column(&old.name).is_some()
                || self.target.metadata.all().contains(&old.name.as_str());
            if known || old.default_kind.is_empty() {
                continue;
            }
            if self.can_keep(
                &format!("column `{}` {}", old.name, old.default_kind),
                &old.default_expression,
            ) {
                let codec = &old.compression_codec;
                let sql = format!(
                    "{} {} {} {} {codec}",
                    quoted(&old.name),
                    old.data_type,
                    old.default_kind,
                    old.default_expression
                );
                extra.push(sql.trim_end().to_owned());
            }
        }
        extra
    }

    fn indexes_and_projections(&mut self) -> Vec<String> {
        let stated = self.target.indexes.iter().map(|index| {
            let (name, expression) = (quoted(&index.name), &index.expression);
            let (kind, granularity) = (&index.kind, index.granularity);
            format!("INDEX {name} {expression} TYPE {kind} GRANULARITY {granularity}")
        });
        let mut parts: Vec<String> = stated.collect();
        let Some(original) = self.original else {
            return parts;
        };
        for index in &original.indexes {
            let is_stated = |stated: &SkipIndex| stated.name == index.name;
            if self.target.indexes.iter().any(is_stated) {
                continue;
            }
            if self.can_keep(&format!("index `{}`", index.name), &index.expr) {
                let (name, expr, kind, granularity) = (
                    quoted(&index.name),
                    &index.expr,
                    &index.type_full,
                    index.granularity,
                );
                parts.push(format!(
                    "INDEX {name} {expr} TYPE {kind} GRANULARITY {granularity}"
                ));
            }
        }
        for projection in &original.projections {
            if self.can_keep(
                &format!("projection `{}`", projection.name),
                &projection.query,
            ) {
                parts.push(format!(
                    "PROJECTION {} ({})",
                    quoted(&projection.name),
                    projection.query
                ));
            }
        }
        parts
    }

    fn table_ttl(&mut self) -> Option<String> {
        if self.target.ttl.is_some() {
            return self.target.ttl.clone();
        }
        let ttl = clause(&self.original?.engine_full, "TTL")?;
        self.can_keep("the table's TTL", &ttl).then_some(ttl)
    }

    /// The pipe's settings, then the original's that the pipe doesn't state, then ours.
    fn settings(&mut self) -> Vec<(String, String)> {
        let mut settings = self.target.settings.clone();
        let original = self
            .original
            .and_then(|original| clause(&original.engine_full, "SETTINGS"))
            .unwrap_or_default();
        for setting in split_top_level(&original) {
            let Some((name, value)) = setting.split_once(" = ") else {
                continue;
            };
            let is_default = name == "index_granularity" && value == "8192";
            if name != WINDOW && !is_default && !settings.iter().any(|(known, _)| known == name) {
                settings.push((name.to_owned(), value.to_owned()));
                self.keep(format!("setting {name} = {value}"));
            }
        }
        if !self
            .original
            .is_none_or(|original| original.projections.is_empty())
            && !settings
                .iter()
                .any(|(name, _)| name == "deduplicate_merge_projection_mode")
        {
            // Replacing merges refuse projections otherwise.
            settings.push((
                "deduplicate_merge_projection_mode".to_owned(),
                "'rebuild'".to_owned(),
            ));
        }
        let nullable = self.target.columns.iter().any(|column| {
            column.nullable
                && self
                    .target
                    .order_by
                    .iter()
                    .any(|term| mentions(term, &column.name))
        });
        if nullable
            && !settings
                .iter()
                .any(|(name, _)| name == "allow_nullable_key")
        {
            settings.push(("allow_nullable_key".to_owned(), "1".to_owned()));
        }
        if !settings.iter().any(|(name, _)| name == WINDOW) {
            settings.push((WINDOW.to_owned(), REMEMBERED_BLOCKS.to_owned()));
        }
        settings
    }

    fn comment(&mut self) -> String {
        match self
            .original
            .map(|original| original.comment.clone())
            .filter(|comment| !comment.is_empty() && !self.target.comment_stated)
        {
            Some(comment) => {
                if comment != self.target.comment {
                    self.keep("the table's comment".to_owned());
                }
                comment
            }
            None => self.target.comment.clone(),
        }
    }

    fn keep(&mut self, what: String) {
        self.kept.push(Kept { what });
    }

    /// Whether an expression of the original makes sense in the new table, which has not all of its columns; notes which.
    fn can_keep(&mut self, what: &str, expression: &str) -> bool {
        let original = self.original.iter().flat_map(|original| &original.columns);
        let gone = original
            .filter(|old| old.default_kind.is_empty() && !self.has(&old.name))
            .find(|old| mentions(expression, &old.name));
        match gone {
            Some(gone) => {
                self.lost.push(Lost {
                    what: what.to_owned(),
                    reason: format!("the column `{}` is gone", gone.name),
                });
                false
            }
            None => {
                self.keep(format!("{what}: {expression}"));
                true
            }
        }
    }

    fn has(&self, column: &str) -> bool {
        self.target.column(column).is_some() || self.target.metadata.all().contains(&column)
    }
}

/// Whether an expression names a column.
pub(super) fn mentions(expression: &str, column: &str) -> bool {
    if expression.contains(&quoted(column)) {
        return true;
    }
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    expression.split(|c| !is_word(c)).any(|word| word == column)
}

#[cfg(test)]
mod tests {
    use super::mentions;

    #[test]
    fn an_expression_names_a_column() {
        assert!(
            mentions("a + `b c`", "b c") && mentions("f(abc)", "abc") && !mentions("abcd", "abc")
        );
    }
}
