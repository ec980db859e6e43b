//! Results as text.

use bytesize::ByteSize;
use comfy_table::{CellAlignment, Table, TableComponent, presets};

use crate::lifecycle::report::{
    ChangeCounts, CheckReport, FollowReport, Plan, Preview, PreviewAfter, ResyncSummary,
    SchemaChange, Severity, Status, TablePlan, TableStatistics, TransformPlan,
};
use crate::quote::visible;
use crate::schema::type_page::Entry;

/// A table with a line of names; the columns of `numbers` are aligned to the right.
fn table(names: &[&str], numbers: &[usize], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_preset(presets::UTF8_HORIZONTAL_ONLY)
        .remove_style(TableComponent::HorizontalLines)
        .remove_style(TableComponent::MiddleIntersections)
        .set_header(names);
    rows.into_iter().for_each(|row| {
        table.add_row(row);
    });
    for &number in numbers {
        if let Some(column) = table.column_mut(number) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string()
}

/// `1 table`, `4 tables`.
pub(super) fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

/// The type table.
pub(super) fn types(entries: &[Entry]) -> String {
    let row = |entry: &Entry| {
        vec![
            entry.column.clone(),
            entry.clickhouse.clone(),
            entry.alternatives.clone(),
        ]
    };
    let names = ["MySQL or MariaDB", "ClickHouse", "possible, by `types`"];
    table(&names, &[], entries.iter().map(row))
}

pub(super) fn check(report: &CheckReport) -> String {
    let mut text = format!(
        "{}: {} -> {}, {}\n",
        report.pipe,
        report.source,
        report.destination,
        count(report.tables.len(), "table")
    );
    text += &findings(&report.findings);
    text
}

fn findings(findings: &[crate::lifecycle::report::Finding]) -> String {
    if findings.is_empty() {
        return "nothing stands in the way\n".to_owned();
    }
    let line = |finding: &crate::lifecycle::report::Finding| {
        let severity = match finding.severity {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        format!("{severity}: {}: {}\n", finding.subject, finding.message)
    };
    findings.iter().map(line).collect()
}

/// A transform's line: only what it does is named.
fn transform_plan(plan: &TransformPlan) -> String {
    let renames: Vec<String> = plan
        .renames
        .iter()
        .map(|(from, to)| format!("{from} to {to}"))
        .collect();
    let parts = [
        ("reads", &plan.reads),
        ("computes", &plan.computes),
        ("renames", &renames),
        ("drops", &plan.drops),
    ];
    let mut does: Vec<String> = parts
        .iter()
        .filter(|(_, columns)| !columns.is_empty())
        .map(|(verb, columns)| format!("{verb} {}", list(columns)))
        .collect();
    if plan.filters {
        does.push("filters".to_owned());
    }
    format!("  {} {}: {}\n", plan.plugin, plan.version, does.join("; "))
}

pub(super) fn plan(plan: &Plan) -> String {
    let mut text: String = plan.tables.iter().map(table_plan).collect();
    text += &findings(&plan.findings);
    text
}

fn table_plan(plan: &TablePlan) -> String {
    let what = match (plan.original_exists, plan.original_rows) {
        (true, Some(rows)) => format!("replaces a table of {rows} rows"),
        (true, None) => "replaces a table".to_owned(),
        (false, _) => "is new".to_owned(),
    };
    let mut text = format!(
        "{} -> {}: {what}; about {} rows, {} in {} chunks\n",
        plan.source,
        plan.destination,
        plan.estimated_rows,
        ByteSize(plan.estimated_bytes),
        plan.chunks
    );
    let unread: Vec<&str> = plan
        .source_columns
        .iter()
        .filter(|column| !column.read)
        .map(|column| column.name.as_str())
        .collect();
    if !unread.is_empty() {
        text += &format!("  not read: {}\n", unread.join(", "));
    }
    plan.transforms
        .iter()
        .for_each(|transform| text += &transform_plan(transform));
    for change in &plan.changes {
        text += &match change {
            SchemaChange::Added { column, new_type } => format!("  + {column} {new_type}\n"),
            SchemaChange::Dropped { column, old_type } => format!("  - {column} {old_type}\n"),
            SchemaChange::Retyped {
                column,
                old_type,
                new_type,
            } => format!("  ~ {column} {old_type} -> {new_type}\n"),
            SchemaChange::Reordered {
                old_order,
                new_order,
            } => format!("  ~ ORDER BY {old_order} -> {new_order}\n"),
        };
    }
    plan.kept
        .iter()
        .for_each(|kept| text += &format!("  kept: {kept}\n"));
    plan.lost
        .iter()
        .for_each(|(what, reason)| text += &format!("  lost: {what}: {reason}\n"));
    plan.dependents
        .iter()
        .for_each(|dependent| text += &format!("  {dependent}\n"));
    text + &format!("  {}\n\n", plan.ddl.replace('\n', "\n  "))
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        "nothing".to_owned()
    } else {
        names.join(", ")
    }
}

pub(super) fn preview(preview: &Preview) -> String {
    let value = |value: &Option<String>| match value {
        Some(value) => visible(value).into_owned(),
        None => "NULL".to_owned(),
    };
    let rows = |names: &[String], rows: Vec<Vec<String>>| {
        table(
            &names.iter().map(String::as_str).collect::<Vec<_>>(),
            &[],
            rows,
        )
    };
    let before = preview
        .rows
        .iter()
        .map(|row| row.before.iter().map(value).collect())
        .collect();
    let after = preview.rows.iter().map(|row| match &row.after {
        PreviewAfter::Row(values) => values.iter().map(value).collect(),
        PreviewAfter::Filtered => vec!["(filtered)".to_owned()],
        PreviewAfter::Rejected(_) => vec!["(rejected)".to_owned()],
        PreviewAfter::Stops(_) => vec!["(stops the load)".to_owned()],
    });
    let mut text = format!(
        "{} before:\n{}\nafter:\n{}\n",
        preview.source,
        rows(&preview.columns_before, before),
        rows(&preview.columns_after, after.collect())
    );
    for (i, row) in preview.rows.iter().enumerate() {
        if let PreviewAfter::Rejected(reason) | PreviewAfter::Stops(reason) = &row.after {
            text += &format!("row {}: {}\n", i + 1, visible(reason));
        }
    }
    text
}

pub(super) fn tables(statistics: &[TableStatistics]) -> String {
    let names = [
        "table", "state", "rows", "filtered", "rejected", "skipped", "bytes", "chunks", "rows/s",
        "left", "carried",
    ];
    let rows = statistics.iter().map(|table| {
        vec![
            table.destination.clone(),
            table.state.clone(),
            table.ledger.written.to_string(),
            table.ledger.filtered.to_string(),
            table.ledger.rejected.to_string(),
            table.ledger.skipped.to_string(),
            ByteSize(table.bytes).to_string(),
            format!("{}/{}", table.chunks_done, table.chunks_total),
            format!("{:.0}", table.rows_per_second),
            table
                .seconds_left
                .map(|seconds| format!("{seconds:.0} s"))
                .unwrap_or_default(),
            table
                .carried_over
                .map(|rows| rows.to_string())
                .unwrap_or_default(),
        ]
    });
    table(&names, &[2, 3, 4, 5, 6, 7, 8, 9], rows)
}

pub(super) fn resync(summary: &ResyncSummary) -> String {
    let mut text = format!("{} {}: {}", kind(summary), summary.id, summary.phase);
    if let Some(phase) = summary.interrupted {
        text += &format!(" in {phase}");
    }
    text += &format!(", started {}", summary.started);
    if let Some(ended) = &summary.ended {
        text += &format!(", ended {ended}");
    }
    text += "\n";
    if let (Some(consistency), Some(position)) = (&summary.consistency, &summary.position) {
        text += &format!("snapshot: {consistency}, at {position}\n");
    }
    if let Some(error) = &summary.error {
        text += &format!("failed: {error}\n");
    }
    text += &tables(&summary.tables);
    text += "\n";
    for table in summary.tables.iter().filter(|table| table.reason.is_some()) {
        text += &format!(
            "{}: {}\n",
            table.destination,
            table.reason.as_deref().unwrap_or_default()
        );
    }
    summary
        .notes
        .iter()
        .for_each(|note| text += &format!("note: {note}\n"));
    text
}

/// What a pipe is at in the binlog.
pub(super) fn following(report: &FollowReport) -> String {
    let mut text = String::new();
    if let Some(position) = &report.position {
        text += &format!("at {position}\n");
    }
    text += &lag(report);
    if let Some(trouble) = &report.trouble {
        text += &format!("waits: {trouble}\n");
    }
    let names = [
        "table", "state", "inserts", "updates", "deletes", "filtered", "rejected", "skipped",
        "written",
    ];
    let rows = report.tables.iter().map(|table| {
        let counts = &table.counts;
        let numbers = [
            counts.inserts,
            counts.updates,
            counts.deletes,
            counts.filtered,
            counts.rejected,
            counts.skipped,
            counts.written,
        ];
        [table.destination.clone(), table.state.to_string()]
            .into_iter()
            .chain(numbers.map(|number| number.to_string()))
            .collect()
    });
    text += &table(&names, &[2, 3, 4, 5, 6, 7, 8], rows);
    text += "\n";
    for table in report.tables.iter().filter(|table| table.reason.is_some()) {
        text += &format!(
            "{}: {}\n",
            table.destination,
            table.reason.as_deref().unwrap_or_default()
        );
    }
    text
}

/// How far a pipe is behind, in a line; nothing where nobody is at work on it.
pub(super) fn lag(report: &FollowReport) -> String {
    let Some(seconds) = report.lag_seconds else {
        return String::new();
    };
    let bytes = report
        .lag_bytes
        .map(|bytes| format!(", {}", ByteSize(bytes)))
        .unwrap_or_default();
    format!(
        "{seconds} s{bytes} behind the source, {:.0} events/s\n",
        report.events_per_second
    )
}

fn kind(summary: &ResyncSummary) -> &'static str {
    match summary.kind {
        crate::lifecycle::report::Kind::Load => "load",
        crate::lifecycle::report::Kind::Resync => "resync",
    }
}

