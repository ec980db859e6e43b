//! The property of a copy: whatever the tables look like and hold, every cell arrives as MySQL says it.
//!
//! Random tables, thirty in a pipe, are copied in batches of a few rows, the longest in several chunks, and compared by the oracle. A table that isn't equal is
//! copied alone and made as small as it can be while it still fails, and then shown as SQL. The seed is printed; `TIDEMILL_SEED`
//! repeats a run, `TIDEMILL_SCHEMAS` makes it longer.

mod charsets;
mod kinds;
mod names;
mod table;
mod values;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Instant;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use crate::support::oracle::{self, Compared};
use crate::support::{Flavor, World};
use table::Table;

/// Tables of one pipe.
const BATCH: usize = 30;
/// Tables that are copied from each server, unless `TIDEMILL_SCHEMAS` says otherwise.
const SCHEMAS: usize = 300;
/// Failing tables that are made smaller, and how long each may take, in milliseconds; the others are as likely of the same cause.
const SHRUNK: usize = 3;
const SHRINK_MS: u32 = 90_000;

const SETTINGS: &str = "[snapshot]\nchunk_rows = 1000\nbatch_rows = 7\n[verify]\nmode = \"full\"\n";

#[test]
fn random_tables_of_mysql_arrive_in_every_cell() {
    copy_random_tables(Flavor::MySql);
}

#[test]
fn random_tables_of_mariadb_arrive_in_every_cell() {
    copy_random_tables(Flavor::MariaDb);
}

fn copy_random_tables(flavor: Flavor) {
    let schemas = number_of("TIDEMILL_SCHEMAS").map_or(SCHEMAS, |n| n as usize);
    let seed = number_of("TIDEMILL_SEED").unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
    eprintln!("{flavor:?}: repeat with TIDEMILL_SEED={seed}");
    let begun = Instant::now();
    let mut runner = runner(seed);
    let strategy = table::strategy(flavor);
    let (mut compared, mut kinds) = (Compared::default(), BTreeSet::new());
    while (compared.tables as usize) < schemas {
        let trees: Vec<_> = (0..BATCH)
            .map(|_| strategy.new_tree(&mut runner).expect("a table"))
            .collect();
        let tables: Vec<Table> = trees.iter().map(ValueTree::current).collect();
        kinds.extend(tables.iter().flat_map(Table::kinds));
        match copy(flavor, &tables) {
            Ok(equal) => compared += equal,
            Err(failure) => {
                let small = smallest(flavor, &mut runner, trees, &failure);
                panic!("repeat with TIDEMILL_SEED={seed}\n{failure}\n{small}");
            }
        }
    }
    eprintln!(
        "{flavor:?}: {compared:?} of {} kinds, in {:.0?}; TIDEMILL_SEED={seed}",
        kinds.len(),
        begun.elapsed()
    );
    // A generator that forgets a type, or makes empty tables, proves nothing.
    if schemas >= SCHEMAS {
        assert_eq!(kinds, kinds::all(flavor));
    }
    assert!(compared.cells > 50 * compared.tables, "{compared:?}");
}

fn number_of(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} is a number, not `{text}`")),
    )
}

fn runner(seed: u64) -> TestRunner {
    let config = Config {
        failure_persistence: None,
        max_shrink_time: SHRINK_MS,
        ..Config::default()
    };
    TestRunner::new_with_rng(config, rng(seed))
}

/// The random numbers of a seed, as proptest takes them.
pub(crate) fn rng(seed: u64) -> TestRng {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    TestRng::from_seed(RngAlgorithm::ChaCha, &bytes)
}

/// Why tables are not equal.
#[derive(Debug)]
struct Failure {
    /// The ones that differ, by their place; none if the run itself failed.
    guilty: Vec<usize>,
    reason: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.reason)
    }
}

