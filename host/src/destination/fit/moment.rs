//! Wall clocks, instants and times: a zone, digits of the fraction, and a range.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray};
use arrow::datatypes::{
    DataType, Int32Type, Int64Type, Time64MicrosecondType, TimeUnit, TimestampMicrosecondType,
    UInt32Type,
};

use super::super::zones::{Zone, Zones, is_utc};
use super::convert::{Converted, mapped};
use crate::schema::ClickHouseType;

const MICROS: i64 = 1_000_000;
/// The wall clocks that ClickHouse's tables of zones hold: 1900-01-01 to 2299-12-31, in microseconds.
const ZONED: (i64, i64) = (-2_208_988_800 * MICROS, 10_413_792_000 * MICROS - 1);
/// What `Time` and `Time64` hold: 999 hours.
const LONGEST_TIME: i64 = 1000 * 3600 * MICROS - 1;

/// Timestamps of microseconds to `DateTime64` and `DateTime`.
#[derive(Debug)]
pub(super) struct Moments {
    /// The zone of a wall clock; none for an instant, and for UTC, whose wall clock is the instant's.
    zone: Option<Arc<Zone>>,
    /// Microseconds of the last digit that is kept.
    step: i64,
    /// The range of the instant, in microseconds of UTC.
    range: (i64, i64),
    /// Sent as seconds: `DateTime`.
    seconds: bool,
}

impl Moments {
    /// `digits`: the most that the fraction of a value has.
    pub(super) fn of(
        from: &DataType,
        to: &ClickHouseType,
        digits: u8,
        zones: &Zones,
    ) -> Option<Self> {
        let DataType::Timestamp(TimeUnit::Microsecond, instant) = from else {
            return None;
        };
        let (fraction, zone, seconds) = match to {
            ClickHouseType::DateTime { zone } => (0, zone, true),
            ClickHouseType::DateTime64 { fraction, zone } => (*fraction, zone, false),
            _ => return None,
        };
        let zone = (instant.is_none() && !is_utc(zone)).then(|| zones.get(zone));
        // More digits than the source's six are zeros, which take room in the 64 bits.
        let zeros = 10_i64.pow(u32::from(fraction.saturating_sub(6)));
        let range = match seconds {
            true => (0, i64::from(u32::MAX) * MICROS + MICROS - 1),
            false => (i64::MIN / zeros, i64::MAX / zeros),
        };
        Some(Self {
            zone,
            step: step(fraction, digits),
            range,
            seconds,
        })
    }

    pub(super) fn wire(&self) -> DataType {
        match self.seconds {
            true => DataType::UInt32,
            false => DataType::Timestamp(TimeUnit::Microsecond, None),
        }
    }

    /// Whether a time may be outside.
    pub(super) fn is_partial(&self) -> bool {
        self.zone.is_some() || self.seconds || self.step > 1 || self.range.0 > i64::MIN
    }

    pub(super) fn convert(&self, array: &ArrayRef, clamp: bool) -> Converted {
        let times = array.as_primitive::<TimestampMicrosecondType>();
        if !self.is_partial() {
            let plain = times.clone().with_timezone_opt(None::<Arc<str>>);
            return Converted {
                array: Arc::new(plain),
                outside: Vec::new(),
            };
        }
        if self.seconds {
            let seconds = |micros| {
                let micros = self.moment(micros, clamp)?;
                u32::try_from(micros.div_euclid(MICROS)).ok()
            };
            let (array, outside) = mapped::<_, UInt32Type>(times, seconds);
            return Converted {
                array: Arc::new(array),
                outside,
            };
        }
        let (array, outside) =
            mapped::<_, TimestampMicrosecondType>(times, |micros| self.moment(micros, clamp));
        Converted {
            array: Arc::new(array),
            outside,
        }
    }

