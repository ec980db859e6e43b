//! What the process tells of itself: a log on standard error, as lines for people or objects of JSON, and traces by OTLP if there is a collector.
//!
//! Spans say what a line belongs to: `request` and `pipe` (in the service), `resync`, `chunk`. Those by which a line is found have the level of errors, and so are
//! there whatever is logged.

mod fields;
mod traces;

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

pub(crate) use traces::{Traces, answer, follow};

/// How it is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// An object of JSON a line.
    Json,
}

/// Begins to log what is of this level, or worse, and to trace. Spans that are under way are sent when the answer is dropped.
pub(crate) fn start(level: &str, format: LogFormat, traces: Traces) -> Traces {
    let filter = EnvFilter::new(format!("tidemill={level}"));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match format {
        LogFormat::Text => lines
            .fmt_fields(fields::Fields::default())
            .with_ansi(std::io::stderr().is_terminal())
            .boxed(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .boxed(),
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .with(traces.layer())
        .init();
    traces
}
