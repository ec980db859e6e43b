use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, FixedSizeBinaryArray, Float32Builder, ListBuilder, StringArray,
};
use arrow::datatypes::Field;

use super::*;
use crate::digest::Digest;

fn words(words: &[&str]) -> SchemaRef {
    let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
    columns(&words).unwrap()
}

fn every_type() -> SchemaRef {
    words(&[
        "b: boolean?",
        "i8: int8?",
        "i64: int64",
        "u64: uint64?",
        "f32: float32?",
        "f64: float64?",
        "d: decimal128(38, 10)?",
        "wide: decimal256(65, 30)?",
        "day: date32?",
        "time: time64-us?",
        "wall: timestamp-us?",
        "at: timestamp-us(UTC)?",
        "text: utf8?",
        "bytes: binary?",
        "uuid: fixed-binary(2)?",
        "list: float32-list?",
    ])
}

const LINES: &str = r#"{"b": true, "i8": -128, "i64": -9223372036854775808, "u64": 18446744073709551615, "f32": 0.5, "f64": 0.1, "d": "-1234567890123456789012345678.0123456789", "wide": "1.000000000000000000000000000001", "day": "2026-02-28", "time": "-838:59:58.999999", "wall": "1000-01-01T00:00:00.000001", "at": "2026-01-02T03:04:05Z", "text": "Zoë \"\\\n", "bytes": "00ff", "uuid": "0102", "list": [0.5, 2.0]}
{"b": null, "i8": null, "i64": 9223372036854775807, "u64": null, "f32": "NaN", "f64": "inf", "d": null, "wide": null, "day": null, "time": null, "wall": null, "at": null, "text": null, "bytes": null, "uuid": null, "list": null}
{"b": false, "i8": 127, "i64": 0, "u64": 0, "f32": -0.0, "f64": "-inf", "d": "0.0000000000", "wide": "0.000000000000000000000000000000", "day": "9999-12-31", "time": "00:00:00", "wall": "9999-12-31T23:59:59.999999", "at": "1970-01-01T00:00:00Z", "text": "", "bytes": "", "uuid": "ffff", "list": []}
"#;

#[test]
fn every_type_is_written_as_it_is_read_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let first = folder.path().join("rows.jsonl");
    std::fs::write(&first, LINES).unwrap();
    let schema = every_type();
    let batch = read(&first, Some(&schema)).unwrap();
    assert_eq!(batch.num_rows(), 3);
    assert_eq!(lines(&batch).join("\n") + "\n", LINES);
    for name in ["again.ndjson", "rows.csv", "rows.parquet", "rows.arrow"] {
        let path = folder.path().join(name);
        write(&path, &batch).unwrap();
        let again = read(&path, Some(&schema)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(lines(&again), lines(&batch), "{name}");
        if name.ends_with("parquet") || name.ends_with("arrow") {
            assert_eq!(
                read(&path, None).unwrap().schema(),
                schema,
                "{name} has its types itself"
            );
        }
    }
}

#[test]
fn an_error_names_the_line_and_the_column() {
    let folder = tempfile::tempdir().unwrap();
    let schema = words(&["id: int8", "at: time64-us?"]);
    for (name, text, line, reason) in [
        ("a.jsonl", "{\"id\": 1}\n\n{\"id\": 300}\n", Some(3), "id"),
        (
            "b.jsonl",
            "{\"id\": 1}\n{\"id\": 1,}\n",
            Some(2),
            "column 10",
        ),
        ("c.jsonl", "{\"id\": 1}\n{\"id\": null}\n", Some(2), "id"),
        ("d.jsonl", "{\"id\": 1, \"idd\": 2}\n", Some(1), "idd"),
        (
            "e.jsonl",
            "{\"id\": 1, \"at\": \"1:60:00\"}\n",
            Some(1),
            "at",
        ),
        ("f.csv", "id,at\n1,\nx,\n", Some(3), "id"),
        ("g.csv", "id,at\n1\n", Some(2), "fields"),
        ("h.csv", "id,other\n1,2\n", Some(2), "other"),
        ("i.parquet", "PAR", None, "Parquet"),
        ("j.txt", "", None, ".jsonl"),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let error = read(&path, Some(&schema)).unwrap_err();
        assert_eq!(error.line, line, "{error}");
        assert!(
            error.reason.contains(reason) && error.to_string().contains(name),
            "{error}"
        );
    }
}

