//! Dates, times of day and moments, and their texts. The calendar is Gregorian throughout, as in MySQL, Arrow and ClickHouse.

use std::fmt;

/// Microseconds of a second.
pub const SECOND_US: i64 = 1_000_000;
/// Microseconds of a day.
pub const DAY_US: i64 = 86_400 * SECOND_US;

/// Year, month and day of a number of days since 1970-01-01 (Howard Hinnant's algorithm).
pub fn civil(days: i32) -> (i32, u32, u32) {
    let shifted = i64::from(days) + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year as i32, month as u32, day as u32)
}

/// Days since 1970-01-01 of a date, which must be one.
pub fn days(year: i32, month: u32, day: u32) -> Option<i32> {
    if !(1..=12).contains(&month) || day == 0 || day > month_days(year, month) {
        return None;
    }
    let year = i64::from(year) - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month = i64::from(month);
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    i32::try_from(era * 146_097 + day_of_era - 719_468).ok()
}

fn month_days(year: i32, month: u32) -> u32 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// `YYYY-MM-DD` as days since 1970-01-01.
pub fn parse_date(text: &str) -> Option<i32> {
    let mut parts = text.splitn(3, '-');
    let mut part = |digits: usize| number(parts.next()?, digits);
    days(part(4)? as i32, part(2)?, part(2)?)
}

/// `HH:MM[:SS[.ffffff]]`, up to 838 hours and with a sign, as microseconds.
pub fn parse_time(text: &str) -> Option<i64> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (hours, rest) = text.split_once(':')?;
    let hours = match hours.len() {
        1..=3 => number(hours, hours.len())?,
        _ => return None,
    };
    let us = i64::from(hours) * 3600 * SECOND_US + minutes(rest)?;
    Some(if negative { -us } else { us })
}

/// `YYYY-MM-DD[( |T)HH:MM[:SS[.ffffff]]][Z|(+|-)HH:MM]` as microseconds since 1970-01-01; with an offset in UTC.
pub fn parse_timestamp(text: &str) -> Option<i64> {
    let date = parse_date(text.get(..10)?)?;
    let midnight = i64::from(date) * DAY_US;
    let rest = &text[10..];
    if rest.is_empty() {
        return Some(midnight);
    }
    let rest = rest.strip_prefix([' ', 'T', 't'])?;
    let end = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
    let (clock, zone) = rest.split_at(end);
    let (hours, minute) = clock.trim_end().split_once(':')?;
    let hours = number(hours, 2).filter(|hours| *hours < 24)?;
    let local = midnight + i64::from(hours) * 3600 * SECOND_US + minutes(minute)?;
    Some(local - offset(zone)?)
}

/// An offset from UTC, in microseconds.
fn offset(zone: &str) -> Option<i64> {
    let (sign, rest) = match zone.as_bytes().first() {
        None => return Some(0),
        Some(b'Z' | b'z') => return (zone.len() == 1).then_some(0),
        Some(b'-') => (-1, &zone[1..]),
        _ => (1, &zone[1..]),
    };
    let (hours, minutes) = rest.split_once(':')?;
    let (hours, minutes) = (number(hours, 2)?, number(minutes, 2)?);
    (hours < 24 && minutes < 60).then(|| sign * i64::from(hours * 60 + minutes) * 60 * SECOND_US)
}

/// `MM[:SS[.ffffff]]` in microseconds.
fn minutes(text: &str) -> Option<i64> {
    let (minutes, rest) = text.split_once(':').unwrap_or((text, "00"));
    let (seconds, fraction) = rest.split_once('.').unwrap_or((rest, "0"));
    let (minutes, seconds) = (number(minutes, 2)?, number(seconds, 2)?);
    if minutes > 59 || seconds > 59 || !(1..=9).contains(&fraction.len()) {
        return None;
    }
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // What is finer than a microsecond must be nothing: a value isn't cut.
    let (kept, lost) = fraction.split_at(fraction.len().min(6));
    if lost.bytes().any(|digit| digit != b'0') {
        return None;
    }
    let us = number(kept, kept.len())? * 10_u32.pow(6 - kept.len() as u32);
    Some(i64::from(minutes * 60 + seconds) * SECOND_US + i64::from(us))
}

