//! Guests that nobody wrote: components and modules out of `wasm-smith`, of fixed seeds, and plugins with bytes changed. Whatever they are,
//! the host ends each with an error or a valid answer, keeps no instance of theirs, and does its work for others meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};

use arbitrary::Unstructured;
use arrow::array::Array;
use wasm_smith::{Component, Config, Module};
use wasmtime::component::Component as Compiled;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;
use xxhash_rust::xxh3::xxh3_64;

use super::super::contract;
use super::super::instance::Instance;
use super::super::lower::LoweredColumn;
use super::super::plugin::Plugin;
use super::super::scripted::contract_text;
use super::super::wasi::Terms;
use super::*;

/// Generated components, and as many modules in the shape of the contract.
const SEEDS: u64 = 500;
/// Plugins with some bytes changed.
const MUTANTS: u64 = 1500;
/// Instances that the host may have at one time: a leak of so many shows.
const INSTANCES: u32 = 3;

/// Bytes that follow from a seed.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    (0..length.div_ceil(8) as u64)
        .flat_map(|i| xxh3_64(&[seed.to_le_bytes(), i.to_le_bytes()].concat()).to_le_bytes())
        .collect()
}

fn config() -> Config {
    Config {
        // What the engine has switched off would be refused before it is tried.
        max_memories: 1,
        memory64_enabled: false,
        custom_page_sizes_enabled: false,
        exceptions_enabled: false,
        gc_enabled: false,
        reference_types_enabled: false,
        threads_enabled: false,
        wide_arithmetic_enabled: false,
        allow_start_export: false,
        max_instructions: 200,
        ..Config::default()
    }
}

/// Any component at all.
fn any_component(seed: u64) -> Option<Vec<u8>> {
    let noise = noise(seed, 4096);
    let component = Component::new(config(), &mut Unstructured::new(&noise)).ok()?;
    Some(component.to_bytes())
}

/// A module that has the contract's functions, with anything in them.
fn any_plugin(seed: u64) -> Option<Vec<u8>> {
    let function = |name: &str, parameters: usize| {
        let parameters = "i32 ".repeat(parameters);
        format!(
            r#"(func (export "{}#{name}") (param {parameters}) (result i32) unreachable)"#,
            contract::TRANSFORM
        )
    };
    let functions = [
        function("describe", 0),
        function("bind", 10),
        function("process", 3),
    ];
    let shape = format!(
        r#"(module (memory (export "memory") 1) (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable) {})"#,
        functions.concat()
    );
    let config = Config {
        exports: Some(wat::parse_str(shape).ok()?),
        available_imports: Some(wat::parse_str("(module)").ok()?),
        ..config()
    };
    let noise = noise(seed, 8192);
    let mut core = Module::new(config, &mut Unstructured::new(&noise))
        .ok()?
        .to_bytes();
    let mut resolve = Resolve::default();
    let package = resolve.push_str("transform.wit", &contract_text()).ok()?;
    let world = resolve.select_world(&[package], Some("plugin")).ok()?;
    embed_component_metadata(&mut core, &resolve, world, StringEncoding::UTF8).ok()?;
    let encoder = ComponentEncoder::default().module(&core).ok();
    encoder?.encode().ok()
}

/// A plugin with a byte or two changed.
fn mutant(plugin: &[u8], seed: u64) -> Vec<u8> {
    let noise = noise(seed, 64);
    let mut bytes = plugin.to_vec();
    let changes = 1 + usize::from(noise[0] % 2);
    for change in noise[8..].chunks_exact(6).take(changes) {
        let place = u32::from_le_bytes([change[0], change[1], change[2], change[3]]) as usize;
        // Behind the header: a file of another kind is another test's.
        bytes[8 + place % (plugin.len() - 8)] = change[4];
    }
    bytes
}

fn terms() -> Terms {
    Terms {
        limits: Limits {
            batch_deadline: Duration::from_millis(20),
            memory_bytes: 8 << 20,
            output_bytes: 1 << 20,
            ..Limits::default()
        },
        ..Terms::default()
    }
}

fn host() -> Runtime {
    Runtime::new(RuntimeSettings {
        max_instances: INSTANCES,
        ..RuntimeSettings::default()
    })
    .unwrap()
}

/// Calls all functions of a plugin-shaped component, each on an instance of its own. How many answers were valid; none: it has no
/// instance.
fn call_all(runtime: &Runtime, bytes: &[u8]) -> Option<usize> {
    let component = Compiled::from_binary(runtime.engine(), bytes).ok()?;
    let pre = runtime.linkers().plain.instantiate_pre(&component).ok()?;
    let pre = contract::Prepared::new(pre, false).ok()?;
    let (site, terms, table) = (Site::default(), terms(), numbers());
    let instance = || Instance::new(&pre, false, &terms, &site);
    instance().ok()?;
    let mut valid = 0;
    valid += usize::from(instance().and_then(|mut i| i.describe(&site)).is_ok());
    let bound = |mut i: Instance| table.with_contract_form(&site, |form| i.bind(&site, form, "{}"));
    valid += usize::from(instance().and_then(bound).is_ok_and(|bound| bound.is_ok()));
    let batch = rows(5);
    let column = LoweredColumn::new(batch.column(1)).unwrap();
    let field = Arc::new(Field::new("c", DataType::Int64, true));
    let answer = instance().and_then(|mut i| i.process(&site, 0, 5, &[column.lend()]));
    if let Ok(answer) = answer
        && let Ok(output) = answer.check(&[field], true, 5)
    {
        for column in &output.columns {
            column.to_data().validate_full().unwrap();
        }
        valid += 1;
    }
    Some(valid)
}

