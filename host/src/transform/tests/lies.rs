//! Answers that lie: about lengths, offsets, bitmaps, places in memory, and about what is text. Whatever is false is found before any of
//! it is used, and nothing of the batch goes on.

use super::*;

/// Passes the table on and computes one column of this type.
fn computing(data_type: u8, payload: &[u8], output: RawOutput) -> Script {
    Script {
        output: vec![
            Out::Pass(0, None),
            Out::Computed("x".into(), data_type, payload.to_vec(), true),
        ],
        ..answering(output)
    }
}

fn column(validity: Option<&[u8]>, offsets: &[i32], data: &[u8]) -> RawOutput {
    RawOutput {
        columns: vec![RawColumn {
            validity: validity.map(<[u8]>::to_vec),
            offsets: offsets.iter().flat_map(|o| o.to_le_bytes()).collect(),
            data: data.to_vec(),
        }],
        ..RawOutput::default()
    }
}

/// Places of types in the variant `data-type`.
const BOOLEAN: u8 = 0;
const INT8: u8 = 1;
const INT64: u8 = 4;
const UTF8: u8 = 16;
const BINARY: u8 = 17;
const FIXED: u8 = 18;
const LIST: u8 = 19;

#[test]
fn lengths_offsets_and_bitmaps_that_are_false_are_found() {
    let cases: [(u8, RawOutput, &str); 20] = [
        (
            INT8,
            column(Some(&[]), &[], &[1, 2, 3]),
            "a validity bitmap that has 0 bytes, and 3 rows take 1",
        ),
        (
            INT8,
            column(Some(&[7, 0]), &[], &[1, 2, 3]),
            "a validity bitmap that has 2 bytes, and 3 rows take 1",
        ),
        (
            INT8,
            column(None, &[], &[1, 2]),
            "2 bytes of data, and 3 values of 1 bytes",
        ),
        (
            INT8,
            column(None, &[], &[]),
            "0 bytes of data, and 3 values of 1 bytes",
        ),
        (
            INT8,
            column(None, &[0, 1, 2, 3], &[1, 2, 3]),
            "16 bytes of offsets, and its type has none",
        ),
        (
            INT64,
            column(None, &[], &[0; 23]),
            "23 bytes of data, and 3 values of 8 bytes",
        ),
        (
            INT64,
            column(None, &[], &[0; 32]),
            "32 bytes of data, and 3 values of 8 bytes",
        ),
        (
            BOOLEAN,
            column(None, &[], &[0; 3]),
            "a bitmap of values that has 3 bytes, and 3 rows take 1",
        ),
        (
            FIXED,
            column(None, &[], &[0; 14]),
            "14 bytes of data, and 3 values of 5 bytes",
        ),
        (
            UTF8,
            column(None, &[], b"abc"),
            "0 bytes of offsets, and 3 rows take 4 offsets",
        ),
        (
            UTF8,
            column(None, &[0, 1, 2], b"abc"),
            "12 bytes of offsets, and 3 rows take 4 offsets",
        ),
        (
            UTF8,
            column(None, &[0, 1, 2, 3, 3], b"abc"),
            "20 bytes of offsets, and 3 rows take 4 offsets",
        ),
        (
            UTF8,
            column(None, &[1, 1, 2, 3], b"abc"),
            "offsets that begin with 1",
        ),
        (
            UTF8,
            column(None, &[-1, 1, 2, 3], b"abc"),
            "offsets that begin with -1",
        ),
        (
            UTF8,
            column(None, &[0, 2, 1, 3], b"abc"),
            "offsets that go backwards at row 1",
        ),
        (
            BINARY,
            column(None, &[0, 1, i32::MIN, 3], b"abc"),
            "offsets that go backwards at row 1",
        ),
        (
            BINARY,
            column(None, &[0, 1, 2, i32::MAX], b"abc"),
            "offsets up to 2147483647, and there are 3 bytes of data",
        ),
        (
            BINARY,
            column(None, &[0, 1, 2, 4], b"abc"),
            "offsets up to 4, and there are 3 bytes of data",
        ),
        (
            LIST,
            column(None, &[0, 1, 1, 2], &[0; 7]),
            "7 bytes of data, and 1 values of 4 bytes",
        ),
        (
            LIST,
            column(None, &[0, 1, 1, 2], &[0; 4]),
            "offsets up to 2, and there are 1 elements of data",
        ),
    ];
    for (data_type, output, reason) in cases {
        let payload: &[u8] = if data_type == FIXED { &[5] } else { &[] };
        let script = computing(data_type, payload, output);
        let error = apply(&script, Limits::default()).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, TransformError::Breach { .. }), "{text}");
        assert!(
            text.contains("chunk 7: it broke the contract: the column `x` has ")
                && text.contains(reason),
            "{reason}: {text}"
        );
    }
}

