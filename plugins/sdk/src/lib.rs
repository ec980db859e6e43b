//! Write a Tidemill transform in Rust: implement [`Transform`] (columns at a time) or [`RowTransform`] (a row at a time), export it with
//! [`export!`], build it with `tidemill plugin build`.
//!
//! ```
//! use tidemill_sdk::{Batch, Binding, ConfigSchema, Error, Output, Table, Transform, build};
//!
//! /// Writes a column in capitals.
//! pub struct Shout;
//!
//! #[derive(serde::Deserialize, ConfigSchema)]
//! pub struct Config {
//!     /// The column that is written in capitals.
//!     column: String,
//! }
//!
//! impl Transform for Shout {
//!     type Config = Config;
//!     const NAME: &str = "shout";
//!     const VERSION: &str = env!("CARGO_PKG_VERSION");
//!     const SUMMARY: &str = "writes a column in capitals";
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
//!         let text = batch.utf8(0);
//!         let loud = build::utf8(text.iter().map(|value| value.map(str::to_uppercase)));
//!         Ok(Output::columns([loud]))
//!     }
//! }
//!
//! tidemill_sdk::export!(Shout);
//!
//! // Natively it is an ordinary library, and is tested like one.
//! let mut shout = Shout;
//! let batch = Batch { rows: 2, columns: vec![build::utf8([Some("tide"), None]).into()] };
//! let output = shout.process(&batch).unwrap();
//! assert_eq!(output.batch(2).utf8(0), build::utf8([Some("TIDE"), None]));
//! ```
//!
//! Arrays are made out of the lists that the host sends without a copy, and are given back without one where their memory allows it. A
//! plugin carries the code of those types that it names, and no more: one that computes a
//! text has 95 kB, 117 with settings, and 150 a row at a time.

// The derive macro names this crate as its users do.
extern crate self as tidemill_sdk;

mod batch;
mod binding;
pub mod build;
mod column;
#[doc(hidden)]
pub mod contract;
mod rows;
mod schema;
mod wire;

use arrow_buffer::BooleanBuffer;

pub use batch::{Batch, Float32Lists};
pub use binding::{Binding, Column, Table};
pub use column::ColumnData;
pub use rows::{Decimal, Fate, Row, RowTransform, Rows, Value, ValueBuilder, ValueReader};
pub use schema::{ConfigSchema, NoConfig, Schema};
pub use tidemill_sdk_derive::ConfigSchema;

/// A transform of rows. One value serves one table with one configuration, batch after batch.
pub trait Transform: Sized + 'static {
    /// The configuration, as the pipe file gives it; [`NoConfig`] if there is nothing to set.
    type Config: serde::de::DeserializeOwned + ConfigSchema;
    /// The plugin's name.
    const NAME: &str;
    /// Its version: `env!("CARGO_PKG_VERSION")`, which is that of the crate that says it.
    const VERSION: &str;
    /// What it does, in a few words.
    const SUMMARY: &str;

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

/// What became of a batch.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// The computed columns, in the order of the binding, as long as the batch.
    pub columns: Vec<ColumnData>,
    /// One bit a row, 1 = it stays; none: all do.
    pub keep: Option<BooleanBuffer>,
    /// Rows that could not be transformed: the row and why, each row once.
    pub rejected: Vec<(u32, String)>,
}

impl Output {
    /// All rows stay, with these computed columns.
    pub fn columns<C: Into<ColumnData>>(columns: impl IntoIterator<Item = C>) -> Self {
        Self {
            columns: columns.into_iter().map(Into::into).collect(),
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

    /// Each row is rejected once, for its first reason, and in order.
    pub fn settle_rejections(&mut self) {
        self.rejected.sort_by_key(|(row, _)| *row);
        self.rejected.dedup_by_key(|(row, _)| *row);
    }

    /// The computed columns as the batch that they are for whoever comes next, with its typed ways to them: for tests.
    pub fn batch(&self, rows: usize) -> Batch {
        Batch {
            rows,
            columns: self.columns.clone(),
        }
    }
}