#[test]
fn types_are_guessed_where_none_are_given() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.jsonl");
    std::fs::write(
        &path,
        "{\"id\": 1, \"ok\": true, \"price\": 1.5, \"name\": \"x\", \"none\": null}\n",
    )
    .unwrap();
    let fields: Vec<String> = read(&path, None)
        .unwrap()
        .schema()
        .fields()
        .iter()
        .map(|f| field_text(f))
        .collect();
    assert_eq!(
        fields,
        [
            "id: int64?",
            "ok: boolean?",
            "price: float64?",
            "name: utf8?",
            "none: utf8?"
        ]
    );
    std::fs::write(&path, "{\"id\": {\"a\": 1}}\n").unwrap();
    assert!(read(&path, None).unwrap_err().reason.contains("`id`"));
    let path = folder.path().join("rows.csv");
    std::fs::write(&path, "id,name\n1,x\n").unwrap();
    let fields: Vec<String> = read(&path, None)
        .unwrap()
        .schema()
        .fields()
        .iter()
        .map(|f| field_text(f))
        .collect();
    assert_eq!(fields, ["id: int64?", "name: utf8?"]);
}

#[test]
fn columns_are_written_in_words() {
    let schema = every_type();
    let texts: Vec<String> = schema
        .fields()
        .iter()
        .map(|field| field_text(field))
        .collect();
    assert_eq!(columns(&texts).unwrap(), schema);
    assert_eq!(
        words(&["a:b: timestamp-us(+02:00)?"]).field(0).name(),
        "a:b"
    );
    for wrong in [
        "id",
        "id: bigint",
        ": int8",
        "x: decimal128(39, 2)",
        "x: decimal128(4, 5)",
        "x: fixed-binary(0)",
        "x: utf8(3)",
    ] {
        let error = columns(&[wrong.to_owned()]).unwrap_err();
        assert!(
            error.contains(wrong) && error.contains("float32-list"),
            "{error}"
        );
    }
    assert!(
        columns(&["a: int8".to_owned(), "a: utf8".to_owned()])
            .unwrap_err()
            .contains("two columns")
    );
}

#[test]
fn other_types_of_arrow_become_the_nearest_of_the_contract() {
    let text = arrow::compute::cast(
        &StringArray::from(vec![Some("x"), None]),
        &arrow::datatypes::DataType::Utf8View,
    )
    .unwrap();
    let mut list = ListBuilder::new(Float32Builder::new());
    list.append_value([Some(1.0)]);
    list.append_null();
    let arrays: Vec<(Field, arrow::array::ArrayRef)> = vec![
        (Field::new("text", text.data_type().clone(), true), text),
        (
            Field::new("bytes", arrow::datatypes::DataType::Binary, true),
            Arc::new(BinaryArray::from(vec![Some(&b"x"[..]), None])),
        ),
        (
            Field::new(
                "fixed",
                arrow::datatypes::DataType::FixedSizeBinary(1),
                false,
            ),
            Arc::new(FixedSizeBinaryArray::try_from_iter([[1], [2]].into_iter()).unwrap()),
        ),
    ];
    let (fields, columns): (Vec<_>, Vec<_>) = arrays.into_iter().unzip();
    let batch =
        RecordBatch::try_new(Arc::new(arrow::datatypes::Schema::new(fields)), columns).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.arrow");
    write(&path, &batch).unwrap();
    let back = read(&path, None).unwrap();
    assert_eq!(
        lines(&back),
        [
            r#"{"text": "x", "bytes": "78", "fixed": "01"}"#,
            r#"{"text": null, "bytes": null, "fixed": "02"}"#
        ]
    );
}

fn reference(file: PathBuf, columns: &[&str], digest: Option<Digest>) -> Reference {
    let columns = (!columns.is_empty()).then(|| words(columns));
    Reference {
        name: "t".to_owned(),
        file,
        columns,
        digest,
    }
}

#[test]
fn a_reference_table_is_the_same_from_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("t.csv");
    // As a spreadsheet writes it, with the mark of its byte order.
    std::fs::write(&csv, "\u{feff}code,name,rate,n\n007,Zoë,19.50,-1\n,,,\n").unwrap();
    let expected = serde_json::json!({
        "columns": [
            { "name": "code", "type": "utf8" }, { "name": "name", "type": "utf8" },
            { "name": "rate", "type": "decimal128(5, 2)" }, { "name": "n", "type": "int64" },
        ],
        "rows": [["007", "Zoë", "19.50", -1], ["", "", null, null]],
    });
    let read = reference(csv.clone(), &["rate: decimal128(5, 2)"], None)
        .read()
        .unwrap();
    assert_eq!(read.table, expected);
    let schema = words(&[
        "code: utf8?",
        "name: utf8?",
        "rate: decimal128(5, 2)?",
        "n: int64?",
    ]);
    let batch = super::read(&csv, Some(&schema)).unwrap();
    for name in ["t.jsonl", "t.parquet", "t.arrow"] {
        let path = folder.path().join(name);
        write(&path, &batch).unwrap();
        let digest = Some(Digest::of(&std::fs::read(&path).unwrap()));
        let again = reference(path, &["rate: decimal128(5, 2)?"], digest);
        assert_eq!(again.read().unwrap().table, expected, "{name}");
    }
    let other = reference(csv, &[], Some(Digest::of(b"other")));
    assert!(
        other
            .read()
            .unwrap_err()
            .reason
            .contains("what is meant is sha256:d9298a10")
    );
}

