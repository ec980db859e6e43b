//! Numbers, times and states as a person reads them.

use std::fmt;

use askama::filters::HtmlSafe;
use bytesize::ByteSize;
use jiff::Timestamp;

use crate::lifecycle::report::{
    FollowState, Kind, Phase, Plan, SchemaChange, Severity, Status, TableStatistics,
};
use crate::service::pipes::{PipeState, PipeSummary};
use crate::service::store::EventKind;

/// HTML that is made here, of nothing that comes from outside.
pub(super) struct Markup(String);

impl HtmlSafe for Markup {}

impl fmt::Display for Markup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A moment, which the script shows in the reader's time zone.
pub(super) fn time(at: &Timestamp) -> Markup {
    let at = at.round(jiff::Unit::Second).unwrap_or(*at);
    Markup(format!(
        r#"<time datetime="{at}">{} UTC</time>"#,
        at.strftime("%Y-%m-%d %H:%M:%S")
    ))
}

/// The same of a moment as RFC 3339; another text stays a text.
pub(super) fn time_of(text: &str) -> Markup {
    match text.parse::<Timestamp>() {
        Ok(at) => time(&at),
        Err(_) => Markup(String::new()),
    }
}

/// A state, as a coloured word.
pub(super) fn badge(state: &PipeState) -> Markup {
    let (tone, word) = match state {
        PipeState::New => ("idle", "New"),
        PipeState::Starting => ("busy", "Starting"),
        PipeState::Setup => ("busy", "Setup"),
        PipeState::Snapshot => ("busy", "Snapshot"),
        PipeState::Resync => ("busy", "Resync"),
        PipeState::Running => ("good", "Running"),
        PipeState::Completed => ("good", "Completed"),
        PipeState::Stopped => ("idle", "Stopped"),
        PipeState::NeedsApproval => ("warn", "Needs approval"),
        PipeState::Failed => ("bad", "Failed"),
    };
    toned(tone, word)
}

/// A phase, as a coloured word.
pub(super) fn phase(phase: &Phase) -> Markup {
    let tone = match phase {
        Phase::Setup | Phase::Snapshot | Phase::Resync => "busy",
        Phase::Running | Phase::Completed => "good",
        Phase::Paused | Phase::Aborted | Phase::RolledBack => "idle",
        Phase::Failed => "bad",
    };
    toned(tone, &phase.to_string())
}

/// A table's state, as a coloured word.
pub(super) fn table_state(state: &str) -> Markup {
    let (tone, word) = match state {
        "waiting" => ("idle", "Waiting"),
        "loading" => ("busy", "Loading"),
        "loaded" => ("busy", "Loaded"),
        "verified" => ("busy", "Verified"),
        "carried over" => ("busy", "Carried over"),
        "needs approval" => ("warn", "Needs approval"),
        "swapping" => ("busy", "Swapping"),
        "swapped" => ("good", "Swapped"),
        "failed" => ("bad", "Failed"),
        "rolling back" => ("busy", "Rolling back"),
        "rolled back" => ("idle", "Rolled back"),
        _ => ("idle", "Unknown"),
    };
    toned(tone, word)
}

/// What a table that follows is at.
pub(super) fn follow_state(state: &FollowState) -> Markup {
    match state {
        FollowState::Following => toned("good", "Following"),
        FollowState::NeedsResync => toned("bad", "Needs a resync"),
        FollowState::Stopped => toned("warn", "Stopped"),
    }
}

/// What an event is about.
pub(super) fn event_kind(kind: &EventKind) -> Markup {
    match kind {
        EventKind::Phase => toned("busy", "Phase"),
        EventKind::Note => toned("idle", "Note"),
        EventKind::Failure => toned("bad", "Failure"),
        EventKind::NeedsApproval => toned("warn", "Needs approval"),
        EventKind::Action => toned("good", "Action"),
        EventKind::Webhook => toned("warn", "Webhook"),
    }
}

/// What it was started as.
pub(super) fn kind(kind: &Kind) -> &'static str {
    match kind {
        Kind::Load => "load",
        Kind::Resync => "resync",
    }
}

/// How bad a finding is.
pub(super) fn severity(severity: &Severity) -> Markup {
    match severity {
        Severity::Info => toned("idle", "Info"),
        Severity::Warning => toned("warn", "Warning"),
        Severity::Error => toned("bad", "Error"),
    }
}

