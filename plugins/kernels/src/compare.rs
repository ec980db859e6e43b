//! Comparisons of columns, a bit a row, and SQL's three-valued logic of them.

use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer};

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Comparison {
    /// The same comparison with its sides exchanged.
    #[must_use]
    pub fn flipped(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
            same => same,
        }
    }

    /// Whether it holds.
    pub fn holds<T: PartialOrd>(self, left: T, right: T) -> bool {
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
        }
    }
}

/// For each row whether a condition is known to be true, and whether it is known to be false; neither where it is unknown.
#[derive(Clone, Debug)]
pub struct Truth {
    /// It is true.
    pub yes: BooleanBuffer,
    /// It is false.
    pub no: BooleanBuffer,
}

impl Truth {
    /// Known where there is a value.
    pub fn new(truth: BooleanBuffer, nulls: Option<&NullBuffer>) -> Self {
        match nulls {
            Some(known) => Self {
                yes: &truth & known.inner(),
                no: &!&truth & known.inner(),
            },
            None => Self {
                no: !&truth,
                yes: truth,
            },
        }
    }

    /// The same for all rows; none: unknown.
    pub fn constant(truth: Option<bool>, rows: usize) -> Self {
        let filled = |set| match set {
            true => BooleanBuffer::new_set(rows),
            false => BooleanBuffer::new_unset(rows),
        };
        Self {
            yes: filled(truth == Some(true)),
            no: filled(truth == Some(false)),
        }
    }

    /// Both.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self {
            yes: &self.yes & &other.yes,
            no: &self.no | &other.no,
        }
    }

    /// One of them.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        Self {
            yes: &self.yes | &other.yes,
            no: &self.no & &other.no,
        }
    }

    /// The opposite.
    #[must_use]
    pub fn negated(self) -> Self {
        Self {
            yes: self.no,
            no: self.yes,
        }
    }
}

/// Each value with one.
pub fn with_value<T: Copy + PartialOrd>(
    values: &[T],
    comparison: Comparison,
    value: T,
) -> BooleanBuffer {
    match comparison {
        Comparison::Equal => test(values, |other| other == value),
        Comparison::NotEqual => test(values, |other| other != value),
        Comparison::Less => test(values, |other| other < value),
        Comparison::LessOrEqual => test(values, |other| other <= value),
        Comparison::Greater => test(values, |other| other > value),
        Comparison::GreaterOrEqual => test(values, |other| other >= value),
    }
}

/// Each value with its counterpart.
pub fn with_column<T: Copy + PartialOrd>(
    left: &[T],
    comparison: Comparison,
    right: &[T],
) -> BooleanBuffer {
    BooleanBuffer::collect_bool(left.len().min(right.len()), |row| {
        comparison.holds(left[row], right[row])
    })
}

/// A bit for each value. Sixty-four at a time, in a form that compilers turn into vector instructions.
pub fn test<T: Copy>(values: &[T], test: impl Fn(T) -> bool) -> BooleanBuffer {
    let mut words: Vec<u64> = Vec::with_capacity(values.len().div_ceil(64));
    let (chunks, rest) = values.as_chunks::<64>();
    words.extend(chunks.iter().map(|chunk| word(chunk, &test)));
    if !rest.is_empty() {
        let bits = rest.iter().enumerate();
        words.push(bits.fold(0, |word, (i, &value)| word | u64::from(test(value)) << i));
    }
    BooleanBuffer::new(Buffer::from_vec(words), 0, values.len())
}

#[inline]
fn word<T: Copy>(chunk: &[T; 64], test: &impl Fn(T) -> bool) -> u64 {
    let flags = chunk.map(|value| u8::from(test(value)));
    let (eights, _) = flags.as_chunks::<8>();
    let mut word = 0;
    for (i, eight) in eights.iter().enumerate() {
        // The product's highest byte has the lowest bit of each of the eight bytes.
        let gathered = u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        word |= gathered << (8 * i);
    }
    word
}

/// A number whose order is that of doubles, where all zeros are equal and a NaN is the greatest.
#[inline]
pub fn double_key(value: f64) -> i64 {
    let bits = (value + 0.0).to_bits() as i64;
    bits ^ ((bits >> 63) as u64 >> 1) as i64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Comparison; 6] = [
        Comparison::Equal,
        Comparison::NotEqual,
        Comparison::Less,
        Comparison::LessOrEqual,
        Comparison::Greater,
        Comparison::GreaterOrEqual,
    ];

    proptest! {
        #[test]
        fn bits_are_what_each_value_says(values in prop::collection::vec(-3..3_i32, 0..200), value in -3..3_i32) {
            for comparison in ALL {
                let bits = with_value(&values, comparison, value);
                let one_by_one: Vec<bool> = values.iter().map(|&other| comparison.holds(other, value)).collect();
                prop_assert_eq!(bits.iter().collect::<Vec<_>>(), one_by_one);
            }
        }

        #[test]
        fn doubles_are_ordered_by_their_keys(a in any::<f64>(), b in any::<f64>()) {
            if let (false, false, Some(order)) = (a.is_nan(), b.is_nan(), a.partial_cmp(&b)) {
                prop_assert_eq!(double_key(a).cmp(&double_key(b)), order);
            }
        }
    }

    #[test]
    fn zeros_are_equal_and_nan_is_the_greatest() {
        assert_eq!(double_key(0.0), double_key(-0.0));
        assert!(double_key(f64::NAN) > double_key(f64::INFINITY));
        assert!(double_key(f64::NEG_INFINITY) < double_key(f64::MIN));
    }

    #[test]
    fn logic_has_three_values() {
        let column = |values: [Option<bool>; 3]| {
            let truth = values.iter().map(|value| value.unwrap_or(true)).collect();
            let known: BooleanBuffer = values.iter().map(Option::is_some).collect();
            Truth::new(truth, Some(&NullBuffer::new(known)))
        };
        let shown = |truth: Truth| {
            let both = truth.yes.iter().zip(truth.no.iter());
            both.map(|(yes, no)| match (yes, no) {
                (true, false) => '+',
                (false, true) => '-',
                (false, false) => '?',
                _ => '!',
            })
            .collect::<String>()
        };
        let (all, unknown) = ([Some(true), Some(false), None], [None; 3]);
        assert_eq!(shown(column(all).and(&column(unknown))), "?-?");
        assert_eq!(shown(column(all).or(&column(unknown))), "+??");
        assert_eq!(shown(column(all).negated()), "-+?");
        assert_eq!(shown(Truth::constant(None, 2)), "??");
        assert_eq!(shown(Truth::constant(Some(true), 1)), "+");
    }
}
