//! What crosses to a plugin and back is unchanged, value for value and null for null: random batches of every type of the contract, through a
//! plugin that the SDK made and wasmtime runs, as it is and with every value written anew.
//!
//! Arrays are compared by their bytes, so that -0.0 is not 0.0 and each NaN is the NaN that it was.

use std::path::Path;
use std::sync::OnceLock;

use arrow::array::*;
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::i256;
use proptest::prelude::*;

use super::*;

/// Columns of one batch, at most.
const COLUMNS: usize = 8;

/// Which rows of a column are null.
#[derive(Clone, Copy, Debug)]
pub(super) enum Nulls {
    None,
    All,
    Some,
    /// A bitmap without a null.
    Unused,
}

/// A column to be made: everything of it follows from this and the number of rows.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
    pub(super) data_type: DataType,
    pub(super) nulls: Nulls,
    /// Rows in front of and behind the slice that is sent.
    pub(super) before: usize,
    pub(super) behind: usize,
    pub(super) seed: u64,
}

fn data_type() -> impl Strategy<Value = DataType> {
    let zone = prop::sample::select(vec![
        None,
        Some("UTC"),
        Some("+02:00"),
        Some("Europe/Berlin"),
    ]);
    let decimal =
        |widest: u8| (1..=widest).prop_flat_map(|precision| (Just(precision), 0..=precision as i8));
    prop_oneof![
        14 => prop::sample::select(vec![
            DataType::Boolean,
            DataType::Int8,
            DataType::Int16,
            DataType::Int32,
            DataType::Int64,
            DataType::UInt8,
            DataType::UInt16,
            DataType::UInt32,
            DataType::UInt64,
            DataType::Float32,
            DataType::Float64,
            DataType::Date32,
            DataType::Time64(TimeUnit::Microsecond),
            DataType::Utf8,
            DataType::Binary,
            DataType::List(Arc::new(Field::new_list_field(DataType::Float32, false))),
        ]),
        1 => decimal(38).prop_map(|(precision, scale)| DataType::Decimal128(precision, scale)),
        1 => decimal(76).prop_map(|(precision, scale)| DataType::Decimal256(precision, scale)),
        1 => zone.prop_map(|zone| DataType::Timestamp(TimeUnit::Microsecond, zone.map(Arc::from))),
        1 => (1..40i32).prop_map(DataType::FixedSizeBinary),
    ]
}

fn recipe() -> impl Strategy<Value = Recipe> {
    let nulls = prop::sample::select(vec![Nulls::None, Nulls::Some, Nulls::All, Nulls::Unused]);
    (data_type(), nulls, 0..20usize, 0..10usize, any::<u64>()).prop_map(
        |(data_type, nulls, before, behind, seed)| Recipe {
            data_type,
            nulls,
            before,
            behind,
            seed,
        },
    )
}

/// The lengths at which a bitmap's last byte is full, nearly full and just begun, and some others.
fn rows() -> impl Strategy<Value = usize> {
    prop_oneof![
        prop::sample::select(vec![0, 1, 7, 8, 9, 63, 64, 65]),
        0..700usize
    ]
}

