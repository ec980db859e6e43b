//! Designs a destination table: the columns of the transforms' output with the types, policies and clauses that the pipe asks for.

use arrow::datatypes::Field;

use crate::destination::{can_clamp, may_be_outside, quoted};
use crate::pipe::{ColumnSettings, Pipe, PipeError, TableMapping};
use crate::schema::type_table::{choose, choose_for_computed, clickhouse_of_arrow};
use crate::schema::{
    ClickHouseFeatures, ClickHouseType, Engine, MysqlType, OutOfRange, SourceColumn, SourceTable,
    TargetColumn, TargetTable, ZeroDates,
};
use crate::transform::{Chain, Lineage};

/// The most digits of a fraction that an Arrow time of microseconds has.
const MICROSECOND_DIGITS: u8 = 6;

/// Takes the pipe's choices into the source's columns: how they are read, and what becomes of dates that are no days.
pub(super) fn with_choices(
    pipe: &Pipe,
    mapping: &TableMapping,
    mut source: SourceTable,
) -> Result<SourceTable, PipeError> {
    for position in 0..source.columns.len() {
        let is_key = source.key.contains(&position);
        let column = &mut source.columns[position];
        if let Some(zero_dates) = mapping.zero_dates {
            // A key has no NULL: there the load stops, as it does without a choice.
            if !(is_key && zero_dates == ZeroDates::Null) {
                column.zero_dates = zero_dates;
            }
        }
        let Some(settings) = mapping.column(&column.name) else {
            continue;
        };
        if let Some(zero_dates) = settings.zero_dates {
            if is_key && zero_dates == ZeroDates::Null {
                let reason = format!("`{}` is of the key, which can't be NULL", column.name);
                return Err(pipe.invalid(&settings.key, reason));
            }
            column.zero_dates = zero_dates;
        }
        let wanted = settings.clickhouse_type.as_ref();
        let (form, _) = choose(&column.mysql_type, wanted, settings.format)
            .map_err(|error| pipe.invalid(&settings.key, error.to_string()))?;
        column.form = form;
    }
    Ok(source)
}

/// The destination table that a chain's output makes.
pub(super) fn target(
    pipe: &Pipe,
    mapping: &TableMapping,
    source: &SourceTable,
    chain: &Chain,
    features: ClickHouseFeatures,
) -> Result<TargetTable, PipeError> {
    let output = chain.output();
    let name = |&position: &usize| output.field(position).name().clone();
    let key: Vec<String> = chain.output_key().iter().map(name).collect();
    refuse_clash(pipe, mapping, chain)?;
    let engine = engine(pipe, mapping, &key)?;
    let columns = columns(pipe, mapping, source, chain, features)?;
    Ok(TargetTable {
        database: pipe.destination.database.clone(),
        name: mapping.destination.clone(),
        order_by: order_by(pipe, mapping, chain, engine, &key)?,
        primary_key: primary_key(pipe, mapping, chain, &key)?,
        columns,
        key,
        engine,
        partition_by: mapping.partition_by.as_ref().map(|text| term(chain, text)),
        ttl: mapping.ttl.clone(),
        indexes: mapping
            .indexes
            .iter()
            .map(|index| crate::schema::SkipIndex {
                expression: term(chain, &index.expression),
                ..index.clone()
            })
            .collect(),
        settings: mapping.settings.clone(),
        comment: mapping
            .comment
            .clone()
            .unwrap_or_else(|| source.comment.clone()),
        comment_stated: mapping.comment.is_some(),
        metadata: pipe.metadata.clone(),
    })
}

fn refuse_clash(pipe: &Pipe, mapping: &TableMapping, chain: &Chain) -> Result<(), PipeError> {
    let mut metadata = pipe.metadata.all().into_iter();
    match metadata.find(|name| chain.output().field_with_name(name).is_ok()) {
        None => Ok(()),
        Some(clash) => {
            let reason = format!(
                "the column `{clash}` of {} has the name of a metadata column; choose another in [metadata]",
                mapping.source
            );
            Err(pipe.invalid("metadata", reason))
        }
    }
}

