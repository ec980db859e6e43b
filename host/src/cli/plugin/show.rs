//! What the kit has to say, as text. What a plugin says of itself, and of rows, is made visible first: it is a stranger's. Colours are taken off by the printer where there is no terminal.

use bytesize::ByteSize;
use owo_colors::OwoColorize;

use crate::cli::show::count;
use crate::kit::{
    BenchReport, Built, CaseReport, Change, Created, DiffLine, Event, Measured, Shown, Verdict,
};
use crate::quote::visible;
use crate::transform::Plugin;

/// Rows before and after that are shown.
const ROWS: usize = 20;

pub(super) fn created(created: &Created) -> String {
    let mut text = format!("made {}:\n", created.folder.display());
    let shown = created
        .files
        .iter()
        .filter(|file| !file.starts_with("vendor") && !file.starts_with("sdk"));
    for file in shown {
        text += &format!("  {}\n", file.display());
    }
    text + "next:\n  " + &created.next.join("\n  ")
}

pub(super) fn built(built: &Built) -> String {
    format!(
        "built {} ({} bytes, {:.1} s)",
        built.path.display(),
        built.size_bytes,
        built.duration.as_secs_f64()
    )
}

pub(super) fn plugin(plugin: &Plugin) -> String {
    let imports = plugin.imports();
    let text = format!(
        "{} {}: {}\ncontract {}, {} bytes, sha256 {}\nimports: {}\nconfiguration:\n{:#}\n",
        plugin.name(),
        plugin.version(),
        plugin.summary(),
        plugin.contract_version(),
        plugin.size_bytes(),
        plugin.digest(),
        if imports.is_empty() {
            "nothing".to_owned()
        } else {
            imports.join(", ")
        },
        plugin.config_schema()
    );
    visible(&text).into_owned()
}

/// A test's verdict, and what a person needs to see of its rows.
pub(super) fn case(report: &CaseReport) -> String {
    let name = &report.name;
    let ledger = ledger(report);
    match &report.verdict {
        Verdict::Passed => format!("{} {name}{ledger}\n", "ok".green()),
        Verdict::Updated(file) => format!(
            "{} {name}{ledger}: wrote {}\n",
            "updated".yellow(),
            file.display()
        ),
        Verdict::Unchecked => format!(
            "{name}{ledger}: nothing is expected, so nothing is compared\n{}",
            rows(report)
        ),
        Verdict::Unsteady(reason) => {
            format!("{} {name}{ledger}: {}\n", "failed".red(), visible(reason))
        }
        Verdict::Failed(reason) => format!("{} {name}: {}\n", "failed".red(), visible(reason)),
        Verdict::Differs { rows, rejected } => {
            let mut text = format!("{} {name}{ledger}\n", "failed".red());
            if !rows.is_empty() {
                text += &format!("rows, - expected and + found:\n{}", diff(rows));
            }
            if !rejected.is_empty() {
                text += &format!("rejected rows, - expected and + found:\n{}", diff(rejected));
            }
            text
        }
    }
}

fn ledger(report: &CaseReport) -> String {
    let (Some(trial), Some(fate)) = (&report.trial, &report.fate) else {
        return String::new();
    };
    format!(
        " ({} in, {} out, {} left out, {} rejected)",
        count(trial.rows().num_rows(), "row"),
        fate.rows.num_rows(),
        fate.filtered.len(),
        fate.rejected.len()
    )
}

fn diff(lines: &[DiffLine]) -> String {
    let line = |line: &DiffLine| {
        let text = visible(&line.text);
        match line.change {
            Change::Same => format!("    {text}\n"),
            Change::Missing => format!("  {}\n", format!("- {text}").red()),
            Change::Surplus => format!("  {}\n", format!("+ {text}").green()),
            Change::Cell => format!("      {}\n", text.bold()),
            Change::Gap => format!("    ({text})\n"),
        }
    };
    lines.iter().map(line).collect()
}

/// Rows before and after.
fn rows(report: &CaseReport) -> String {
    let all = Shown::of(report);
    let row = |row: &Shown| {
        let before = visible(&row.before);
        match &row.after {
            Ok(after) => format!("  {before}\n  → {}\n", visible(after)),
            Err(why) => {
                let why = format!("({})", visible(why));
                format!("  {before}\n  → {}\n", why.yellow())
            }
        }
    };
    let mut text: String = all.iter().take(ROWS).map(row).collect();
    if all.len() > ROWS {
        text += &format!("  ({} more)\n", all.len() - ROWS);
    }
    text
}

pub(super) fn event(event: &Event) -> String {
    match event {
        Event::Watching(folder) => format!("watching {}; Ctrl-C ends it", folder.display()),
        Event::Built(built) => self::built(built),
        Event::Ran(report) => match &report.verdict {
            Verdict::Unchecked => case(report),
            _ => format!("{}{}", rows(report), case(report)),
        },
        Event::Failed { error, kept } => {
            let kept = if *kept {
                "\nthe last good component stays where it is"
            } else {
                ""
            };
            let error = error.to_string();
            format!("{}: {}{kept}", "error".red(), visible(&error))
        }
    }
}

pub(super) fn bench(report: &BenchReport) -> String {
    let mut text = format!("batches of {}\n", count(report.batch_rows, "row"));
    for measured in std::iter::once(&report.plugin).chain(&report.passthrough) {
        text += &self::measured(measured);
    }
    if let Some(passthrough) = &report.passthrough {
        let ratio = report.plugin.seconds_per_row() / passthrough.seconds_per_row();
        text += &format!(
            "{:.2} times the time of {} for a row\n",
            ratio,
            visible(&passthrough.name)
        );
    }
    text
}

fn measured(measured: &Measured) -> String {
    let inside = measured.seconds_inside / measured.seconds * 100.0;
    format!(
        "{}: {:.0} rows/s, {}/s; {:.0}% of the time inside of the sandbox, {:.0}% outside; peak memory {}\n",
        visible(&measured.name).bold(),
        measured.rows_per_second(),
        ByteSize(measured.bytes_per_second() as u64),
        inside.min(100.0),
        (100.0 - inside).max(0.0),
        ByteSize(measured.peak_memory_bytes)
    )
}
