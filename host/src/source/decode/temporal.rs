//! Dates and times of the binary protocol, whose values are as long as they need to be.

use super::Fault;

/// Appends to a vector, which never fails.
macro_rules! write {
    ($out:expr, $($text:tt)*) => {{
        use std::io::Write;
        let _ = std::write!($out, $($text)*);
    }};
}

/// The whole days of 838:59:59, the longest TIME.
const TIME_DAYS: u32 = 34;
const MICROS_OF_A_SECOND: i64 = 1_000_000;

/// Takes a value behind its length.
#[inline]
fn take<'a>(cells: &mut &'a [u8]) -> Result<&'a [u8], Fault> {
    let (&length, rest) = cells.split_first().ok_or(Fault::Short)?;
    let (value, rest) = rest.split_at_checked(length.into()).ok_or(Fault::Short)?;
    *cells = rest;
    Ok(value)
}

/// Days since 1970-01-01 of a date of the proleptic Gregorian calendar (Howard Hinnant's `days_from_civil`).
#[inline]
fn days(year: u16, month: u8, day: u8) -> i32 {
    let year = i32::from(year) - i32::from(month <= 2);
    let (era, month, day) = (year.div_euclid(400), i32::from(month), i32::from(day));
    let year_of_era = year - era * 400;
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Whether a date is none of the calendar: zero, partial, or the 31st of February that `ALLOW_INVALID_DATES` lets in.
#[inline]
fn is_no_day(year: u16, month: u8, day: u8) -> bool {
    let length = match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        _ => 31,
    };
    !(1..=12).contains(&month) || !(1..=length).contains(&day)
}

/// Takes DATE: days since 1970-01-01, none for a date that is no day.
#[inline]
pub(super) fn date(cells: &mut &[u8]) -> Result<Option<i32>, Fault> {
    let &[y0, y1, month, day, ..] = take(cells)? else {
        return Ok(None);
    };
    let year = u16::from_le_bytes([y0, y1]);
    if is_no_day(year, month, day) {
        return Ok(None);
    }
    Ok(Some(days(year, month, day)))
}

/// Takes DATETIME or TIMESTAMP: microseconds since 1970-01-01 00:00:00, none for a date that is no day.
#[inline]
pub(super) fn datetime(cells: &mut &[u8]) -> Result<Option<i64>, Fault> {
    let value = take(cells)?;
    let &[y0, y1, month, day, ..] = value else {
        return Ok(None);
    };
    let year = u16::from_le_bytes([y0, y1]);
    if is_no_day(year, month, day) {
        return Ok(None);
    }
    let (hour, minute, second) = match value[4..] {
        [hour, minute, second, ..] => (hour, minute, second),
        _ => (0, 0, 0),
    };
    let seconds = i64::from(days(year, month, day)) * 86_400 + clock(hour, minute, second);
    Ok(Some(seconds * MICROS_OF_A_SECOND + micros(&value[4..], 3)))
}

/// Takes TIME: microseconds, signed, beyond a day.
#[inline]
pub(super) fn time(cells: &mut &[u8]) -> Result<i64, Fault> {
    let value = take(cells)?;
    let &[negative, d0, d1, d2, d3, hour, minute, second, ..] = value else {
        return Ok(0);
    };
    let days = u32::from_le_bytes([d0, d1, d2, d3]);
    if days > TIME_DAYS {
        return Err(Fault::Value(
            "the time is longer than the 838 hours that MySQL's TIME holds".into(),
        ));
    }
    let seconds = i64::from(days) * 86_400 + clock(hour, minute, second);
    let total = seconds * MICROS_OF_A_SECOND + micros(value, 8);
    Ok(if negative == 0 { total } else { -total })
}

/// Days since 1970-01-01 of a day that a person chose.
pub(super) fn days_of(day: jiff::civil::Date) -> i32 {
    days(
        day.year().unsigned_abs(),
        day.month().unsigned_abs(),
        day.day().unsigned_abs(),
    )
}

/// Microseconds since 1970-01-01 of its midnight.
pub(super) fn micros_of(day: jiff::civil::Date) -> i64 {
    i64::from(days_of(day)) * 86_400 * MICROS_OF_A_SECOND
}

/// Takes DATE and appends MySQL's text of it, whatever day it is.
pub(super) fn date_text(cells: &mut &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    write_date(take(cells)?, out);
    Ok(())
}

/// Takes DATETIME or TIMESTAMP and appends MySQL's text of it, with so many digits of the fraction.
pub(super) fn datetime_text(
    cells: &mut &[u8],
    fraction: u8,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    let value = take(cells)?;
    write_date(value, out);
    out.push(b' ');
    let (hour, minute, second) = match value.get(4..) {
        Some(&[hour, minute, second, ..]) => (hour, minute, second),
        _ => (0, 0, 0),
    };
    let fraction_of = value.get(4..).map_or(0, |clock| micros(clock, 3));
    write_clock((hour.into(), minute, second), fraction_of, fraction, out);
    Ok(())
}

/// Takes TIME and appends MySQL's text of it, with so many digits of the fraction.
pub(super) fn time_text(cells: &mut &[u8], fraction: u8, out: &mut Vec<u8>) -> Result<(), Fault> {
    let micros = time(cells)?;
    if micros < 0 {
        out.push(b'-');
    }
    let (seconds, rest) = (
        micros.unsigned_abs() / 1_000_000,
        micros.unsigned_abs() % 1_000_000,
    );
    let clock = (
        seconds / 3600,
        (seconds / 60 % 60) as u8,
        (seconds % 60) as u8,
    );
    write_clock(clock, rest as i64, fraction, out);
    Ok(())
}