/// As many instances as the pool has can be had at one time: none was kept.
fn assert_no_leak(runtime: &Runtime) {
    let dir = tempfile::tempdir().unwrap();
    let plugin = runtime.load(&answering(three()).write(&dir)).unwrap();
    let all: Vec<Instance> = (0..INSTANCES)
        .map(|_| {
            plugin
                .instance(&Terms::default(), &Site::default())
                .unwrap()
        })
        .collect();
    assert_eq!(all.len(), INSTANCES as usize);
}

#[test]
fn generated_components_and_modules_end_in_errors_or_valid_answers() {
    let runtime = host();
    let (mut components, mut plugins, mut loaded, mut called, mut valid) = (0, 0, 0, 0, 0);
    for seed in 0.. {
        if components >= SEEDS && plugins >= SEEDS {
            break;
        }
        if let Some(bytes) = any_component(seed) {
            components += 1;
            let path = std::path::PathBuf::from(format!("component-{seed}.wasm"));
            loaded += usize::from(runtime.load_bytes(&path, &bytes).is_ok());
        }
        if let Some(bytes) = any_plugin(seed) {
            plugins += 1;
            if let Some(answers) = call_all(&runtime, &bytes) {
                called += 1;
                valid += answers;
            }
        }
    }
    println!(
        "{components} components, {plugins} modules: {loaded} loaded, {called} called, {valid} valid answers"
    );
    assert!(called > SEEDS / 10, "most were never tried");
    assert_no_leak(&runtime);
}

#[test]
fn plugins_with_changed_bytes_end_in_errors_or_valid_answers() {
    let runtime = host();
    let whole = Script {
        reads: vec![1],
        output: vec![Out::Pass(0, None), computed("c", 4)],
        process: Answer::Echo,
        ..Script::default()
    }
    .component();
    let (mut loaded, mut answered) = (0, 0);
    for seed in 0..MUTANTS {
        let bytes = mutant(&whole, seed);
        let path = std::path::PathBuf::from(format!("mutant-{seed}.wasm"));
        let Ok(plugin) = runtime.load_bytes(&path, &bytes) else {
            continue;
        };
        loaded += 1;
        answered += usize::from(answer_of(&runtime, plugin));
    }
    println!("{MUTANTS} mutants: {loaded} loaded, {answered} answered");
    assert!(loaded > 0 && answered > 0, "nothing was tried");
    assert_no_leak(&runtime);
}

/// Whether a plugin that loaded transforms a batch; what comes out fits the schema that it declared.
fn answer_of(runtime: &Runtime, plugin: Arc<Plugin>) -> bool {
    let step = Step {
        limits: terms().limits,
        ..Step::new(plugin, json!({}))
    };
    let Ok(chain) = Chain::bind(runtime, &numbers(), &[step]) else {
        return false;
    };
    let batch = rows(5).project(chain.input_columns()).unwrap();
    let Ok(applied) = chain.instance().apply(batch, &"1") else {
        return false;
    };
    assert_eq!(&applied.batch.schema(), chain.output());
    for (field, column) in chain.output().fields().iter().zip(applied.batch.columns()) {
        column.to_data().validate_full().unwrap();
        assert!(field.is_nullable() || column.null_count() == 0, "{field}");
    }
    true
}

#[test]
fn a_neighbour_keeps_its_speed() {
    let runtime = runtime();
    let neighbour = Script {
        reads: vec![1, 2],
        output: vec![Out::Pass(0, None), computed("c", 4), computed("d", 4)],
        process: Answer::Echo,
        ..Script::default()
    };
    let chain = Chain::bind(&runtime, &numbers(), &[step(&neighbour)]).unwrap();
    // CPU a batch: what a busy machine does to the wall's clock is not the hostile plugin's doing.
    let cpu_of = |batches: u32| {
        let mut instance = chain.instance();
        let batch = rows(60_000).project(chain.input_columns()).unwrap();
        for chunk in 0..batches {
            instance.apply(batch.clone(), &chunk).unwrap();
        }
        instance.take_totals()[0].cpu
    };
    cpu_of(20);
    let stop = AtomicBool::new(false);
    let (alone, beside) = std::thread::scope(|scope| {
        let alone = (0..3).map(|_| cpu_of(100)).min().unwrap();
        scope.spawn(|| hostile_until(&runtime, &stop));
        let beside = (0..3).map(|_| cpu_of(100)).min().unwrap();
        stop.store(true, Ordering::Relaxed);
        (alone, beside)
    });
    let speed = alone.as_secs_f64() / beside.as_secs_f64();
    println!("the neighbour's speed beside a hostile plugin: {speed:.2}");
    assert!(
        speed >= 0.8,
        "{alone:?} alone, {beside:?} beside a hostile plugin"
    );
}

/// Crashes, loops and eats memory, over and over.
fn hostile_until(runtime: &Runtime, stop: &AtomicBool) {
    let scripts = [
        "unreachable",
        "(loop $forever (br $forever))",
        "(loop $more (drop (memory.grow (i32.const 16))) (br $more))",
    ]
    .map(|code| Script {
        before: [String::new(), String::new(), code.into()],
        ..answering(three())
    });
    let chains = scripts.map(|script| {
        let step = Step {
            limits: terms().limits,
            ..step(&script)
        };
        Chain::bind(runtime, &numbers(), &[step]).unwrap()
    });
    while !stop.load(Ordering::Relaxed) {
        for chain in &chains {
            let batch = rows(3).project(chain.input_columns()).unwrap();
            assert!(chain.instance().apply(batch, &"1").is_err());
        }
    }
}
