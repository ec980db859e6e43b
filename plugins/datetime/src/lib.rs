//! Zones, truncation and parts of dates and moments.

mod calendar;
mod zone;

use arrow_array::types::{Date32Type, Int32Type, TimestampMicrosecondType};
use arrow_schema::{DataType, Field, TimeUnit};
use tidemill_kernels::moment::DAY_US;
use tidemill_sdk::{
    Batch, Binding, ColumnData, ConfigSchema, Error, Output, Table, Transform, build,
};

use calendar::{Part, Unit};
use zone::{Ambiguous, Zone};

/// Converts moments between zones, truncates them, and takes parts of them.
#[derive(Debug, serde::Deserialize, ConfigSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[schema(min_items = 1)]
    columns: Vec<Rule>,
}

/// What becomes of a date or a moment. Without `into` the column itself is replaced.
#[derive(Debug, serde::Deserialize, ConfigSchema)]
#[serde(tag = "method", rename_all = "lowercase", deny_unknown_fields)]
enum Rule {
    /// The clock of another zone: a moment without a zone, as the clock on a wall there shows it.
    Zone {
        column: String,
        /// The zone of the values: needed for a column without one (DATETIME); TIMESTAMP columns are in UTC.
        from: Option<String>,
        /// The zone whose clock is shown: `Europe/Berlin`, `UTC`.
        to: String,
        into: Option<String>,
        /// What becomes of a time that the clock of `from` shows twice, or never, when it is put forward or back.
        #[serde(default)]
        #[schema(default = "reject")]
        ambiguous: Ambiguous,
    },
    /// The beginning of the second, minute, hour, day, week (Monday), month, quarter or year.
    Truncate {
        column: String,
        unit: Unit,
        into: Option<String>,
    },
    /// A part as a number: year, quarter, month, week (ISO), day, weekday (1 is Monday), yearday, hour, minute, second, microsecond.
    Part {
        column: String,
        part: Part,
        into: String,
    },
}

/// A computed column, by the place of its source among those that are read.
#[derive(Debug)]
struct Computed {
    read: usize,
    column: String,
    field: Field,
    work: Work,
}

#[derive(Debug)]
enum Work {
    Zone {
        from: Zone,
        to: Zone,
        ambiguous: Ambiguous,
    },
    Truncate(Unit),
    Part(Part),
}

/// The transform.
#[derive(Debug)]
pub struct DateTime {
    computed: Vec<Computed>,
}

impl Transform for DateTime {
    type Config = Config;
    const NAME: &str = "datetime";
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &str = "converts moments between zones, truncates them, takes parts of them";

    fn bind(table: &Table, config: Config) -> Result<(Self, Binding), Error> {
        let mut binding = Binding::pass_all(table);
        let mut computed: Vec<Computed> = Vec::new();
        for rule in config.columns {
            let (position, into, work) = rule.bound(table)?;
            let source = &table.fields[position];
            let data_type = work.data_type(source.data_type());
            let name = into.as_ref().unwrap_or(source.name());
            let field = Field::new(name, data_type, source.is_nullable());
            if into.is_some() {
                binding.compute(field.clone());
            } else if binding.place(name).is_none() {
                binding.compute_in_place(position, field.clone());
            } else {
                return Err(Error::Config(format!(
                    "`{name}` is replaced twice: give one of them a name, `into`"
                )));
            }
            computed.push(Computed {
                read: binding.read(position),
                column: source.name().clone(),
                field,
                work,
            });
        }
        binding.check_names(table)?;
        computed.sort_by_key(|column| binding.place(column.field.name()));
        Ok((Self { computed }, binding))
    }

    fn process(&mut self, batch: &Batch) -> Result<Output, Error> {
        let mut output = Output::default();
        for computed in &self.computed {
            let column = computed.apply(batch, &mut output.rejected);
            output.columns.push(column);
        }
        output.settle_rejections();
        Ok(output)
    }
}

