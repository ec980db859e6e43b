//! The same chunk, transformed on two hosts, twice on each, gives the same Arrow buffers, bit for bit: by every plugin that ships, and by one
//! that asks for the time and for random numbers.
//!
//! One host compiles the plugins and transforms chunk after chunk with one worker; the other takes the compiled code from the first one's
//! cache, and has a worker for each chunk, all of them at the same time.

use std::path::Path;

use arrow::array::{
    Array, ArrayData, Date32Array, Int32Array, StringArray, TimestampMicrosecondArray,
};

use super::boundary::{Nulls, Recipe, random};
use super::*;

const CHUNKS: u64 = 4;
const BATCHES: u64 = 3;
const ROWS: usize = 700;

/// A column of a table that has everything: random values of this type, some of them NULL.
fn any_of(data_type: DataType, seed: u64) -> ArrayRef {
    let recipe = Recipe {
        data_type,
        nulls: Nulls::Some,
        before: 3,
        behind: 2,
        seed,
    };
    recipe.array(ROWS)
}

/// One of these for each row, now and then NULL.
fn one_of<const N: usize>(seed: u64, values: [&str; N]) -> ArrayRef {
    let value = |row| {
        let random = random(seed, row) as usize;
        (!random.is_multiple_of(9)).then(|| values[random / 9 % N])
    };
    Arc::new((0..ROWS).map(value).collect::<StringArray>())
}

/// Moments from 1970 to 2034, now and then NULL.
fn moments(seed: u64) -> TimestampMicrosecondArray {
    let value = |row| {
        let random = random(seed, row);
        (!random.is_multiple_of(7)).then_some((random >> 14) as i64 * 2)
    };
    (0..ROWS).map(value).collect()
}

/// The columns of a batch: every type of the contract, and what the plugins have to do with.
fn columns(seed: u64) -> Vec<(&'static str, ArrayRef)> {
    let ids = (0..ROWS).map(|row| (seed as i64) << 16 | row as i64);
    let days = (0..ROWS).map(|row| Some((random(seed, row) % 40_000) as i32));
    let small = (0..ROWS).map(|row| Some((random(seed + 1, row) % 200) as i32 - 100));
    let floats = DataType::List(Arc::new(Field::new_list_field(DataType::Float32, false)));
    vec![
        ("id", Arc::new(ids.collect::<PrimitiveArray<Int64Type>>())),
        ("a", any_of(DataType::Int64, seed + 2)),
        ("flag", any_of(DataType::Boolean, seed + 3)),
        ("i8", any_of(DataType::Int8, seed + 4)),
        ("i16", any_of(DataType::Int16, seed + 5)),
        ("i32", any_of(DataType::Int32, seed + 6)),
        ("u8", any_of(DataType::UInt8, seed + 7)),
        ("u16", any_of(DataType::UInt16, seed + 8)),
        ("u32", any_of(DataType::UInt32, seed + 9)),
        ("u64", any_of(DataType::UInt64, seed + 10)),
        ("f32", any_of(DataType::Float32, seed + 11)),
        ("f64", any_of(DataType::Float64, seed + 12)),
        ("price", any_of(DataType::Decimal128(20, 4), seed + 13)),
        ("large", any_of(DataType::Decimal256(60, 10), seed + 14)),
        (
            "time",
            any_of(DataType::Time64(TimeUnit::Microsecond), seed + 15),
        ),
        ("text", any_of(DataType::Utf8, seed + 16)),
        ("bytes", any_of(DataType::Binary, seed + 17)),
        ("uuid", any_of(DataType::FixedSizeBinary(16), seed + 18)),
        ("vector", any_of(floats, seed + 19)),
        ("day", Arc::new(days.collect::<Date32Array>())),
        ("small", Arc::new(small.collect::<Int32Array>())),
        ("at", Arc::new(moments(seed + 20).with_timezone("UTC"))),
        ("wall", Arc::new(moments(seed + 21))),
        (
            "email",
            one_of(
                seed + 22,
                [
                    "ada@example.org",
                    "Zoë@bücher.example",
                    " 日本@例え.jp ",
                    "kein Alphabet",
                    "",
                ],
            ),
        ),
        (
            "phone",
            one_of(
                seed + 23,
                ["+49 (30) 1234-567", "0049 30 7654321", "телефон 42", "0"],
            ),
        ),
        ("country", one_of(seed + 24, ["DE", "JP", "ÅL", "XX"])),
        (
            "doc",
            one_of(
                seed + 25,
                [
                    r#"{"total": 12.5, "city": "Zürich", "tags": [1, "é"]}"#,
                    r#"{"total": "7.25", "city": null}"#,
                    r#"{"total": 1e400, "city": "\ud83c\udf0a"}"#,
                    r#"{"tags": []}"#,
                    "no JSON",
                ],
            ),
        ),
    ]
}