pub(super) fn status(status: &Status) -> String {
    let at_work = if status.active {
        "a process is at work on it"
    } else {
        "nobody is at work on it"
    };
    let mut text = format!(
        "pipe {} ({}): {at_work}\n",
        status.pipe,
        status.file.display()
    );
    match &status.resync {
        Some(summary) => text += &resync(summary),
        None => text += "it was never loaded: `tidemill run` does\n",
    }
    if let Some(reason) = &status.brakes.reason {
        text += &format!("the load is held: {reason}\n");
    }
    if let Some(cdc) = &status.cdc {
        text += &format!("following the binlog: {}\n", cdc.phase);
        if let Some(error) = &cdc.error {
            text += &format!("failed: {error}\n");
        }
        text += &following(&cdc.report);
    }
    status
        .drift
        .iter()
        .for_each(|drift| text += &format!("drift: {drift}; a resync takes it up\n"));
    for (table, until) in &status.rollback {
        text += &format!("rollback: `{table}` can go back until {until}\n");
    }
    text
}

/// The pipes of a service, a line each.
pub(super) fn pipes(pipes: &[serde_json::Value]) -> String {
    let text = |pipe: &serde_json::Value, key: &str| pipe[key].as_str().unwrap_or("-").to_owned();
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::NOTHING);
    table.set_header(["pipe", "state", "source", "destination", "tables", "lag"]);
    for pipe in pipes {
        let lag = pipe["lag_seconds"].as_u64();
        table.add_row([
            text(pipe, "name"),
            text(pipe, "state"),
            text(pipe, "source"),
            text(pipe, "destination"),
            pipe["tables"].to_string(),
            lag.map_or_else(|| "-".to_owned(), |lag| format!("{lag} s")),
        ]);
    }
    format!("{table}\n")
}

