//! Time zones as the destination itself knows them.
//!
//! A wall clock has to be shown again as it was given, so the server's own tables of zones count: another edition of the tz database differs
//! from them (measured: 1978 in Asia/Tehran, half an hour apart between tzdata 2025b and ClickHouse 26.7).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use super::connect::{Destination, text};
use super::error::DestinationError;

const MICROS: i64 = 1_000_000;
/// No zone's clocks are further from UTC, in seconds.
const DAY: i64 = 86_400;
/// 1899-12-31 in seconds of UTC: some clocks show 1900 already.
const FIRST: i64 = -2_209_075_200;
/// The days from there to 2300-01-01, when all clocks have shown the last that ClickHouse's tables hold.
const DAYS: i64 = 146_099;

/// What clocks show in a zone.
#[derive(Debug, Default)]
pub(super) struct Zone {
    /// In order.
    changes: Vec<Change>,
}

/// The clocks of a zone are set.
#[derive(Debug, Deserialize)]
struct Change {
    /// When, in seconds of UTC.
    begin: i64,
    /// How far ahead of UTC they are from then on, in seconds.
    ahead: i64,
}

/// Zones by their names.
#[derive(Clone, Debug, Default)]
pub struct Zones {
    known: BTreeMap<String, Arc<Zone>>,
}

/// Whether clocks show UTC there.
pub(super) fn is_utc(name: &str) -> bool {
    ["UTC", "Etc/UTC", "GMT"].contains(&name)
}

impl Zones {
    /// Whether the destination has such a zone.
    pub(super) fn contains(&self, name: &str) -> bool {
        is_utc(name) || self.known.contains_key(name)
    }

    /// A zone; in one that is not known clocks show nothing.
    pub(super) fn get(&self, name: &str) -> Arc<Zone> {
        self.known.get(name).cloned().unwrap_or_default()
    }

    #[cfg(test)]
    pub(super) fn of(name: &str, changes: &[(i64, i64)]) -> Self {
        let changes = changes.iter();
        let zone = Zone {
            changes: changes
                .map(|&(begin, ahead)| Change { begin, ahead })
                .collect(),
        };
        Self {
            known: [(name.to_owned(), Arc::new(zone))].into(),
        }
    }
}

impl Zone {
    /// The instant, in microseconds of UTC, at which clocks show this, given in microseconds; the first, if they do so twice. None where
    /// they never do, unless the nearest is asked for: that of clocks that were not put forward yet.
    pub(super) fn instant(&self, wall: i64, nearest: bool) -> Option<i64> {
        let seconds = wall.div_euclid(MICROS);
        let of = |ahead: i64| wall.checked_sub(ahead * MICROS);
        let begun = |change: &Change| change.begin <= seconds - DAY;
        let first = self.changes.partition_point(begun).saturating_sub(1);
        let mut ahead = self.changes.get(first)?.ahead;
        for next in &self.changes[first + 1..] {
            if seconds < next.begin + ahead {
                break;
            }
            if seconds < next.begin + next.ahead {
                return nearest.then(|| of(ahead)).flatten();
            }
            ahead = next.ahead;
        }
        of(ahead)
    }
}

impl Destination {
    /// The known zones and those of these names, with the server's own offsets of the years 1900 to 2299. Only what is not known yet is
    /// asked for; zones that the server does not have are left out.
    ///
    /// # Errors
    /// No answer.
    pub async fn zones(&self, known: Zones, names: &[&str]) -> Result<Zones, DestinationError> {
        let mut zones = known;
        for &name in names {
            if is_utc(name) || zones.known.contains_key(name) {
                continue;
            }
            let exists = format!(
                "SELECT count() FROM system.time_zones WHERE time_zone = {}",
                text(name)
            );
            if self.number("look for a time zone", &exists).await? == 0 {
                continue;
            }
            let changes = self
                .rows::<Change>("read a time zone", &changes(name))
                .await?;
            zones
                .known
                .insert(name.to_owned(), Arc::new(Zone { changes }));
        }
        Ok(zones)
    }
}

/// A query for the changes of a zone: looked for in steps of a day, of five minutes in the days that
/// have one, and of a second in those. What counts is what is shown; `timezoneOffset` differs from it where offsets have odd seconds.
fn changes(zone: &str) -> String {
    let zone = text(zone);
    let ahead = |instant: &str| {
        format!(
            "(toInt64(toDateTime64(toString(toDateTime64({instant}, 0, {zone})), 0, 'UTC')) - {instant})"
        )
    };
    let differs = |step: i64| format!("{} != {}", ahead("t"), ahead(&format!("(t - {step})")));
    let finer = |coarse: &str, width: i64, step: i64| {
        format!(
            "SELECT end - {width} + part AS t FROM (SELECT t AS end FROM ({coarse})) \
             ARRAY JOIN range({step}, {width} + 1, {step}) AS part WHERE {}",
            differs(step)
        )
    };
    let days = format!(
        "SELECT toInt64(number) * {DAY} + {FIRST} AS t FROM numbers(1, {DAYS}) WHERE {}",
        differs(DAY)
    );
    let seconds = finer(&finer(&days, DAY, 300), 300, 1);
    format!(
        "SELECT t AS begin, {} AS ahead FROM (SELECT toInt64({FIRST}) AS t UNION ALL {seconds}) ORDER BY t",
        ahead("t")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_put_forward_and_back() {
        // Clocks are an hour ahead, at 1,000,000 seconds two hours, at 2,000,000 one again.
        let changes = [(FIRST, 3600), (1_000_000, 7200), (2_000_000, 3600)];
        let zone = Zones::of("Some/Where", &changes).get("Some/Where");
        let instant = |wall: i64, nearest| {
            let found = zone.instant(wall * MICROS + 5, nearest);
            found.map(|micros| micros.div_euclid(MICROS))
        };
        for (wall, expected) in [
            (-3_000_000_000, Some(-3_000_003_600)),
            (1_003_599, Some(999_999)),
            (1_003_600, None),
            (1_007_199, None),
            (1_007_200, Some(1_000_000)),
            (2_003_599, Some(1_996_399)),
            (2_003_600, Some(1_996_400)),
            (2_007_199, Some(1_999_999)),
            (2_007_200, Some(2_003_600)),
            (9_000_000_000, Some(8_999_996_400)),
        ] {
            assert_eq!(instant(wall, false), expected, "{wall}");
            let nearest = expected.unwrap_or(wall - 3600);
            assert_eq!(instant(wall, true), Some(nearest), "{wall}");
        }
        assert_eq!(Zone::default().instant(0, true), None);
    }
}
