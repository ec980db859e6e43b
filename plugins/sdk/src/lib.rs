//! Write a Tidemill transform in Rust: implement [`Transform`], export it with [`export!`], build it with `tidemill plugin build`.
//!
//! ```
//! use std::sync::Arc;
//! use arrow_array::{Array, ArrayRef, StringArray, cast::AsArray};
//! use tidemill_sdk::{Batch, Binding, Error, Output, Table, Transform};
//!
//! /// Writes a column in capitals.
//! pub struct Shout;
//!
//! #[derive(serde::Deserialize)]
//! pub struct Config {
//!     column: String,
//! }
//!
//! impl Transform for Shout {
//!     type Config = Config;
//!     const NAME: &str = "shout";
//!     const SUMMARY: &str = "writes a column in capitals";
//!     const CONFIG_SCHEMA: &str = r#"{ "type": "object", "required": ["column"], "properties": { "column": { "type": "string" } } }"#;
//!
//!     fn bind(table: &Table, config: Config) -> Result<(Self, Binding), Error> {
//!         let column = table.position(&config.column)?;
//!         let mut binding = Binding::pass_all(table);
//!         binding.read(column);
//!         binding.compute_in_place(column, table.fields[column].clone());
//!         Ok((Shout, binding))
//!     }
//!
//!     fn process(&mut self, batch: &Batch) -> Result<Output, Error> {
//!         let text = batch.columns[0].as_string::<i32>();
//!         let loud: StringArray = text.iter().map(|value| value.map(str::to_uppercase)).collect();
//!         Ok(Output::columns(vec![Arc::new(loud) as ArrayRef]))
//!     }
//! }
//!
//! tidemill_sdk::export!(Shout);
//! ```
//!
//! Arrays are made out of the lists that the host sends without a copy, and are given back without one where their memory allows it.

mod arrays;
mod binding;
#[doc(hidden)]
pub mod contract;

use arrow_array::ArrayRef;
use arrow_buffer::BooleanBuffer;

pub use binding::{Binding, Column, Table};

/// A transform of rows. One value serves one table with one configuration, batch after batch.
pub trait Transform: Sized + 'static {
    /// The configuration, as the pipe file gives it.
    type Config: serde::de::DeserializeOwned;
    /// The plugin's name.
    const NAME: &str;
    /// Its version; a plugin crate says `env!("CARGO_PKG_VERSION")`.
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    /// What it does, in a few words.
    const SUMMARY: &str;
    /// The JSON Schema that the host checks a configuration against.
    const CONFIG_SCHEMA: &str;

    /// Looks at a table once: what is read, what comes out.
    fn bind(table: &Table, config: Self::Config) -> Result<(Self, Binding), Error>;

    /// Transforms a batch of at most 65,536 rows. The same batch gives the same output, always.
    fn process(&mut self, batch: &Batch) -> Result<Output, Error>;
}

/// Why a transform can't go on. Say what is wrong and where, without values of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The configuration can't be used.
    Config(String),
    /// The table doesn't fit.
    Schema(String),
    /// The whole batch is condemned.
    Data(String),
}

/// The columns that the binding reads, in its order.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The number of rows.
    pub rows: usize,
    /// The columns.
    pub columns: Vec<ArrayRef>,
}

/// What became of a batch.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// The computed columns, in the order of the binding, as long as the batch.
    pub columns: Vec<ArrayRef>,
    /// One bit a row, 1 = it stays; none: all do.
    pub keep: Option<BooleanBuffer>,
    /// Rows that could not be transformed: the row and why.
    pub rejected: Vec<(u32, String)>,
}

impl Output {
    /// All rows stay, with these computed columns.
    pub fn columns(columns: Vec<ArrayRef>) -> Self {
        Self {
            columns,
            ..Self::default()
        }
    }

    /// Only the rows whose bit is set stay.
    pub fn filtered(keep: BooleanBuffer) -> Self {
        Self {
            keep: Some(keep),
            ..Self::default()
        }
    }
}
