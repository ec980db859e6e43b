//! Guests for tests, made by hand: a core module whose answers lie in its memory, laid out as the canonical ABI has them, so that a test can
//! let a guest answer anything at all. They are encoded, compiled and run exactly as any other plugin.

use std::fmt::Write;
use std::path::PathBuf;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use super::contract::{RawColumn, RawOutput, TRANSFORM};

/// Where the answers lie; below is nothing.
const BASE: u32 = 1024;

/// What a scripted guest does.
#[derive(Clone, Debug)]
pub(super) struct Script {
    pub(super) name: String,
    pub(super) config_schema: String,
    pub(super) reads: Vec<u32>,
    pub(super) output: Vec<Out>,
    pub(super) filters: bool,
    /// Instructions before `describe`, `bind` and `process` answer.
    pub(super) before: [String; 3],
    /// Instructions before memory is given to the host, for what it brings.
    pub(super) realloc: String,
    /// Instructions when the host has taken an answer of `process`.
    pub(super) post: String,
    /// Functions that it imports beside the log, as the core module has them, and functions of its own behind them. Interfaces of WASI
    /// must be among [`WASI`].
    pub(super) imports: String,
    pub(super) process: Answer,
}

/// A column of a scripted binding.
#[derive(Clone, Debug)]
pub(super) enum Out {
    Pass(u32, Option<String>),
    /// Name, the type's place in the variant `data-type`, its payload's bytes, nullable.
    Computed(String, u8, Vec<u8>, bool),
}

/// What `process` answers.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// The columns that it was given.
    Echo,
    /// Always the same.
    Output(RawOutput),
    /// `error::data` of this text.
    Refusal(String),
    /// Instructions that leave a pointer.
    Code(String),
}

impl Default for Script {
    fn default() -> Self {
        Self {
            name: "scripted".into(),
            config_schema: r#"{"type": "object"}"#.into(),
            reads: Vec::new(),
            output: vec![Out::Pass(0, None)],
            filters: false,
            before: Default::default(),
            realloc: String::new(),
            post: String::new(),
            imports: String::new(),
            process: Answer::Output(RawOutput::default()),
        }
    }
}

impl Script {
    /// The component's bytes.
    pub(super) fn component(&self) -> Vec<u8> {
        let contract = contract_text();
        match self.imports.contains("wasi:") {
            true => encode(&self.module(), &with_wasi(&contract)),
            false => encode(&self.module(), &contract),
        }
    }

    /// Writes the component to a file of this folder.
    pub(super) fn write(&self, dir: &tempfile::TempDir) -> PathBuf {
        let path = dir.path().join(format!("{}.wasm", self.name));
        std::fs::write(&path, self.component()).unwrap();
        path
    }

    fn module(&self) -> String {
        let mut image = Image::default();
        let describe = self.describe(&mut image);
        let bind = self.bind(&mut image);
        let process = match &self.process {
            Answer::Echo => {
                let area = image.place(&[0; 32]);
                format!(
                    "(i32.store (i32.const {}) (local.get 1)) (i32.store (i32.const {}) (local.get 2)) (i32.const {area})",
                    area + 4,
                    area + 8
                )
            }
            Answer::Output(output) => format!("(i32.const {})", place_output(&mut image, output)),
            Answer::Refusal(reason) => {
                let (text, length) = image.text(reason);
                format!(
                    "(i32.const {})",
                    image.place(&words(&[1, 2, text, length, 0, 0, 0, 0]))
                )
            }
            Answer::Code(code) => code.clone(),
        };
        let [before_describe, before_bind, before_process] = &self.before;
        let Self {
            imports,
            realloc,
            post,
            ..
        } = self;
        let heap = (BASE + image.bytes.len() as u32).next_multiple_of(65_536);
        let pages = heap / 65_536 + 1;
        let data = image.bytes.iter().fold(String::new(), |mut text, byte| {
            write!(text, "\\{byte:02x}").unwrap();
            text
        });
        format!(
            r#"(module
  (import "tidemill:transform/log@0.1.0" "log" (func $log (param i32 i32 i32)))
  {imports}
  (memory (export "memory") {pages})
  (data (i32.const {BASE}) "{data}")
  (global $heap (mut i32) (i32.const {heap}))
  (func $reserve (param $end i32)
    (local $pages i32)
    (local.set $pages (i32.sub (i32.add (i32.shr_u (local.get $end) (i32.const 16)) (i32.const 1)) (memory.size)))
    (if (i32.gt_s (local.get $pages) (i32.const 0))
      (then (if (i32.eq (memory.grow (local.get $pages)) (i32.const -1)) (then unreachable)))))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    {realloc}
    (local.set $at (i32.and (i32.add (global.get $heap) (i32.sub (local.get 2) (i32.const 1))) (i32.sub (i32.const 0) (local.get 2))))
    (global.set $heap (i32.add (local.get $at) (local.get 3)))
    (call $reserve (global.get $heap))
    (local.get $at))
  (func (export "{TRANSFORM}#describe") (result i32) {before_describe} (i32.const {describe}))
  (func (export "{TRANSFORM}#bind") (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) {before_bind} (i32.const {bind}))
  (func (export "{TRANSFORM}#process") (param i32 i32 i32) (result i32) {before_process} {process})
  (func (export "cabi_post_{TRANSFORM}#process") (param i32) {post} (global.set $heap (i32.const {heap})))
)"#
        )
    }

    fn describe(&self, image: &mut Image) -> u32 {
        let parts = [
            &self.name,
            "1.0.0",
            "A guest made by hand",
            &self.config_schema,
        ]
        .map(|text| image.text(text));
        image.place(&words(
            &parts
                .iter()
                .flat_map(|(at, length)| [*at, *length])
                .collect::<Vec<_>>(),
        ))
    }

    fn bind(&self, image: &mut Image) -> u32 {
        let reads = image.place(&words(&self.reads));
        let mut columns = Vec::new();
        for out in &self.output {
            columns.extend(match out {
                Out::Pass(position, None) => words(&[0, *position, 0, 0, 0, 0, 0, 0]),
                Out::Pass(position, Some(name)) => {
                    let (text, length) = image.text(name);
                    words(&[0, *position, 1, text, length, 0, 0, 0])
                }
                Out::Computed(name, data_type, payload, nullable) => {
                    let (text, length) = image.text(name);
                    let mut bytes = words(&[
                        1,
                        text,
                        length,
                        u32::from(*data_type),
                        0,
                        0,
                        0,
                        u32::from(*nullable),
                    ]);
                    bytes[16..16 + payload.len()].copy_from_slice(payload);
                    bytes
                }
            });
        }
        let columns = image.place(&columns);
        image.place(&words(&[
            0,
            reads,
            self.reads.len() as u32,
            columns,
            self.output.len() as u32,
            u32::from(self.filters),
        ]))
    }
}