#[test]
fn text_that_is_no_text_is_found() {
    let invalid: [(&[i32], &[u8]); 5] = [
        (&[0, 1, 2, 3], b"a\xffb"),
        // A character that is cut in two by an offset, or by the end.
        (&[0, 1, 2, 3], "aé".as_bytes()),
        (&[0, 1, 2, 3], b"ab\xc3"),
        // A surrogate, and an overlong slash.
        (&[0, 3, 3, 3], b"\xed\xa0\x80"),
        (&[0, 2, 2, 2], b"\xc0\xaf"),
    ];
    for (offsets, data) in invalid {
        let script = computing(UTF8, &[], column(None, offsets, data));
        let text = apply(&script, Limits::default()).unwrap_err().to_string();
        assert!(
            text.contains("the column `x` holds text that is not valid UTF-8"),
            "{data:?}: {text}"
        );
    }
}

#[test]
fn rows_that_are_kept_or_rejected_wrongly_are_found() {
    let keep = |bytes: &[u8]| RawOutput {
        keep: Some(bytes.to_vec()),
        ..three()
    };
    let reject = |rows: &[u32]| RawOutput {
        rejected: rows
            .iter()
            .map(|&row| RawRejection {
                row,
                reason: "why".into(),
            })
            .collect(),
        ..three()
    };
    let more = |columns| RawOutput { columns, ..three() };
    let cases = [
        (
            keep(&[]),
            "the bitmap of rows to keep has 0 bytes, and 3 rows take 1",
        ),
        (
            keep(&[7, 7]),
            "the bitmap of rows to keep has 2 bytes, and 3 rows take 1",
        ),
        (reject(&[3]), "it rejected row 3 of a batch of 3"),
        (
            reject(&[u32::MAX]),
            "it rejected row 4294967295 of a batch of 3",
        ),
        (reject(&[1, 1]), "it rejected row 1 twice"),
        (reject(&[0, 1, 2, 0]), "it rejected 4 rows of a batch of 3"),
        (
            more(vec![]),
            "it returned 0 columns, and its binding declares 1",
        ),
        (
            more(vec![RawColumn::default(); 2]),
            "it returned 2 columns, and its binding declares 1",
        ),
    ];
    for (output, reason) in cases {
        let error = apply(&answering(output), Limits::default()).unwrap_err();
        assert!(matches!(error, TransformError::Breach { .. }), "{error}");
        assert!(error.to_string().contains(reason), "{reason}: {error}");
    }
    let secret = Script {
        filters: false,
        ..answering(keep(&[7]))
    };
    let text = apply(&secret, Limits::default()).unwrap_err().to_string();
    assert!(text.contains("says that it doesn't filter"), "{text}");
}

/// An answer of one `Int8` column and one rejection, word by word as the canonical ABI has it.
const SOUND: [(u32, u32); 16] = [
    // The result: `ok`, the columns, no bitmap of rows, the rejections.
    (0, 0),
    (4, 64),
    (8, 1),
    (12, 0),
    (16, 0),
    (20, 0),
    (24, 96),
    (28, 1),
    // The column: no validity, no offsets, three bytes of data.
    (64, 0),
    (76, 0),
    (80, 0),
    (84, 128),
    (88, 3),
    // The rejection: row 0, a reason of two bytes.
    (96, 0),
    (100, 144),
    (104, 2),
];

/// [`SOUND`], with these words in place of its own.
fn answer_with(words: &[(u32, u32)]) -> Script {
    let code = SOUND.iter().chain(words).fold(String::new(), |code, word| {
        let (at, word) = (word.0, word.1.cast_signed());
        code + &format!("(i32.store (i32.const {at}) (i32.const {word}))")
    });
    Script {
        process: Answer::Code(code + "(i32.const 0)"),
        ..answering(three())
    }
}

#[test]
fn lists_that_lie_elsewhere_or_have_other_lengths_are_found() {
    let applied = apply(&answer_with(&[]), Limits::default()).unwrap();
    assert_eq!(applied.batch.num_rows(), 2, "the sound one");
    let far = [0xffff_ffff, 0xffff_fffc, 0x7fff_fffc, 0x0010_0000];
    let long = [
        0xffff_ffff,
        0x8000_0000,
        0x2492_4925,
        0x1555_5556,
        0x0010_0000,
    ];
    let (places, lengths) = ([4, 24, 84, 100], [8, 28, 88, 104]);
    let mut lies: Vec<Vec<(u32, u32)>> = Vec::new();
    lies.extend(
        places
            .iter()
            .flat_map(|at| far.map(|word| vec![(*at, word)])),
    );
    lies.extend(
        lengths
            .iter()
            .flat_map(|at| long.map(|word| vec![(*at, word)])),
    );
    // A place and a length whose sum is small again; lists that were none; lists of records that aren't aligned.
    lies.push(vec![(84, 0xffff_fff0), (88, 0x20)]);
    lies.push(vec![(12, 1), (16, 0xffff_ff00), (20, 1)]);
    lies.push(vec![(64, 1), (68, 128), (72, 0xffff_ffff)]);
    lies.push(vec![(76, 0xffff_ff00), (80, 16)]);
    lies.push(vec![(4, 65)]);
    lies.push(vec![(24, 98)]);
    // Variants without such a case.
    lies.extend([0, 12, 64].map(|at| vec![(at, 2)]));
    for lie in lies {
        let error = apply(&answer_with(&lie), Limits::default()).unwrap_err();
        assert!(
            matches!(
                error,
                TransformError::Breach { .. }
                    | TransformError::Limit {
                        kind: LimitKind::Output,
                        ..
                    }
            ),
            "{lie:x?}: {error}"
        );
        assert_eq!(error.site().unwrap().chunk.as_deref(), Some("7"));
    }
}

