//! Dates and times as row images have them, turned into those of the client's protocol, which are decoded in one place.

/// A value as the client's protocol frames it: its length, then its parts.
pub(in crate::source::decode) type Framed = [u8; 13];

/// Bytes that the fraction of a second takes, which has this many digits.
pub(in crate::source::decode) fn fraction_bytes(digits: u8) -> usize {
    usize::from(digits.div_ceil(2))
}

/// A moment by its parts.
#[derive(Clone, Copy, Default)]
struct Moment {
    year: u16,
    month: u8,
    day: u8,
    hour: u8,
    minute: u8,
    second: u8,
    micros: u32,
}

impl Moment {
    #[inline]
    fn framed(self) -> Framed {
        let [y0, y1] = self.year.to_le_bytes();
        let [m0, m1, m2, m3] = self.micros.to_le_bytes();
        let Self {
            month, day, hour, ..
        } = self;
        let (minute, second) = (self.minute, self.second);
        [
            11, y0, y1, month, day, hour, minute, second, m0, m1, m2, m3, 0,
        ]
    }
}

#[inline]
fn big_endian(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |value, &byte| value << 8 | u64::from(byte))
}

#[inline]
fn little_endian(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |value, &byte| value << 8 | u64::from(byte))
}

/// Microseconds of a fraction that isn't negative: pairs of digits.
#[inline]
fn micros(bytes: &[u8]) -> u32 {
    let unit = [1_000_000, 10_000, 100, 1][bytes.len().min(3)];
    (big_endian(bytes) as u32).wrapping_mul(unit)
}

/// DATE: three bytes of day, month and year.
#[inline]
pub(in crate::source::decode) fn date(cell: &[u8]) -> Framed {
    let value = little_endian(cell) as u32;
    Moment {
        year: (value >> 9) as u16,
        month: (value >> 5 & 15) as u8,
        day: (value & 31) as u8,
        ..Moment::default()
    }
    .framed()
}

/// DATETIME: five bytes of parts, then the fraction.
#[inline]
pub(in crate::source::decode) fn datetime(cell: &[u8]) -> Framed {
    let (parts, fraction) = cell.split_at(cell.len().min(5));
    let value = big_endian(parts) & 0x7F_FFFF_FFFF;
    packed(value << 24 | u64::from(micros(fraction)))
}

/// The parts of a date and time in 64 bits, as JSON has them, too.
#[inline]
pub(super) fn packed(value: u64) -> Framed {
    let (day, clock) = (value >> 41, value >> 24 & 0x1_FFFF);
    let months = day >> 5;
    Moment {
        year: (months / 13) as u16,
        month: (months % 13) as u8,
        day: (day & 31) as u8,
        hour: (clock >> 12) as u8,
        minute: (clock >> 6 & 63) as u8,
        second: (clock & 63) as u8,
        micros: (value & 0xFF_FFFF) as u32,
    }
    .framed()
}

/// DATETIME without a fraction as tables of before MySQL 5.6 have it: digits of a number.
pub(in crate::source::decode) fn old_datetime(cell: &[u8]) -> Framed {
    let value = little_endian(cell);
    let (day, clock) = (value / 1_000_000, value % 1_000_000);
    Moment {
        year: (day / 10_000) as u16,
        month: (day / 100 % 100) as u8,
        day: (day % 100) as u8,
        hour: (clock / 10_000) as u8,
        minute: (clock / 100 % 100) as u8,
        second: (clock % 100) as u8,
        micros: 0,
    }
    .framed()
}

/// TIMESTAMP: four bytes of seconds since 1970, then the fraction.
#[inline]
pub(in crate::source::decode) fn timestamp(cell: &[u8]) -> Framed {
    let (seconds, fraction) = cell.split_at(cell.len().min(4));
    instant(big_endian(seconds) as u32, micros(fraction))
}

/// TIMESTAMP without a fraction as tables of before MySQL 5.6 have it.
pub(in crate::source::decode) fn old_timestamp(cell: &[u8]) -> Framed {
    instant(little_endian(cell) as u32, 0)
}

/// An instant in UTC; 0 is the date that is none.
#[inline]
fn instant(seconds: u32, micros: u32) -> Framed {
    if seconds == 0 && micros == 0 {
        return Moment::default().framed();
    }
    // Howard Hinnant's `civil_from_days`.
    let (days, clock) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    Moment {
        year: (year_of_era + era * 400 + u32::from(month <= 2)) as u16,
        month: month as u8,
        day: (day_of_year - (153 * shifted + 2) / 5 + 1) as u8,
        hour: (clock / 3_600) as u8,
        minute: (clock / 60 % 60) as u8,
        second: (clock % 60) as u8,
        micros,
    }
    .framed()
}

/// TIME: three bytes of parts, then the fraction, all of them one number that is moved up so that it has no sign.
#[inline]
pub(in crate::source::decode) fn time(cell: &[u8]) -> Framed {
    let bits = 8 * cell.len().clamp(1, 7) as u32;
    let value = (big_endian(cell) as i64).wrapping_sub(1i64 << (bits - 1));
    let (negative, value) = (value < 0, value.unsigned_abs());
    let fraction_bits = bits.saturating_sub(24);
    let unit = [1_000_000, 10_000, 100, 1][(fraction_bits / 8).min(3) as usize];
    let fraction = (value & ((1 << fraction_bits) - 1)) * unit;
    clock(negative, value >> fraction_bits, fraction as u32)
}

/// The parts of a time in 64 bits, as JSON has them.
pub(super) fn packed_time(value: i64) -> Framed {
    let (negative, value) = (value < 0, value.unsigned_abs());
    clock(negative, value >> 24, (value & 0xFF_FFFF) as u32)
}