/// Plugins or files that were uploaded.
pub(super) fn uploads(uploads: &[serde_json::Value]) -> String {
    let text =
        |upload: &serde_json::Value, key: &str| upload[key].as_str().unwrap_or("-").to_owned();
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::NOTHING);
    table.set_header(["name", "bytes", "sha256", "uploaded"]);
    for upload in uploads {
        table.add_row([
            text(upload, "name"),
            upload["bytes"].to_string(),
            text(upload, "digest"),
            text(upload, "uploaded"),
        ]);
    }
    format!("{table}\n")
}

pub(super) fn history(resyncs: &[ResyncSummary]) -> String {
    let rows = resyncs.iter().map(|summary| {
        let changes = |what: fn(&ChangeCounts) -> u64| {
            let tables = summary.tables.iter();
            let counted = tables.filter_map(|table| table.changes.as_ref()).map(what);
            counted.sum::<u64>().to_string()
        };
        vec![
            summary.id.clone(),
            kind(summary).to_owned(),
            summary.phase.to_string(),
            summary.started.clone(),
            summary
                .tables
                .iter()
                .map(|table| table.ledger.written)
                .sum::<u64>()
                .to_string(),
            changes(|counts| counts.inserts),
            changes(|counts| counts.updates),
            changes(|counts| counts.deletes),
        ]
    });
    let names = [
        "id", "kind", "phase", "started", "rows", "inserts", "updates", "deletes",
    ];
    table(&names, &[4, 5, 6, 7], rows)
}