fn write_date(value: &[u8], out: &mut Vec<u8>) {
    let (year, month, day) = match *value {
        [y0, y1, month, day, ..] => (u16::from_le_bytes([y0, y1]), month, day),
        _ => (0, 0, 0),
    };
    write!(out, "{year:04}-{month:02}-{day:02}");
}

fn write_clock(
    (hours, minutes, seconds): (u64, u8, u8),
    micros: i64,
    fraction: u8,
    out: &mut Vec<u8>,
) {
    write!(out, "{hours:02}:{minutes:02}:{seconds:02}");
    if fraction > 0 {
        let start = out.len();
        write!(out, ".{micros:06}");
        out.truncate(start + 1 + usize::from(fraction));
    }
}

#[inline]
fn clock(hour: u8, minute: u8, second: u8) -> i64 {
    i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second)
}

/// The four bytes of microseconds at a place, if the value is as long as that.
#[inline]
fn micros(value: &[u8], at: usize) -> i64 {
    match value.get(at..at + 4) {
        Some(&[a, b, c, d]) => u32::from_le_bytes([a, b, c, d]).into(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn days_agree_with_the_calendar(year in 1000i16..=9999, month in 1i8..=12, day in 1i8..=28) {
            let epoch = jiff::civil::date(1970, 1, 1);
            let since = epoch.until(jiff::civil::date(year, month, day)).expect("in range").get_days();
            prop_assert_eq!(days(year as u16, month as u8, day as u8), since);
        }

        #[test]
        fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..16)) {
            let _ = (date(&mut &bytes[..]), datetime(&mut &bytes[..]), time(&mut &bytes[..]));
        }
    }

    #[test]
    fn values_are_as_long_as_they_need_to_be() {
        let mut cells = &[
            4, 0xB2, 7, 1, 2, 7, 0xB2, 7, 1, 1, 0, 0, 1, 11, 0xB2, 7, 1, 1, 0, 0, 0, 5, 0, 0, 0, 0,
        ][..];
        assert_eq!(date(&mut cells), Ok(Some(1)));
        assert_eq!(datetime(&mut cells), Ok(Some(1_000_000)));
        assert_eq!(datetime(&mut cells), Ok(Some(5)));
        assert_eq!(datetime(&mut cells), Ok(None));
        assert!(cells.is_empty());
        assert_eq!(datetime(&mut cells), Err(Fault::Short));
    }

    #[test]
    fn zero_partial_impossible_and_distant_dates() {
        assert_eq!(date(&mut &[4, 0xE7, 7, 2, 31][..]), Ok(None));
        assert_eq!(datetime(&mut &[4, 0xE7, 7, 4, 31][..]), Ok(None));
        assert_eq!(date(&mut &[4, 0xE8, 7, 2, 29][..]), Ok(Some(19_782)));
        assert_eq!(
            date(&mut &[4, 0x34, 8, 2, 29][..]),
            Ok(None),
            "2100 is no leap year"
        );
        assert_eq!(date(&mut &[4, 0xE8, 7, 0, 1][..]), Ok(None));
        assert_eq!(date(&mut &[4, 0xE8, 7, 1, 0][..]), Ok(None));
        assert_eq!(date(&mut &[4, 1, 0, 1, 1][..]), Ok(Some(-719_162)));
        assert_eq!(
            datetime(&mut &[4, 1, 0, 1, 1][..]),
            Ok(Some(-62_135_596_800_000_000))
        );
        assert_eq!(
            datetime(&mut &[4, 0xE8, 3, 1, 1][..]),
            Ok(Some(-30_610_224_000_000_000))
        );
    }

    #[test]
    fn texts_are_what_mysql_writes() {
        let text = |write: &dyn Fn(&mut &[u8], &mut Vec<u8>), cells: &[u8]| {
            let mut out = Vec::new();
            write(&mut &cells[..], &mut out);
            String::from_utf8(out).expect("ASCII")
        };
        let date = |cells: &mut &[u8], out: &mut Vec<u8>| date_text(cells, out).expect("whole");
        assert_eq!(text(&date, &[0]), "0000-00-00");
        assert_eq!(text(&date, &[4, 0xE7, 7, 2, 31]), "2023-02-31");
        assert_eq!(text(&date, &[4, 0xE8, 7, 0, 0]), "2024-00-00");
        let moment =
            |cells: &mut &[u8], out: &mut Vec<u8>| datetime_text(cells, 3, out).expect("whole");
        assert_eq!(text(&moment, &[0]), "0000-00-00 00:00:00.000");
        let half = [11, 0xE8, 7, 2, 29, 1, 2, 3, 0x20, 0xA1, 7, 0];
        assert_eq!(text(&moment, &half), "2024-02-29 01:02:03.500");
        let span = |cells: &mut &[u8], out: &mut Vec<u8>| time_text(cells, 6, out).expect("whole");
        assert_eq!(
            text(
                &span,
                &[12, 1, 34, 0, 0, 0, 22, 59, 58, 0x3F, 0x42, 0x0F, 0]
            ),
            "-838:59:58.999999"
        );
        assert_eq!(text(&span, &[0]), "00:00:00.000000");
    }

    #[test]
    fn times_have_a_sign_and_go_beyond_a_day() {
        let longest = [12, 1, 34, 0, 0, 0, 22, 59, 59, 0x3F, 0x42, 0x0F, 0];
        assert_eq!(
            time(&mut &longest[..]),
            Ok(-(838 * 3600 + 59 * 60 + 59) * 1_000_000 - 999_999)
        );
        assert_eq!(time(&mut &[0][..]), Ok(0));
    }
}
