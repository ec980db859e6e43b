//! Every type of the contract, through the helpers of Python and JavaScript in the real host: what goes in comes out. In C, those with parameters are made.

use super::{Author, verdict};

const COLUMNS: &str = r#"["id: int64", "b: boolean?", "i8: int8?", "i16: int16?", "i32: int32?", "u8: uint8?", "u16: uint16?", "u32: uint32?", "u64: uint64?",
    "f32: float32?", "f64: float64?", "d: decimal128(38, 10)?", "wide: decimal256(65, 30)?", "day: date32?", "time: time64-us?", "wall: timestamp-us?",
    "at: timestamp-us(UTC)?", "text: utf8?", "bytes: binary?", "uuid: fixed-binary(2)?", "list: float32-list?"]"#;

const ROWS: &str = r#"{"id": -9223372036854775808, "b": true, "i8": -128, "i16": -32768, "i32": -2147483648, "u8": 255, "u16": 65535, "u32": 4294967295, "u64": 18446744073709551615, "f32": 0.5, "f64": 0.1, "d": "-1234567890123456789012345678.0123456789", "wide": "-12345678901234567890123456789012345.000000000000000000000000000001", "day": "0001-01-01", "time": "-838:59:58.999999", "wall": "1000-01-01T00:00:00.000001", "at": "2026-01-02T03:04:05.000006Z", "text": "Zoë 日本 \"\\\n", "bytes": "00ff", "uuid": "0102", "list": [0.5, -2.0]}
{"id": 9223372036854775807, "b": null, "i8": null, "i16": null, "i32": null, "u8": null, "u16": null, "u32": null, "u64": null, "f32": "inf", "f64": "-inf", "d": null, "wide": null, "day": null, "time": null, "wall": null, "at": null, "text": null, "bytes": null, "uuid": null, "list": null}
{"id": 0, "b": false, "i8": 127, "i16": 0, "i32": 0, "u8": 0, "u16": 0, "u32": 0, "u64": 0, "f32": -0.0, "f64": 0.0, "d": "0.0000000001", "wide": "0.000000000000000000000000000000", "day": "9999-12-31", "time": "838:59:59", "wall": "9999-12-31T23:59:59.999999", "at": "1969-12-31T23:59:59.999999Z", "text": "", "bytes": "", "uuid": "ffff", "list": []}
"#;

fn passes_every_type(language: &str, file: &str, source: &str) {
    let author = Author::new(language);
    author.write(file, source);
    author.write("tests/rows.jsonl", ROWS);
    author.write("tests/expected.jsonl", ROWS);
    std::fs::remove_file(author.path().join("tests/expected.rejected.jsonl")).unwrap();
    author.write(
        "tidemill-plugin.toml",
        &format!(
            "name = \"tidy\"\nlanguage = \"{language}\"\n[[test]]\nname = \"types\"\ncolumns = {COLUMNS}\nkey = [\"id\"]\n\
             rows = \"tests/rows.jsonl\"\nexpected = \"tests/expected.jsonl\"\n"
        ),
    );
    let tested = author.json(&["plugin", "test"]);
    assert_eq!(verdict(&tested), "passed", "{tested:#?}");
}

#[test]
fn python_passes_every_type_on() {
    passes_every_type(
        "python",
        "src/plugin.py",
        r#"
import tidemill

class Plugin(tidemill.RowTransform):
    name = "every"

    def bind(self, table):
        names = [field.name for field in table.fields]
        return tidemill.Binding(table, reads=names, changes=names)

    def row(self, row):
        return row
"#,
    );
}

#[test]
fn javascript_passes_every_type_on() {
    passes_every_type(
        "javascript",
        "src/plugin.js",
        r#"
import { Binding, RowTransform } from "../sdk/tidemill.js";

export default class extends RowTransform {
  static plugin = { name: "every", version: "1.0.0", summary: "" };

  bind(table) {
    const names = table.fields.map((field) => field.name);
    return new Binding(table, { reads: names, changes: names });
  }

  row(row) {
    return row;
  }
}
"#,
    );
}

#[test]
fn c_reads_settings_of_each_kind_and_adds_columns_of_types_with_parameters() {
    let author = Author::new("c");
    author.write("src/plugin.c", include_str!("settings.c"));
    author.write("tests/one.jsonl", "{\"id\": 7}\n");
    let run = |config: &str| {
        author.json(&[
            "plugin",
            "test",
            "--input",
            "tests/one.jsonl",
            "--column",
            "id: int64",
            "--key",
            "id",
            "--config",
            config,
        ])
    };
    for (config, price, code) in [
        (
            r#"{"share": -1.25e-1, "factor": 250, "negative": false, "upper": true}"#,
            "17.50",
            "4141",
        ),
        (r#"{ "share" : -0.125 }"#, "-0.21", "6161"),
        (
            r#"{"negative": true, "factor": 2, "share": -0.125}"#,
            "-0.14",
            "6161",
        ),
    ] {
        let ran = run(config).ok();
        assert_eq!(
            ran.json["result"][0]["rows"][0],
            format!(
                r#"{{"id": 7, "price": "{price}", "code": "{code}", "at": "1970-01-01T00:00:00.000007Z", "copy": 7}}"#
            ),
            "{config}: {ran:#?}"
        );
    }
    let refused = run(r#"{"share": 1}"#);
    let reason = verdict(&refused)["failed"].as_str();
    let reason = reason.unwrap_or_else(|| panic!("{refused:#?}"));
    assert!(reason.contains("another `share`"), "{reason}");
}
