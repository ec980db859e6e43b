//! The plugin kit: what an author of a plugin works with. New projects, builds, tests on rows of files, a watch on the source, a benchmark.
//!
//! It knows `transform`, whose real host every test and benchmark runs in, and `rows`; rows of a pipe's source come from the caller.

mod bench;
mod build;
mod dev;
mod diff;
mod error;
mod new;
mod project;
mod test;
mod trial;
mod vendor;

pub use bench::{BenchReport, Measured, bench};
pub use build::{BuildError, Built, build, build_if_stale};
pub use dev::{Event, Shown, Signal, dev};
pub use diff::{Change, DiffLine};
pub use error::Error;
pub use new::{Created, create};
pub use project::{Case, FILE, Language, Project};
pub use test::{CaseReport, Verdict, check};
pub use trial::{Fate, RejectedRow, Trial};
