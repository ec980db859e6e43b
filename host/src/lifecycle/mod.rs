//! The lifecycle of a resync.

pub mod report;
