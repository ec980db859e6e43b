//! Charts as SVG, made by the server: lines over the last hour, an axis with round numbers, and nothing that needs a script.

use jiff::Timestamp;

/// The drawing's size, and the room beside the lines, in its own units.
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 28.0;

/// A line.
pub(super) struct Series {
    pub(super) name: String,
    /// What the style sheet calls it.
    pub(super) class: &'static str,
    /// Values with their moments, the earliest first; none: not known, and the line has a gap.
    pub(super) values: Vec<(Timestamp, Option<f64>)>,
}

/// A line, drawn.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) class: &'static str,
    /// The path's `d`.
    pub(super) path: String,
    /// The area under it.
    pub(super) area: String,
    pub(super) now: String,
    pub(super) most: String,
}

/// A mark of an axis: where it is and what it says.
pub(super) struct Tick {
    pub(super) at: f64,
    pub(super) text: String,
}

/// A chart.
pub(super) struct Chart {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) unit: &'static str,
    pub(super) lines: Vec<Line>,
    pub(super) rows: Vec<Tick>,
    pub(super) columns: Vec<Tick>,
    pub(super) is_empty: bool,
}

impl Chart {
    /// A chart of these lines; `text` says a value.
    pub(super) fn new(
        id: &'static str,
        title: &'static str,
        unit: &'static str,
        series: Vec<Series>,
        text: impl Fn(f64) -> String,
    ) -> Self {
        let known = series.iter().flat_map(|series| &series.values);
        let most = known.clone().filter_map(|(_, value)| *value);
        let top = round_up(most.fold(0.0_f64, f64::max));
        let first = known.clone().map(|(at, _)| *at).min();
        let last = known.clone().map(|(at, _)| *at).max();
        let is_empty = known.filter(|(_, value)| value.is_some()).count() == 0;
        let (first, last) = first.zip(last).unwrap_or_default();
        let time = last.duration_since(first).as_secs_f64().max(60.0);
        let x = |at: Timestamp| {
            let left = last.duration_since(at).as_secs_f64() / time;
            WIDTH - RIGHT - left * (WIDTH - LEFT - RIGHT)
        };
        let y = |value: f64| HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM);
        let rows = (0..=4).map(|i| top * f64::from(i) / 4.0);
        let rows = rows.map(|value| Tick {
            at: y(value),
            text: text(value),
        });
        let columns = (0..=4).map(|i| time * (1.0 - f64::from(i) / 4.0));
        let columns = columns.map(|ago| Tick {
            at: WIDTH - RIGHT - ago / time * (WIDTH - LEFT - RIGHT),
            text: ago_text(ago),
        });
        let line = |series: Series| {
            let (path, area) = drawn(&series.values, x, y);
            let values = || series.values.iter().filter_map(|(_, value)| *value);
            Line {
                name: series.name,
                class: series.class,
                path,
                area,
                now: values().next_back().map_or_else(|| "–".to_owned(), &text),
                most: text(values().fold(0.0, f64::max)),
            }
        };
        Self {
            id,
            title,
            unit,
            rows: rows.collect(),
            columns: columns.collect(),
            is_empty,
            lines: series.into_iter().map(line).collect(),
        }
    }
}

/// The line of the values, and the area under it.
fn drawn(
    values: &[(Timestamp, Option<f64>)],
    x: impl Fn(Timestamp) -> f64,
    y: impl Fn(f64) -> f64,
) -> (String, String) {
    let (mut path, mut area) = (String::new(), String::new());
    for part in values.split(|(_, value)| value.is_none()) {
        let points = part
            .iter()
            .filter_map(|(at, value)| Some((x(*at), y((*value)?))));
        let points: Vec<(f64, f64)> = points.collect();
        let (Some(first), Some(last)) = (points.first(), points.last()) else {
            continue;
        };
        let to: Vec<String> = points
            .iter()
            .map(|(x, y)| format!("{x:.1} {y:.1}"))
            .collect();
        let line = to.join("L");
        path += &format!("M{line}");
        area += &format!(
            "M{:.1} {:.1}L{line}L{:.1} {:.1}Z",
            first.0,
            y(0.0),
            last.0,
            y(0.0)
        );
    }
    (path, area)
}

/// A round number, at least 1, that is no smaller, and a quarter of which is short.
fn round_up(value: f64) -> f64 {
    if value <= 4.0 {
        return 4.0;
    }
    let unit = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 4.0, 6.0, 8.0, 10.0]
        .into_iter()
        .map(|step| step * unit);
    steps
        .into_iter()
        .find(|step| *step >= value)
        .unwrap_or(10.0 * unit)
}

fn ago_text(seconds: f64) -> String {
    match seconds.round() as u64 {
        0 => "now".to_owned(),
        seconds if seconds < 120 => format!("−{seconds} s"),
        seconds => format!("−{} min", (seconds as f64 / 60.0).round()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_ends_at_a_round_number() {
        for (value, top) in [
            (0.0, 4.0),
            (3.0, 4.0),
            (4.5, 6.0),
            (11.0, 20.0),
            (99_000.0, 100_000.0),
        ] {
            assert_eq!(round_up(value), top, "{value}");
        }
    }

    #[test]
    fn a_line_has_a_gap_where_nothing_is_known() {
        let at = |second: i64| Timestamp::from_second(1_700_000_000 + second).unwrap();
        let values = [Some(1.0), None, Some(4.0), Some(2.0)];
        let values = values
            .into_iter()
            .zip(0_i64..)
            .map(|(value, i)| (at(i * 5), value));
        let series = Series {
            name: "rows".to_owned(),
            class: "first",
            values: values.collect(),
        };
        let chart = Chart::new("rows", "Rows", "a second", vec![series], |value| {
            value.to_string()
        });
        assert_eq!(chart.lines[0].path.matches('M').count(), 2);
        assert!(
            chart.lines[0].path.ends_with("L748.0 102.0"),
            "{}",
            chart.lines[0].path
        );
        assert_eq!(
            (chart.lines[0].now.as_str(), chart.lines[0].most.as_str()),
            ("2", "4")
        );
    }
}