fn toned(tone: &str, word: &str) -> Markup {
    Markup(format!(r#"<span class="badge {tone}">{word}</span>"#))
}

/// `1,234,567`.
pub(super) fn number(number: &u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1.2 MiB`.
pub(super) fn bytes(bytes: &u64) -> String {
    ByteSize(*bytes).to_string()
}

/// A number of something a second.
pub(super) fn rate(rate: &f64) -> String {
    match *rate {
        rate if rate < 0.05 => "0".to_owned(),
        rate if rate < 10.0 && rate.fract() != 0.0 => format!("{rate:.1}"),
        rate => number(&(rate.round() as u64)),
    }
}

/// `2 min 5 s`.
pub(super) fn duration(seconds: &f64) -> String {
    let seconds = seconds.max(0.0).ceil() as u64;
    match (
        seconds / 86_400,
        seconds / 3_600 % 24,
        seconds / 60 % 60,
        seconds % 60,
    ) {
        (0, 0, 0, s) => format!("{s} s"),
        (0, 0, m, s) => format!("{m} min {s} s"),
        (0, h, m, _) => format!("{h} h {m} min"),
        (d, h, ..) => format!("{d} d {h} h"),
    }
}

/// How long it took, or takes already.
pub(super) fn between(from: &Timestamp, to: &Option<Timestamp>) -> String {
    let to = to.unwrap_or_else(Timestamp::now);
    duration(&to.duration_since(*from).as_secs_f64())
}

/// The same of moments as RFC 3339.
pub(super) fn between_texts(from: &str, to: &Option<String>) -> String {
    let end = to.as_ref().and_then(|to| to.parse().ok());
    from.parse()
        .map_or_else(|_| String::new(), |from| between(&from, &end))
}

/// A message as a sentence: it begins with a capital, unless with a name.
pub(super) fn sentence(text: &str) -> String {
    let word = text.split([' ', '\'']).next().unwrap_or_default();
    let is_word = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
    match is_word {
        true => text[..1].to_ascii_uppercase() + &text[1..],
        false => text.to_owned(),
    }
}

/// `1 table`, `4 tables`.
pub(super) fn count(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {what}{plural}", number(&(count as u64)))
}

/// `1 chunk`, `4 chunks`.
pub(super) fn chunks(chunks: &u64) -> String {
    count(usize::try_from(*chunks).unwrap_or(usize::MAX), "chunk")
}

/// Who did something, without the token's id before its name.
pub(super) fn actor(actor: &str) -> &str {
    actor.split_once(' ').map_or(actor, |(_, name)| name)
}

/// The beginning of a digest.
pub(super) fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

/// How far the load of a table is, in hundredths.
pub(super) fn percent(table: &TableStatistics) -> u64 {
    let is_done = table.chunks_total > 0 && table.chunks_done == table.chunks_total;
    match (is_done, table.estimated_rows) {
        (true, _) => 100,
        (false, 0) => 0,
        // The last chunk isn't done: the estimate was one.
        (false, rows) => (table.ledger.read * 100 / rows).min(99),
    }
}

/// A column's or a sorting key's change.
pub(super) fn change(change: &SchemaChange) -> String {
    match change {
        SchemaChange::Added { column, new_type } => format!("adds {column}, {new_type}"),
        SchemaChange::Dropped { column, old_type } => format!("drops {column}, {old_type}"),
        SchemaChange::Retyped {
            column,
            old_type,
            new_type,
        } => {
            format!("{column} becomes {new_type}, from {old_type}")
        }
        SchemaChange::Reordered {
            old_order,
            new_order,
        } => {
            format!("sorted by ({new_order}), from ({old_order})")
        }
    }
}

/// The sign of a change: `+`, `−` or `~`.
pub(super) fn sign(change: &SchemaChange) -> Markup {
    let (tone, sign) = match change {
        SchemaChange::Added { .. } => ("added", "+"),
        SchemaChange::Dropped { .. } => ("dropped", "−"),
        _ => ("changed", "~"),
    };
    Markup(format!(
        r#"<span class="sign {tone}" aria-hidden="true">{sign}</span>"#
    ))
}

/// The worst of what a plan has found.
pub(super) fn has_errors(plan: &Plan) -> bool {
    plan.findings
        .iter()
        .any(|finding| finding.severity == Severity::Error)
}

/// What was just done, by the word in the address.
pub(super) fn done(word: &str) -> Option<&'static str> {
    Some(match word {
        "start" => "The pipe was started.",
        "stop" => "The pipe stops at its next batch boundary.",
        "resync" => "The resync has begun.",
        "approve" => "The swap was approved.",
        "abort" => "The resync was given up; the live tables are untouched.",
        "rollback" => "The tables from before the last resync are back.",
        "made" => "The pipe was made.",
        "saved" => {
            "The settings were saved. What can't change while the pipe runs is taken up by the next resync."
        }
        "secret" => "The secret was saved.",
        "secret-removed" => "The secret was removed.",
        "file" => "The file was uploaded. The next resync takes it up.",
        "file-removed" => "The file was removed.",
        "deleted" => "The pipe was deleted; its tables in the destination are as they were.",
        "uploaded" => "The plugin was uploaded.",
        "plugin-deleted" => "The plugin was deleted.",
        "revoked" => "The token was revoked.",
        _ => return None,
    })
}

/// What a pipe does now, in a sentence or two.
pub(super) fn doing(pipe: &PipeSummary, status: &Status) -> String {
    let tables = status
        .resync
        .as_ref()
        .map(|resync| resync.tables.as_slice());
    let tables = tables.unwrap_or_default();
    match pipe.state {
        PipeState::New => "It was never started. Start it to load its tables.".to_owned(),
        PipeState::Starting => "It connects to its source and destination.".to_owned(),
        PipeState::Setup => "It reads the tables' definitions, binds the transforms and makes the new tables beside the live ones.".to_owned(),
        PipeState::Snapshot => loading(status, tables),
        PipeState::Resync => proving(tables),
        PipeState::Running => following(pipe, status),
        PipeState::Completed => "All tables are loaded and swapped in. This pipe doesn't follow the binlog.".to_owned(),
        PipeState::NeedsApproval => {
            "A table has shrunk or grown more than the pipe allows. Look at it, then approve its swap or give the resync up.".to_owned()
        }
        PipeState::Stopped => match status.resync.as_ref().map(|resync| resync.phase) {
            Some(Phase::Paused) => "It was stopped within a resync. Start it to go on where it was.".to_owned(),
            Some(Phase::Aborted) => "The last resync was given up. The live tables are untouched.".to_owned(),
            _ => "It stands still. Start it, and it goes on with the changes since.".to_owned(),
        },
        PipeState::Failed => "It has stopped, for the reason above. Start it to go on where it was, once that is mended.".to_owned(),
    }
}

fn loading(status: &Status, tables: &[TableStatistics]) -> String {
    if let Some(reason) = status.brakes.reason.as_ref().filter(|_| status.brakes.held) {
        return format!("It holds the load to spare the source: {reason}");
    }
    let read: u64 = tables.iter().map(|table| table.ledger.read).sum();
    let expected: u64 = tables.iter().map(|table| table.estimated_rows).sum();
    let done = tables.iter().filter(|table| percent(table) == 100).count();
    let left = tables.iter().filter_map(|table| table.seconds_left);
    let left = left.fold(0.0_f64, f64::max);
    let left = match left > 0.0 {
        true => format!(", about {} left", duration(&left)),
        false => String::new(),
    };
    format!(
        "It loads the tables from one consistent snapshot: {} of about {} rows read, {done} of {} done{left}.",
        number(&read),
        number(&expected.max(read)),
        count(tables.len(), "table"),
    )
}

fn proving(tables: &[TableStatistics]) -> String {
    let at = |states: &[&str]| {
        let tables = tables.iter();
        tables
            .filter(|table| states.contains(&table.state.as_str()))
            .count()
    };
    let swapped = at(&["swapped"]);
    let verified = swapped + at(&["verified", "carried over", "swapping"]);
    format!(
        "It proves the copies, catches up with what was written meanwhile, and swaps them in: of {} {verified} proved, {swapped} swapped.",
        count(tables.len(), "table"),
    )
}

fn following(pipe: &PipeSummary, status: &Status) -> String {
    let trouble = status
        .cdc
        .as_ref()
        .and_then(|cdc| cdc.report.trouble.as_ref());
    if let Some(trouble) = trouble {
        return format!("It follows the source's binlog, and waits: {trouble}");
    }
    let lag = match pipe.lag_seconds {
        None => String::new(),
        Some(0) => ", up to date".to_owned(),
        Some(lag) => format!(", {} behind", duration(&(lag as f64))),
    };
    format!("It follows the source's binlog{lag}.")
}

/// How far a table is proved.
pub(super) fn proof(table: &TableStatistics) -> &'static str {
    match table.state.as_str() {
        "verified" | "carried over" | "swapping" | "swapped" => "proved",
        "loaded" => "to be proved",
        "failed" => "not proved",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_easy_to_read() {
        let numbers = [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1234567, "1,234,567"),
        ];
        for (value, text) in numbers {
            assert_eq!(number(&value), text);
        }
        let times = [
            (0.2, "1 s"),
            (59.0, "59 s"),
            (125.0, "2 min 5 s"),
            (3900.0, "1 h 5 min"),
            (90_000.0, "1 d 1 h"),
        ];
        for (seconds, text) in times {
            assert_eq!(duration(&seconds), text);
        }
        assert_eq!(
            [rate(&0.0), rate(&1.25), rate(&12_345.6)],
            ["0", "1.2", "12,346"]
        );
    }

    #[test]
    fn a_sentence_leaves_names_as_they_are() {
        for (text, shown) in [
            ("the server can't be reached", "The server can't be reached"),
            ("shop.orders: it is gone", "shop.orders: it is gone"),
            ("`shop` is unknown", "`shop` is unknown"),
            ("", ""),
        ] {
            assert_eq!(sentence(text), shown);
        }
    }

    #[test]
    fn a_load_isnt_done_before_its_last_chunk() {
        let mut table = TableStatistics {
            chunks_done: 1,
            chunks_total: 2,
            estimated_rows: 100,
            ..TableStatistics::default()
        };
        table.ledger.read = 150;
        assert_eq!(percent(&table), 99);
        table.chunks_done = 2;
        assert_eq!(percent(&table), 100);
    }
}