fn engine(pipe: &Pipe, mapping: &TableMapping, key: &[String]) -> Result<Engine, PipeError> {
    let engine = mapping.engine.unwrap_or(if key.is_empty() {
        Engine::MergeTree
    } else {
        Engine::ReplacingMergeTree
    });
    if engine == Engine::ReplacingMergeTree && key.is_empty() {
        let reason = format!(
            "{} has no key: replacing would leave one row of it; leave `engine` out for MergeTree",
            mapping.source
        );
        return Err(pipe.invalid(&format!("{}.engine", mapping.key), reason));
    }
    Ok(engine)
}

/// The columns, one for each of the output.
fn columns(
    pipe: &Pipe,
    mapping: &TableMapping,
    source: &SourceTable,
    chain: &Chain,
    features: ClickHouseFeatures,
) -> Result<Vec<TargetColumn>, PipeError> {
    let output = chain.output();
    if let Some(unknown) = mapping.columns.iter().find(|settings| {
        source.column(&settings.name).is_none() && output.field_with_name(&settings.name).is_err()
    }) {
        let reason = format!("{} has no column `{}`", mapping.source, unknown.name);
        return Err(pipe.invalid(&unknown.key, reason));
    }
    let lineage = chain.lineage().iter().zip(output.fields());
    let columns = lineage.enumerate().map(|(i, (lineage, field))| {
        let origin = match lineage {
            Lineage::Passed { source: position } => Some(&source.columns[*position]),
            Lineage::Computed { .. } => None,
        };
        let of_source = origin.and_then(|origin| mapping.column(&origin.name));
        let design = ColumnDesign {
            pipe,
            mapping,
            field,
            origin,
            settings: of_source.or_else(|| mapping.column(field.name())),
            is_key: chain.output_key().contains(&i),
        };
        design.column(features)
    });
    columns.collect()
}

/// What a destination column is designed from.
struct ColumnDesign<'a> {
    pipe: &'a Pipe,
    mapping: &'a TableMapping,
    field: &'a Field,
    origin: Option<&'a SourceColumn>,
    settings: Option<&'a ColumnSettings>,
    is_key: bool,
}