fn batch(chunk: u64, number: u64) -> RecordBatch {
    let (names, arrays): (Vec<_>, Vec<_>) =
        columns(chunk * 1000 + number * 100).into_iter().unzip();
    let field = |(name, array): (&&str, &ArrayRef)| {
        Field::new(*name, array.data_type().clone(), *name != "id")
    };
    let fields: Vec<Field> = names.iter().zip(&arrays).map(field).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

fn table() -> TableShape {
    TableShape {
        schema: batch(0, 0).schema(),
        ..numbers()
    }
}

/// The plugins that ship, each with something to do for all of its functions.
fn shipped() -> [(&'static str, serde_json::Value); 9] {
    [
        ("passthrough", json!({ "copy": true })),
        (
            "mask",
            json!({ "key": "a long secret", "columns": [
            { "column": "email", "method": "hash", "length": 24 },
            { "column": "u64", "method": "hash" },
            { "column": "bytes", "method": "hash" },
            { "column": "phone", "method": "reveal", "first": 1, "last": 3 },
            { "column": "text", "method": "truncate", "length": 2 },
            { "column": "doc", "method": "redact", "text": "***" },
            { "column": "f64", "method": "redact" },
        ] }),
        ),
        (
            "filter",
            json!({ "where": "f64 > 0 or f32 < -1e10 or text like '%é%' or i16 between -500 and 500 or price >= 12.25 or at < '1999-12-31 23:59:59'" }),
        ),
        (
            "columns",
            json!({
                "drop": ["uuid"],
                "rename": { "text": "words" },
                "cast": { "small": "int8", "price": "string", "at": "string", "f32": "float64" },
                "constant": { "region": "åland", "batch": { "value": 7, "type": "uint8" } },
                "concat": { "label": { "columns": ["email", "country"], "separator": " → " } },
            }),
        ),
        (
            "json",
            json!({ "column": "doc", "extract": {
            "total": { "path": "$.total", "type": "decimal(12, 2)", "mismatch": "null" },
            "amount": { "path": "$.total", "type": "float64", "mismatch": "null" },
            "city": { "path": "/city", "type": "string", "mismatch": "null" },
            "tags": { "path": "$.tags", "type": "string" },
        } }),
        ),
        (
            "expression",
            json!({ "columns": {
            "double": "price * 2",
            "share": "small / 7",
            "sum": "f64 + f32 * 3 - f64",
            "quotient": "f64 / f32",
            "size": "case when small >= 50 then 'large' when small > 0 then 'small' end",
            "mail": "concat_ws('·', upper(trim(email)), country)",
        } }),
        ),
        (
            "regex",
            json!({
                "replace": [{ "column": "phone", "pattern": "[^0-9+]", "with": "" }],
                "extract": [{ "column": "email", "pattern": "^\\s*([^@]+)@(?<host>\\w+)", "into": { "1": "mailbox", "host": "mail_host" } }],
            }),
        ),
        (
            "datetime",
            json!({ "columns": [
            { "method": "zone", "column": "at", "to": "Europe/Berlin", "into": "local" },
            { "method": "zone", "column": "wall", "from": "America/New_York", "to": "UTC", "into": "utc" },
            { "method": "truncate", "column": "day", "unit": "week" },
            { "method": "part", "column": "at", "part": "weekday", "into": "weekday" },
        ] }),
        ),
        (
            "lookup",
            json!({
                "table": "countries",
                "on": { "country": "code" },
                "columns": { "name": "country_name", "vat": "vat" },
                "tables": { "countries": {
                    "columns": [{ "name": "code", "type": "utf8" }, { "name": "name", "type": "utf8" }, { "name": "vat", "type": "decimal128(10, 2)" }],
                    "rows": [["DE", "Germany", "19.00"], ["JP", "日本", "10.00"], ["ÅL", "Åland", null]],
                } },
            }),
        ),
    ]
}

/// Writes what it is given of time and chance into the first rows of its column.
fn clock_and_random() -> Script {
    let sources = [
        ("random/random", "get-random-u64"),
        ("random/insecure", "get-insecure-random-u64"),
        ("clocks/monotonic-clock", "now"),
    ];
    let imports = sources.map(|(interface, name)| {
        format!(r#"(import "wasi:{interface}@0.2.0" "{name}" (func ${name} (result i64)))"#)
    });
    let pointers = r#"
        (import "wasi:clocks/wall-clock@0.2.0" "now" (func $wall (param i32)))
        (import "wasi:random/insecure-seed@0.2.0" "insecure-seed" (func $seed (param i32)))"#;
    let data = "(i32.load offset=20 (local.get 1))";
    let numbers = sources.iter().enumerate().map(|(row, (_, name))| {
        let at = row * 8;
        format!("(i64.store offset={at} {data} (call ${name}))")
    });
    let rest = format!(
        "(call $wall (i32.const 0)) (i64.store offset=24 {data} (i64.load (i32.const 0)))
         (call $seed (i32.const 0)) (i64.store offset=32 {data} (i64.load (i32.const 8)))
         (i64.store offset=40 {data} (call $get-random-u64))"
    );
    let code = numbers.collect::<String>() + &rest;
    Script {
        reads: vec![1],
        output: vec![
            Out::Pass(0, None),
            Out::Computed("a".into(), 4, vec![], true),
        ],
        imports: imports.concat() + pointers,
        before: [String::new(), String::new(), code],
        process: Answer::Echo,
        ..Script::default()
    }
}

/// A transformed batch, as what lies in memory: each column's type, lengths, validity, offsets and values, and what became of the other rows.
#[derive(Debug, PartialEq, Eq)]
struct Bits {
    columns: Vec<(String, Vec<Vec<u8>>)>,
    origins: Vec<usize>,
    rejected: Vec<Rejected>,
}

impl Bits {
    fn of(applied: Applied) -> Self {
        let schema = applied.batch.schema();
        let column = |(field, array): (&Arc<Field>, &ArrayRef)| {
            let mut buffers = Vec::new();
            buffers_of(&array.to_data(), &mut buffers);
            (field.to_string(), buffers)
        };
        let columns = schema.fields().iter().zip(applied.batch.columns());
        Self {
            columns: columns.map(column).collect(),
            origins: applied.origins(),
            rejected: applied.rejected,
        }
    }
}

fn buffers_of(data: &ArrayData, into: &mut Vec<Vec<u8>>) {
    into.push([data.len(), data.offset()].map(usize::to_le_bytes).concat());
    if let Some(nulls) = data.nulls() {
        into.push(nulls.offset().to_le_bytes().to_vec());
        into.push(nulls.validity().to_vec());
    }
    into.extend(
        data.buffers()
            .iter()
            .map(|buffer| buffer.as_slice().to_vec()),
    );
    for child in data.child_data() {
        buffers_of(child, into);
    }
}

/// The batches of a chunk, one after the other, by one worker.
fn transformed(chain: &Chain, chunk: u64) -> Vec<Bits> {
    let mut instance = chain.instance();
    let apply = |number| {
        let batch = batch(chunk, number).project(chain.input_columns()).unwrap();
        Bits::of(instance.apply(batch, &chunk).unwrap())
    };
    (0..BATCHES).map(apply).collect()
}

/// A chain of this plugin alone, on this host.
fn chain(host: &Runtime, file: &Path, config: &serde_json::Value) -> Chain {
    let step = Step::new(host.load(file).unwrap(), config.clone());
    let chain = Chain::bind(host, &table(), &[step]).unwrap();
    let origin = Origin {
        started: "2026-03-01T12:00:00Z".parse().unwrap(),
        seed: 7,
    };
    chain.begin(origin, &[]);
    chain
}

#[test]
fn a_chunk_comes_out_the_same_on_every_host() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("compiled");
    let host = |max_instances, compile_deadline| {
        Runtime::new(RuntimeSettings {
            cache_dir: Some(cache.clone()),
            max_instances,
            compile_deadline,
            ..RuntimeSettings::default()
        })
        .unwrap()
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/plugins");
    let mut plugins: Vec<_> = shipped()
        .map(|(name, config)| (folder.join(format!("{name}.wasm")), config))
        .into();
    plugins.push((clock_and_random().write(&dir), json!({})));
    let first = host(1, Duration::from_secs(120));
    // There is no time to compile anything: all of it comes from the cache.
    let second = host(CHUNKS as u32, Duration::ZERO);
    for (file, config) in &plugins {
        assert!(file.exists(), "`tidemill plugin build` makes {file:?}");
        let expected: Vec<_> = {
            let chain = chain(&first, file, config);
            (0..CHUNKS)
                .map(|chunk| transformed(&chain, chunk))
                .collect()
        };
        assert_did_something(file, &expected);
        for _ in 0..2 {
            let alone = chain(&first, file, config);
            let abreast = chain(&second, file, config);
            std::thread::scope(|scope| {
                for chunk in (0..CHUNKS).rev() {
                    let (abreast, expected) = (&abreast, &expected[chunk as usize]);
                    scope.spawn(move || {
                        assert!(
                            transformed(abreast, chunk) == *expected,
                            "{file:?}, chunk {chunk}, on the second host"
                        )
                    });
                }
            });
            for chunk in (0..CHUNKS).rev() {
                assert!(
                    transformed(&alone, chunk) == expected[chunk as usize],
                    "{file:?}, chunk {chunk}, on the first host"
                );
            }
        }
    }
    assert_eq!(std::fs::read_dir(&cache).unwrap().count(), plugins.len());
}

/// What is compared isn't nothing: rows are left, and chunks differ from each other.
fn assert_did_something(file: &Path, chunks: &[Vec<Bits>]) {
    for chunk in chunks {
        let left: usize = chunk.iter().map(|bits| bits.origins.len()).sum();
        assert!(
            left > ROWS,
            "{file:?}: {left} rows are left; {:?}",
            chunk[0].rejected.first()
        );
    }
    assert!(
        chunks[0] != chunks[1] && chunks[0][0] != chunks[0][1],
        "{file:?}"
    );
}