/// Makes the tables, copies them with one pipe, and compares them.
fn copy(flavor: Flavor, tables: &[Table]) -> Result<Compared, Failure> {
    let mut world = World::new(flavor).settings(SETTINGS);
    let script: Vec<_> = tables
        .iter()
        .enumerate()
        .map(|(i, table)| table.sql(i))
        .collect();
    world
        .mysql
        .run(&format!("{};\n{}", table::SESSION, script.join("")));
    let database = world.mysql.database.clone();
    let names: Vec<_> = tables
        .iter()
        .enumerate()
        .map(|(i, table)| table.name(i))
        .collect();
    for name in &names {
        world.add_source(&database, name);
    }
    let answer = world.tidemill(&["run"]);
    if answer.code != Some(0) {
        let reason = format!("the run ended with {:?}: {}", answer.code, answer.message());
        return Err(Failure {
            guilty: vec![],
            reason,
        });
    }
    let mut compared = Compared::default();
    let mut failure = Failure {
        guilty: vec![],
        reason: String::new(),
    };
    for (i, name) in names.iter().enumerate() {
        match oracle::compare(&world.mysql, &database, name, &world.clickhouse, name) {
            Ok(equal) => compared += equal,
            Err(told) => {
                failure.guilty.push(i);
                failure.reason += &oracle::listed(&told);
            }
        }
    }
    match failure.guilty.is_empty() {
        true => Ok(compared),
        false => Err(failure),
    }
}

/// The tables that fail by themselves, as small as they can be, as SQL.
fn smallest<T: ValueTree<Value = Table>>(
    flavor: Flavor,
    runner: &mut TestRunner,
    trees: Vec<T>,
    failure: &Failure,
) -> String {
    let suspects = trees.into_iter().enumerate();
    let suspects =
        suspects.filter(|(i, _)| failure.guilty.is_empty() || failure.guilty.contains(i));
    let mut text = String::new();
    let mut shown = 0;
    for (_, tree) in suspects {
        if shown == SHRUNK || copy(flavor, &[tree.current()]).is_ok() {
            continue;
        }
        shown += 1;
        let (table, reason) = shrunk(runner, tree, |table| copy(flavor, &[table]).map(drop));
        text += &format!("{reason}\n{};\n{}\n", table::SESSION, table.sql(0));
    }
    if text.is_empty() {
        text = "none of the tables fails by itself".to_owned();
    }
    text
}

/// The smallest table that still fails, and how.
fn shrunk<T: ValueTree<Value = Table>>(
    runner: &mut TestRunner,
    tree: T,
    test: impl Fn(Table) -> Result<(), Failure>,
) -> (Table, String) {
    let first = RefCell::new(None);
    let failed = runner.run_one(tree, |table| {
        test(table).map_err(|failure| {
            first.borrow_mut().get_or_insert(failure.to_string());
            TestCaseError::fail(failure.to_string())
        })
    });
    match failed {
        Err(TestError::Fail(reason, table)) => (table, reason.to_string()),
        other => panic!(
            "it failed once ({:?}), and no more: {other:?}",
            first.borrow()
        ),
    }
}

#[test]
fn a_failing_table_becomes_as_small_as_it_can_be() {
    let mut runner = runner(1);
    let strategy = table::strategy(Flavor::MySql);
    let has = |table: &Table| table.rows() > 3 && table.kinds().any(|kind| kind == "decimal");
    let tree = std::iter::from_fn(|| strategy.new_tree(&mut runner).ok())
        .find(|tree| has(&tree.current()) && tree.current().kinds().count() > 3)
        .expect("such a table");
    let test = |table: Table| match has(&table) {
        true => Err(Failure {
            guilty: vec![],
            reason: "as asked".to_owned(),
        }),
        false => Ok(()),
    };
    let (table, reason) = shrunk(&mut runner, tree, test);
    assert_eq!(reason, "as asked");
    insta::assert_snapshot!(table.sql(0), @"
    CREATE TABLE `c0` (
      `c0` DECIMAL(1, 0) NOT NULL
    );
    INSERT IGNORE INTO `c0` (`c0`) VALUES
    (0.0),
    (0.0),
    (0.0),
    (0.0);
    ");
}
