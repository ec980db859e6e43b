//! Breaks the contract on purpose, in the way that its configuration says, at the first batch, or burns CPU: how the tests see what becomes of a plugin that
//! can't be trusted. It is written against the contract itself: the SDK would not let it.

#[cfg(target_arch = "wasm32")]
mod plugin {
    use std::cell::RefCell;

    mod bindings {
        #![allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]
        wit_bindgen::generate!({ path: "../../wit", world: "plugin" });
    }

    use bindings::exports::tidemill::transform::transform::{
        Binding, Description, Error, Guest, OutColumn, Output, Rejection, Table,
    };
    use bindings::tidemill::transform::types::{Column, DataType, Field};

    struct Hostile;

    /// A few milliseconds of a core.
    const BURNT_STEPS: usize = 4_000_000;

    std::thread_local! {
        static MODE: RefCell<String> = const { RefCell::new(String::new()) };
    }

    impl Guest for Hostile {
        fn describe() -> Description {
            Description {
                name: "hostile".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                summary: "breaks the contract in a given way".to_owned(),
                config_schema: include_str!("../schema.json").to_owned(),
            }
        }

        fn bind(table: Table, config: String) -> Result<Binding, Error> {
            let config: serde_json::Value =
                serde_json::from_str(&config).map_err(|cause| Error::Config(cause.to_string()))?;
            MODE.set(config["mode"].as_str().unwrap_or_default().to_owned());
            let mut output: Vec<OutColumn> = (0..table.fields.len() as u32)
                .map(|position| OutColumn::Pass((position, None)))
                .collect();
            output.push(OutColumn::Computed(Field {
                name: "hostile".to_owned(),
                data_type: DataType::Utf8,
                nullable: false,
            }));
            let reads = MODE.with_borrow(|mode| match mode.as_str() {
                "trap-at-13" => vec![0],
                _ => Vec::new(),
            });
            Ok(Binding {
                reads,
                output,
                filters: false,
            })
        }

        fn process(rows: u32, columns: Vec<Column>) -> Result<Output, Error> {
            if columns.first().is_some_and(has_13) {
                core::arch::wasm32::unreachable();
            }
            MODE.with_borrow(|mode| answer(mode, rows))
        }
    }

    /// Whether a number of 32 bits ends in 13.
    fn has_13(column: &Column) -> bool {
        let numbers = column.data.as_chunks::<4>().0.iter();
        numbers
            .map(|bytes| u32::from_le_bytes(*bytes))
            .any(|number| number % 100 == 13)
    }

    /// One character a row.
    fn honest(rows: u32) -> Column {
        Column {
            validity: None,
            offsets: (0..=rows).flat_map(u32::to_le_bytes).collect(),
            data: vec![b'x'; rows as usize],
        }
    }

    fn answer(mode: &str, rows: u32) -> Result<Output, Error> {
        let mut output = Output {
            columns: vec![honest(rows)],
            keep: None,
            rejected: Vec::new(),
        };
        let column = &mut output.columns[0];
        match mode {
            "trap" => core::arch::wasm32::unreachable(),
            "panic" => panic!("on purpose"),
            "error" => return Err(Error::Data("on purpose".to_owned())),
            "loop" => loop {
                std::hint::spin_loop();
            },
            "memory" => {
                let mut kept: Vec<Vec<u8>> = Vec::new();
                loop {
                    kept.push(vec![1; 1 << 20]);
                }
            }
            // It answers, and takes its time: milliseconds a row.
            "burn" => {
                let mut state = u64::from(rows) | 1;
                for _ in 0..rows as usize * BURNT_STEPS {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state = std::hint::black_box(state ^ (state << 17));
                }
            }
            "huge-output" => column.data = vec![b'x'; 1 << 28],
            "short-column" => column.offsets.truncate(4 * (rows as usize / 2)),
            "bad-offsets" => column.offsets[..4].copy_from_slice(&u32::MAX.to_le_bytes()),
            "invalid-utf8" => column.data[0] = 0xff,
            "null-in-non-null" => column.validity = Some(vec![0; (rows as usize).div_ceil(8)]),
            "extra-column" => output.columns.push(honest(rows)),
            "missing-column" => output.columns.clear(),
            "undeclared-filter" => output.keep = Some(vec![0; (rows as usize).div_ceil(8)]),
            "far-rejection" => output.rejected.push(Rejection {
                row: rows,
                reason: "no such row".to_owned(),
            }),
            _ => {}
        }
        Ok(output)
    }

    bindings::export!(Hostile with_types_in bindings);
}
