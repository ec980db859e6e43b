//! Transforms that look at a row at a time.

mod build;
mod value;

use arrow_schema::FieldRef;

use crate::{Batch, Binding, Column, ConfigSchema, Error, Output, Table, Transform};
pub use build::ValueBuilder;
pub use value::{Decimal, Value, ValueReader};

/// A transform of one row after the other, for whoever doesn't want arrays: slower than a [`Transform`], and shorter to write.
///
/// ```
/// use arrow_schema::{DataType, Field};
/// use tidemill_sdk::{Binding, Error, Fate, NoConfig, Row, RowTransform, Rows, Table};
///
/// /// Splits a name, and leaves out rows without one.
/// pub struct Split;
///
/// impl RowTransform for Split {
///     type Config = NoConfig;
///     const NAME: &str = "split";
///     const VERSION: &str = env!("CARGO_PKG_VERSION");
///     const SUMMARY: &str = "splits `name` into `first` and `last`";
///
///     fn bind(table: &Table, _config: NoConfig) -> Result<(Self, Binding), Error> {
///         let mut binding = Binding::pass_all(table);
///         binding.read(table.position("name")?);
///         binding.compute(Field::new("first", DataType::Utf8, true));
///         binding.compute(Field::new("last", DataType::Utf8, false));
///         binding.filters = true;
///         Ok((Split, binding))
///     }
///
///     fn row(&mut self, row: &mut Row<'_>) -> Fate {
///         let Some(name) = row.text("name") else { return Fate::Drop };
///         match name.rsplit_once(' ') {
///             Some((first, last)) => {
///                 row.set("first", first);
///                 row.set("last", last);
///             }
///             None => row.set("last", name),
///         }
///         Fate::Keep
///     }
/// }
///
/// tidemill_sdk::export!(Rows<Split>);
/// ```
pub trait RowTransform: Sized + 'static {
    /// The configuration, as the pipe file gives it.
    type Config: serde::de::DeserializeOwned + ConfigSchema;
    /// The plugin's name.
    const NAME: &str;
    /// Its version: `env!("CARGO_PKG_VERSION")`, which is that of the crate that says it.
    const VERSION: &str;
    /// What it does, in a few words.
    const SUMMARY: &str;

    /// Looks at a table once: what is read, what comes out.
    fn bind(table: &Table, config: Self::Config) -> Result<(Self, Binding), Error>;

    /// Transforms a row. The same row gives the same answer, always.
    fn row(&mut self, row: &mut Row<'_>) -> Fate;
}

/// What becomes of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes on, with what was set.
    Keep,
    /// It is left out. The binding says that it `filters`.
    Drop,
    /// It could not be transformed: why, without its values.
    Reject(String),
}

/// A row: the columns that the binding reads, by the table's names, and those that it computes, by their own.
///
/// A computed column that isn't set keeps the value of the column of that name and type, if the binding reads it; else it is NULL.
#[derive(Debug)]
pub struct Row<'a> {
    at: usize,
    names: &'a [String],
    columns: &'a [ValueReader],
    computed: &'a mut [Computed],
    failed: Option<String>,
}

impl<'a> Row<'a> {
    /// Its place in the batch.
    pub fn index(&self) -> usize {
        self.at
    }

    /// A column's value.
    ///
    /// # Panics
    /// If the binding doesn't read the column.
    pub fn get(&self, column: &str) -> Value<'a> {
        let position = self.names.iter().position(|name| name == column);
        match position {
            Some(position) => self.columns[position].value(self.at),
            None => panic!("the binding doesn't read `{column}`"),
        }
    }

    /// A text; none for NULL, and for anything else.
    pub fn text(&self, column: &str) -> Option<&'a str> {
        match self.get(column) {
            Value::Text(std::borrow::Cow::Borrowed(text)) => Some(text),
            _ => None,
        }
    }

    /// A whole number of any width; none for NULL, and for anything else.
    pub fn integer(&self, column: &str) -> Option<i128> {
        match self.get(column) {
            Value::Integer(number) => Some(number),
            _ => None,
        }
    }

    /// A floating-point number of either width; none for NULL, and for anything else.
    pub fn float(&self, column: &str) -> Option<f64> {
        match self.get(column) {
            Value::Float(number) => Some(number),
            Value::Float32(number) => Some(number.into()),
            _ => None,
        }
    }

    /// A boolean; none for NULL, and for anything else.
    pub fn boolean(&self, column: &str) -> Option<bool> {
        match self.get(column) {
            Value::Boolean(truth) => Some(truth),
            _ => None,
        }
    }

    /// Gives a computed column its value. One that doesn't fit the column's type exactly rejects the row.
    ///
    /// # Panics
    /// If the binding doesn't compute the column.
    pub fn set<'v>(&mut self, column: &str, value: impl Into<Value<'v>>) {
        let found = self
            .computed
            .iter_mut()
            .find(|one| one.field.name() == column);
        let Some(computed) = found else {
            panic!("the binding doesn't compute `{column}`");
        };
        if let Err(reason) = computed.put(self.at, &value.into()) {
            self.failed.get_or_insert(reason);
        }
    }
}