/// A number that has nothing in common with its neighbours (splitmix64).
pub(super) fn random(seed: u64, row: usize) -> u64 {
    let mut z = seed.wrapping_add((row as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Recipe {
    /// The slice of so many rows, of a longer array.
    pub(super) fn array(&self, rows: usize) -> ArrayRef {
        let all = self.before + rows + self.behind;
        self.whole(all).slice(self.before, rows)
    }

    fn is_null(&self, row: usize) -> bool {
        match self.nulls {
            Nulls::None | Nulls::Unused => false,
            Nulls::All => true,
            Nulls::Some => random(!self.seed, row).is_multiple_of(3),
        }
    }

    fn nulls(&self, rows: usize) -> Option<NullBuffer> {
        let valid = (0..rows).map(|row| !self.is_null(row));
        (!matches!(self.nulls, Nulls::None)).then(|| NullBuffer::new(valid.collect()))
    }

    /// What stands below a null is as random as any other value.
    fn whole(&self, rows: usize) -> ArrayRef {
        let nulls = self.nulls(rows);
        let number = |row| random(self.seed, row);
        macro_rules! numbers {
            ($array:ty, $value:expr) => {
                Arc::new(<$array>::new((0..rows).map($value).collect(), nulls))
            };
        }
        match &self.data_type {
            DataType::Boolean => {
                let bits: BooleanBuffer = (0..rows).map(|row| number(row) % 2 == 1).collect();
                Arc::new(BooleanArray::new(bits, nulls))
            }
            DataType::Int8 => numbers!(Int8Array, |row| number(row) as i8),
            DataType::Int16 => numbers!(Int16Array, |row| number(row) as i16),
            DataType::Int32 => numbers!(Int32Array, |row| number(row) as i32),
            DataType::Int64 => numbers!(Int64Array, |row| number(row) as i64),
            DataType::UInt8 => numbers!(UInt8Array, |row| number(row) as u8),
            DataType::UInt16 => numbers!(UInt16Array, |row| number(row) as u16),
            DataType::UInt32 => numbers!(UInt32Array, |row| number(row) as u32),
            DataType::UInt64 => numbers!(UInt64Array, number),
            DataType::Float32 => numbers!(Float32Array, |row| float32(number(row))),
            DataType::Float64 => numbers!(Float64Array, |row| float64(number(row))),
            DataType::Date32 => numbers!(Date32Array, |row| number(row) as i32),
            DataType::Time64(_) => {
                numbers!(Time64MicrosecondArray, |row| match self.is_null(row) {
                    true => number(row) as i64,
                    false => time(number(row)),
                })
            }
            DataType::Timestamp(_, zone) => {
                let instants = (0..rows).map(|row| number(row) as i64).collect();
                let array = TimestampMicrosecondArray::new(instants, nulls);
                Arc::new(array.with_timezone_opt(zone.clone()))
            }
            DataType::Decimal128(precision, _) => {
                let largest = 10i128.pow(u32::from(*precision)) - 1;
                let values = (0..rows).map(|row| decimal128(number(row), largest));
                let array = Decimal128Array::new(values.collect(), nulls);
                Arc::new(array.with_data_type(self.data_type.clone()))
            }
            DataType::Decimal256(precision, _) => {
                let largest = i256::from_i128(10)
                    .wrapping_pow(u32::from(*precision))
                    .wrapping_sub(i256::ONE);
                let values: Vec<i256> = (0..rows)
                    .map(|row| decimal256(number(row), largest))
                    .collect();
                let array = Decimal256Array::new(values.into(), nulls);
                Arc::new(array.with_data_type(self.data_type.clone()))
            }
            DataType::FixedSizeBinary(width) => {
                let bytes: Vec<u8> = (0..rows * *width as usize)
                    .map(|byte| number(byte) as u8)
                    .collect();
                let buffer = Buffer::from_vec(bytes);
                Arc::new(FixedSizeBinaryArray::new(*width, buffer, nulls))
            }
            DataType::Utf8 => {
                let texts: Vec<String> = (0..rows).map(|row| text(number(row))).collect();
                let offsets = OffsetBuffer::from_lengths(texts.iter().map(String::len));
                let bytes = Buffer::from_vec(texts.concat().into_bytes());
                Arc::new(StringArray::new(offsets, bytes, nulls))
            }
            DataType::Binary => {
                let values: Vec<Vec<u8>> = (0..rows)
                    .map(|row| {
                        number(row).to_le_bytes().repeat(row % 3)[row % 2 * (row % 3)..].to_vec()
                    })
                    .collect();
                let offsets = OffsetBuffer::from_lengths(values.iter().map(Vec::len));
                let bytes = Buffer::from_vec(values.concat());
                Arc::new(BinaryArray::new(offsets, bytes, nulls))
            }
            DataType::List(item) => {
                let lengths: Vec<usize> = (0..rows).map(|row| (number(row) % 5) as usize).collect();
                let offsets = OffsetBuffer::from_lengths(lengths.iter().copied());
                // The elements are a slice, too.
                let before = (self.seed % 11) as usize;
                let elements: ScalarBuffer<f32> = (0..before + lengths.iter().sum::<usize>())
                    .map(|element| float32(number(element)))
                    .collect();
                let elements = Float32Array::new(elements, None);
                let elements = elements.slice(before, elements.len() - before);
                Arc::new(ListArray::new(
                    item.clone(),
                    offsets,
                    Arc::new(elements),
                    nulls,
                ))
            }
            other => unreachable!("{other} is none of the contract's"),
        }
    }
}

/// Any bits at all, and the values that are none or more than one.
fn float32(random: u64) -> f32 {
    let odd = [
        f32::NAN,
        -f32::NAN,
        -0.0,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::MIN_POSITIVE / 2.0,
    ];
    match odd.get((random % 16) as usize) {
        Some(odd) => *odd,
        None => f32::from_bits((random >> 32) as u32),
    }
}

fn float64(random: u64) -> f64 {
    let odd = [
        f64::NAN,
        -f64::NAN,
        -0.0,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::MIN_POSITIVE / 2.0,
    ];
    match odd.get((random % 16) as usize) {
        Some(odd) => *odd,
        None => f64::from_bits(random.rotate_left(7)),
    }
}

/// All that a TIME can be: negative, and beyond a day.
fn time(random: u64) -> i64 {
    const LONGEST: i64 = 3_020_399_999_999;
    match random % 8 {
        0 => LONGEST,
        1 => -LONGEST,
        2 => -1,
        _ => (random >> 3) as i64 % LONGEST,
    }
}

fn decimal128(random: u64, largest: i128) -> i128 {
    match random % 8 {
        0 => largest,
        1 => -largest,
        2 => 0,
        _ => (i128::from(random as i64) * i128::from(random ^ 0x5555)) % (largest + 1),
    }
}

fn decimal256(random: u64, largest: i256) -> i256 {
    let number = i256::from_i128(decimal128(random >> 3, i128::MAX - 1));
    match random % 8 {
        0 => largest,
        1 => largest.wrapping_neg(),
        2 => i256::ZERO,
        _ => number.wrapping_mul(number).wrapping_rem(largest),
    }
}

fn text(random: u64) -> String {
    let word = ["", "a", "é", "日本", "tide \u{1F30A}", "\0", "\u{10FFFF}"][(random % 7) as usize];
    word.repeat((random >> 8) as usize % 4)
}

/// The plugin as `tidemill plugin build` makes it, and `tests/run` has it made.
fn passthrough() -> Arc<Plugin> {
    static PLUGIN: OnceLock<Arc<Plugin>> = OnceLock::new();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/plugins/passthrough.wasm");
    PLUGIN
        .get_or_init(|| {
            runtime().load(&path).unwrap_or_else(|error| {
                panic!("{error}; build it with `tidemill plugin build plugins/passthrough`")
            })
        })
        .clone()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn every_batch_comes_back_from_a_real_plugin_as_it_went_in(
        recipes in prop::collection::vec(recipe(), 1..=COLUMNS),
        lengths in prop::collection::vec(rows(), 1..4),
        copy in any::<bool>(),
    ) {
        let field = |(i, recipe): (usize, &Recipe)| {
            let nullable = !matches!(recipe.nulls, Nulls::None);
            Field::new(format!("c{i}"), recipe.data_type.clone(), nullable)
        };
        let fields: Vec<Field> = recipes.iter().enumerate().map(field).collect();
        let table = TableShape {
            database: "d".into(),
            name: "t".into(),
            schema: Arc::new(Schema::new(fields)),
            key: vec![],
        };
        let step = Step {
            limits: Limits { batch_deadline: Duration::from_secs(20), ..Limits::default() },
            ..Step::new(passthrough(), json!({ "copy": copy }))
        };
        let chain = Chain::bind(&runtime(), &table, &[step]).unwrap();
        prop_assert_eq!(chain.output().as_ref(), table.schema.as_ref());
        // One instance: what a batch left behind must not show in the next.
        let mut instance = chain.instance();
        for rows in lengths {
            let columns: Vec<ArrayRef> = recipes.iter().map(|recipe| recipe.array(rows)).collect();
            let batch = RecordBatch::try_new(table.schema.clone(), columns).unwrap();
            let applied = instance.apply(batch.clone(), &"1").unwrap();
            prop_assert_eq!(applied.batch.num_rows(), rows);
            for (sent, back) in batch.columns().iter().zip(applied.batch.columns()) {
                back.to_data().validate_full().unwrap();
                prop_assert_eq!(back.null_count(), sent.null_count());
                prop_assert!(back.to_data() == sent.to_data(), "{:?} came back as {:?}", sent, back);
            }
        }
    }
}

#[test]
fn equal_means_equal_bytes() {
    let floats = |value: f64| Float64Array::from(vec![value]).to_data();
    assert_ne!(floats(0.0), floats(-0.0));
    assert_eq!(floats(f64::NAN), floats(f64::NAN));
    assert_ne!(
        floats(f64::NAN),
        floats(f64::from_bits(f64::NAN.to_bits() | 1))
    );
}
