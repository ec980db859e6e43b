use arrow::datatypes::IntervalUnit;
use proptest::prelude::*;

use super::super::contract::RawRejection;
use super::*;

fn field(data_type: DataType, nullable: bool) -> FieldRef {
    Arc::new(Field::new("c", data_type, nullable))
}

fn check(data_type: DataType, rows: usize, raw: RawColumn) -> Result<ArrayRef, String> {
    UntrustedColumn(raw).check(&field(data_type, true), rows)
}

fn le(values: &[i32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

fn text(offsets: &[i32], data: &[u8]) -> RawColumn {
    RawColumn {
        validity: None,
        offsets: le(offsets),
        data: data.to_vec(),
    }
}

fn data(data: &[u8]) -> RawColumn {
    RawColumn {
        data: data.to_vec(),
        ..RawColumn::default()
    }
}

#[test]
fn sound_columns_become_arrays() {
    let words = check(
        DataType::Utf8,
        3,
        RawColumn {
            validity: Some(vec![0b1111_1101]),
            ..text(&[0, 1, 1, 3], "aé".as_bytes())
        },
    )
    .unwrap();
    assert_eq!(
        words.as_string::<i32>().iter().collect::<Vec<_>>(),
        [Some("a"), None, Some("é")]
    );
    let bits = check(DataType::Boolean, 3, data(&[0b1111_1101])).unwrap();
    assert_eq!(
        bits.as_boolean(),
        &BooleanArray::from(vec![true, false, true])
    );
    let lists = check(
        DataType::List(Arc::new(Field::new_list_field(DataType::Float32, false))),
        2,
        text(&[0, 1, 2], &[0, 0, 128, 63, 0, 0, 0, 64]),
    )
    .unwrap();
    assert_eq!(
        lists
            .as_list::<i32>()
            .value(1)
            .as_primitive::<Float32Type>()
            .values(),
        &[2.0]
    );
    let zone = check(
        DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        1,
        data(&[0; 8]),
    )
    .unwrap();
    assert_eq!(
        zone.data_type(),
        &DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
    );
}

#[test]
fn data_that_no_offset_reaches_is_cut_off() {
    let words = check(DataType::Utf8, 1, text(&[0, 1], b"ab\xff")).unwrap();
    assert_eq!(words.as_string::<i32>().values().as_slice(), b"a");
    let list = check(
        DataType::List(Arc::new(Field::new_list_field(DataType::Float32, false))),
        1,
        text(&[0, 1], &[0; 12]),
    )
    .unwrap();
    assert_eq!(list.as_list::<i32>().values().len(), 1);
}

#[test]
fn lies_about_lengths_and_offsets_are_found() {
    let cases: &[(DataType, RawColumn, &str)] = &[
        (
            DataType::Int64,
            data(&[0; 15]),
            "has 15 bytes of data, and 2 values of 8 bytes don't take that many",
        ),
        (
            DataType::Int64,
            data(&[0; 24]),
            "has 24 bytes of data, and 2 values of 8 bytes don't take that many",
        ),
        (
            DataType::Int64,
            text(&[0, 1, 2], &[0; 16]),
            "has 12 bytes of offsets, and its type has none",
        ),
        (
            DataType::Boolean,
            data(&[]),
            "has a bitmap of values that has 0 bytes, and 2 rows take 1",
        ),
        (
            DataType::Boolean,
            data(&[0, 0]),
            "has a bitmap of values that has 2 bytes, and 2 rows take 1",
        ),
        (
            DataType::Utf8,
            text(&[0, 1], b"ab"),
            "has 8 bytes of offsets, and 2 rows take 3 offsets of 4 bytes",
        ),
        (
            DataType::Utf8,
            text(&[1, 1, 2], b"ab"),
            "has offsets that begin with 1 and not with 0",
        ),
        (
            DataType::Utf8,
            text(&[0, 2, 1], b"ab"),
            "has offsets that go backwards at row 1",
        ),
        (
            DataType::Utf8,
            text(&[0, -1, 2], b"ab"),
            "has offsets that go backwards at row 0",
        ),
        (
            DataType::Binary,
            text(&[0, 1, 3], b"ab"),
            "has offsets up to 3, and there are 2 bytes of data",
        ),
        (
            DataType::Utf8,
            text(&[0, 1, 2], "é".as_bytes()),
            "holds text that is not valid UTF-8",
        ),
        (
            DataType::Utf8,
            text(&[0, 1, 2], b"a\xff"),
            "holds text that is not valid UTF-8",
        ),
        (
            DataType::FixedSizeBinary(3),
            data(&[0; 7]),
            "has 7 bytes of data, and 2 values of 3 bytes don't take that many",
        ),
        (
            DataType::Int8,
            RawColumn {
                validity: Some(vec![]),
                ..data(&[0; 2])
            },
            "has a validity bitmap that has 0 bytes, and 2 rows take 1",
        ),
        (
            DataType::Interval(IntervalUnit::DayTime),
            data(&[0; 16]),
            "has the type Interval(DayTime), which a plugin can't compute",
        ),
    ];
    for (data_type, raw, reason) in cases {
        assert_eq!(
            check(data_type.clone(), 2, raw.clone()).unwrap_err(),
            *reason,
            "{data_type}"
        );
    }
}

#[test]
fn values_beyond_their_type_are_found() {
    let hundred = 100_i128.to_le_bytes();
    assert_eq!(
        check(DataType::Decimal128(2, 0), 1, data(&hundred)).unwrap_err(),
        "holds a decimal of more than 2 digits"
    );
    assert!(check(DataType::Decimal128(3, 2), 1, data(&hundred)).is_ok());
    assert!(check(DataType::Decimal256(76, 0), 1, data(&[0x7f; 32])).is_err());
    let time = |us: i64| {
        check(
            DataType::Time64(TimeUnit::Microsecond),
            1,
            data(&us.to_le_bytes()),
        )
    };
    assert!(time(-3_020_399_999_999).is_ok() && time(3_020_399_999_999).is_ok());
    assert_eq!(
        time(3_020_400_000_000).unwrap_err(),
        "holds a time beyond 838:59:59.999999 at row 0"
    );
    // Behind a null anything may stand.
    let null = RawColumn {
        validity: Some(vec![0]),
        ..data(&hundred)
    };
    assert!(check(DataType::Decimal128(2, 0), 1, null).is_ok());
}

#[test]
fn a_null_in_a_column_that_has_none_is_found() {
    let raw = RawColumn {
        validity: Some(vec![0b01]),
        ..data(&[0; 2])
    };
    assert_eq!(
        UntrustedColumn(raw)
            .check(&field(DataType::Int8, false), 2)
            .unwrap_err(),
        "has 1 nulls, and its binding declares it as never null"
    );
    let all_valid = RawColumn {
        validity: Some(vec![0b11]),
        ..data(&[0; 2])
    };
    assert!(
        UntrustedColumn(all_valid)
            .check(&field(DataType::Int8, false), 2)
            .unwrap()
            .nulls()
            .is_none()
    );
}

#[test]
fn an_answer_is_checked_as_a_whole() {
    let computed = [field(DataType::Int8, false)];
    let check = |raw: RawOutput, filters| UntrustedOutput::new(raw).check(&computed, filters, 9);
    let columns = || vec![data(&[0; 9])];
    let keep = |bytes: &[u8]| RawOutput {
        columns: columns(),
        keep: Some(bytes.to_vec()),
        rejected: vec![],
    };
    let reject = |rows: &[u32]| RawOutput {
        columns: columns(),
        keep: None,
        rejected: rows
            .iter()
            .map(|&row| RawRejection {
                row,
                reason: "why".into(),
            })
            .collect(),
    };
    let cases = [
        (
            RawOutput::default(),
            "it returned 0 columns, and its binding declares 1 as computed",
        ),
        (
            keep(&[0]),
            "the bitmap of rows to keep has 1 bytes, and 9 rows take 2",
        ),
        (reject(&[9]), "it rejected row 9 of a batch of 9"),
        (reject(&[3, 3]), "it rejected row 3 twice"),
        (reject(&[0; 10]), "it rejected 10 rows of a batch of 9"),
    ];
    for (raw, reason) in cases {
        assert_eq!(check(raw, true).unwrap_err(), reason);
    }
    assert!(
        check(keep(&[0xff, 0xff]), false)
            .unwrap_err()
            .contains("doesn't filter")
    );
    let output = check(keep(&[0xff, 0xff]), true).unwrap();
    assert_eq!(output.keep.unwrap().count_set_bits(), 9);
    assert_eq!(
        check(reject(&[8, 0]), false).unwrap().rejected,
        [(8, "why".to_owned()), (0, "why".to_owned())]
    );
}

proptest! {
    /// Whatever bytes come, the answer is an array that Arrow's full validation accepts, or an error; never a panic.
    #[test]
    fn any_bytes_end_in_a_valid_array_or_an_error(
        rows in 0usize..20,
        validity in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..4)),
        offsets in proptest::collection::vec(-1i32..12, 0..22),
        ragged in 0usize..3,
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        kind in 0usize..9,
        nullable in any::<bool>(),
    ) {
        let data_type = [
            DataType::Boolean, DataType::Int32, DataType::Decimal128(5, 2), DataType::Decimal256(50, 3), DataType::Time64(TimeUnit::Microsecond),
            DataType::Utf8, DataType::Binary, DataType::FixedSizeBinary(5), DataType::List(Arc::new(Field::new_list_field(DataType::Float32, false))),
        ][kind].clone();
        let mut offsets = le(&offsets);
        offsets.truncate(offsets.len().saturating_sub(ragged));
        let raw = RawColumn { validity, offsets, data: bytes };
        if let Ok(array) = UntrustedColumn(raw).check(&field(data_type.clone(), nullable), rows) {
            prop_assert_eq!(array.len(), rows);
            prop_assert_eq!(array.data_type(), &data_type);
            prop_assert!(nullable || array.null_count() == 0);
            array.to_data().validate_full().unwrap();
        }
    }

    /// Text of the right shape: accepted exactly if Arrow would accept it.
    #[test]
    fn text_is_accepted_exactly_if_it_is_sound(lengths in proptest::collection::vec(0usize..5, 1..9), bytes in proptest::collection::vec(prop_oneof![Just(b'a'), Just(0xc3), Just(0xa9)], 0..40)) {
        let mut offsets = vec![0i32];
        offsets.extend(lengths.iter().scan(0i32, |sum, length| { *sum += *length as i32; Some(*sum) }));
        let reachable = bytes.get(..offsets[lengths.len()] as usize);
        let sound = reachable.and_then(|bytes| std::str::from_utf8(bytes).ok()).is_some_and(|all| offsets.iter().all(|&offset| all.is_char_boundary(offset as usize)));
        prop_assert_eq!(check(DataType::Utf8, lengths.len(), text(&offsets, &bytes)).is_ok(), sound);
    }
}