/// A computed column that is being built.
#[derive(Debug)]
struct Computed {
    field: FieldRef,
    /// The read column whose value stays where none is set.
    otherwise: Option<usize>,
    builder: ValueBuilder,
}

impl Computed {
    fn put(&mut self, row: usize, value: &Value<'_>) -> Result<(), String> {
        let name = self.field.name();
        if matches!(value, Value::Null) && !self.field.is_nullable() {
            return Err(format!("`{name}` has no value, and can't be NULL"));
        }
        self.builder.truncate(row);
        self.builder.push(value).map_err(|what| {
            format!(
                "`{name}` is {}, and can't be {what}",
                self.field.data_type()
            )
        })
    }

    /// A value for the row, whatever was set or not; and why it has none.
    fn finish_row(
        &mut self,
        row: usize,
        columns: &[ValueReader],
        stays: bool,
    ) -> Result<(), String> {
        if self.builder.len() > row {
            return Ok(());
        }
        let value = self
            .otherwise
            .map_or(Value::Null, |column| columns[column].value(row));
        let put = match stays {
            true => self.put(row, &value),
            false => Ok(()),
        };
        if self.builder.len() <= row {
            self.builder.push_nothing();
        }
        put
    }
}

/// A [`RowTransform`] as a [`Transform`]: what [`crate::export!`] is given.
#[derive(Debug)]
pub struct Rows<T> {
    transform: T,
    names: Vec<String>,
    computed: Vec<(FieldRef, Option<usize>)>,
    filters: bool,
}

impl<T: RowTransform> Transform for Rows<T> {
    type Config = T::Config;
    const NAME: &str = T::NAME;
    const VERSION: &str = T::VERSION;
    const SUMMARY: &str = T::SUMMARY;

    fn bind(table: &Table, config: T::Config) -> Result<(Self, Binding), Error> {
        let (transform, binding) = T::bind(table, config)?;
        let read = |field: &FieldRef| {
            let same = |&read: &usize| {
                let source = &table.fields[read];
                source.name() == field.name() && source.data_type() == field.data_type()
            };
            binding.reads.iter().position(same)
        };
        let computed = binding.output.iter().filter_map(|column| match column {
            Column::Computed(field) => Some(FieldRef::from(field.clone())),
            Column::Pass(..) => None,
        });
        let computed = computed
            .map(|field| (field.clone(), read(&field)))
            .collect();
        let names = binding
            .reads
            .iter()
            .map(|&read| table.fields[read].name().clone());
        let rows = Self {
            transform,
            names: names.collect(),
            computed,
            filters: binding.filters,
        };
        Ok((rows, binding))
    }

    fn process(&mut self, batch: &Batch) -> Result<Output, Error> {
        let columns: Vec<ValueReader> = batch.columns.iter().map(ValueReader::new).collect();
        let computed = self.computed.iter().map(|(field, otherwise)| Computed {
            field: field.clone(),
            otherwise: *otherwise,
            builder: ValueBuilder::new(field.data_type(), batch.rows),
        });
        let mut computed: Vec<Computed> = computed.collect();
        let mut keep = self
            .filters
            .then(|| arrow_buffer::BooleanBufferBuilder::new(batch.rows));
        let mut output = Output::default();
        for at in 0..batch.rows {
            let mut row = Row {
                at,
                names: &self.names,
                columns: &columns,
                computed: &mut computed,
                failed: None,
            };
            let fate = self.transform.row(&mut row);
            let mut reason = match &fate {
                Fate::Reject(reason) => Some(reason.clone()),
                Fate::Drop => None,
                Fate::Keep => row.failed,
            };
            let stays = fate == Fate::Keep;
            for column in &mut computed {
                let finished = column.finish_row(at, &columns, stays && reason.is_none());
                reason = reason.or(finished.err());
            }
            match &mut keep {
                Some(keep) => keep.append(fate != Fate::Drop),
                None if fate == Fate::Drop => {
                    return Err(Error::Data(
                        "a row was dropped, and the binding doesn't say that it filters".to_owned(),
                    ));
                }
                None => {}
            }
            output
                .rejected
                .extend(reason.map(|reason| (at as u32, reason)));
        }
        output.columns = computed
            .into_iter()
            .map(|column| column.builder.finish())
            .collect();
        output.keep = keep.map(|mut keep| keep.finish());
        Ok(output)
    }
}

#[cfg(test)]
mod tests;