/// Exactly so many digits, at most nine.
fn number(text: &str, digits: usize) -> Option<u32> {
    let all = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    all.then(|| text.parse().ok()).flatten()
}

/// Days since 1970-01-01, as `YYYY-MM-DD`.
#[derive(Clone, Copy, Debug)]
pub struct Date(pub i32);

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.0);
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

/// Microseconds of a time, as `HH:MM:SS`, with as many digits of the second as say something: none, three or six.
#[derive(Clone, Copy, Debug)]
pub struct Time(pub i64);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 0 {
            f.write_str("-")?;
        }
        let us = self.0.unsigned_abs();
        let (seconds, us) = (us / 1_000_000, us % 1_000_000);
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        write!(f, "{hours:02}:{minutes:02}:{:02}", seconds % 60)?;
        match us {
            0 => Ok(()),
            us if us % 1000 == 0 => write!(f, ".{:03}", us / 1000),
            us => write!(f, ".{us:06}"),
        }
    }
}

/// Microseconds since 1970-01-01 as date and time, with a space between them, as in MySQL.
#[derive(Clone, Copy, Debug)]
pub struct Timestamp(pub i64);

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, us) = (self.0.div_euclid(DAY_US), self.0.rem_euclid(DAY_US));
        write!(f, "{} {}", Date(days as i32), Time(us))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_are_moments() {
        assert_eq!(parse_date("1970-01-01"), Some(0));
        assert_eq!(parse_date("2000-02-29"), Some(11_016));
        for wrong in [
            "1900-02-29",
            "2020-13-01",
            "2020-00-01",
            "2020-01-32",
            "20-01-01",
            "2020-1-1",
            "2020-01-01 ",
            "",
            "+020-01-01",
        ] {
            assert_eq!(parse_date(wrong), None, "{wrong}");
        }
        assert_eq!(parse_time("01:02:03.5"), Some(3_723_500_000));
        assert_eq!(parse_time("-838:59:59"), Some(-3_020_399_000_000));
        assert_eq!(parse_time("12:30"), Some(45_000_000_000));
        for wrong in [
            "1:60:00",
            "1",
            "01:02:03.1234567",
            "01:02:",
            "x:00",
            "12:00:00.12345é",
        ] {
            assert_eq!(parse_time(wrong), None, "{wrong}");
        }
        assert_eq!(parse_timestamp("1970-01-02"), Some(DAY_US));
        assert_eq!(parse_timestamp("1970-01-01T00:00:01Z"), Some(SECOND_US));
        assert_eq!(parse_timestamp("1970-01-01 01:00:00+01:00"), Some(0));
        assert_eq!(parse_timestamp("1969-12-31 23:59:59.999999"), Some(-1));
        assert_eq!(
            parse_timestamp("1970-01-01 00:00:00.123456000"),
            Some(123_456)
        );
        for wrong in [
            "1970-01-01x",
            "1970-01-01 24:00:00",
            "1970-01-01 00:00:00 UTC",
            "1970-01-01 00:00:00+1",
            "197é-01-01",
            "2024-01-01 00:00:00.12345é",
        ] {
            assert_eq!(parse_timestamp(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn moments_are_texts() {
        assert_eq!(Date(-719_528).to_string(), "0000-01-01");
        assert_eq!(Time(-3_723_500_000).to_string(), "-01:02:03.500");
        assert_eq!(Timestamp(-1).to_string(), "1969-12-31 23:59:59.999999");
        assert_eq!(Timestamp(0).to_string(), "1970-01-01 00:00:00");
    }

    proptest! {
        #[test]
        fn every_date_and_moment_comes_back(days_ in -719_528..2_932_897_i32, us in -62_167_219_200_000_000..253_402_300_800_000_000_i64) {
            let (year, month, day) = civil(days_);
            prop_assert_eq!(days(year, month, day), Some(days_));
            prop_assert_eq!(parse_date(&Date(days_).to_string()), Some(days_));
            prop_assert_eq!(parse_timestamp(&Timestamp(us).to_string()), Some(us));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[0-9:.TZ+ -]{0,30}|.{0,30}") {
            let _ = (parse_date(&text), parse_time(&text), parse_timestamp(&text));
        }
    }
}