impl Rule {
    /// The column's position, the new column's name if it is a new one, and what is done.
    fn bound(self, table: &Table) -> Result<(usize, Option<String>, Work), Error> {
        match self {
            Self::Zone {
                column,
                from,
                to,
                into,
                ambiguous,
            } => {
                let (position, data_type) = moment(table, &column)?;
                let to = Zone::new(&to)?;
                let from = match (data_type, from) {
                    (DataType::Timestamp(_, Some(_)), None) => Zone::Utc,
                    (DataType::Timestamp(_, None), Some(from)) => Zone::new(&from)?,
                    (DataType::Timestamp(_, Some(_)), Some(_)) => {
                        return Err(Error::Config(format!(
                            "`{column}` has instants: they need no `from`"
                        )));
                    }
                    (DataType::Timestamp(_, None), None) => {
                        return Err(Error::Config(format!(
                            "`{column}` has times without a zone: say which one they are of, `from = \"Europe/Berlin\"`"
                        )));
                    }
                    _ => {
                        return Err(Error::Schema(format!(
                            "`{column}` has dates, which are of no zone"
                        )));
                    }
                };
                let same = matches!((&from, &to), (Zone::Utc, Zone::Utc));
                if into.is_none() && table.key.contains(&position) && !same {
                    return Err(Error::Config(format!(
                        "`{column}` is a key column: a clock that is put back shows an hour twice, and two rows may share a key; give the result a name, `into`"
                    )));
                }
                let work = Work::Zone {
                    from,
                    to,
                    ambiguous,
                };
                Ok((position, into, work))
            }
            Self::Truncate { column, unit, into } => {
                let (position, _) = moment(table, &column)?;
                if into.is_none() && table.key.contains(&position) {
                    return Err(Error::Config(format!(
                        "`{column}` is a key column: truncated, two rows may share a key; give the result a name, `into`"
                    )));
                }
                Ok((position, into, Work::Truncate(unit)))
            }
            Self::Part { column, part, into } => {
                Ok((moment(table, &column)?.0, Some(into), Work::Part(part)))
            }
        }
    }
}

fn moment<'t>(table: &'t Table, column: &str) -> Result<(usize, &'t DataType), Error> {
    let position = table.position(column)?;
    match table.fields[position].data_type() {
        fits @ (DataType::Date32 | DataType::Timestamp(..)) => Ok((position, fits)),
        other => Err(Error::Schema(format!(
            "`{column}` has the type {other}: neither dates nor moments"
        ))),
    }
}

impl Work {
    fn data_type(&self, source: &DataType) -> DataType {
        match self {
            Self::Zone { .. } => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::Truncate(_) => source.clone(),
            Self::Part(_) => DataType::Int32,
        }
    }
}

impl Computed {
    fn apply(&self, batch: &Batch, rejected: &mut Vec<(u32, String)>) -> ColumnData {
        let data = &batch.columns[self.read];
        let moments: Vec<i64> = match data.data_type() {
            DataType::Date32 => data
                .values::<i32>()
                .iter()
                .map(|&days| i64::from(days).saturating_mul(DAY_US))
                .collect(),
            _ => data.values::<i64>().to_vec(),
        };
        let nulls = data.nulls().cloned();
        match &self.work {
            Work::Part(part) => {
                let parts = moments.into_iter().map(|us| part.of(us)).collect();
                build::from_parts::<Int32Type>(parts, nulls).into()
            }
            Work::Truncate(unit) if data.data_type() == &DataType::Date32 => {
                let days = moments
                    .into_iter()
                    .map(|us| unit.truncated(us).div_euclid(DAY_US) as i32);
                build::from_parts::<Date32Type>(days.collect(), nulls).into()
            }
            Work::Truncate(unit) => {
                let moments = moments.into_iter().map(|us| unit.truncated(us)).collect();
                let column = build::from_parts::<TimestampMicrosecondType>(moments, nulls);
                ColumnData::from(column).with_data_type(self.field.data_type().clone())
            }
            Work::Zone {
                from,
                to,
                ambiguous,
            } => {
                let shown = moments.into_iter().enumerate().map(|(row, us)| {
                    if data.is_null(row) {
                        return 0;
                    }
                    let shown = from
                        .instant(us, *ambiguous)
                        .and_then(|instant| to.clock(instant));
                    shown.unwrap_or_else(|why| {
                        rejected.push((row as u32, format!("`{}`: {why}", self.column)));
                        0
                    })
                });
                build::from_parts::<TimestampMicrosecondType>(shown.collect(), nulls).into()
            }
        }
    }
}

tidemill_sdk::export!(DateTime);

#[cfg(test)]
mod tests;