    /// The instant, in microseconds of UTC; none if it is outside.
    fn moment(&self, micros: i64, clamp: bool) -> Option<i64> {
        let cut = micros.div_euclid(self.step) * self.step;
        if cut != micros && !clamp {
            return None;
        }
        let instant = match &self.zone {
            None => cut,
            Some(zone) => zone.instant(within(cut, ZONED, self.step, clamp)?, clamp)?,
        };
        within(instant, self.range, self.step, clamp)
    }
}

/// Microseconds of the last digit that is kept; 1 where none is lost.
fn step(kept: u8, digits: u8) -> i64 {
    match kept >= digits {
        true => 1,
        false => 10_i64.pow(6_u32.saturating_sub(u32::from(kept))),
    }
}

fn within(micros: i64, (least, greatest): (i64, i64), step: i64, clamp: bool) -> Option<i64> {
    match (least..=greatest).contains(&micros) {
        true => Some(micros),
        false if clamp => {
            let nearest = micros.clamp(least, greatest);
            // The last of the range that has no more digits than are kept.
            Some(nearest.div_euclid(step) * step)
        }
        false => None,
    }
}

/// Times of microseconds to `Time64`, `Time` and `Int64`.
#[derive(Debug)]
pub(super) struct Times {
    step: i64,
    unit: Unit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// `Time64`.
    Time,
    /// `Time`.
    Seconds,
    /// `Int64`.
    Microseconds,
}

impl Times {
    /// A number of microseconds, which holds every time.
    pub(super) fn microseconds() -> Self {
        Self {
            step: 1,
            unit: Unit::Microseconds,
        }
    }

    /// Whole seconds.
    pub(super) fn seconds(from: &DataType) -> Option<Self> {
        matches!(from, DataType::Time64(TimeUnit::Microsecond)).then_some(Self {
            step: MICROS,
            unit: Unit::Seconds,
        })
    }

    /// So many digits of the fraction.
    pub(super) fn fraction(from: &DataType, fraction: u8, digits: u8) -> Option<Self> {
        matches!(from, DataType::Time64(TimeUnit::Microsecond)).then(|| Self {
            step: step(fraction, digits),
            unit: Unit::Time,
        })
    }

    pub(super) fn wire(&self) -> DataType {
        match self.unit {
            Unit::Time => DataType::Time64(TimeUnit::Microsecond),
            Unit::Seconds => DataType::Int32,
            Unit::Microseconds => DataType::Int64,
        }
    }

    pub(super) fn is_partial(&self) -> bool {
        self.unit != Unit::Microseconds
    }

    pub(super) fn convert(&self, array: &ArrayRef, clamp: bool) -> Converted {
        let times = array.as_primitive::<Time64MicrosecondType>();
        let whole = |array: ArrayRef| Converted {
            array,
            outside: Vec::new(),
        };
        match self.unit {
            Unit::Microseconds => whole(Arc::new(PrimitiveArray::<Int64Type>::new(
                times.values().clone(),
                times.nulls().cloned(),
            ))),
            Unit::Seconds => {
                let seconds = |micros| i32::try_from(self.time(micros, clamp)? / MICROS).ok();
                let (array, outside) = mapped::<_, Int32Type>(times, seconds);
                Converted {
                    array: Arc::new(array),
                    outside,
                }
            }
            Unit::Time => {
                let fits = |micros| self.time(micros, false) == Some(micros);
                if times.iter().flatten().all(fits) {
                    return whole(array.clone());
                }
                let (array, outside) =
                    mapped::<_, Time64MicrosecondType>(times, |micros| self.time(micros, clamp));
                Converted {
                    array: Arc::new(array),
                    outside,
                }
            }
        }
    }

    /// The time with no more digits than are kept: the nearest towards zero.
    fn time(&self, micros: i64, clamp: bool) -> Option<i64> {
        let cut = micros / self.step * self.step;
        let nearest = cut.clamp(
            -LONGEST_TIME / self.step * self.step,
            LONGEST_TIME / self.step * self.step,
        );
        (nearest == micros || clamp).then_some(nearest)
    }
}