#[test]
fn a_configuration_has_each_table_once() {
    let table = || ("t".to_owned(), serde_json::json!({}));
    let with = with_tables(serde_json::json!({ "a": 1 }), [table()]).unwrap();
    assert_eq!(with, serde_json::json!({ "a": 1, "tables": { "t": {} } }));
    assert_eq!(with_tables(with, [table()]), Err("t".to_owned()));
    assert_eq!(
        with_tables(serde_json::json!({}), []),
        Ok(serde_json::json!({}))
    );
}

/// What is wrong with a file as a reference table, and that it was found out soon.
#[track_caller]
fn refused(path: &Path) -> String {
    let begun = std::time::Instant::now();
    let file = Reference {
        name: "bomb".to_owned(),
        file: path.to_owned(),
        columns: None,
        digest: None,
    };
    let error = file.read().unwrap_err().to_string();
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    error
}

#[test]
fn small_files_of_endless_rows_are_no_reference_tables() {
    use arrow::array::{BooleanArray, DictionaryArray, Int8Array, NullArray};
    use arrow::ipc::writer::FileWriter;
    use parquet::arrow::ArrowWriter;
    use parquet::file::properties::WriterProperties;

    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let is_small = |name: &str| {
        let size = std::fs::metadata(path(name)).unwrap().len();
        assert!(size < 4 << 20, "{name}: {size}");
        path(name)
    };
    // A value is written once, however long it is.
    let dictionary = WriterProperties::builder()
        .set_dictionary_page_size_limit(16 << 20)
        .build();
    let parquet = |name: &str, array: ArrayRef, times: usize| {
        let batch = RecordBatch::try_from_iter_with_nullable([("a", array, true)]).unwrap();
        let file = std::fs::File::create(path(name)).unwrap();
        let mut writer =
            ArrowWriter::try_new(file, batch.schema(), Some(dictionary.clone())).unwrap();
        for _ in 0..times {
            writer.write(&batch).unwrap();
            writer.flush().unwrap();
        }
        writer.close().unwrap();
        is_small(name)
    };
    let arrow = |name: &str, array: ArrayRef| {
        let batch = RecordBatch::try_from_iter_with_nullable([("a", array, true)]).unwrap();
        let file = std::fs::File::create(path(name)).unwrap();
        let mut writer = FileWriter::try_new(file, batch.schema_ref()).unwrap();
        writer.write(&batch).unwrap();
        writer.finish().unwrap();
        is_small(name)
    };
    let text = |name: &str, text: String| {
        std::fs::write(path(name), text).unwrap();
        is_small(name)
    };
    // 2^26 rows, of which the file has the run lengths.
    let run = Arc::new(BooleanArray::new_null(1 << 24));
    let long = "x".repeat(1 << 20);
    let repeated = Arc::new(StringArray::from_iter_values(std::iter::repeat_n(
        &long, 1000,
    )));
    let keys = Int8Array::from(vec![0; 100_000]);
    let values = Arc::new(StringArray::from(vec![long.as_str()]));
    let one_value: DictionaryArray<_> = DictionaryArray::new(keys, values);
    for file in [
        parquet("runs.parquet", run, 4),
        parquet("value.parquet", repeated, 1),
        arrow("nothing.arrow", Arc::new(NullArray::new(1 << 31))),
        arrow("value.arrow", Arc::new(one_value)),
        text("name.csv", format!("{long}\n{}", "1\n".repeat(100_000))),
    ] {
        let error = refused(&file);
        assert!(
            error.contains("a reference table is a small one"),
            "{error}"
        );
    }
    let own_columns = (0..5000).map(|i| format!("{{\"a{i}\": 1}}\n")).collect();
    let error = refused(&text("columns.jsonl", own_columns));
    assert!(error.contains("5000 columns"), "{error}");
}