impl ColumnDesign<'_> {
    fn column(&self, features: ClickHouseFeatures) -> Result<TargetColumn, PipeError> {
        let plain = self.plain(features)?;
        let stated = |text: fn(&ColumnSettings) -> &Option<String>| {
            self.settings.and_then(|settings| text(settings).clone())
        };
        let comment = stated(|settings| &settings.comment);
        let mut column = TargetColumn {
            name: self.field.name().clone(),
            digits: self.digits(),
            on_out_of_range: self.mapping.on_out_of_range,
            default: stated(|settings| &settings.default),
            codec: stated(|settings| &settings.codec),
            ttl: stated(|settings| &settings.ttl),
            comment_stated: comment.is_some(),
            comment: comment.unwrap_or_else(|| {
                self.origin
                    .map_or_else(String::new, |origin| origin.comment.clone())
            }),
            nullable: false,
            clickhouse_type: String::new(),
            plain,
        };
        if let Some(stated) = self.settings.and_then(|settings| settings.on_out_of_range) {
            column.on_out_of_range = stated;
            if stated == OutOfRange::Clamp && !can_clamp(self.field.data_type(), &column) {
                return self.refused(format!(
                    "{} has no nearest value to clamp to: choose `error`, `null` or `reject`",
                    column.plain
                ));
            }
        }
        column.nullable = self.nullable(&column)?;
        column.clickhouse_type = column.plain.full(column.nullable);
        Ok(column)
    }

    fn plain(&self, features: ClickHouseFeatures) -> Result<ClickHouseType, PipeError> {
        let wanted = self
            .settings
            .and_then(|settings| settings.clickhouse_type.as_ref());
        let Some(origin) = self.origin else {
            let data_type = self.field.data_type();
            return match wanted {
                None => Ok(clickhouse_of_arrow(data_type, features)),
                Some(wanted) => match choose_for_computed(data_type, wanted) {
                    Ok(()) => Ok(wanted.clone()),
                    Err(error) => self.refused(error.to_string()),
                },
            };
        };
        let format = self.settings.and_then(|settings| settings.format);
        let (form, chosen) = match choose(&origin.mysql_type, wanted, format) {
            Ok(chosen) => chosen,
            Err(error) => return self.refused(error.to_string()),
        };
        if form != origin.form {
            return self.refused(format!(
                "this type needs another reading of the source: name the column as the source does, `{}`",
                origin.name
            ));
        }
        Ok(chosen.unwrap_or_else(|| origin.mysql_type.clickhouse(form, features)))
    }

    /// The digits of a time's fraction: the source's, where the values are the source's.
    fn digits(&self) -> u8 {
        match self.origin.map(|origin| &origin.mysql_type) {
            Some(
                MysqlType::DateTime { fraction }
                | MysqlType::Timestamp { fraction }
                | MysqlType::Time { fraction },
            ) => *fraction,
            _ => MICROSECOND_DIGITS,
        }
    }

    /// Whether the column can be NULL: as the pipe says; else where the source or a policy makes NULL, and there is no default.
    fn nullable(&self, column: &TargetColumn) -> Result<bool, PipeError> {
        let stated = self.settings.and_then(|settings| settings.nullable);
        if stated == Some(true) && (self.is_key || !column.plain.can_be_null()) {
            return self.refused(match self.is_key {
                true => "a column of the key can't be NULL".to_owned(),
                false => format!("{} can't be NULL in ClickHouse", column.plain),
            });
        }
        let policy = column.on_out_of_range == OutOfRange::Null
            && may_be_outside(self.field.data_type(), column);
        let comes = self.field.is_nullable() || policy;
        let has_place = !self.is_key && column.plain.can_be_null();
        Ok(stated.unwrap_or(comes && has_place && column.default.is_none()))
    }

    fn refused<T>(&self, reason: String) -> Result<T, PipeError> {
        let key = self
            .settings
            .map_or(&self.mapping.key, |settings| &settings.key);
        Err(self.pipe.invalid(key, reason))
    }
}

/// A column's name, quoted, or an expression as it is.
fn term(chain: &Chain, text: &str) -> String {
    match chain.output().field_with_name(text) {
        Ok(_) => quoted(text),
        Err(_) => text.to_owned(),
    }
}

/// The sorting key as SQL: the pipe's, else the key. Replacing compares rows by it, so it must hold the whole key.
fn order_by(
    pipe: &Pipe,
    mapping: &TableMapping,
    chain: &Chain,
    engine: Engine,
    key: &[String],
) -> Result<Vec<String>, PipeError> {
    let Some(wanted) = &mapping.order_by else {
        return Ok(key.iter().map(|name| term(chain, name)).collect());
    };
    if let Some(missing) = key
        .iter()
        .find(|name| engine == Engine::ReplacingMergeTree && !wanted.contains(name))
    {
        let reason = format!(
            "the key column `{missing}` is not in it, so rows with different keys would replace each other; \
             add it, or choose engine = \"MergeTree\""
        );
        return Err(pipe.invalid(&format!("{}.order_by", mapping.key), reason));
    }
    Ok(wanted.iter().map(|text| term(chain, text)).collect())
}

/// The primary key as SQL: ClickHouse keeps the first terms of the sorting key in memory, and no others can be it.
fn primary_key(
    pipe: &Pipe,
    mapping: &TableMapping,
    chain: &Chain,
    key: &[String],
) -> Result<Option<Vec<String>>, PipeError> {
    let Some(wanted) = &mapping.primary_key else {
        return Ok(None);
    };
    let sorted = mapping.order_by.as_deref().unwrap_or(key);
    if !sorted.starts_with(wanted) {
        let reason = format!(
            "ClickHouse's primary key is the beginning of the sorting key, which is ({})",
            sorted.join(", ")
        );
        return Err(pipe.invalid(&format!("{}.primary_key", mapping.key), reason));
    }
    Ok(Some(wanted.iter().map(|text| term(chain, text)).collect()))
}
