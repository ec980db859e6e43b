//! The difference between rows that are expected and rows that came, so that a person sees what to mend: rows as lines, and cells by name.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;
use similar::{DiffOp, TextDiff};

/// Equal rows that are shown around a difference.
const CONTEXT: usize = 2;

/// What a line of a difference says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// The row is as expected.
    Same,
    /// The row is expected, and did not come.
    Missing,
    /// The row came, and is not expected.
    Surplus,
    /// A cell of the rows above.
    Cell,
    /// Equal rows that aren't shown.
    Gap,
}

/// A line of a difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DiffLine {
    /// What it says.
    pub change: Change,
    /// The row, or the words.
    pub text: String,
}

fn line(change: Change, text: impl Into<String>) -> DiffLine {
    DiffLine {
        change,
        text: text.into(),
    }
}

/// The difference of rows, each a line of JSON; empty if there is none.
pub(super) fn rows(expected: &[String], found: &[String]) -> Vec<DiffLine> {
    if expected == found {
        return Vec::new();
    }
    let texts = |rows| {
        <[String]>::iter(rows)
            .map(String::as_str)
            .collect::<Vec<&str>>()
    };
    let (old, new) = (texts(expected), texts(found));
    let diff = TextDiff::from_slices(&old, &new);
    let mut lines = Vec::new();
    let mut shown = 0;
    for group in diff.grouped_ops(CONTEXT) {
        let start = group.first().map_or(0, |op| op.old_range().start);
        if start > shown {
            lines.push(line(Change::Gap, format!("{} equal rows", start - shown)));
        }
        for op in &group {
            shown = op.old_range().end;
            of(op, &old, &new, &mut lines);
        }
    }
    if shown < old.len() {
        lines.push(line(
            Change::Gap,
            format!("{} equal rows", old.len() - shown),
        ));
    }
    lines
}

fn of(op: &DiffOp, old: &[&str], new: &[&str], lines: &mut Vec<DiffLine>) {
    let (old, new) = (&old[op.old_range()], &new[op.new_range()]);
    if matches!(op, DiffOp::Equal { .. }) {
        lines.extend(old.iter().map(|row| line(Change::Same, *row)));
        return;
    }
    // Rows that changed stand one below the other, with what changed in them.
    let pairs = old.len().min(new.len());
    for (old, new) in old.iter().zip(new) {
        lines.push(line(Change::Missing, *old));
        lines.push(line(Change::Surplus, *new));
        lines.extend(
            cells(old, new)
                .into_iter()
                .map(|text| line(Change::Cell, text)),
        );
    }
    lines.extend(old[pairs..].iter().map(|row| line(Change::Missing, *row)));
    lines.extend(new[pairs..].iter().map(|row| line(Change::Surplus, *row)));
}

/// The cells in which two rows differ, in words.
fn cells(expected: &str, found: &str) -> Vec<String> {
    type Cells<'a> = BTreeMap<String, &'a RawValue>;
    let (Ok(expected), Ok(found)) = (
        serde_json::from_str::<Cells<'_>>(expected),
        serde_json::from_str::<Cells<'_>>(found),
    ) else {
        return Vec::new();
    };
    let mut words = Vec::new();
    for (name, value) in &expected {
        match found.get(name) {
            Some(other) if other.get() == value.get() => {}
            Some(other) => words.push(format!("{name}: expected {value}, found {other}")),
            None => words.push(format!(
                "{name}: expected {value}, and there is no such column"
            )),
        }
    }
    let surplus = found.keys().filter(|name| !expected.contains_key(*name));
    words.extend(surplus.map(|name| format!("{name}: a column that is not expected")));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(rows: &[&str]) -> Vec<String> {
        rows.iter().map(|&row| row.to_owned()).collect()
    }

    fn shown(expected: &[&str], found: &[&str]) -> Vec<String> {
        let lines = rows(&texts(expected), &texts(found)).into_iter();
        lines
            .map(|line| format!("{:?} {}", line.change, line.text))
            .collect()
    }

    #[test]
    fn equal_rows_have_no_difference() {
        assert!(shown(&["{}", "{}"], &["{}", "{}"]).is_empty());
    }

    #[test]
    fn a_changed_row_shows_its_cells() {
        assert_eq!(
            shown(
                &[r#"{"a": 1, "b": "x", "c": 1}"#],
                &[r#"{"a": 1, "b": "y", "d": 2}"#]
            ),
            [
                r#"Missing {"a": 1, "b": "x", "c": 1}"#,
                r#"Surplus {"a": 1, "b": "y", "d": 2}"#,
                r#"Cell b: expected "x", found "y""#,
                "Cell c: expected 1, and there is no such column",
                "Cell d: a column that is not expected",
            ]
        );
    }

    #[test]
    fn what_is_equal_is_cut_short() {
        let many: Vec<String> = (0..20).map(|i| format!("{{\"id\": {i}}}")).collect();
        let mut other = many.clone();
        other.remove(10);
        let lines = rows(&many, &other);
        assert_eq!(lines.first(), Some(&line(Change::Gap, "8 equal rows")));
        assert_eq!(lines.last(), Some(&line(Change::Gap, "7 equal rows")));
        assert!(lines.contains(&line(Change::Missing, "{\"id\": 10}")));
        assert_eq!(lines.len(), 7);
    }
}
