//! A reader of the destination that never stops, and never wants to see data go back.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::reference::latest;
use super::tables::Table;
use crate::support::clickhouse::Reader;
use crate::support::{Dice, World};

/// Keys are sampled in so many parts.
const PARTS: u64 = 64;

/// What was seen of a key: its latest `rev`, and whether it has been away since.
#[derive(Clone, Copy, Debug)]
struct Seen {
    rev: u64,
    gone: bool,
}

/// What a sampler saw.
#[derive(Debug, Default)]
pub(super) struct Sampled {
    /// Reads that were answered.
    pub(super) reads: u64,
    /// Keys in their answers.
    pub(super) keys: u64,
    /// Reads that failed, as they do while the server is down.
    pub(super) failed: u64,
    /// Keys that had a new `rev`, or had come or gone, since they were read last.
    pub(super) changes: u64,
    /// What must not be: one sentence each.
    pub(super) backwards: Vec<String>,
}

/// A sampler at work.
#[derive(Debug)]
pub(super) struct Sampler {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Sampled>>,
}

impl Sampler {
    /// Reads all tables of the writers from now on, a part of the keys at a time and all of them now and then.
    pub(super) fn start(world: &World, seed: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (reader, stopped) = (world.clickhouse.reader(), stop.clone());
        let thread = std::thread::spawn(move || {
            let mut dice = Dice::new(seed, u64::MAX);
            let mut sampled = Sampled::default();
            let mut seen = [(); Table::ALL.len()].map(|()| HashMap::new());
            while !stopped.load(Ordering::SeqCst) {
                for (table, seen) in Table::ALL.into_iter().zip(&mut seen) {
                    let part = match dice.percent(10) {
                        true => None,
                        false => Some(dice.below(PARTS)),
                    };
                    sample(&reader, table, part, seen, &mut sampled);
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            sampled
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }

    /// Ends it, and expects that it has seen much, and nothing go back.
    #[track_caller]
    pub(super) fn stop(mut self) -> Sampled {
        self.stop.store(true, Ordering::SeqCst);
        let thread = self.thread.take().expect("it is stopped once");
        let sampled = thread.join().expect("the sampler's own panic");
        assert!(
            sampled.backwards.is_empty(),
            "{} times a reader saw data go back:\n{}",
            sampled.backwards.len(),
            sampled.backwards[..sampled.backwards.len().min(20)].join("\n")
        );
        eprintln!(
            "sampled: {} reads, {} keys, {} changes, {} reads failed",
            sampled.reads, sampled.keys, sampled.changes, sampled.failed
        );
        assert!(sampled.keys > 1000, "{sampled:?}");
        sampled
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

fn sample(
    reader: &Reader,
    table: Table,
    part: Option<u64>,
    seen: &mut HashMap<String, (u64, Seen)>,
    sampled: &mut Sampled,
) {
    let key = format!("concat({}, '')", table.key_columns().join(", '/', "));
    let part_of = format!("cityHash64({key}) % {PARTS}");
    let condition = part.map_or(String::new(), |part| format!(" WHERE {part_of} = {part}"));
    let Ok(text) = reader.try_query(&format!(
        "SELECT {key}, {part_of}, rev FROM {}{condition}",
        latest(table)
    )) else {
        sampled.failed += 1;
        return;
    };
    sampled.reads += 1;
    let mut found = HashMap::new();
    for line in text.lines() {
        let cells: Vec<&str> = line.split('\t').collect();
        let number = |cell: &str| cell.parse::<u64>().expect("a number");
        let (key, part, rev) = (cells[0], number(cells[1]), number(cells[2]));
        if found.insert(key.to_owned(), rev).is_some() {
            let name = table.name();
            sampled
                .backwards
                .push(format!("{name} {key}: two rows of one key"));
        }
        let now = Seen { rev, gone: false };
        let Some((_, before)) = seen.insert(key.to_owned(), (part, now)) else {
            continue;
        };
        if rev < before.rev || (before.gone && rev <= before.rev) {
            let away = if before.gone { " and then none" } else { "" };
            sampled.backwards.push(format!(
                "{} {key}: rev {rev} after rev {}{away}",
                table.name(),
                before.rev
            ));
        }
        sampled.changes += u64::from(rev != before.rev);
    }
    sampled.keys += found.len() as u64;
    for (key, (of, before)) in seen {
        if part.is_none_or(|part| part == *of) && !before.gone && !found.contains_key(key) {
            before.gone = true;
            sampled.changes += 1;
        }
    }
}

#[test]
fn a_sampler_sees_what_goes_back() {
    let world = World::new(crate::support::Flavor::MySql);
    world.clickhouse.run(
        "CREATE DATABASE {db};\nCREATE TABLE {db}.points (id Int64, rev Int64, v UInt64) ENGINE = ReplacingMergeTree(v) ORDER BY id;\n",
    );
    let reader = world.clickhouse.reader();
    let (mut seen, mut sampled) = (HashMap::new(), Sampled::default());
    // A state of the table, and how many sentences there are then.
    for (rows, backwards) in [
        ("(1, 5, 1), (2, 7, 1)", 0),
        ("(1, 6, 1), (2, 7, 1)", 0),
        ("(1, 5, 1), (2, 7, 1)", 1),
        ("(1, 8, 1)", 1),
        ("(1, 8, 1), (2, 7, 1)", 2),
        ("(1, 8, 1)", 2),
        ("(1, 8, 1), (2, 9, 1)", 2),
    ] {
        world.clickhouse.run(&format!(
            "TRUNCATE TABLE {{db}}.points;\nINSERT INTO {{db}}.points VALUES {rows};\n"
        ));
        sample(&reader, Table::Points, None, &mut seen, &mut sampled);
        assert_eq!(sampled.backwards.len(), backwards, "{rows}: {sampled:?}");
    }
}
