//! The contract's own functions, between the host and a [`Transform`].

use std::sync::Arc;

use arrow_schema::{DataType, Field};

use crate::column::{ColumnData, bits};
use crate::{Batch, Binding, Column, ConfigSchema, Error, Output, Table, Transform, wire};

mod bindings {
    #![allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]
    wit_bindgen::generate!({ path: "../../wit", world: "plugin", pub_export_macro: true, default_bindings_module: "tidemill_sdk::contract" });
}

pub use bindings::exports::tidemill::transform::transform as guest;
pub use bindings::tidemill::transform::{log, types};
pub use bindings::*;

/// A bound transform and the types of the columns that it reads.
#[derive(Debug)]
pub struct Bound<T> {
    transform: T,
    reads: Vec<DataType>,
}

/// `describe`.
pub fn describe<T: Transform>() -> guest::Description {
    guest::Description {
        name: T::NAME.to_owned(),
        version: T::VERSION.to_owned(),
        summary: T::SUMMARY.to_owned(),
        config_schema: T::Config::SCHEMA.json(),
    }
}

/// `bind`.
pub fn bind<T: Transform>(
    table: guest::Table,
    config: &str,
) -> Result<(Bound<T>, guest::Binding), guest::Error> {
    log_panics();
    let table = shown(table);
    let config =
        serde_json::from_str(config).map_err(|cause| guest::Error::Config(cause.to_string()))?;
    let (transform, binding) = T::bind(&table, config)?;
    let (reads, binding) = answered(&table, binding)?;
    Ok((Bound { transform, reads }, binding))
}

/// The table as a transform sees it. Not generic, like all that needn't be: it is in each plugin once, and small.
#[inline(never)]
fn shown(table: guest::Table) -> Table {
    let fields = table.fields.iter().map(|field| {
        Arc::new(Field::new(
            &field.name,
            wire::data_type(&field.data_type),
            field.nullable,
        ))
    });
    Table {
        database: table.database,
        name: table.name,
        fields: fields.collect(),
        key: table
            .key
            .into_iter()
            .map(|position| position as usize)
            .collect(),
    }
}

/// The types of the columns that are read, and the binding for the host.
#[inline(never)]
fn answered(
    table: &Table,
    binding: Binding,
) -> Result<(Vec<DataType>, guest::Binding), guest::Error> {
    let reads = binding
        .reads
        .iter()
        .map(|&position| table.fields[position].data_type().clone())
        .collect();
    Ok((reads, wire_binding(binding)?))
}

fn wire_binding(binding: Binding) -> Result<guest::Binding, guest::Error> {
    let output = binding.output.into_iter().map(|column| match column {
        Column::Pass(position, name) => Ok(guest::OutColumn::Pass((position as u32, name))),
        Column::Computed(field) => {
            let data_type = wire::wire_type(field.data_type()).ok_or_else(|| {
                guest::Error::Schema(format!(
                    "`{}` is declared with a type of Arrow's that the contract doesn't have (`data-type` in `wit/transform.wit`)",
                    field.name()
                ))
            })?;
            Ok(guest::OutColumn::Computed(types::Field {
                name: field.name().clone(),
                data_type,
                nullable: field.is_nullable(),
            }))
        }
    });
    Ok(guest::Binding {
        reads: binding
            .reads
            .into_iter()
            .map(|position| position as u32)
            .collect(),
        output: output.collect::<Result<_, guest::Error>>()?,
        filters: binding.filters,
    })
}

/// `process`.
pub fn process<T: Transform>(
    bound: &mut Bound<T>,
    rows: u32,
    columns: Vec<types::Column>,
) -> Result<guest::Output, guest::Error> {
    let batch = given(&bound.reads, rows as usize, columns);
    // The batch ends here, so that a column that was handed through is nobody else's and is moved.
    let output = bound.transform.process(&batch);
    drop(batch);
    Ok(taken(output?))
}

#[inline(never)]
fn given(reads: &[DataType], rows: usize, columns: Vec<types::Column>) -> Batch {
    let columns = reads.iter().zip(columns);
    let columns = columns.map(|(data_type, column)| ColumnData::from_wire(rows, data_type, column));
    Batch {
        rows,
        columns: columns.collect(),
    }
}

#[inline(never)]
fn taken(output: Output) -> guest::Output {
    let rejected = output.rejected.into_iter();
    guest::Output {
        columns: output
            .columns
            .into_iter()
            .map(ColumnData::into_wire)
            .collect(),
        keep: output.keep.map(bits),
        rejected: rejected
            .map(|(row, reason)| guest::Rejection { row, reason })
            .collect(),
    }
}

impl From<Error> for guest::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Config(reason) => Self::Config(reason),
            Error::Schema(reason) => Self::Schema(reason),
            Error::Data(reason) => Self::Data(reason),
        }
    }
}

/// A panic ends as a trap without a word; the host quotes the last error that was logged.
fn log_panics() {
    #[cfg(target_arch = "wasm32")]
    std::panic::set_hook(Box::new(|panic| {
        log::log(log::Level::Error, &panic.to_string())
    }));
}

/// Exports a [`Transform`](crate::Transform) as the plugin that this crate is.
#[macro_export]
macro_rules! export {
    ($transform:ty) => {
        // The contract's names hold colons, which native linkers refuse: a native build is for the tests of a plugin's crate.
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::contract::{Bound, guest, types};

            struct ExportedTransform;

            std::thread_local! {
                static BOUND: std::cell::RefCell<Option<Bound<$transform>>> = const { std::cell::RefCell::new(None) };
            }

            impl guest::Guest for ExportedTransform {
                fn describe() -> guest::Description {
                    $crate::contract::describe::<$transform>()
                }

                fn bind(table: guest::Table, config: String) -> Result<guest::Binding, guest::Error> {
                    let (bound, binding) = $crate::contract::bind::<$transform>(table, &config)?;
                    BOUND.set(Some(bound));
                    Ok(binding)
                }

                fn process(rows: u32, columns: Vec<types::Column>) -> Result<guest::Output, guest::Error> {
                    BOUND.with_borrow_mut(|bound| match bound {
                        Some(bound) => $crate::contract::process(bound, rows, columns),
                        None => Err(guest::Error::Data("`process` before `bind`".to_owned())),
                    })
                }
            }

            $crate::contract::export!(ExportedTransform with_types_in $crate::contract);
        };
    };
}
