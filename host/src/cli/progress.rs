//! Shows a run: bars on a terminal, plain lines without one.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::printer::Printer;
use super::show;
use crate::lifecycle::report::{FollowReport, FollowedTable, Phase, Progress, TableStatistics};

/// How often a table has a line, where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// What shows the progress of a run.
pub(super) struct Display {
    printer: Printer,
    bars: Option<MultiProgress>,
    tables: Mutex<HashMap<String, Shown>>,
    /// When following was shown last, and where.
    following: Mutex<Option<(Instant, Option<ProgressBar>)>>,
}

/// What each table has had, below the line of the pipe.
fn by_table(report: &FollowReport) -> String {
    let line = |table: &FollowedTable| {
        let counts = &table.counts;
        format!(
            "\n  {:24} {:14} {} inserted, {} updated, {} deleted",
            table.destination,
            table.state.to_string(),
            counts.inserts,
            counts.updates,
            counts.deletes
        )
    };
    report.tables.iter().map(line).collect()
}

struct Shown {
    bar: Option<ProgressBar>,
    state: String,
    at: Instant,
}

impl Display {
    pub(super) fn new(printer: Printer) -> Self {
        let bars = (std::io::stderr().is_terminal() && !printer.is_json()).then(MultiProgress::new);
        Self {
            printer,
            bars,
            tables: Mutex::new(HashMap::new()),
            following: Mutex::new(None),
        }
    }

    fn spinner(&self) -> Option<ProgressBar> {
        let bars = self.bars.as_ref()?;
        let style = ProgressStyle::with_template("{spinner} Running: {msg}");
        let bar = bars.add(ProgressBar::new_spinner());
        Some(style.map_or(bar.clone(), |style| bar.with_style(style)))
    }

    fn line(&self, text: &str) {
        match &self.bars {
            Some(bars) => bars.suspend(|| self.printer.note(text)),
            None if self.printer.is_json() => tracing::info!("{text}"),
            None => self.printer.note(text),
        }
    }

    fn bar(&self, table: &str) -> Option<ProgressBar> {
        let bars = self.bars.as_ref()?;
        let style =
            ProgressStyle::with_template("{prefix:24!} {bar:30} {human_pos:>12} rows {msg}");
        let bar = bars.add(ProgressBar::new(0)).with_prefix(table.to_owned());
        Some(style.map_or(bar.clone(), |style| bar.with_style(style)))
    }
}

impl Progress for Display {
    fn phase(&self, id: &str, phase: Phase) {
        self.line(&format!("{phase} (resync {id})"));
    }

    fn table(&self, statistics: &TableStatistics) {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = !tables.contains_key(&statistics.source);
        let shown = tables
            .entry(statistics.source.clone())
            .or_insert_with(|| Shown {
                bar: self.bar(&statistics.source),
                state: String::new(),
                at: Instant::now(),
            });
        match &shown.bar {
            Some(bar) => {
                bar.set_length(statistics.estimated_rows);
                bar.set_position(statistics.ledger.read);
                bar.set_message(format!(
                    "{:.0}/s  {}",
                    statistics.rows_per_second, statistics.state
                ));
            }
            None if is_new
                || shown.state != statistics.state
                || shown.at.elapsed() > LINE_EVERY =>
            {
                shown.at = Instant::now();
                self.line(&format!(
                    "{}: {}, {} rows read, {} written, chunk {} of {}",
                    statistics.source,
                    statistics.state,
                    statistics.ledger.read,
                    statistics.ledger.written,
                    statistics.chunks_done,
                    statistics.chunks_total
                ));
            }
            None => {}
        }
        shown.state.clone_from(&statistics.state);
    }

    fn following(&self, report: &FollowReport) {
        if report.position.is_none() {
            return;
        }
        let line = show::lag(report);
        let line = line.trim_end();
        match &self.bars {
            Some(_) => {
                let mut shown = self
                    .following
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                let (_, bar) = shown.get_or_insert_with(|| (Instant::now(), self.spinner()));
                if let Some(bar) = bar {
                    bar.set_message(format!("{line}{}", by_table(report)));
                    bar.tick();
                }
            }
            None => {
                let mut shown = self
                    .following
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                if shown
                    .as_ref()
                    .is_none_or(|(at, _)| at.elapsed() > LINE_EVERY)
                {
                    *shown = Some((Instant::now(), None));
                    self.line(&format!("Running: {line}"));
                }
            }
        }
    }

    fn note(&self, message: &str) {
        self.line(&format!("note: {message}"));
    }
}
