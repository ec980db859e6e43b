//! Every type of the contract, through a guest that gives back what it gets.

use arrow::array::*;
use arrow::datatypes::{Float32Type, i256};
use proptest::prelude::*;

use super::*;

/// Every type of the contract: its place in `data-type`, its payload there, and an array of it from some numbers.
fn every_type(seeds: &[Option<u32>]) -> Vec<(u8, Vec<u8>, ArrayRef)> {
    fn words(seed: u32) -> String {
        ["", "é", "tide", "mill \u{1F30A}"][seed as usize % 4].repeat(seed as usize % 3)
    }
    macro_rules! numbers {
        ($array:ty, $native:ty) => {
            Arc::new(
                seeds
                    .iter()
                    .map(|seed| seed.map(|seed| seed.wrapping_mul(2_654_435_761) as $native))
                    .collect::<$array>(),
            )
        };
    }
    let decimal128: Decimal128Array = seeds.iter().map(|seed| seed.map(i128::from)).collect();
    let decimal256: Decimal256Array = seeds
        .iter()
        .map(|seed| seed.map(|seed| i256::from_i128(-i128::from(seed))))
        .collect();
    let fixed = FixedSizeBinaryArray::try_from_sparse_iter_with_size(
        seeds.iter().map(|seed| seed.map(|seed| [seed as u8; 3])),
        3,
    )
    .unwrap();
    let mut lists = ListBuilder::new(Float32Builder::new())
        .with_field(Field::new_list_field(DataType::Float32, false));
    for seed in seeds {
        match seed {
            Some(seed) => lists.append_value((0..seed % 4).map(|n| Some(n as f32))),
            None => lists.append_null(),
        }
    }
    vec![
        (
            0,
            vec![],
            Arc::new(
                seeds
                    .iter()
                    .map(|seed| seed.map(|seed| seed % 2 == 1))
                    .collect::<BooleanArray>(),
            ),
        ),
        (1, vec![], numbers!(Int8Array, i8)),
        (2, vec![], numbers!(Int16Array, i16)),
        (3, vec![], numbers!(Int32Array, i32)),
        (4, vec![], numbers!(Int64Array, i64)),
        (5, vec![], numbers!(UInt8Array, u8)),
        (6, vec![], numbers!(UInt16Array, u16)),
        (7, vec![], numbers!(UInt32Array, u32)),
        (8, vec![], numbers!(UInt64Array, u64)),
        (9, vec![], numbers!(Float32Array, f32)),
        (10, vec![], numbers!(Float64Array, f64)),
        (
            11,
            vec![20, 2],
            Arc::new(decimal128.with_precision_and_scale(20, 2).unwrap()),
        ),
        (
            12,
            vec![65, 30],
            Arc::new(decimal256.with_precision_and_scale(65, 30).unwrap()),
        ),
        (13, vec![], numbers!(Date32Array, i32)),
        (
            14,
            vec![],
            Arc::new(
                seeds
                    .iter()
                    .map(|seed| seed.map(|seed| i64::from(seed) - 1_000_000))
                    .collect::<Time64MicrosecondArray>(),
            ),
        ),
        (15, vec![], numbers!(TimestampMicrosecondArray, i64)),
        (
            16,
            vec![],
            Arc::new(
                seeds
                    .iter()
                    .map(|seed| seed.map(words))
                    .collect::<StringArray>(),
            ),
        ),
        (
            17,
            vec![],
            Arc::new(
                seeds
                    .iter()
                    .map(|seed| seed.map(|seed| seed.to_le_bytes()[..seed as usize % 5].to_vec()))
                    .collect::<BinaryArray>(),
            ),
        ),
        (18, vec![3], Arc::new(fixed)),
        (19, vec![], Arc::new(lists.finish())),
    ]
}

#[test]
fn every_type_is_told_to_the_plugin_and_declared_by_it() {
    let columns = every_type(&[Some(1)]);
    assert!(
        columns
            .iter()
            .any(|(_, _, array)| array.data_type() == &DataType::Time64(TimeUnit::Microsecond))
    );
    assert_eq!(
        columns.iter().map(|(place, ..)| *place).collect::<Vec<_>>(),
        (0..20).collect::<Vec<_>>()
    );
    assert_eq!(
        columns[19]
            .2
            .as_list::<i32>()
            .value(0)
            .as_primitive::<Float32Type>()
            .values(),
        &[0.0]
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Every type, any length and nulls, any slice: what goes through a plugin that gives back what it gets comes out equal.
    #[test]
    fn what_goes_in_comes_out(
        seeds in proptest::collection::vec(proptest::option::weighted(0.8, any::<u32>()), 1..200),
        cut in (0.0f64..1.0, 0.0f64..1.0),
        with_nulls in any::<bool>(),
    ) {
        let seeds: Vec<Option<u32>> = seeds.into_iter().map(|seed| if with_nulls { seed } else { Some(seed.unwrap_or(3)) }).collect();
        let columns = every_type(&seeds);
        let names = (0..columns.len()).map(|n| format!("c{n}")).collect::<Vec<_>>();
        let fields = columns.iter().zip(&names).map(|((_, _, array), name)| Field::new(name, array.data_type().clone(), true)).collect::<Vec<_>>();
        let table = TableShape { database: "d".into(), name: "t".into(), schema: Arc::new(Schema::new(fields)), key: vec![] };
        let script = Script {
            name: "echo".into(),
            reads: (0..columns.len() as u32).collect(),
            output: columns.iter().zip(&names).map(|((place, payload, _), name)| Out::Computed(name.clone(), *place, payload.clone(), true)).collect(),
            process: Answer::Echo,
            ..Script::default()
        };
        static ECHO: std::sync::OnceLock<Step> = std::sync::OnceLock::new();
        let step = ECHO.get_or_init(|| step(&script)).clone();
        let chain = Chain::bind(&runtime(), &table, &[step]).unwrap();
        let batch = RecordBatch::try_new(table.schema.clone(), columns.into_iter().map(|(_, _, array)| array).collect()).unwrap();
        let offset = (cut.0 * seeds.len() as f64) as usize;
        let length = (cut.1 * (seeds.len() - offset + 1) as f64) as usize;
        let slice = batch.slice(offset, length);
        let applied = chain.instance().apply(slice.clone(), &"1").unwrap();
        prop_assert_eq!(&applied.batch, &slice);
        for column in applied.batch.columns() {
            column.to_data().validate_full().unwrap();
        }
    }
}