#[inline]
fn clock(negative: bool, parts: u64, micros: u32) -> Framed {
    span(
        negative,
        parts >> 12 & 0x3FF,
        (parts >> 6 & 63) as u8,
        (parts & 63) as u8,
        micros,
    )
}

/// TIME without a fraction as tables of before MySQL 5.6 have it: digits of a signed number.
pub(in crate::source::decode) fn old_time(cell: &[u8]) -> Framed {
    let value = (little_endian(cell) as i64) << 40 >> 40;
    let (negative, value) = (value < 0, value.unsigned_abs());
    span(
        negative,
        value / 10_000,
        (value / 100 % 100) as u8,
        (value % 100) as u8,
        0,
    )
}

#[inline]
fn span(negative: bool, hours: u64, minute: u8, second: u8, micros: u32) -> Framed {
    let [d0, d1, d2, d3] = ((hours / 24) as u32).to_le_bytes();
    let [m0, m1, m2, m3] = micros.to_le_bytes();
    let hour = (hours % 24) as u8;
    [
        12,
        negative.into(),
        d0,
        d1,
        d2,
        d3,
        hour,
        minute,
        second,
        m0,
        m1,
        m2,
        m3,
    ]
}

#[cfg(test)]
mod tests {
    use super::super::super::temporal as protocol;
    use super::*;
    use proptest::prelude::*;

    fn date_text(framed: &Framed) -> String {
        let mut out = Vec::new();
        protocol::date_text(&mut &framed[..], &mut out).expect("whole");
        String::from_utf8(out).expect("ASCII")
    }

    fn text(framed: &Framed) -> String {
        let mut out = Vec::new();
        protocol::datetime_text(&mut &framed[..], 6, &mut out).expect("whole");
        String::from_utf8(out).expect("ASCII")
    }

    fn time_text(framed: &Framed) -> String {
        let mut out = Vec::new();
        protocol::time_text(&mut &framed[..], 6, &mut out).expect("whole");
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn dates_and_moments() {
        assert_eq!(date_text(&date(&[0x5D, 0xD0, 0x0F])), "2024-02-29");
        assert_eq!(date_text(&date(&[0, 0, 0])), "0000-00-00");
        let parts = ((2013u64 * 13 + 11) << 5 | 29) << 17 | 12 << 12 | 34 << 6 | 56;
        let whole = (parts | 0x80_0000_0000).to_be_bytes();
        assert_eq!(text(&datetime(&whole[3..])), "2013-11-29 12:34:56.000000");
        assert_eq!(
            text(&datetime(&[&whole[3..], &[1]].concat())),
            "2013-11-29 12:34:56.010000"
        );
        assert_eq!(
            text(&old_datetime(&20_240_229_123_456u64.to_le_bytes())),
            "2024-02-29 12:34:56.000000"
        );
        assert_eq!(text(&timestamp(&[0; 4])), "0000-00-00 00:00:00.000000");
        assert_eq!(
            text(&old_timestamp(&[1, 0, 0, 0])),
            "1970-01-01 00:00:01.000000"
        );
        assert_eq!(
            text(&timestamp(&[0x7F, 0xFF, 0xFF, 0xFF, 0x0F, 0x42, 0x3F])),
            "2038-01-19 03:14:07.999999"
        );
    }

    #[test]
    fn times_before_zero() {
        // MySQL's sources, mysys/my_time.cc: -00:00:01, -00:00:00.01 and -00:00:01.10.
        assert_eq!(time_text(&time(&[0x7F, 0xFF, 0xFF])), "-00:00:01.000000");
        assert_eq!(
            time_text(&time(&[0x7F, 0xFF, 0xFF, 0xFF])),
            "-00:00:00.010000"
        );
        assert_eq!(
            time_text(&time(&[0x7F, 0xFF, 0xFE, 0xF6])),
            "-00:00:01.100000"
        );
        let old = (-8_385_959i32).to_le_bytes();
        assert_eq!(time_text(&old_time(&old[..3])), "-838:59:59.000000");
    }

    proptest! {
        #[test]
        fn instants_agree_with_the_calendar(seconds in 1u32.., micros in 0u32..1_000_000) {
            let mut cell = seconds.to_be_bytes().to_vec();
            cell.extend_from_slice(&micros.to_be_bytes()[1..]);
            let framed = timestamp(&cell);
            prop_assert_eq!(protocol::datetime(&mut &framed[..]), Ok(Some(i64::from(seconds) * 1_000_000 + i64::from(micros))));
        }

        #[test]
        fn times_keep_their_sign(hours in 0i64..=838, minute in 0i64..60, second in 0i64..60, micros in 0i64..1_000_000, negative: bool) {
            let total = ((hours * 60 + minute) * 60 + second) * 1_000_000 + micros;
            let packed = (hours << 12 | minute << 6 | second) << 24 | micros;
            let (total, packed) = if negative { (-total, -packed) } else { (total, packed) };
            let cell = (packed + (1 << 47)).to_be_bytes();
            prop_assert_eq!(protocol::time(&mut &time(&cell[2..])[..]), Ok(total));
        }

        #[test]
        fn nothing_panics(cell in prop::collection::vec(any::<u8>(), 0..12)) {
            for unpack in [date, datetime, old_datetime, timestamp, old_timestamp, time, old_time] {
                let framed = unpack(&cell);
                let _ = (protocol::datetime(&mut &framed[..]), protocol::time(&mut &framed[..]));
            }
        }
    }
}