/// What tests import of WASI.
const WASI: &str = include_str!("tests/wasi.wit");

/// The contract, its world with all of [`WASI`] to import.
fn with_wasi(contract: &str) -> String {
    contract.replace("import log;", "import log; include wasi:all/imports@0.2.0;") + WASI
}

/// The contract's own text.
pub(super) fn contract_text() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../wit/transform.wit")).unwrap()
}

/// A core module in text, as a component of the world `plugin` of this contract.
pub(super) fn encode(module: &str, contract: &str) -> Vec<u8> {
    let mut core = wat::parse_str(module).unwrap();
    let mut resolve = Resolve::default();
    let package = resolve.push_str("transform.wit", contract).unwrap();
    let world = resolve.select_world(&[package], Some("plugin")).unwrap();
    embed_component_metadata(&mut core, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default()
        .validate(true)
        .module(&core)
        .unwrap()
        .encode()
        .unwrap()
}

fn place_output(image: &mut Image, output: &RawOutput) -> u32 {
    let mut columns = Vec::new();
    for RawColumn {
        validity,
        offsets,
        data,
    } in &output.columns
    {
        let validity = image.option(validity.as_deref());
        let (offsets, data) = (image.list(offsets), image.list(data));
        columns.extend(words(&[
            validity[0],
            validity[1],
            validity[2],
            offsets.0,
            offsets.1,
            data.0,
            data.1,
        ]));
    }
    let mut rejected = Vec::new();
    for rejection in &output.rejected {
        let (text, length) = image.text(&rejection.reason);
        rejected.extend(words(&[rejection.row, text, length]));
    }
    let (columns, rejected) = (image.place(&columns), image.place(&rejected));
    let keep = image.option(output.keep.as_deref());
    image.place(&words(&[
        0,
        columns,
        output.columns.len() as u32,
        keep[0],
        keep[1],
        keep[2],
        rejected,
        output.rejected.len() as u32,
    ]))
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// A guest's memory from [`BASE`] on.
#[derive(Default)]
struct Image {
    bytes: Vec<u8>,
}

impl Image {
    fn place(&mut self, bytes: &[u8]) -> u32 {
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        let at = BASE + self.bytes.len() as u32;
        self.bytes.extend(bytes);
        at
    }

    fn list(&mut self, bytes: &[u8]) -> (u32, u32) {
        (self.place(bytes), bytes.len() as u32)
    }

    fn text(&mut self, text: &str) -> (u32, u32) {
        self.list(text.as_bytes())
    }

    fn option(&mut self, bytes: Option<&[u8]>) -> [u32; 3] {
        bytes.map_or([0; 3], |bytes| {
            let (at, length) = self.list(bytes);
            [1, at, length]
        })
    }
}
