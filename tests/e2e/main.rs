//! The end-to-end tests: the binary, on real MySQL, MariaDB and ClickHouse, with real plugins. `tests/run` runs them all.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

#[path = "../support/mod.rs"]
mod support;

mod bad_input;
mod binlog;
mod brakes;
mod cases;
mod cdc;
mod choices;
mod clauses;
mod cli;
mod crashes;
mod extremes;
mod faults;
mod gates;
mod hostile;
mod keeping;
mod kit;
mod large;
mod names;
mod oracle;
mod plugins;
mod policies;
mod random;
mod registry;
mod resync;
mod rows;
mod service;
mod set_aside;
mod shapes;
mod shop;
mod source;
mod types;