/// Stands in a script where text shall be none.
const MARK: &str = "QzQz";

/// Loads a script whose marked text is no UTF-8, and transforms a batch.
fn apply_marked(script: &Script) -> Result<Applied, TransformError> {
    let mut bytes = script.component();
    let mut found = 0;
    for at in 0..bytes.len() - MARK.len() {
        if bytes[at..].starts_with(MARK.as_bytes()) {
            bytes[at..at + MARK.len()].copy_from_slice(b"\xff\xfe\xc3\x28");
            found += 1;
        }
    }
    assert_eq!(found, 1, "one mark");
    let plugin = runtime().load_bytes(std::path::Path::new("marked.wasm"), &bytes)?;
    let chain = Chain::bind(&runtime(), &numbers(), &[Step::new(plugin, json!({}))])?;
    let batch = rows(3).project(chain.input_columns()).unwrap();
    chain.instance().apply(batch, &"7")
}

#[test]
fn every_text_of_the_contract_is_text_or_an_error() {
    // The text that the zone's name is lies where `bad` writes.
    let zone = || {
        let payload = [1, 64, 1].map(u32::to_le_bytes).concat();
        Out::Computed("at".into(), 15, payload, false)
    };
    let bad = "(i32.store8 (i32.const 64) (i32.const 255))";
    let refusal = |case: u32| {
        format!(
            "{bad} (i32.store (i32.const 0) (i32.const 1)) (i32.store (i32.const 4) (i32.const {case})) (i32.store (i32.const 8) (i32.const 64)) (i32.store (i32.const 12) (i32.const 1)) (return (i32.const 0))"
        )
    };
    let before = |at: usize, code: &str| {
        let mut script = answering(three());
        script.before[at] = code.to_owned();
        script
    };
    let log = |level: u32, at: i64, length: u32| {
        format!("{bad} (call $log (i32.const {level}) (i32.const {at}) (i32.const {length}))")
    };
    let marked: [(&str, Script); 5] = [
        (
            "its name",
            Script {
                name: MARK.into(),
                ..answering(three())
            },
        ),
        (
            "its schema",
            Script {
                config_schema: format!(r#"{{"title": "{MARK}"}}"#),
                ..answering(three())
            },
        ),
        (
            "a new name of a column",
            Script {
                output: vec![
                    Out::Pass(0, None),
                    Out::Pass(1, Some(MARK.into())),
                    computed("n", 1),
                ],
                ..answering(three())
            },
        ),
        (
            "a computed column's name",
            Script {
                output: vec![Out::Pass(0, None), computed(MARK, 1)],
                ..answering(three())
            },
        ),
        (
            "a rejection's reason",
            answering(RawOutput {
                rejected: vec![RawRejection {
                    row: 1,
                    reason: MARK.into(),
                }],
                ..three()
            }),
        ),
    ];
    for (what, script) in marked {
        let text = apply_marked(&script).unwrap_err().to_string();
        assert!(text.contains("utf-8"), "{what}: {text}");
    }
    let written: [(&str, Script); 8] = [
        (
            "a zone's name",
            Script {
                output: vec![Out::Pass(0, None), zone()],
                ..before(1, bad)
            },
        ),
        ("why the configuration is refused", before(1, &refusal(0))),
        ("why the table is refused", before(1, &refusal(1))),
        ("why the batch is refused", before(2, &refusal(2))),
        ("a line of the log", before(2, &log(1, 64, 1))),
        ("a line beyond memory", before(2, &log(1, -1, 1))),
        (
            "a line longer than memory",
            before(2, &log(1, 64, u32::MAX >> 4)),
        ),
        ("a level that there isn't", before(2, &log(4, 0, 0))),
    ];
    for (what, script) in written {
        let error = apply(&script, Limits::default()).unwrap_err();
        assert!(
            matches!(error, TransformError::Breach { .. }),
            "{what}: {error}"
        );
    }
}

#[test]
fn names_and_schemas_without_measure_are_refused() {
    let deep = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
    let lists = |depth: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    for schema in [deep(20_000), lists(50_000), "x".repeat(300_000)] {
        let script = Script {
            config_schema: schema,
            ..Script::default()
        };
        let error = load(&script).unwrap_err();
        assert!(
            matches!(error, TransformError::Description { .. }),
            "{error}"
        );
        assert!(error.to_string().len() < 4096);
    }
    for name in ["", "a\nb", "\u{0}", &"long".repeat(200)] {
        let script = Script {
            output: vec![Out::Pass(0, None), computed(name, 1)],
            ..answering(three())
        };
        let error = apply(&script, Limits::default()).unwrap_err();
        assert!(
            matches!(error, TransformError::Binding { .. }),
            "{name:?}: {error}"
        );
    }
}
