//! Units and parts of moments, of a clock without a zone.

use tidemill_kernels::moment::{DAY_US, SECOND_US, civil, days};
use tidemill_sdk::ConfigSchema;

/// What a moment is truncated to.
#[derive(Clone, Copy, Debug, serde::Deserialize, ConfigSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Unit {
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

impl Unit {
    /// The beginning of the unit that the moment is in.
    pub(crate) fn truncated(self, us: i64) -> i64 {
        let down = |unit: i64| us.saturating_sub(us.rem_euclid(unit));
        let today = us.div_euclid(DAY_US) as i32;
        let (year, month, _) = civil(today);
        let first = |month| days(year, month, 1).unwrap_or(today);
        let date = match self {
            Self::Second => return down(SECOND_US),
            Self::Minute => return down(60 * SECOND_US),
            Self::Hour => return down(3600 * SECOND_US),
            Self::Day => today,
            Self::Week => today - weekday(today) + 1,
            Self::Month => first(month),
            Self::Quarter => first(month - (month - 1) % 3),
            Self::Year => first(1),
        };
        i64::from(date) * DAY_US
    }
}

/// A part of a moment.
#[derive(Clone, Copy, Debug, serde::Deserialize, ConfigSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Part {
    Year,
    Quarter,
    Month,
    Week,
    Day,
    Weekday,
    Yearday,
    Hour,
    Minute,
    Second,
    Microsecond,
}

impl Part {
    pub(crate) fn of(self, us: i64) -> i32 {
        let today = us.div_euclid(DAY_US) as i32;
        let clock = us.rem_euclid(DAY_US);
        let (year, month, day) = civil(today);
        let yearday = |year| today - days(year, 1, 1).unwrap_or(today) + 1;
        match self {
            Self::Year => year,
            Self::Quarter => (month as i32 - 1) / 3 + 1,
            Self::Month => month as i32,
            Self::Week => week(today),
            Self::Day => day as i32,
            Self::Weekday => weekday(today),
            Self::Yearday => yearday(year),
            Self::Hour => (clock / (3600 * SECOND_US)) as i32,
            Self::Minute => (clock / (60 * SECOND_US) % 60) as i32,
            Self::Second => (clock / SECOND_US % 60) as i32,
            Self::Microsecond => (clock % SECOND_US) as i32,
        }
    }
}

/// 1 is Monday. 1970-01-01 was a Thursday.
fn weekday(today: i32) -> i32 {
    (today + 3).rem_euclid(7) + 1
}

/// ISO 8601: a week belongs to the year of its Thursday.
fn week(today: i32) -> i32 {
    let thursday = today - weekday(today) + 4;
    let (year, _, _) = civil(thursday);
    (thursday - days(year, 1, 1).unwrap_or(thursday)) / 7 + 1
}
